"""`calibrate`: the whole way on a few clips, and what cannot be calibrated leaves nothing behind."""

import json
import shutil
from pathlib import Path

import pytest

from tests.calibration.shapes_data import write_data
from videoglamm_hf import cli
from videoglamm_hf.calibration import CalibrationResult, calibrate
from videoglamm_hf.calibration.asking import Observations
from videoglamm_hf.calibration_file import read_calibration
from videoglamm_hf.errors import InputError
from videoglamm_hf.loading.identity import weights_identity
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.options import MASK_MODES
from videoglamm_hf.toy import TINY_MODEL


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_data(tmp_path_factory.mktemp("data"), pictures=3)


@pytest.fixture(scope="module")
def small():
    return load_model(str(TINY_MODEL), device="cpu"), load_processor(str(TINY_MODEL))


@pytest.fixture(scope="module")
def folder(data, tmp_path_factory) -> Path:
    """A copy of the small model, calibrated by the command, and the page beside it."""
    folder = tmp_path_factory.mktemp("model") / "model"
    shutil.copytree(TINY_MODEL, folder, ignore=shutil.ignore_patterns("calibration.json"))
    arguments = ["calibrate", str(data), "--model", str(folder), "--device", "cpu"]
    assert cli.main([*arguments, "--report", str(folder.parent / "page.html")]) == 0
    return folder


def test_the_command_writes_what_the_model_then_says(folder, data, tmp_path, capsys):
    calibration = read_calibration(folder / "calibration.json")
    assert tuple(calibration.mask_modes) == MASK_MODES and calibration.measured["data"] == "validation.jsonl"
    for mode in MASK_MODES:
        own = calibration.measured[mode]["objects"]
        # 14 clips, of which 3 are pictures; 4 masks are not where the truth has them.
        assert own["count"] >= 10 and own["count"] - own["right"] >= 3 and own["videos"] == own["count"]
        assert calibration.measured[mode]["sentences"]["count"] == 17
    # Words and masks do not change with it.
    assert weights_identity(folder) == weights_identity(TINY_MODEL)
    page = (folder.parent / "page.html").read_text()
    assert "data:image/png;base64," in page and "objects, framewise" in page and "few" in page
    video = str(data / "referring5")
    output = tmp_path / "answer"
    ask = ["segment", video, "What happens?", "--model", str(folder), "--device", "cpu"]
    assert cli.main([*ask, "--output", str(output)]) == 0
    assert "sure of the mask" in capsys.readouterr().out
    document = json.loads((output / "answer.json").read_text())
    assert all(0 <= own["probability"] <= 1 for own in document["objects"]) and document["objects"]
    assert 0 < document["presence_probability"] < 1 and "left_out" not in document
    assert cli.main(["check-answer", str(output / "answer.json")]) == 0


@pytest.mark.parametrize("frames", ["sampled", "all"])
def test_abstaining_says_what_it_leaves_out(folder, data, tmp_path, capsys, frames):
    output = tmp_path / "answer"
    ask = ["segment", str(data / "referring5"), "What happens?", "--model", str(folder), "--device", "cpu"]
    assert cli.main([*ask, "--output", str(output), "--abstain", "1", "--frames", frames]) == 0
    printed = capsys.readouterr()
    assert "no objects" in printed.out and "Left out" in printed.err
    document = json.loads((output / "answer.json").read_text())
    assert document["objects"] == [] and document["left_out"] and document["settings"]["abstain"] == 1
    assert document["left_out"][0]["phrase"] in document["note"] and "names no objects" not in document["note"]
    assert all(phrase["object_index"] is None for phrase in document["phrases"])
    assert cli.main(["check-answer", str(output / "answer.json")]) == 0
    assert cli.main([*ask, "--output", str(tmp_path / "all"), "--abstain", "0", "--frames", frames]) == 0
    kept = json.loads((tmp_path / "all" / "answer.json").read_text())
    assert kept["left_out"] == [] and len(kept["objects"]) == len(document["left_out"]) and kept["note"] is None


def test_abstaining_without_a_calibration_says_what_to_do(folder, data, tmp_path, capsys):
    bare = tmp_path / "bare"
    shutil.copytree(TINY_MODEL, bare, ignore=shutil.ignore_patterns("calibration.json"))
    ask = ["segment", str(data / "referring5"), "What happens?", "--model", str(bare), "--device", "cpu"]
    ask += ["--output", str(tmp_path / "answer")]
    assert cli.main([*ask, "--abstain", "0.5"]) == 1
    assert "no calibration.json" in (error := capsys.readouterr().err) and "videoglamm calibrate" in error
    for threshold in ("5", "nan", "-1"):
        assert cli.main([*ask, f"--abstain={threshold}"]) == 1
        assert "from 0 to 1" in capsys.readouterr().err
    (bare / "calibration.json").write_text("{}")
    assert cli.main([*ask, "--abstain", "0.5"]) == 1
    assert "format" in (error := capsys.readouterr().err) and "videoglamm calibrate" in error
    other = json.loads((folder / "calibration.json").read_text()) | {"weights": {"language_model": "0" * 16}}
    (tmp_path / "other.json").write_text(json.dumps(other))
    assert cli.main([*ask, "--abstain", "0.5", "--calibration", str(tmp_path / "other.json")]) == 1
    assert "other weights" in capsys.readouterr().err
    assert not (tmp_path / "answer").exists()
    # Elsewhere than in the model's folder.
    assert cli.main([*ask, "--abstain", "0", "--calibration", str(folder / "calibration.json")]) == 0


def test_the_function_with_a_model_and_one_mode(small, data):
    model, processor = small
    found = calibrate(data, model, processor, mask_modes=["framewise"])
    assert isinstance(found, CalibrationResult)
    assert found.path is None and model.calibration is found.calibration and not found.failed
    assert list(found.calibration.mask_modes) == ["framewise"]
    assert any("few" in note for note in found.notes)
    model.calibration = None


@pytest.mark.parametrize(
    "made, says",
    [
        ({"count": 12, "wrong": 0}, "masks are right"),
        ({"count": 12, "wrong": 12}, "masks are wrong"),
        ({"count": 0, "wrong": 0, "absent": 4}, "names no object"),
        ({"count": 4, "wrong": 2}, "objects, and 10 are the least"),
    ],
)
def test_data_that_cannot_tell_are_refused_and_nothing_is_written(small, tmp_path, made, says):
    model, processor = small
    output = tmp_path / "calibration.json"
    with pytest.raises(InputError, match=says):
        calibrate(write_data(tmp_path / "data", **made), model, processor, output=output, mask_modes=["framewise"])
    assert not output.exists() and model.calibration is None


def test_data_with_errors_are_refused_before_anything_is_asked(tmp_path, capsys):
    data = write_data(tmp_path / "data", count=3, absent=0)
    path = data / "validation.jsonl"
    path.write_text(path.read_text() + '{"messages": []}\n')
    output = tmp_path / "calibration.json"
    assert cli.main(["calibrate", str(data), "--output", str(output)]) == 1
    error = capsys.readouterr().err
    assert "validation.jsonl:4" in error and "check-data" in error and not output.exists()
    assert cli.main(["calibrate", str(data)]) == 1
    assert "--output" in capsys.readouterr().err
    for place in (tmp_path / "none", tmp_path):
        assert cli.main(["calibrate", str(place), "--output", str(output)]) == 1
        assert "jsonl" in capsys.readouterr().err.lower()


def test_scores_that_are_none_end_it(small, tmp_path, monkeypatch):
    model, processor = small
    data = write_data(tmp_path / "data", count=3, absent=0)
    add = Observations.add
    monkeypatch.setattr(Observations, "add", lambda self, row, *rest: add(self, [float("nan"), *row[1:]], *rest))
    with pytest.raises(InputError, match=r"no question could be answered; .*NaN"):
        calibrate(data, model, processor, mask_modes=["framewise"])


@pytest.mark.parametrize(
    "options, says",
    [
        ({"mask_modes": ["other"]}, "mask_modes"),
        ({"mask_modes": []}, "mask_modes"),
        ({"limit": 0}, "limit"),
        ({"max_new_tokens": 1.5}, "max_new_tokens"),
        ({"split": "none"}, "none.jsonl"),
        ({"processor": None}, "processor"),
    ],
)
def test_options_that_cannot_be(small, data, options, says):
    model, processor = small
    with pytest.raises(InputError, match=says):
        calibrate(data, model, **{"processor": processor, **options})


def test_a_model_that_is_not_here_needs_a_file(data):
    with pytest.raises(InputError, match="give --output FILE"):
        calibrate(data, "someone/model")


def test_the_small_model_has_no_calibration_of_other_weights(small):
    # `python benchmarks/calibration.py --ship` makes it anew.
    assert small[0].calibration_problem is None
    model = load_model(str(TINY_MODEL), device="cpu")
    assert all(model.calibration_for(mode)[0] is not None for mode in MASK_MODES)
    assert model.calibration.measured["questions"] == 840
