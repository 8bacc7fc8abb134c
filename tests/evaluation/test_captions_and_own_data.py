"""Grounded captions and one's own data, from questions to figures."""

import json
import runpy
import shutil
from pathlib import Path

import pytest
from transformers import BertConfig, BertModel, BertTokenizer

from tests.evaluation.shapes_folders import clips, write_gcg, write_own
from videoglamm_hf import InputError, cli
from videoglamm_hf.data import JsonlDataset, write_jsonl
from videoglamm_hf.evaluation.evaluate import read_benchmark
from videoglamm_hf.evaluation.gcg import PROMPT
from videoglamm_hf.evaluation.options import Options
from videoglamm_hf.evaluation.text_similarity import encoder_similarity, word_similarity

DESCRIBE = "Describe the video, with masks."


def scores_of(path: Path) -> dict:
    return json.loads(path.read_text())


def score(name: str, data: Path, predictions: Path, *options: str) -> dict:
    output = predictions.parent / "scored.json"
    given = ["--data", str(data), "--predictions", str(predictions), "--output", str(output), "-q", *options]
    assert cli.main(["score", name, *given]) == 0
    return scores_of(output)


@pytest.fixture
def without_java(monkeypatch):
    """As where there is none: starting it takes longer than everything else here."""
    monkeypatch.setattr("videoglamm_hf.evaluation.captions._lacking", lambda: "Java")


@pytest.fixture(scope="module")
def gcg(tmp_path_factory) -> Path:
    return write_gcg(tmp_path_factory.mktemp("data") / "gcg", clips(2, "caption"))


@pytest.fixture(scope="module")
def encoder(tmp_path_factory) -> Path:
    """A text encoder of made-up weights, under the name of the official one."""
    folder = tmp_path_factory.mktemp("encoder") / "bert-base-uncased"
    words = sorted({word for sample in clips(2, "caption") for phrase in sample["phrases"] for word in phrase.split()})
    folder.mkdir()
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words]))
    BertTokenizer(str(folder / "vocab.txt")).save_pretrained(folder)
    config = BertConfig(
        vocab_size=64, hidden_size=16, num_hidden_layers=1, num_attention_heads=2, intermediate_size=16
    )
    BertModel(config).save_pretrained(folder)
    return folder


def test_grounded_captions(gcg, encoder, tmp_path, monkeypatch):
    run = tmp_path / "run"
    given = ["evaluate", "gcg", "--data", str(gcg), "--output", str(run), "--device", "cpu", "-q"]
    assert cli.main([*given, "--prompt", DESCRIBE]) == 0
    scores = scores_of(run / "scores.json")
    figures = scores["figures"]
    assert {"miou", "recall_by_words"} <= set(figures) and "recall" not in figures
    assert all(sample["phrases"] == 1 for sample in scores["per_sample"].values())
    if shutil.which("java"):
        assert {"METEOR", "CIDEr", "ROUGE_L", "BLEU_1"} <= set(figures)
    else:
        assert "Java" in scores["settings"]["not_scored"]["METEOR"]
    assert scores["settings"]["text_encoder"] == "none: words in common"
    monkeypatch.setattr("videoglamm_hf.evaluation.captions._lacking", lambda: "Java")
    scored = score("gcg", gcg, run / "predictions")
    assert scored["figures"] == {name: figures[name] for name in ("miou", "recall_by_words")}
    assert "Java" in scored["settings"]["not_scored"]["METEOR"]
    official = score("gcg", gcg, run / "predictions", "--text-encoder", str(encoder))
    assert "recall" in official["figures"] and "recall_by_words" not in official["figures"]
    shutil.copytree(encoder, tmp_path / "mine")
    other = score("gcg", gcg, run / "predictions", "--text-encoder", str(tmp_path / "mine"))
    assert "recall_by_mine" in other["figures"]


def test_the_question_of_the_original(gcg):
    assert {item.question for item in read_benchmark("gcg", str(gcg)).items} == {PROMPT}


def test_perfect_captions_are_perfect(gcg, tmp_path):
    benchmark = read_benchmark("gcg", str(gcg))
    (tmp_path / "p").mkdir()
    for item in benchmark.items:
        sample = benchmark.sample(item.index)
        text = sample["messages"][-1]["content"][0]["text"]
        about = {"text": text, "size": [96, 96], "masks": sample["masks"]}
        (tmp_path / "p" / f"{item.name}.json").write_text(json.dumps(about))
    figures = score("gcg", gcg, tmp_path / "p")["figures"]
    # Blobs of fewer than 20 pixels are taken out of predictions, not of the truth.
    assert figures["miou"] > 0.99 and figures["recall_by_words"] == 1
    if shutil.which("java"):
        assert figures["BLEU_4"] == pytest.approx(1) and figures["ROUGE_L"] == pytest.approx(1)


def test_text_encoders(encoder, tmp_path):
    similarity = encoder_similarity(str(encoder))
    values = similarity(["red square", "lime"], ["red square"])
    assert values.shape == (2, 1) and values[0, 0] == pytest.approx(1)
    assert similarity([], ["red"]).shape == (0, 1)
    with pytest.raises(InputError, match="text encoder"):
        encoder_similarity(str(tmp_path))
    assert word_similarity(["the Red square"], ["the red square", "the red dot", "x"])[0] == pytest.approx(
        [1, 2 / 3, 0]
    )


@pytest.fixture(scope="module")
def own(tmp_path_factory) -> Path:
    """Two clips of one object and one about something that is not there, two conversations about one of them."""
    root = write_own(tmp_path_factory.mktemp("own"), [*clips(2), *clips(1, "absent")])
    samples = list(JsonlDataset(root / "validation.jsonl"))
    samples[1] |= {"messages": [samples[1]["messages"]] * 2, "masks": [samples[1]["masks"]] * 2}
    write_jsonl(root / "validation.jsonl", samples)
    return root


def test_own_data(own, tmp_path, without_java):
    run = tmp_path / "run"
    given = ["evaluate", "folder", "--data", str(own), "--output", str(run), "--device", "cpu", "-q"]
    assert cli.main(given) == 0
    scores = scores_of(run / "scores.json")
    assert set(scores["per_expression"]) == {"clip_0", "clip_1_0", "clip_1_1", "clip_2"}
    assert scores["per_expression"]["clip_1_0"] == scores["per_expression"]["clip_1_1"]
    assert scores["figures"]["J&F"] > 0.5 and scores["figures"]["recall_by_words"] > 0.3
    assert set(scores["figures"]) >= {"referring", "absent"}
    assert score("folder", own, run / "predictions")["figures"] == scores["figures"]
    sample = JsonlDataset(own / "validation.jsonl")[0]
    questions = [item.question for item in read_benchmark("folder", str(own)).items]
    assert sample["messages"][0]["content"][1]["text"] in questions


def test_what_objects_count(own, tmp_path, without_java):
    """Missing objects, and such as are too many, score 0; where nothing is and nothing was found, 1."""
    benchmark = read_benchmark("folder", str(own))
    (tmp_path / "p").mkdir()
    masks = {item.name: benchmark.sample(item.index)["masks"] for item in benchmark.items}
    given = {
        "clip_0": masks["clip_0"],
        "clip_1_0": [*masks["clip_1_0"], *masks["clip_1_0"]],
        "clip_1_1": [],
        "clip_2": [],
    }
    for name, tracks in given.items():
        about = {"text": "", "size": [96, 96], "masks": tracks}
        (tmp_path / "p" / f"{name}.json").write_text(json.dumps(about))
    scores = score("folder", own, tmp_path / "p")
    assert scores["per_expression"] == {
        "clip_0": [1, 1],
        "clip_1_0": [0.5, 0.5],
        "clip_1_1": [0, 0],
        "clip_2": [1, 1],
    }
    (tmp_path / "p" / "clip_2.json").write_text(
        json.dumps({"text": "", "size": [96, 96], "masks": [masks["clip_0"][0]]})
    )
    (tmp_path / "p" / "clip_0.json").write_text(json.dumps({"text": "", "size": [9, 9], "masks": [[None] * 3]}))
    scores = score("folder", own, tmp_path / "p")
    assert scores["per_expression"]["clip_2"] == [0, 0] == scores["per_expression"]["clip_0"]
    assert "clip_0" in scores["failed"]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "has no validation.jsonl"),
        ('{"messages": []}\n', "messages"),
        ("{", "validation.jsonl:1"),
        ("", "holds no question"),
    ],
)
def test_data_that_cannot_be_read(tmp_path, capsys, content, said):
    if content is not None:
        (tmp_path / "validation.jsonl").write_text(content)
    given = ["evaluate", "folder", "--data", str(tmp_path), "--output", str(tmp_path / "run"), "-q"]
    assert cli.main(given) == 1
    assert said in capsys.readouterr().err


def test_videos_without_masks_and_files_that_are_sampled(own, tmp_path, without_java):
    """A question that names nothing needs no mask frames; frames are then those that an answer takes."""
    sample = next(sample for sample in JsonlDataset(own / "validation.jsonl") if sample["kind"] == "absent")
    bare = {name: value for name, value in sample.items() if name not in ("masks", "mask_frames")}
    write_jsonl(tmp_path / "validation.jsonl", [bare])
    given = ["evaluate", "folder", "--data", str(tmp_path), "--output", str(tmp_path / "run"), "--device", "cpu", "-q"]
    assert cli.main(given) == 0
    assert scores_of(tmp_path / "run" / "scores.json")["figures"] == {"J": 1, "F": 1, "J&F": 1}


def test_tracks_of_different_lengths(own, tmp_path, without_java):
    (tmp_path / "p").mkdir()
    mask = JsonlDataset(own / "validation.jsonl")[0]["masks"][0]
    about = {"text": "", "size": [96, 96], "masks": [mask, mask[:1]]}
    (tmp_path / "p" / "clip_0.json").write_text(json.dumps(about))
    (tmp_path / "p" / "clip_2.json").write_text(json.dumps({"text": "", "size": [96, 96], "masks": []}))
    assert "different numbers of frames" in score("folder", own, tmp_path / "p")["failed"]["clip_0"]


def test_two_samples_of_one_name(own, tmp_path):
    samples = list(JsonlDataset(own / "validation.jsonl"))
    write_jsonl(tmp_path / "twice.jsonl", [samples[0], samples[0]])
    with pytest.raises(InputError, match="two questions are called clip_0"):
        read_benchmark("folder", str(tmp_path / "twice.jsonl"), Options())


def test_example(tmp_path, without_java):
    example = runpy.run_path(str(Path(__file__).parents[2] / "examples" / "evaluate_shapes.py"))
    assert example["main"](["--output", str(tmp_path), "--clips", "1"]) == 0
    assert (tmp_path / "run" / "report.html").exists()
    assert len(scores_of(tmp_path / "run" / "scores.json")["per_expression"]) == 11
