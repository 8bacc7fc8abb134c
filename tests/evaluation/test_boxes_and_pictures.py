"""VidSTG, HC-STVG and the three of refCOCO, from questions to figures."""

import json
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.shapes_folders import box_of, clips, write_hc_stvg, write_refcoco, write_vidstg
from videoglamm_hf import cli
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.evaluation.evaluate import read_benchmark
from videoglamm_hf.evaluation.options import Options
from videoglamm_hf.evaluation.tubes import said_moment

WRITERS = {
    "vidstg": write_vidstg,
    "hc-stvg": write_hc_stvg,
    "refcoco": write_refcoco,
    "refcoco+": write_refcoco,
    "refcocog": write_refcoco,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    samples = clips(3)
    return {name: write(root / name, samples) for name, write in WRITERS.items()}


def run(command: str, name: str, data: Path, *options: str) -> None:
    assert cli.main([command, name, "--data", str(data), "-q", *options]) == 0


@pytest.fixture(scope="module")
def runs(folders, tmp_path_factory) -> dict[str, Path]:
    outputs = {}
    for name in ("vidstg", "hc-stvg", "refcoco+"):
        outputs[name] = tmp_path_factory.mktemp("runs") / "run"
        prompt = () if name == "vidstg" else ("--prompt", "Please segment {phrase}.")
        run("evaluate", name, folders[name], "--output", str(outputs[name]), "--device", "cpu", *prompt)
    return outputs


def scores_of(output: Path) -> dict:
    return json.loads((output / "scores.json").read_text())


def test_asked_as_the_original(folders):
    items = read_benchmark("vidstg", str(folders["vidstg"])).items
    assert {item.kind for item in items} == {"declarative", "interrogative"}
    for item in items:
        if item.kind == "declarative":
            assert item.question.startswith("Can you segment the ") and item.question.endswith(" in this video?")
        else:
            assert item.question.endswith("? Please respond with segmentation masks.") or item.question.endswith(
                ". Please respond with segmentation masks."
            )


def test_vidstg(folders, runs):
    scores = scores_of(runs["vidstg"])
    figures = scores["figures"]
    assert set(figures) == {"gt_viou", "gt_viou@0.3", "gt_viou@0.5", "declarative", "interrogative"}
    assert figures["gt_viou"] > 0.5
    mean = (figures["declarative"]["gt_viou"] + figures["interrogative"]["gt_viou"]) / 2
    assert figures["gt_viou"] == pytest.approx(mean)
    item = read_benchmark("vidstg", str(folders["vidstg"])).items[0]
    found = json.loads((runs["vidstg"] / "samples" / f"{item.name}.json").read_text())
    assert len(found["masks"][0]) == 2  # the moment is given: two frames of three
    assert (runs["vidstg"] / "report.html").exists()


def test_hc_stvg(runs):
    assert scores_of(runs["hc-stvg"])["figures"]["gt_viou"] > 0.6


def test_refcoco(folders, runs):
    scores = scores_of(runs["refcoco+"])
    assert scores["benchmark"] == "refcoco+" and scores["figures"]["gIoU"] > 0.6
    samples = scores["per_sample"].values()
    shared, union = (sum(own[name] for own in samples) for name in ("intersection", "union"))
    assert scores["figures"]["cIoU"] == pytest.approx(shared / union)
    low, high = scores["intervals"]["cIoU"]
    assert low <= scores["figures"]["cIoU"] <= high
    assert len(samples) == 6


@pytest.mark.parametrize("name", ["vidstg", "hc-stvg", "refcoco+"])
def test_the_same_as_score(folders, runs, tmp_path, name):
    predictions = runs[name] / "predictions"
    run("score", name, folders[name], "--predictions", str(predictions), "--output", str(tmp_path / "scores.json"))
    assert json.loads((tmp_path / "scores.json").read_text())["figures"] == scores_of(runs[name])["figures"]


@pytest.mark.parametrize("name", ["refcoco", "refcocog"])
def test_the_other_two_are_read_alike(folders, name):
    assert len(read_benchmark(name, str(folders[name])).items) == 6


def predicted(folder: Path, name: str, **members) -> None:
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.json").write_text(json.dumps({"size": [96, 96], "text": "", "masks": [], **members}))


def test_moments_that_are_said(folders, tmp_path):
    """The last object's boxes, and the moment in the words; what says none overlaps nothing."""
    benchmark = read_benchmark("vidstg", str(folders["vidstg"]), Options(moments=True))
    samples = clips(3)
    for number, item in enumerate(benchmark.items):
        truth = samples[int(item.parts[0]) - 100]["masks"][0]
        tracks = [[{"size": [96, 96], "counts": decoded} for decoded in _counts(truth)]]
        predicted(tmp_path / "p", item.name, masks=tracks, text="frames:(0,1)" if number % 2 else "a thing")
    run(
        *("score", "vidstg", folders["vidstg"], "--moments"),
        *("--predictions", str(tmp_path / "p"), "--output", str(tmp_path / "s.json")),
    )
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["figures"]["gt_viou"] == pytest.approx(1)
    assert scores["figures"]["tiou"] == pytest.approx(0.5)
    assert scores["settings"]["moments"] == "predicted"


def _counts(masks: np.ndarray) -> list[str]:
    from videoglamm_hf.data.rle import encode_rle

    return [encode_rle(mask)["counts"] for mask in masks]


def test_predictions_that_cannot_be_scored(folders, tmp_path, capsys):
    benchmark = read_benchmark("refcoco", str(folders["refcoco"]))
    first, second, third, fourth, *rest = benchmark.items
    folder = tmp_path / "p"
    truth = clips(3)[0]["masks"][0][0]
    good = [[{"size": [96, 96], "counts": _counts([truth])[0]}]]
    predicted(folder, first.name, masks=good)
    predicted(folder, second.name, masks=[[None, None]])
    predicted(folder, third.name, size=[5, 5], masks=[[None]])
    (folder / f"{fourth.name}.json").write_text("{")
    run(
        *("score", "refcoco", folders["refcoco"]),
        *("--predictions", str(folder), "--output", str(tmp_path / "s.json")),
    )
    scores = json.loads((tmp_path / "s.json").read_text())
    assert set(scores["failed"]) == {second.name, third.name, fourth.name}
    assert scores["missing"] == [item.name for item in rest]
    assert scores["per_sample"][first.name]["gIoU"] == 1 and scores["figures"]["gIoU"] == pytest.approx(1 / 6)
    assert fourth.name in capsys.readouterr().err


def test_box_of_the_writers_is_the_scorers():
    mask = decode_rle({"size": [96, 96], "counts": _counts([clips(1)[0]["masks"][0][0]])[0]})
    left, top, right, bottom = box_of(mask)
    assert mask[top : bottom + 1, left : right + 1].sum() == mask.sum()


@pytest.mark.parametrize("text", ["frames:(1,2", "frames:(a,b)", "", "frames:(99999999999,3)"])
def test_no_moment(text):
    assert said_moment(text) is None
