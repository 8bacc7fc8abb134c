"""`videoglamm compare`: each side's figures are those of its run, whatever they are made of."""

import json
from pathlib import Path

import numpy as np
import pytest

from videoglamm_hf import cli
from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation.benchmark import Item
from videoglamm_hf.evaluation.comparison import compare_runs
from videoglamm_hf.evaluation.evaluate import add_intervals
from videoglamm_hf.evaluation.intervals import bootstrap_interval, paired_interval
from videoglamm_hf.evaluation.scores import Scores


def written(folder: Path, scores: Scores) -> Path:
    add_intervals(scores, [Item((name,), name[0], n, "") for n, name in enumerate(scores.samples())])
    scores.write(folder / "scores.json")
    return folder


def rows(*folders: Path) -> dict[str, tuple]:
    return {row.figure: (row.first, row.second, row.interval) for row in compare_runs(*folders).differences}


def revos(j: float) -> Scores:
    """Two referring expressions and a reasoning one; the last names nothing and does not count."""
    pairs = {"a0": [j, j], "a1": [0.2, 0.2], "b0": [0.6, 0.6], "b1": [0.0, 0.0]}
    figure = ((j + 0.2) / 2 + 0.6) / 2
    weights = {"a0": 0.5, "a1": 0.5, "b0": 1.0, "b1": 0.0}
    return Scores("revos", {"J": figure, "F": figure, "J&F": figure}, pairs, weights=weights)


def test_samples_count_as_they_do_in_the_figure(tmp_path):
    sides = [revos(0.4), revos(0.8)]
    found = rows(*(written(tmp_path / str(n), side) for n, side in enumerate(sides)))
    for name in ("J", "F", "J&F"):
        assert found[name][:2] == pytest.approx([side.figures[name] for side in sides])
        low, high = found[name][2]
        assert low <= 0.1 <= high


def test_questions_without_a_figure_do_not_count_in_it(tmp_path):
    """Of the first question nothing is known but J and F: the figures of others are still there."""

    def folder(miou: float) -> Scores:
        samples = {"b0": {"miou": miou, "recalled": 1, "phrases": 2}, "c0": {"miou": 0.5, "recalled": 0, "phrases": 1}}
        figures = {"J": 1.0, "F": 1.0, "J&F": 1.0, "miou": (miou + 0.5) / 2, "recall": 1 / 3, "METEOR": 0.3}
        pairs = {name: [1.0, 1.0] for name in ("a0", "b0", "c0")}
        return Scores("folder", figures, pairs, per_sample=samples, ratios={"recall": ["recalled", "phrases"]})

    found = rows(written(tmp_path / "a", folder(0.8)), written(tmp_path / "b", folder(0.9)))
    assert found["miou"][:2] == pytest.approx((0.65, 0.7))
    assert found["recall"][:2] == pytest.approx((1 / 3, 1 / 3)) and found["recall"][2] == pytest.approx((0, 0))
    assert found["METEOR"] == (0.3, 0.3, None)


def test_ratios_are_of_sums(tmp_path):
    def refcoco(shared: int) -> Scores:
        samples = {
            "a0": {"gIoU": 0.5, "intersection": shared, "union": 100},
            "b0": {"gIoU": 1.0, "intersection": 900, "union": 900},
        }
        figures = {"gIoU": 0.75, "cIoU": (shared + 900) / 1000}
        return Scores("refcoco", figures, per_sample=samples, ratios={"cIoU": ["intersection", "union"]})

    found = rows(written(tmp_path / "a", refcoco(50)), written(tmp_path / "b", refcoco(100)))
    assert found["cIoU"][:2] == pytest.approx((0.95, 1.0)) and found["cIoU"][2] == pytest.approx((0, 0.5))


def test_questions_in_one_run_alone_are_left_out_and_said(tmp_path, capsys):
    first, second = revos(0.4), revos(0.8)
    del second.per_expression["a1"]
    second.figures = dict.fromkeys(("J", "F", "J&F"), 0.7)
    folders = [written(tmp_path / str(n), side) for n, side in enumerate((first, second))]
    assert cli.main(["compare", *map(str, folders)]) == 0
    assert "figures are those of the questions in both" in capsys.readouterr().out


def test_scores_without_intervals(tmp_path):
    """As of another program: means are told by what they are."""
    sides = [revos(0.4), revos(0.8)]
    for number, side in enumerate(sides):
        side.write(tmp_path / str(number) / "scores.json")
    found = rows(tmp_path / "0", tmp_path / "1")
    assert found["J&F"][:2] == pytest.approx([side.figures["J&F"] for side in sides]) and found["J&F"][2] is not None


@pytest.mark.parametrize("value", ["NaN", "Infinity", "1e999"])
def test_what_is_no_number_is_refused(tmp_path, value):
    folder = written(tmp_path / "a", revos(0.4))
    text = (folder / "scores.json").read_text()
    (folder / "scores.json").write_text(text.replace("0.2", value))
    with pytest.raises(InputError, match=r"scores\.json"):
        compare_runs(folder, folder)


def test_hashes_of_questions_are_not_shown(tmp_path, capsys):
    for name in ("a", "b"):
        folder = written(tmp_path / name, revos(0.4))
        about = {"format": "videoglamm-evaluation-1", "questions": f"hash {name}", "objects": name}
        (folder / "run.json").write_text(json.dumps(about))
    assert cli.main(["compare", str(tmp_path / "a"), str(tmp_path / "b")]) == 0
    printed = capsys.readouterr().out
    assert "hash" not in printed and "not asked in the same words" in printed and "objects: a in A, b in B" in printed


def test_the_paired_interval_of_means_is_that_of_differences():
    draws = np.random.default_rng(4)
    first, second = draws.random((2, 30))
    videos = [str(n // 3) for n in range(30)]
    ones = np.ones(30)
    found = paired_interval((first, ones), (second, ones), videos)
    assert found == pytest.approx(bootstrap_interval(second - first, videos))
    assert np.isnan(paired_interval((first, ones), (second, 0 * ones), videos)).all()
