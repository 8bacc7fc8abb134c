"""`videoglamm evaluate`: every question answered once, whatever ends a run, whoever shares it."""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.evaluation.shapes_folders import clips, write_mevis
from videoglamm_hf import cli
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation.answering import Answering, answer_items
from videoglamm_hf.evaluation.evaluate import finish, read_benchmark, run_settings
from videoglamm_hf.evaluation.mevis import PROMPT
from videoglamm_hf.evaluation.options import Options
from videoglamm_hf.evaluation.run_folder import RunFolder, settings_of
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.toy import TINY_MODEL

SEGMENT = "Please segment {phrase}."
KILLS = 20


@pytest.fixture(scope="module")
def mevis(tmp_path_factory) -> Path:
    return write_mevis(tmp_path_factory.mktemp("data") / "mevis", clips(4))


@pytest.fixture(scope="module")
def small():
    return load_model(str(TINY_MODEL), device="cpu"), load_processor(str(TINY_MODEL))


def evaluate(data: Path, output: Path, *options: str) -> int:
    given = ["evaluate", "mevis", "--data", str(data), "--output", str(output), "--device", "cpu", "-q"]
    return cli.main([*given, *(() if "--prompt" in options else ("--prompt", SEGMENT)), *options])


def scores_of(output: Path) -> dict:
    return json.loads((output / "scores.json").read_text())


@pytest.fixture(scope="module")
def whole(mevis, tmp_path_factory) -> Path:
    """A run without interruption."""
    output = tmp_path_factory.mktemp("whole") / "run"
    assert evaluate(mevis, output) == 0
    return output


def test_scores_what_the_model_answers(mevis, whole, small):
    """Answers of questions that share an encoded video are those of questions asked alone."""
    model, processor = small
    benchmark = read_benchmark("mevis", str(mevis), Options(SEGMENT))
    assert scores_of(whole)["figures"]["J&F"] > 0.6
    for item in benchmark.items[:4]:
        video = np.stack([np.asarray(Image.open(path)) for path in benchmark.sample(item.index)["video"]])
        content = [{"type": "video", "video": video}, {"type": "text", "text": item.question}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        answer = processor.post_process_grounded_generation(model.generate(**inputs, max_new_tokens=64))[0]
        found = json.loads((whole / "samples" / f"{item.name}.json").read_text())
        assert found["text"] == answer.raw_text and found["finish_reason"] == "stop"
        masks = np.stack([decode_rle(mask) if mask else np.zeros((96, 96), bool) for mask in found["masks"][0]])
        assert np.count_nonzero(masks != answer.masks[0].numpy()) <= 2
        written = np.asarray(Image.open(whole / "predictions" / Path(*item.parts) / "00001.png"))
        assert np.array_equal(written > 0, masks[1])


def test_the_same_as_score(mevis, whole, tmp_path):
    given = ["--data", str(mevis), "--predictions", str(whole / "predictions"), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", "mevis", *given, "-q"]) == 0
    scored = json.loads((tmp_path / "s.json").read_text())
    assert scored["per_expression"] == scores_of(whole)["per_expression"]


def test_asks_as_the_original(mevis, whole):
    first = read_benchmark("mevis", str(mevis)).items[0]
    expression = json.loads((mevis / "meta_expressions.json").read_text())["videos"]["clip0"]["expressions"]["0"][
        "exp"
    ]
    assert first.question == PROMPT.replace("{phrase}", expression)
    assert scores_of(whole)["settings"]["prompt"] == SEGMENT


def test_killed_again_and_again(mevis, whole, small, tmp_path):
    """Killed at random instants, no answer is lost, made twice or half-written."""
    model, processor = small
    benchmark = read_benchmark("mevis", str(mevis), Options(SEGMENT))
    how, draws = Answering(), random.Random(3)
    settings = run_settings(benchmark, how)
    output = tmp_path / "run"
    answered: list[str] = []
    kills = 0
    while kills < KILLS:
        child = os.fork()
        if not child:  # with this process's model
            torch.set_num_threads(1)
            run = RunFolder(output, settings)
            answer_items(model, processor, benchmark, benchmark.items, run, how)
            os._exit(0)
        time.sleep(draws.uniform(0, 0.3))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        kills += 1
        files = sorted(path.name for path in (output / "samples").glob("[!.]*.json"))
        for name in files:
            json.loads((output / "samples" / name).read_text())
        assert set(answered) <= set(files)
        if len(files) == len(benchmark.items):
            shutil.rmtree(output)
            answered = []
        else:
            answered = files
    asked: list[str] = []
    run = RunFolder(output, settings)
    left = {item.name for item in run.unanswered(benchmark.items)}
    answer_items(model, processor, benchmark, benchmark.items, run, how, done=lambda item: asked.append(item.name))
    assert len(asked) == len(left) and set(asked) == left
    assert finish(benchmark, benchmark.items, run).per_expression == scores_of(whole)["per_expression"]
    assert not (output / "failed").exists()


def test_goes_on_without_loading_a_model(mevis, whole, tmp_path, monkeypatch):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    (output / "scores.json").unlink()
    monkeypatch.setattr("videoglamm_hf.cli.evaluate.load_model", None)
    assert evaluate(mevis, output) == 0
    assert scores_of(output) == scores_of(whole)


def test_shards_in_one_folder_and_in_two(mevis, whole, tmp_path, capsys):
    assert evaluate(mevis, tmp_path / "one", "--shard", "1/2") == 0
    assert "4 of 8 questions answered" in capsys.readouterr().err and not (tmp_path / "one" / "scores.json").exists()
    shutil.copytree(tmp_path / "one", tmp_path / "shared")
    assert evaluate(mevis, tmp_path / "shared", "--shard", "2/2") == 0
    assert evaluate(mevis, tmp_path / "two", "--shard", "2/2") == 0
    names = [{path.name for path in (tmp_path / part / "samples").iterdir()} for part in ("one", "two")]
    assert not names[0] & names[1] and len(names[0] | names[1]) == 8
    assert evaluate(mevis, tmp_path / "merged", *(f"--merge={tmp_path / part}" for part in ("one", "two"))) == 0
    for output in (tmp_path / "shared", tmp_path / "merged"):
        assert scores_of(output)["per_expression"] == scores_of(whole)["per_expression"]


def test_shards_are_merged_together(mevis, whole, tmp_path):
    parts = [str(tmp_path / str(number)) for number in (1, 2)]
    for number, part in enumerate(parts, start=1):
        assert evaluate(mevis, Path(part), "--shard", f"{number}/2") == 0
    assert evaluate(mevis, tmp_path / "merged", "--merge", *parts) == 0
    assert scores_of(tmp_path / "merged")["per_expression"] == scores_of(whole)["per_expression"]


def test_first_videos_and_then_all(mevis, whole, tmp_path, capsys):
    assert evaluate(mevis, tmp_path / "run", "--limit", "2") == 0
    first = scores_of(tmp_path / "run")["per_expression"]
    assert list(first) == ["clip0_0", "clip0_1", "clip1_0", "clip1_1"]
    settings = scores_of(tmp_path / "run")["settings"]
    assert settings["limit"] == 2 and settings["videos"] == "2 of 4"
    assert "2 of 4 videos (--limit 2)" in capsys.readouterr().err
    assert "2 of 4 videos (--limit 2)" in (tmp_path / "run" / "report.html").read_text()
    assert evaluate(mevis, tmp_path / "run") == 0
    assert scores_of(tmp_path / "run")["per_expression"] == scores_of(whole)["per_expression"]
    assert scores_of(tmp_path / "run")["settings"]["videos"] == "4 of 4"
    assert "--limit" not in capsys.readouterr().err + (tmp_path / "run" / "report.html").read_text()


def test_a_limit_does_not_replace_scores_of_more(mevis, whole, tmp_path, capsys):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    before = {name: (output / name).read_bytes() for name in ("scores.json", "submission.zip", "report.html")}
    assert evaluate(mevis, output, "--limit", "2") == 1
    assert "--limit 2" in refusal(capsys)
    assert {name: (output / name).read_bytes() for name in before} == before


def test_what_cannot_be_read_fails_and_scores_nothing(mevis, whole, tmp_path, capsys):
    data = Path(shutil.copytree(mevis, tmp_path / "mevis"))
    frame = data / "JPEGImages" / "clip1" / "00001.jpg"
    frame.rename(tmp_path / "frame.jpg")
    assert evaluate(data, tmp_path / "run") == 0
    assert "clip1_0" in capsys.readouterr().err
    scores = scores_of(tmp_path / "run")
    assert set(scores["failed"]) == {"clip1_0", "clip1_1"} and "no such frame" in scores["failed"]["clip1_0"]
    assert scores["per_expression"]["clip1_0"] == [0, 0] and not scores["missing"]
    (tmp_path / "frame.jpg").rename(frame)
    assert evaluate(data, tmp_path / "run") == 0
    assert scores_of(tmp_path / "run")["per_expression"] == scores_of(whole)["per_expression"]
    assert scores_of(tmp_path / "run")["failed"] == {}


def test_where_nothing_can_be_answered(mevis, tmp_path, capsys):
    """There are scores, and they are not taken for those of a model."""
    data = Path(shutil.copytree(mevis, tmp_path / "mevis"))
    for frame in (data / "JPEGImages").rglob("00000.jpg"):
        frame.unlink()
    assert evaluate(data, tmp_path / "run") == 1
    printed = capsys.readouterr().err
    assert "error: none of 8 questions could be answered" in printed and "no such frame" in printed
    assert len(scores_of(tmp_path / "run")["failed"]) == 8


def test_what_is_said_of_answers(mevis, tmp_path, capsys):
    """Frames that are missing are no predictions that cannot be read, nor an answer in words a missing one."""
    data = Path(shutil.copytree(mevis, tmp_path / "mevis"))
    assert evaluate(data, tmp_path / "run", "--limit", "3") == 0
    path = tmp_path / "run" / "samples" / "clip0_1.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"text": "There is none.", "masks": []}))
    (data / "JPEGImages" / "clip3" / "00001.jpg").unlink()
    capsys.readouterr()
    assert evaluate(data, tmp_path / "run") == 0
    printed = capsys.readouterr().err
    assert "1 answer without a mask, scored 0: clip0_1" in printed
    assert "2 questions could not be answered, scored 0: clip3_0, clip3_1" in printed
    assert "could not be read" not in printed and "missing" not in printed and "without a file" not in printed
    page = (tmp_path / "run" / "report.html").read_text()
    assert "no mask in the answer" in page and "no prediction" not in page


def test_submission_without_truth(mevis, whole, tmp_path, capsys):
    data = Path(shutil.copytree(mevis, tmp_path / "valid"))
    (data / "mask_dict.json").unlink()
    assert evaluate(data, tmp_path / "run") == 0
    assert "not public" in capsys.readouterr().out and not (tmp_path / "run" / "scores.json").exists()
    with zipfile.ZipFile(tmp_path / "run" / "submission.zip") as archive:
        names = archive.namelist()
    assert len(names) == 8 * 3 and names[0] == "clip0/0/00000.png"


def refusal(capsys) -> str:
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and "Traceback" not in printed.err
    return printed.err


def test_other_settings_are_refused_with_both_named(mevis, whole, tmp_path, capsys):
    before = {path: path.stat().st_mtime_ns for path in whole.rglob("*")}
    for options, named in (
        (("--max-new-tokens", "9"), ("max_new_tokens", "512", "9")),
        (("--prompt", "Where is {phrase}?"), ("prompt", SEGMENT, "Where is")),
        (("--dtype", "float32"), ("dtype", "auto", "float32")),
    ):
        assert evaluate(mevis, whole, *options) == 1
        message = refusal(capsys)
        assert all(word in message for word in named)
    assert evaluate(write_mevis(tmp_path / "other", clips(2)), whole) == 1
    assert "questions" in refusal(capsys)
    assert before == {path: path.stat().st_mtime_ns for path in whole.rglob("*")}


@pytest.mark.parametrize("kind", ["frames", "truth"])
def test_other_data_are_refused(mevis, whole, tmp_path, capsys, kind):
    data, output = (Path(shutil.copytree(source, tmp_path / source.name)) for source in (mevis, whole))
    if kind == "frames":
        frames = data / "JPEGImages"
        (frames / "clip0").rename(frames / "aside")
        (frames / "clip1").rename(frames / "clip0")
        (frames / "aside").rename(frames / "clip1")
    else:
        masks = json.loads((data / "mask_dict.json").read_text())
        masks["0"], masks["1"] = masks["1"], masks["0"]
        (data / "mask_dict.json").write_text(json.dumps(masks))
    before = scores_of(output)
    assert evaluate(data, output) == 1
    message = refusal(capsys)
    assert "clip0_0" in message and "other data" in message and scores_of(output) == before


def test_answers_that_do_not_say_what_they_are_about_are_taken(mevis, whole, tmp_path):
    """As runs of before have them; and the same data elsewhere are the same."""
    data, output = (Path(shutil.copytree(source, tmp_path / source.name)) for source in (mevis, whole))
    assert evaluate(data, output) == 0
    for path in (output / "samples").iterdir():
        answer = json.loads(path.read_text())
        del answer["data"]
        path.write_text(json.dumps(answer))
    assert evaluate(data, output) == 0
    assert scores_of(output)["figures"] == scores_of(whole)["figures"]


def test_another_model_is_refused(mevis, whole, tmp_path, capsys):
    other = Path(shutil.copytree(TINY_MODEL, tmp_path / "model"))
    assert evaluate(mevis, whole, "--model", str(other)) == 1
    message = refusal(capsys)
    assert "the small model" in message and str(other) in message


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--shard", "3/2"), "--shard"),
        (("--shard", "x"), "--shard"),
        (("--limit", "0"), "--limit"),
        (("--merge", "/nowhere"), "no folder of an evaluation"),
        (("--prompt", "What is it?"), "no place for {phrase}"),
        (("--prompt", ""), "the prompt is empty"),
        (("--moments",), "no use for --moments"),
        (("--text-encoder", "bert-base-uncased"), "no use for --text-encoder"),
        (("--judge", "http://127.0.0.1", "--judge-model", "m"), "no use for --judge"),
    ],
)
def test_options_that_cannot_be(mevis, tmp_path, capsys, options, said):
    assert evaluate(mevis, tmp_path / "run", *options) == 1
    assert said in refusal(capsys)


def test_folders_of_others(mevis, tmp_path, capsys):
    (tmp_path / "thesis.txt").write_text("mine")
    assert evaluate(mevis, tmp_path) == 1
    assert "thesis.txt" in refusal(capsys)
    (tmp_path / "damaged").mkdir()
    (tmp_path / "damaged" / "run.json").write_text("{")
    assert evaluate(mevis, tmp_path / "damaged") == 1
    assert "run.json" in refusal(capsys)


def test_names_that_leave_the_folder(mevis, tmp_path, capsys):
    data = Path(shutil.copytree(mevis, tmp_path / "mevis"))
    about = json.loads((data / "meta_expressions.json").read_text())
    about["videos"]["clip0"]["expressions"]["../../9"] = {"exp": "a thing", "anno_id": []}
    (data / "meta_expressions.json").write_text(json.dumps(about))
    assert evaluate(data, tmp_path / "run") == 1
    assert "cannot be the name of a file" in refusal(capsys)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_processes_share_the_videos(mevis, whole, tmp_path):
    """What `accelerate launch` starts: no question is asked twice, and one process scores."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    given = ["evaluate", "mevis", "--data", str(mevis), "--output", str(tmp_path / "run"), "--device", "cpu"]
    command = [*program, "-m", "videoglamm_hf", *given, "--prompt", SEGMENT]
    ended = subprocess.run(command, capture_output=True, text=True, timeout=300)
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("J&F") == 1
    assert scores_of(tmp_path / "run")["per_expression"] == scores_of(whole)["per_expression"]


def test_a_damaged_answer_is_named_and_answered_anew(mevis, whole, tmp_path, capsys):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    damaged = output / "samples" / "clip0_1.json"
    damaged.write_text(damaged.read_text()[:30])
    assert evaluate(mevis, output) == 1
    message = refusal(capsys)
    assert "clip0_1.json" in message and "delete it" in message
    damaged.unlink()
    assert evaluate(mevis, output) == 0
    assert scores_of(output)["per_expression"] == scores_of(whole)["per_expression"]


def test_a_copied_run_is_scored_again(mevis, whole, tmp_path):
    """Copies have other times."""
    output = Path(shutil.copytree(whole, tmp_path / "run", copy_function=shutil.copyfile))
    assert evaluate(mevis, output) == 0
    assert scores_of(output)["figures"] == scores_of(whole)["figures"]
    mine = output / "predictions" / "clip0" / "0" / "00000.png"
    mine.write_bytes(mine.read_bytes()[:-1] + b"x")
    os.utime(mine, (1, 1))
    assert evaluate(mevis, output) == 1
    assert mine.read_bytes().endswith(b"x")


def test_leftovers_of_killed_runs_are_cleared(mevis, whole, tmp_path):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    left = output / ".predictions.0123abcd.incomplete"
    shutil.copytree(output / "predictions", left)
    old = output / ".predictions.0123abcd.replaced"
    shutil.copytree(output / "predictions", old)
    (output / ".run.99999").write_text("{")
    assert evaluate(mevis, output) == 0
    assert not [path.name for path in output.iterdir() if path.name.startswith(".")]


def test_a_folder_that_cannot_be_written(mevis, whole, tmp_path, capsys):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    (output / ".scoring.lock").mkdir()
    assert evaluate(mevis, output) == 1
    assert "cannot be written" in refusal(capsys)


SPOILED_RUNS = {
    "answers are a file": (lambda run: (shutil.rmtree(run / "samples"), (run / "samples").write_text("x")), "samples"),
    "predictions are a file": (
        lambda run: (shutil.rmtree(run / "predictions"), (run / "predictions").write_text("mine")),
        "predictions is a file",
    ),
    "a track is short": (
        lambda run: change_answer(run, lambda answer: answer.update(masks=[t[:1] for t in answer["masks"]])),
        "clip0_1 has 1 masks for 3 frames",
    ),
    "a track is long": (
        lambda run: change_answer(run, lambda answer: answer.update(masks=[t + t for t in answer["masks"]])),
        "clip0_1 has 6 masks for 3 frames",
    ),
}


def change_answer(run: Path, change) -> None:
    path = run / "samples" / "clip0_1.json"
    answer = json.loads(path.read_text())
    change(answer)
    path.write_text(json.dumps(answer))


@pytest.mark.parametrize("kind", SPOILED_RUNS)
def test_runs_that_were_edited(mevis, whole, tmp_path, capsys, kind):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    spoil, said = SPOILED_RUNS[kind]
    spoil(output)
    before = scores_of(output)
    assert evaluate(mevis, output) == 1
    assert said in refusal(capsys) and scores_of(output) == before


def test_score_does_not_replace_the_scores_of_a_run(mevis, whole, tmp_path, capsys):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    given = [
        "--data",
        str(mevis),
        "--predictions",
        str(output / "predictions"),
        "--output",
        str(output / "scores.json"),
    ]
    assert cli.main(["score", "mevis", *given, "-q"]) == 1
    assert "belongs to the run" in refusal(capsys) and scores_of(output) == scores_of(whole)


def test_only_one_process_scores(mevis, whole, tmp_path, capsys):
    output = Path(shutil.copytree(whole, tmp_path / "run"))
    (output / "scores.json").unlink()
    run = RunFolder(output, settings_of(output))
    with run.scoring():
        assert evaluate(mevis, output) == 0
    assert "another process scores" in capsys.readouterr().err and not (output / "scores.json").exists()
    assert evaluate(mevis, output) == 0 and scores_of(output) == scores_of(whole)


def test_started_by_two_processes_at_once(tmp_path, monkeypatch):
    """One finds the folder empty, the other has written its settings by then."""
    start = RunFolder._start

    def late(self):
        RunFolder._start = start
        RunFolder(tmp_path / "run", {"model": other})
        return start(self)

    other = "a"
    monkeypatch.setattr(RunFolder, "_start", late)
    RunFolder(tmp_path / "run", {"model": "a"})
    other = "b"
    monkeypatch.setattr(RunFolder, "_start", late)
    shutil.rmtree(tmp_path / "run")
    with pytest.raises(InputError, match="'b'"):
        RunFolder(tmp_path / "run", {"model": "a"})
