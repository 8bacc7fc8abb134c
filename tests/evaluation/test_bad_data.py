"""Data that lack something: counted question by question, or refused before anything is asked."""

import json
import os
import shutil
from pathlib import Path

import pytest
from PIL import Image

from tests.evaluation.shapes_folders import (
    clips,
    write_gcg,
    write_hc_stvg,
    write_mevis,
    write_own,
    write_reasonvos,
    write_ref_youtube_vos,
    write_refcoco,
    write_revos,
    write_vidstg,
)
from videoglamm_hf import cli
from videoglamm_hf.data import JsonlDataset, write_jsonl
from videoglamm_hf.evaluation.evaluate import read_benchmark

WRITERS = {
    "mevis": write_mevis,
    "ref-youtube-vos": write_ref_youtube_vos,
    "revos": write_revos,
    "reasonvos": write_reasonvos,
    "vidstg": write_vidstg,
    "hc-stvg": write_hc_stvg,
    "refcoco": write_refcoco,
    "gcg": write_gcg,
    "folder": write_own,
}


@pytest.fixture(scope="module")
def folders(tmp_path_factory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("data")
    samples = {name: clips(2, "caption" if name == "gcg" else "referring") for name in WRITERS}
    return {name: write(root / name, samples[name]) for name, write in WRITERS.items()}


@pytest.fixture
def data(folders, tmp_path):
    """A copy of a benchmark's folder, to be changed."""
    return lambda name: Path(shutil.copytree(folders[name], tmp_path / "data"))


@pytest.fixture(autouse=True)
def without_java(monkeypatch):
    monkeypatch.setattr("videoglamm_hf.evaluation.captions._lacking", lambda: "Java")


def edit_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


def evaluate(name: str, folder: Path, output: Path, *options: str) -> int:
    given = ["evaluate", name, "--data", str(folder), "--output", str(output), "--device", "cpu", "-q", *options]
    return cli.main(given)


def unlink(*names: str):
    return lambda folder: [(folder / name).unlink() for name in names]


VIDSTG, HC_STVG = Path("videos", "0000", "101"), Path("videos", "part", "clip1")
# What is done to the data, which questions are about it, and what is said of those.
LACKING = {
    "a frame between two": ("vidstg", unlink(VIDSTG / "00001.jpg"), "101_", "none has number 1"),
    "the first frame": ("vidstg", unlink(VIDSTG / "00000.jpg"), "101_", "has 2 pictures"),
    "a frame too many": (
        "vidstg",
        lambda folder: shutil.copy(folder / VIDSTG / "00002.jpg", folder / VIDSTG / "00003.jpg"),
        "101_",
        "has 4 pictures, but the annotations say 3",
    ),
    "fewer frames than are said": (
        "vidstg",
        lambda folder: edit_json(folder / "test_annotations.json", lambda found: found[1].update(frame_count=10)),
        "101_",
        "has 3 pictures, but the annotations say 10",
    ),
    "three frames": ("hc-stvg", unlink(*(HC_STVG / f"{n:05d}.jpg" for n in (1, 2, 3))), "clip1_", "none has number 1"),
    "a picture": (
        "refcoco",
        unlink("images/COCO_train2014_000000000001.jpg"),
        "COCO_train2014_000000000001",
        "no such",
    ),
    "a frame of a caption": ("gcg", unlink("frames/clip1/00001.jpg"), "clip1", "no such frame"),
    "a frame of an expression": ("mevis", unlink("JPEGImages/clip1/00001.jpg"), "clip1_", "no such frame"),
    "frames of another size": (
        "vidstg",
        lambda folder: [Image.open(p).resize((192, 192)).save(p) for p in (folder / VIDSTG).iterdir()],
        "101_",
        "its masks are 192x192, but the truth is 96x96",
    ),
    "annotations of another size": (
        "vidstg",
        lambda folder: edit_json(folder / "test_annotations.json", lambda found: found[1].update(width=10, height=10)),
        "101_",
        "its masks are 96x96, but the truth is 10x10",
    ),
}


@pytest.mark.parametrize("kind", LACKING)
def test_what_lacks_something_fails_alone(data, tmp_path, capsys, kind):
    name, change, start, said = LACKING[kind]
    folder = data(name)
    change(folder)
    prompt = ("--prompt", "Describe the video, with masks.") if name == "gcg" else ()
    assert evaluate(name, folder, tmp_path / "run", *prompt) == 0
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    names = {item for item in scores["videos"] if item.startswith(start)}
    assert names and set(scores["failed"]) == names < set(scores["videos"])
    assert all(said in reason for reason in scores["failed"].values())
    samples = scores["per_sample"] or {item: {"J": j} for item, (j, _) in scores["per_expression"].items()}
    assert all(next(iter(samples[item].values())) == 0 for item in names)
    assert said in capsys.readouterr().err
    scored = tmp_path / "scored.json"
    predictions = tmp_path / "run" / "predictions"
    assert (
        cli.main(["score", name, "--data", str(folder), "--predictions", str(predictions), "--output", str(scored)])
        == 0
    )
    assert json.loads(scored.read_text())["figures"] == scores["figures"]


def break_masks(change):
    return lambda folder: edit_json(folder / "mask_dict.json", lambda masks: change(masks["1"][1]))


def sample_with(**members):
    def change(folder: Path) -> None:
        samples = list(JsonlDataset(folder / "validation.jsonl"))
        samples[1] |= members
        write_jsonl(folder / "validation.jsonl", samples)

    return change


BROKEN = {
    "no text encoder": ("gcg", None, ("--text-encoder", "/nowhere"), "/nowhere: there is no such folder"),
    "no text encoder for own data": ("folder", None, ("--text-encoder", "./nowhere"), "no such folder"),
    "boxes": ("vidstg", lambda folder: (folder / "vidor/0000/101.json").write_text("{"), (), "101.json: not JSON"),
    "masks of two sizes": ("mevis", break_masks(lambda mask: mask.update(size=[3, 3])), (), "mask_dict.json"),
    "a mask that is cut": ("mevis", break_masks(lambda mask: mask.update(counts=mask["counts"][:3])), (), "mask_dict"),
    "a mask of revos": ("revos", break_masks(lambda mask: mask.update(size=[3, 3])), (), "mask_dict.json"),
    "a picture of truth": (
        "ref-youtube-vos",
        lambda folder: (folder / "valid/Annotations/clip1/00001.png").write_bytes(b"no"),
        (),
        "00001.png",
    ),
    "a picture of truth of another size": (
        "reasonvos",
        lambda folder: Image.new("L", (9, 9)).save(folder / "Annotations/MeViS_clip1_7/00002.png"),
        (),
        "00002.png",
    ),
    "a segmentation": (
        "refcoco",
        lambda folder: edit_json(folder / "instances.json", lambda f: f["annotations"][1].update(segmentation=[[1]])),
        (),
        "annotation 51.segmentation",
    ),
    "a mask of a caption": (
        "gcg",
        lambda folder: edit_json(folder / "val.json", lambda f: f["annotations"][1].update(segmentations=[5] * 3)),
        (),
        "val.json: annotations[1]",
    ),
    "a moment": ("folder", sample_with(boxes=[[1, 1, 9, 9]] * 3, moment=[0, 9]), (), "the moment 0 to 9"),
    "boxes of own data": ("folder", sample_with(boxes=[[1, 1]] * 3, moment=[0, 1]), (), "boxes or moment"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_what_cannot_be_scored_is_refused_before_anything_is_asked(data, tmp_path, capsys, monkeypatch, kind):
    name, change, options, said = BROKEN[kind]
    folder = data(name)
    if change is not None:
        change(folder)
    monkeypatch.setattr("videoglamm_hf.cli.evaluate.load_model", lambda *given: pytest.fail("the model was loaded"))
    assert evaluate(name, folder, tmp_path / "run", *options) == 1
    printed = capsys.readouterr().err
    assert said in printed and "Traceback" not in printed


def test_an_absent_annotation_of_davis_is_found_before_anything_is_asked(benchmarks, tmp_path, capsys, monkeypatch):
    folder = Path(shutil.copytree(benchmarks / "ref_davis", tmp_path / "data"))
    (folder / "DAVIS" / "Annotations_unsupervised" / "480p" / "seq1" / "00001.png").unlink()
    monkeypatch.setattr("videoglamm_hf.cli.evaluate.load_model", lambda *given: pytest.fail("the model was loaded"))
    assert evaluate("ref-davis17", folder, tmp_path / "run") == 1
    assert "annotated frames" in capsys.readouterr().err


@pytest.mark.parametrize(("name", "size"), [("vidstg", [192, 192]), ("hc-stvg", [96, 95])])
def test_masks_of_another_size_than_the_boxes_are_counted(folders, tmp_path, name, size):
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    benchmark = read_benchmark(name, str(folders[name]))
    for number, item in enumerate(benchmark.items):
        track = [None] * len(benchmark.sample(item.index)["mask_frames"])
        about = {"text": "", "size": [96, 96] if number else size, "masks": [track]}
        (predictions / f"{item.name}.json").write_text(json.dumps(about))
    first = benchmark.items[0].name
    given = ["--data", str(folders[name]), "--predictions", str(predictions), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", name, *given]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert list(scores["failed"]) == [first] and "but the truth is 96x96" in scores["failed"][first]


def test_own_boxes_with_a_prediction_of_other_frames_are_counted(data, tmp_path):
    folder = data("folder")
    sample_with(
        boxes=[[1, 1, 9, 9]] * 3,
        moment=[0, 1],
        masks=[],
        messages=[
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "When?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Then."}]},
        ],
    )(folder)
    predictions = tmp_path / "predictions"
    predictions.mkdir()
    truth = JsonlDataset(folder / "validation.jsonl")[0]
    for number, masks in enumerate((truth["masks"], [[None] * 2])):
        about = {"text": "", "size": [96, 96], "masks": masks}
        (predictions / f"clip_{number}.json").write_text(json.dumps(about))
    given = ["--data", str(folder), "--predictions", str(predictions), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", "folder", *given]) == 0
    assert list(json.loads((tmp_path / "s.json").read_text())["failed"]) == ["clip_1"]


HALF = "a \ud800"


@pytest.mark.parametrize("name", ["gcg", "folder", "refcoco"])
def test_names_with_half_a_character(data, tmp_path, capsys, name):
    """Ids get files of other names; what should be a file's name itself is refused."""
    folder = data(name)
    if name == "gcg":
        edit_json(folder / "val.json", lambda found: found["videos"][1].update(id=HALF))
    elif name == "folder":
        path = folder / "validation.jsonl"
        path.write_text(path.read_text().replace("clip/1", "a \\ud800"))
    else:
        edit_json(folder / "instances.json", lambda found: found["images"][1].update(file_name=f"{HALF}.jpg"))
    prompt = ("--prompt", "Describe the video, with masks.") if name == "gcg" else ()
    if name == "refcoco":
        assert evaluate(name, folder, tmp_path / "run") == 1
        assert "half a character" in capsys.readouterr().err
        return
    assert evaluate(name, folder, tmp_path / "run", *prompt) == 0
    scores = json.loads((tmp_path / "run" / "scores.json").read_text())
    assert HALF in scores["videos"] and not scores["failed"]
    predictions = str(tmp_path / "run" / "predictions")
    given = ["--data", str(folder), "--predictions", predictions, "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", name, *given]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["figures"] == scores["figures"]


def test_a_pipe_in_place_of_a_prediction_is_not_waited_for(folders, tmp_path):
    predictions = tmp_path / "p"
    predictions.mkdir()
    first, second = read_benchmark("folder", str(folders["folder"])).items
    os.mkfifo(predictions / f"{first.name}.json")
    (predictions / f"{second.name}.json").write_text(json.dumps({"text": "", "size": [96, 96], "masks": []}))
    given = ["--data", str(folders["folder"]), "--predictions", str(predictions), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", "folder", *given]) == 0
    assert list(json.loads((tmp_path / "s.json").read_text())["failed"]) == [first.name]


@pytest.mark.parametrize("name", ["vidstg", "folder"])
def test_the_page_of_answers_with_short_tracks(folders, tmp_path, name):
    """They are counted, and shown as what they are."""
    assert evaluate(name, folders[name], tmp_path / "run") == 0
    path = sorted((tmp_path / "run" / "samples").glob("*.json"))[0]
    answer = json.loads(path.read_text())
    answer["masks"] = [track[:1] for track in answer["masks"]]
    path.write_text(json.dumps(answer))
    assert answer["masks"] and evaluate(name, folders[name], tmp_path / "run") == 0
    assert list(json.loads((tmp_path / "run" / "scores.json").read_text())["failed"]) == [path.stem]
    assert "frames" in (tmp_path / "run" / "report.html").read_text()
