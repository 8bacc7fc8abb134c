"""Ref-YouTube-VOS, ReVOS and ReasonVOS, from questions to figures."""

import json
import shutil
import zipfile
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.shapes_folders import clips, write_reasonvos, write_ref_youtube_vos, write_revos
from videoglamm_hf import InputError, cli
from videoglamm_hf.evaluation.evaluate import read_benchmark
from videoglamm_hf.evaluation.expression_scores import frame_robustness
from videoglamm_hf.evaluation.mevis import PROMPT
from videoglamm_hf.evaluation.options import Options

WRITERS = {"ref-youtube-vos": write_ref_youtube_vos, "revos": write_revos, "reasonvos": write_reasonvos}
COUNT = 3
OBJECTS = {"ref-youtube-vos": ("0", "1"), "revos": ("0", "1", "2", "3"), "reasonvos": ("7",)}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root, samples = tmp_path_factory.mktemp("data"), clips(COUNT)
    return {name: write(root / name, samples) for name, write in WRITERS.items()}


def run(command: str, name: str, data: Path, *options: str) -> int:
    return cli.main([command, name, "--data", str(data), "-q", *options])


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory) -> dict[str, Path]:
    outputs = {}
    for name, data in folders.items():
        outputs[name] = tmp_path_factory.mktemp("runs") / "run"
        given = ["--output", str(outputs[name]), "--device", "cpu", "--prompt", "Please segment {phrase}."]
        assert run("evaluate", name, data, *given) == 0
    return outputs


def scores_of(path: Path) -> dict:
    return json.loads(path.read_text())


def scored(name: str, data: Path, predictions: Path, output: Path, *options: str) -> dict:
    assert run("score", name, data, "--predictions", str(predictions), "--output", str(output), *options) == 0
    return scores_of(output)


@pytest.mark.parametrize("name", WRITERS)
def test_figures_files_and_page(name, folders, runs, tmp_path):
    scores = scores_of(runs[name] / "scores.json")
    assert scores["benchmark"] == name and scores["figures"]["J&F"] > 0.6
    assert not scores["missing"] and not scores["failed"]
    expected = {f"clip{n}/{thing}/0000{t}.png" for n in range(COUNT) for thing in OBJECTS[name] for t in range(3)}
    predictions = runs[name] / "predictions"
    assert {path.relative_to(predictions).as_posix() for path in predictions.rglob("*.png")} == expected
    assert (runs[name] / "report.html").stat().st_size > 1000
    again = scored(name, folders[name], predictions, tmp_path / "scores.json")
    assert again["figures"] == scores["figures"] and again["per_expression"] == scores["per_expression"]


def test_submission_of_ref_youtube_vos(folders, runs, tmp_path, capsys):
    """The server takes `Annotations/VIDEO/EXPRESSION/FRAME.png`, without videos of the test set."""
    data = Path(shutil.copytree(folders["ref-youtube-vos"], tmp_path / "data"))
    shutil.rmtree(data / "valid" / "Annotations")
    path = data / "meta_expressions" / "valid" / "meta_expressions.json"
    test = data / "meta_expressions" / "test" / "meta_expressions.json"
    test.parent.mkdir()
    videos = json.loads(path.read_text())["videos"]
    test.write_text(json.dumps({"videos": {"clip2": videos["clip2"]}}))
    given = ["--output", str(tmp_path / "run"), "--device", "cpu", "--max-new-tokens", "2"]
    assert run("evaluate", "ref-youtube-vos", data, *given) == 0
    assert "not public" in capsys.readouterr().out and not (tmp_path / "run" / "scores.json").exists()
    with zipfile.ZipFile(tmp_path / "run" / "submission.zip") as archive:
        names = archive.namelist()
    assert len(names) == 2 * 2 * 3 and names[0] == "Annotations/clip0/0/00000.png"
    # Two tokens are no object: the files are there, and black.
    assert not np.asarray(Image.open(tmp_path / "run" / "predictions" / "clip0" / "0" / "00000.png")).any()
    predictions = str(runs["ref-youtube-vos"] / "predictions")
    assert run("score", "ref-youtube-vos", data, "--predictions", predictions, "--output", str(tmp_path / "s")) == 1
    assert "has no valid/Annotations" in capsys.readouterr().err


def test_another_split(folders, runs, tmp_path):
    data = write_ref_youtube_vos(tmp_path / "data", clips(COUNT), "train")
    with pytest.raises(InputError, match="valid: no such folder"):
        read_benchmark("ref-youtube-vos", str(data))
    predictions = runs["ref-youtube-vos"] / "predictions"
    scores = scored("ref-youtube-vos", data, predictions, tmp_path / "s.json", "--split", "train")
    before = scores_of(runs["ref-youtube-vos"] / "scores.json")
    assert scores["figures"] == before["figures"]
    assert scores["settings"]["split"] == "train" and before["settings"]["split"] == "valid"
    with pytest.raises(InputError, match=r"meta_expressions_test_\.json: no such file"):
        read_benchmark("revos", str(folders["revos"]), Options(split="test"))
    with pytest.raises(InputError, match="reasonvos has no splits"):
        read_benchmark("reasonvos", str(folders["reasonvos"]), Options(split="valid"))


def test_kinds_of_revos(folders, runs):
    """As in the official script: the mean of the two kinds; expressions that name nothing count in neither."""
    scores = scores_of(runs["revos"] / "scores.json")
    figures, expressions = scores["figures"], scores["per_expression"]
    pairs = {"referring": ("0", "1"), "reasoning": ("2",)}
    for kind, numbers in pairs.items():
        own = np.mean([expressions[f"clip{n}_{number}"] for n in range(COUNT) for number in numbers], axis=0)
        assert [figures[kind]["J"], figures[kind]["F"]] == pytest.approx(own.tolist())
    for name in ("J", "F", "J&F", "R"):
        assert figures[name] == pytest.approx((figures["referring"][name] + figures["reasoning"][name]) / 2)
        low, high = scores["intervals"][name]
        assert low <= figures[name] <= high
    assert set(figures) == {"J", "F", "J&F", "R", "referring", "reasoning"}
    assert {item.kind for item in read_benchmark("revos", str(folders["revos"])).items} == {*pairs, "robustness"}


def test_robustness_of_revos(folders, tmp_path):
    """Black masks are robust; masks of everything are not; without a file it is 0."""
    samples = clips(COUNT)
    for n, value in enumerate((0, 255)):
        for number in OBJECTS["revos"]:
            place = tmp_path / "masks" / f"clip{n}" / number
            place.mkdir(parents=True)
            for t in range(3):
                Image.new("L", (96, 96), value).save(place / f"0000{t}.png")
    found = scored("revos", folders["revos"], tmp_path / "masks", tmp_path / "s.json")["per_sample"]
    truth, foreground = samples[1]["masks"][0], samples[1]["masks"].any(axis=0)
    robust = [
        max(0, 1 - (96 * 96 - own.sum()) / (every.sum() + 1e-6)) for own, every in zip(truth, foreground, strict=True)
    ]
    assert found["clip0_0"] == {"R": 1} and found["clip2_0"] == {"R": 0}
    assert found["clip1_0"]["R"] == pytest.approx(np.mean(robust))
    data = Path(shutil.copytree(folders["revos"], tmp_path / "data"))
    (data / "mask_dict_foreground.json").unlink()
    figures = scored("revos", data, tmp_path / "masks", tmp_path / "s.json")["figures"]
    assert set(figures) == {"J", "F", "J&F", "referring", "reasoning"}


def test_robustness_of_frames():
    found = frame_robustness([0, 5, 30, 0, 1], [10, 10, 10, 0, 0])
    assert found == pytest.approx([1, 0.5, 0, 1, 0], abs=1e-6)


def test_only_annotated_frames_of_reasonvos_count(folders, runs, tmp_path):
    predictions = Path(shutil.copytree(runs["reasonvos"] / "predictions", tmp_path / "masks"))
    for path in predictions.rglob("00001.png"):
        path.unlink()
    scores = scored("reasonvos", folders["reasonvos"], predictions, tmp_path / "s.json")
    assert scores["figures"] == scores_of(runs["reasonvos"] / "scores.json")["figures"]
    assert not scores["missing_frames"]
    found = scores_of(runs["reasonvos"] / "samples" / "clip0_7.json")
    assert len(found["masks"][0]) == 3


def test_sentences_are_asked_as_they_are(folders):
    items = read_benchmark("reasonvos", str(folders["reasonvos"])).items
    assert [item.kind for item in items] == ["phrase", "sentence", "phrase"]
    words = clips(COUNT)
    assert items[0].question == PROMPT.replace("{phrase}", words[0]["phrases"][0].lower())
    ending = "Please respond with segmentation masks."
    assert items[1].question == f"Please segment {words[1]['phrases'][0]}. {ending}"
    by_kind = {item.kind: item.question for item in read_benchmark("revos", str(folders["revos"])).items[:4]}
    assert by_kind["reasoning"] == f"Please segment {words[0]['phrases'][0]}? {ending}"
    assert by_kind["robustness"] == PROMPT.replace("{phrase}", "the purple hexagon")


def test_expressions_about_one_object_share_their_files(folders, tmp_path):
    data = Path(shutil.copytree(folders["reasonvos"], tmp_path / "data"))
    content = json.loads((data / "meta_expressions.json").read_text())
    content["videos"]["clip0"]["expressions"]["1"] = {"exp_text": "the last one", "obj_id": "7"}
    (data / "meta_expressions.json").write_text(json.dumps(content))
    items = read_benchmark("reasonvos", str(data)).items
    assert [item.name for item in items] == ["clip0_7", "clip1_7", "clip2_7"] and "the last one" in items[0].question


BAD = {
    "no kind": ("revos", "meta_expressions_valid_.json", lambda e: e.pop("type_id"), "type_id: missing"),
    "no object": (
        "ref-youtube-vos",
        "meta_expressions/valid/meta_expressions.json",
        lambda e: e.pop("obj_id"),
        "obj_id: missing",
    ),
    "no words": ("reasonvos", "meta_expressions.json", lambda e: e.pop("exp_text"), "exp_text: missing"),
    "no annotation": ("reasonvos", "meta_expressions.json", lambda e: e.update(obj_id=9), "MeViS_clip0_9"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_data(folders, tmp_path, capsys, case):
    name, file, change, expected = BAD[case]
    data = Path(shutil.copytree(folders[name], tmp_path / "data"))
    content = json.loads((data / file).read_text())
    change(content["videos"]["clip0"]["expressions"]["0"])
    (data / file).write_text(json.dumps(content))
    assert run("evaluate", name, data, "--output", str(tmp_path / "run"), "--device", "cpu") == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and expected in printed and "Traceback" not in printed
