"""`videoglamm score` on predictions and data that lack something, or hold what does not belong there."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.conftest import EXPECTED
from tests.evaluation.shapes_folders import clips, write_mevis
from videoglamm_hf import cli
from videoglamm_hf.evaluation.mevis import score_mevis
from videoglamm_hf.evaluation.ref_davis_files import ANNOTATORS

MEVIS = EXPECTED["mevis"]["per_expression"]


@pytest.fixture
def mevis(benchmarks, tmp_path) -> Path:
    return Path(shutil.copytree(benchmarks / "mevis", tmp_path / "mevis"))


@pytest.fixture
def ref_davis(benchmarks, tmp_path) -> Path:
    return Path(shutil.copytree(benchmarks / "ref_davis", tmp_path / "ref_davis"))


def run(name: str, folder: Path) -> int:
    data, predictions = ("valid_u", "predictions") if name == "mevis" else (".", "logits")
    given = ["--data", folder / data, "--predictions", folder / predictions, "--output", folder / "scores.json"]
    return cli.main(["score", name, *map(str, given)])


def scores_of(name: str, folder: Path) -> dict:
    assert run(name, folder) == 0
    return json.loads((folder / "scores.json").read_text())


def refusal(name: str, folder: Path, capsys) -> str:
    assert run(name, folder) == 1
    printed = capsys.readouterr()
    assert printed.err.startswith("error: ") and not printed.out and "Traceback" not in printed.err
    assert not (folder / "scores.json").exists()
    return printed.err


def edit_json(path: Path, change) -> None:
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


FIRST = Path("predictions", "clip0", "1", "00002.png")
SPOILED = {
    "not a picture": lambda path: path.write_text("no picture"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:60]),
    "empty": lambda path: path.write_bytes(b""),
    "RGB": lambda path: Image.open(path).convert("RGB").save(path),
    "16 bits": lambda path: Image.fromarray(np.asarray(Image.open(path)).astype(np.uint16)).save(path),
    "another size": lambda path: Image.open(path).resize((30, 20)).save(path),
    "a folder": lambda path: (path.unlink(), path.mkdir()),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_a_mask_that_cannot_be_used_scores_its_expression_0(mevis, kind, capsys):
    SPOILED[kind](mevis / FIRST)
    scores = scores_of("mevis", mevis)
    assert list(scores["failed"]) == ["clip0_1"] and "00002.png" in scores["failed"]["clip0_1"]
    expected = MEVIS | {"clip0_1": [0, 0]}
    assert scores["per_expression"] == {name: pytest.approx(pair) for name, pair in expected.items()}
    assert scores["figures"]["J"] == pytest.approx(np.mean([j for j, _ in expected.values()]))
    assert "1 prediction could not be read" in capsys.readouterr().err


@pytest.mark.parametrize("mode", ["1", "P"])
def test_masks_of_one_bit_and_with_a_palette(mevis, mode):
    for path in (mevis / "predictions").rglob("*.png"):
        picture = Image.open(path).point(lambda value: value and 1)
        if mode == "P":
            picture.putpalette([0, 0, 0, 128, 0, 0])
        (picture if mode == "P" else Image.fromarray(np.asarray(picture, bool))).save(path)
    scores = scores_of("mevis", mevis)
    assert scores["per_expression"] == {name: pytest.approx(pair) for name, pair in MEVIS.items()}


def test_frames_without_a_file_are_empty(mevis, capsys):
    shutil.copytree(mevis, mevis.parent / "blank")
    (mevis / FIRST).unlink()
    path = mevis.parent / "blank" / FIRST
    Image.fromarray(np.zeros_like(np.asarray(Image.open(path)))).save(path)
    scores = scores_of("mevis", mevis)
    assert scores["missing_frames"] == {"clip0_1": 1} and "1 frame without a file" in capsys.readouterr().err
    assert scores["per_expression"] == scores_of("mevis", mevis.parent / "blank")["per_expression"]


def test_an_expression_without_predictions_scores_0_and_is_listed(mevis):
    shutil.rmtree(mevis / "predictions" / "clip0" / "1")
    for path in (mevis / "predictions" / "clip1" / "0").iterdir():
        path.unlink()
    scores = scores_of("mevis", mevis)
    assert scores["missing"] == ["clip0_1", "clip1_0", "clip3_0"]
    assert scores["per_expression"]["clip0_1"] == scores["per_expression"]["clip1_0"] == [0, 0]
    assert scores["per_expression"]["clip0_0"] == pytest.approx(MEVIS["clip0_0"])
    assert len(scores["per_expression"]) == len(MEVIS)


def test_expressions_about_nothing(mevis):
    """As MeViS v2 has them: right if nothing is predicted, whatever the size of the masks."""

    def about_nothing(meta):
        for number in ("0", "1"):
            meta["videos"]["clip0"]["expressions"][number]["anno_id"] = []

    edit_json(mevis / "valid_u" / "meta_expressions.json", about_nothing)
    for path in (mevis / "predictions" / "clip0" / "1").iterdir():
        Image.new("L", (9, 7)).save(path)
    empty = [not np.any(Image.open(path)) for path in (mevis / "predictions" / "clip0" / "0").iterdir()]
    scores = scores_of("mevis", mevis)
    assert scores["per_expression"]["clip0_1"] == [1, 1]
    assert scores["per_expression"]["clip0_0"] == pytest.approx([np.mean(empty)] * 2)
    assert not scores["failed"]


def twice(path: Path, old: str, new: str) -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


def name_two_alike(meta: dict) -> None:
    video = meta["videos"]["clip0"]
    only = {"0_0": video["expressions"]["0"]}
    meta["videos"] |= {"clip0_0": video, "clip0": {**video, "expressions": only}}


BAD_MEVIS = {
    "no predictions": (lambda f: shutil.rmtree(f / "predictions"), "predictions"),
    "no masks": (lambda f: (f / "valid_u" / "mask_dict.json").unlink(), "mask_dict.json"),
    "a video twice": (
        lambda f: twice(f / "valid_u" / "meta_expressions.json", '"clip1":', '"clip0":'),
        "'clip0' twice",
    ),
    "a frame twice": (
        lambda f: twice(f / "valid_u" / "meta_expressions.json", '"00001"', '"00002"'),
        "'00002' is there twice",
    ),
    "an expression twice": (lambda f: twice(f / "valid_u" / "meta_expressions.json", '"1": {', '"0": {'), "'0' twice"),
    "an object twice": (lambda f: twice(f / "valid_u" / "mask_dict.json", '"1":', '"0":'), "'0' twice"),
    "masks of two sizes": (
        lambda f: edit_json(f / "valid_u" / "mask_dict.json", lambda m: m["0"][1].update(size=[1, 1], counts=[1])),
        "mask_dict.json: 0[1]",
    ),
    "one name of two": (
        lambda f: edit_json(f / "valid_u" / "meta_expressions.json", name_two_alike),
        "clip0_0_0",
    ),
}


@pytest.mark.parametrize("kind", BAD_MEVIS)
def test_data_that_cannot_be_scored(mevis, kind, capsys):
    change, expected = BAD_MEVIS[kind]
    change(mevis)
    assert expected in refusal("mevis", mevis, capsys)


def test_predictions_of_something_else(mevis, capsys):
    (mevis / "predictions").rename(mevis / "other")
    (mevis / "predictions").mkdir()
    assert "VIDEO/EXPRESSION/FRAME.png" in refusal("mevis", mevis, capsys)


def test_predictions_that_are_all_of_no_use(mevis, capsys):
    for path in (mevis / "predictions").rglob("*.png"):
        Image.open(path).convert("RGB").save(path)
    assert "mode RGB" in refusal("mevis", mevis, capsys)


def test_masks_that_all_miss_score_0(tmp_path, capsys):
    """That something is missing beside them does not make the folder the wrong one."""
    data = write_mevis(tmp_path / "mevis", clips(2))
    corner = np.zeros((96, 96), np.uint8)
    corner[0, 0] = 255
    for name in ("clip0/0", "clip0/1", "clip1/0"):
        (tmp_path / "p" / name).mkdir(parents=True)
        for frame in range(3):
            Image.fromarray(corner).save(tmp_path / "p" / name / f"{frame:05d}.png")
    given = ["--data", str(data), "--predictions", str(tmp_path / "p"), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", "mevis", *given]) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["figures"] == {"J": 0, "F": 0, "J&F": 0} and scores["missing"] == ["clip1_1"]


NAMES = {
    "a long video": ("v" * 300, "is longer than the name of any file"),
    "half a character": ("v\ud800", "half a character"),
    "a long expression": (None, "is longer than the name of any file"),
    "a long frame": (None, "is longer than the name of any file"),
}


@pytest.mark.parametrize("kind", NAMES)
def test_names_that_no_file_has(mevis, kind, capsys):
    name, said = NAMES[kind]

    def rename(meta):
        video = meta["videos"].pop("clip0")
        if kind == "a long expression":
            video["expressions"]["e" * 300] = video["expressions"].pop("0")
        if kind == "a long frame":
            video["frames"][0] = "f" * 5000
        meta["videos"][name or "clip0"] = video

    edit_json(mevis / "valid_u" / "meta_expressions.json", rename)
    assert said in refusal("mevis", mevis, capsys)


def test_a_bar_is_shown_if_wanted(mevis, capsys):
    for progress in (True, False):
        score_mevis(mevis / "valid_u", mevis / "predictions", progress=progress)
        assert ("9/9" in capsys.readouterr().err) == progress


def test_only_scores_are_replaced(mevis, capsys):
    path = mevis / "scores.json"
    path.write_text('{"precious": 1}')
    assert run("mevis", mevis) == 1 and "scores.json exists" in capsys.readouterr().err
    assert path.read_text() == '{"precious": 1}'
    path.unlink()
    first = scores_of("mevis", mevis)
    shutil.rmtree(mevis / "predictions" / "clip0")
    assert scores_of("mevis", mevis)["figures"] != first["figures"]
    assert not [p for p in mevis.iterdir() if p.name.startswith(".") and p.suffix == ".part"]


SPOILED_LOGITS = {
    "no array": lambda path: path.write_text("no array"),
    "cut": lambda path: path.write_bytes(path.read_bytes()[:200]),
    "empty": lambda path: path.write_bytes(b""),
    "labels": lambda path: np.save(path, np.load(path) > 0),
    "another length": lambda path: np.save(path, np.load(path)[1:]),
    "NaN": lambda path: np.save(path, np.full_like(np.load(path), np.nan)),
    "objects": lambda path: np.save(path, np.array([{}]), allow_pickle=True),
    "a header that lies": lambda path: lie(path, (2**63, 2**62, 4)),
    "a header of huge sizes": lambda path: lie(path, (2**40, 9, 9)),
    "a pipe": lambda path: (path.unlink(), os.mkfifo(path)),
}


def lie(path: Path, shape: tuple[int, ...]) -> None:
    """An array that says it is larger than its file."""
    with path.open("wb") as file:
        np.lib.format.write_array_header_1_0(file, {"descr": "<f4", "fortran_order": False, "shape": shape})
        file.write(b"0" * 64)


@pytest.mark.filterwarnings("error::RuntimeWarning")
@pytest.mark.parametrize("kind", [*SPOILED_LOGITS, "none"])
def test_logits_that_cannot_be_used_score_0(ref_davis, kind):
    path = ref_davis / "logits" / "seq1" / "5.npy"
    SPOILED_LOGITS.get(kind, Path.unlink)(path)
    scores = scores_of("ref-davis17", ref_davis)
    listed = "missing" if kind == "none" else "failed"
    assert list(scores[listed]) == ["seq1_5"] and scores["per_expression"]["seq1_5"] == [0, 0]
    annotators = scores["figures"]["annotators"]
    assert 0 in annotators["Davis17_annot1_full_video"]["J_per_object"].values()
    for name in ("Davis17_annot1", "Davis17_annot2"):
        assert annotators[name]["J"] == pytest.approx(EXPECTED["ref_davis"]["annotators"][name]["J"])


def test_logits_too_large_for_single_precision_are_infinite(ref_davis, recwarn):
    path = ref_davis / "logits" / "seq1" / "5.npy"
    before = scores_of("ref-davis17", ref_davis)["per_expression"]
    values = np.load(path).astype(np.float64)
    np.save(path, np.where(values >= 0.5, values + 1e300, values))
    scores = scores_of("ref-davis17", ref_davis)
    assert not recwarn.list and not scores["failed"] and list(scores["per_expression"]) == list(before)


def test_frames_without_the_object_do_not_count_for_what_is_not_there(ref_davis):
    annotations = ref_davis / "DAVIS" / "Annotations_unsupervised" / "480p" / "seq2"
    for path in sorted(annotations.iterdir())[1:]:
        Image.new("L", (50, 50)).save(path)
    (ref_davis / "logits" / "seq2" / "2.npy").unlink()
    scores = scores_of("ref-davis17", ref_davis)
    assert scores["per_expression"]["seq2_2"] == [0, 0]
    assert scores["figures"]["annotators"]["Davis17_annot2"]["J_per_object"]["seq2_1"] == 0


def write_labels(folder: Path, change=lambda labels: labels) -> None:
    """The truth itself as the predictions of every annotator."""
    shutil.rmtree(folder / "logits")
    for path in (folder / "DAVIS" / "Annotations_unsupervised").rglob("*.png"):
        labels = np.array(Image.open(path))
        labels[labels == 255] = 0
        for annotator in ANNOTATORS:
            target = folder / "logits" / annotator / path.parent.name / path.name
            target.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(change(labels)).save(target)


@pytest.mark.parametrize("change", [lambda labels: labels, lambda labels: (labels > 0) * (10 - labels)])
def test_label_maps_are_right_whatever_their_numbers(ref_davis, change):
    """Void pixels do not count, so that the truth without them is right, too."""
    write_labels(ref_davis, change)
    figures = scores_of("ref-davis17", ref_davis)["figures"]
    assert figures["mean_of_annotators"] == {"J": 1, "F": 1, "J&F": 1}
    assert figures["mean_recall_and_decay"]["J_recall"] == 1


@pytest.mark.parametrize(
    "spoil",
    [lambda path: Image.open(path).convert("RGB").save(path), lambda path: Image.new("L", (90, 60), 21).save(path)],
)
def test_label_maps_that_cannot_be_used_score_0(ref_davis, spoil):
    write_labels(ref_davis)
    spoil(ref_davis / "logits" / "Davis17_annot2" / "seq0" / "00001.png")
    shutil.rmtree(ref_davis / "logits" / "Davis17_annot1" / "seq2")
    (ref_davis / "logits" / "Davis17_annot1" / "seq0" / "00001.png").unlink()
    scores = scores_of("ref-davis17", ref_davis)
    assert list(scores["failed"]) == ["Davis17_annot2/seq0"] and scores["missing"] == ["Davis17_annot1/seq2"]
    assert scores["missing_frames"] == {"Davis17_annot1/seq0": 1}
    annotators = scores["figures"]["annotators"]
    means = annotators["Davis17_annot2"]["J_per_object"]
    assert {name for name, mean in means.items() if mean == 0} == {"seq0_1", "seq0_2"}
    assert annotators["Davis17_annot1"]["J_per_object"]["seq2_1"] == 0
    assert annotators["Davis17_annot1"]["J_per_object"]["seq0_1"] == pytest.approx(4 / 5)


META = Path("ref", "meta_expressions", "valid", "meta_expressions.json")
LIST = Path("DAVIS", "ImageSets", "2017", "val.txt")
BAD_DAVIS = {
    "no list": (lambda f: (f / LIST).unlink(), "val.txt"),
    "a video twice": (lambda f: (f / LIST).write_text("seq0\nseq0\n"), "twice"),
    "an unknown video": (lambda f: (f / LIST).write_text("seq9\n"), "seq9"),
    "not four annotators": (
        lambda f: edit_json(f / META, lambda m: m["videos"]["seq1"]["expressions"].popitem()),
        "11 expressions",
    ),
    "other frames": (lambda f: edit_json(f / META, lambda m: m["videos"]["seq1"]["frames"].pop()), "annotated frames"),
    "one annotator": (lambda f: (f / "logits" / ANNOTATORS[1]).mkdir(), ANNOTATORS[0]),
    "annotations of two sizes": (
        lambda f: Image.new("P", (9, 9)).save(f / "DAVIS/Annotations_unsupervised/480p/seq0/00001.png"),
        "00001.png",
    ),
    "no annotation": (
        lambda f: (f / "DAVIS/Annotations_unsupervised/480p/seq0/00001.png").write_text(""),
        "00001.png",
    ),
}


@pytest.mark.parametrize("kind", BAD_DAVIS)
def test_davis_data_that_cannot_be_scored(ref_davis, kind, capsys):
    change, expected = BAD_DAVIS[kind]
    change(ref_davis)
    assert expected in refusal("ref-davis17", ref_davis, capsys)


def test_no_predictions_for_davis(ref_davis, capsys):
    shutil.rmtree(ref_davis / "logits")
    (ref_davis / "logits").mkdir()
    assert "VIDEO/EXPRESSION.npy" in refusal("ref-davis17", ref_davis, capsys)
