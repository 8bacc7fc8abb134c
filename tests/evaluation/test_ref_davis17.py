"""Ref-DAVIS17 from questions to figures, and what becomes of logits that lie about."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.shapes_folders import clips, write_ref_davis
from videoglamm_hf import cli


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    return write_ref_davis(tmp_path_factory.mktemp("data") / "davis", clips(2))


def evaluate(data: Path, output: Path) -> int:
    given = ["evaluate", "ref-davis17", "--data", str(data), "--output", str(output), "--device", "cpu", "-q"]
    return cli.main([*given, "--prompt", "Please segment {phrase}."])


def figures_of(output: Path) -> dict:
    return json.loads((output / "scores.json").read_text())["figures"]


@pytest.fixture(scope="module")
def whole(data, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("runs") / "run"
    assert evaluate(data, output) == 0
    return output


@pytest.fixture
def run(whole, tmp_path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def test_figures_are_those_of_score(data, whole, tmp_path):
    found = figures_of(whole)
    assert found["mean_of_annotators"]["J&F"] > 0.5
    given = ["--data", str(data), "--predictions", str(whole / "predictions"), "--output", str(tmp_path / "s.json")]
    assert cli.main(["score", "ref-davis17", *given, "-q"]) == 0
    assert json.loads((tmp_path / "s.json").read_text())["figures"] == found


def test_an_answer_without_its_logits_is_answered_anew(data, whole, run):
    (run / "samples" / "clip0_1.npy").unlink()
    assert evaluate(data, run) == 0
    assert (run / "samples" / "clip0_1.npy").exists() and figures_of(run) == figures_of(whole)


SPOILED = {
    "NaN": (lambda path: np.save(path, np.full_like(np.load(path), np.nan)), "holds NaN"),
    "two sizes": (lambda path: np.save(path, np.zeros((2, 2), np.float32)), "must be float [T, H, W]"),
    "fewer frames": (lambda path: np.save(path, np.load(path)[:1]), "logits of 1 frames, not of 3"),
    "cut": (lambda path: path.write_bytes(path.read_bytes()[:90]), "cannot be read as an array"),
}


@pytest.mark.parametrize("kind", SPOILED)
def test_damaged_logits_are_named(data, run, capsys, kind):
    spoil, said = SPOILED[kind]
    spoil(run / "samples" / "clip1_2.npy")
    before = figures_of(run)
    assert evaluate(data, run) == 1
    printed = capsys.readouterr().err
    assert printed.startswith("error: ") and "clip1_2" in printed and said in printed and "delete" in printed
    assert figures_of(run) == before


def test_compare(whole, capsys):
    """The mean of annotators, which is what papers report."""
    assert cli.main(["compare", str(whole), str(whole)]) == 0
    figure = figures_of(whole)["mean_of_annotators"]["J&F"]
    assert f"{100 * figure:.2f}" in next(line for line in capsys.readouterr().out.splitlines() if "J&F" in line)
