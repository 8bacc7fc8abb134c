"""Every figure is that of the official code (tests/fixtures/golden_eval)."""

import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from tests.evaluation.conftest import EXPECTED
from tests.fixtures.golden_eval import make_inputs
from videoglamm_hf import cli
from videoglamm_hf.evaluation import (
    boundary_accuracy,
    caption_scores,
    clean_caption,
    merge_expressions,
    region_similarity,
    score_grounded_caption,
    score_moment,
    sequence_statistics,
)
from videoglamm_hf.evaluation.ref_davis_files import ANNOTATORS

CLOSE = {"rel": 0, "abs": 1e-9}
CASES = make_inputs.metric_cases("A")
GCG, REF_DAVIS = EXPECTED["gcg"], EXPECTED["ref_davis"]


def check(found, expected, where=""):
    """Every number that is expected is there, and the same."""
    if isinstance(expected, dict):
        for key, value in expected.items():
            check(found[key], value, f"{where}.{key}")
    else:
        assert found == pytest.approx(expected, **CLOSE), where


@pytest.mark.parametrize("name", CASES)
def test_j_and_f_of_frames(name):
    truth, prediction, void = CASES[name]
    expected = EXPECTED["frames"][name]
    for letter, figure in (("J", region_similarity), ("F", boundary_accuracy)):
        values = figure(prediction, truth, void)
        assert values.dtype == np.float64
        assert values == pytest.approx(expected[letter], **CLOSE)
        statistics = expected[f"{letter}_mean_recall_decay"]
        if statistics is not None:
            assert sequence_statistics(values) == pytest.approx(statistics, **CLOSE)


def score(*arguments) -> dict:
    *most, output = map(str, arguments)
    assert cli.main(["score", *most, "--output", output, "--quiet"]) == 0
    return json.loads(Path(output).read_text())


def test_mevis(benchmarks, tmp_path, capsys):
    folder = benchmarks / "mevis"
    options = ("--data", folder / "valid_u", "--predictions", folder / "predictions")
    scores = score("mevis", *options, tmp_path / "scores.json")
    assert scores["benchmark"] == "mevis"
    assert scores["per_expression"].keys() == EXPECTED["mevis"]["per_expression"].keys()
    check(scores["per_expression"], EXPECTED["mevis"]["per_expression"])
    check(scores["figures"], {key: EXPECTED["mevis"][key] for key in ("J", "F", "J&F")})
    assert scores["missing"] == ["clip3_0"] and not scores["failed"] and not scores["missing_frames"]
    assert scores["settings"]["boundary_tolerance"] == 0.008 and "numpy" in scores["versions"]
    printed = capsys.readouterr()
    assert "41.18   52.71   29.64" in printed.out and "clip3_0" in printed.err


def label_maps(folder: Path) -> dict[str, np.ndarray]:
    """Maps of labels of every annotator's logits, by `annotator/video`."""
    videos = json.loads((folder / "ref" / "meta_expressions" / "valid" / "meta_expressions.json").read_text())[
        "videos"
    ]
    found = {}
    for video, about in videos.items():
        for number, annotator in enumerate(ANNOTATORS):
            files = [folder / "logits" / video / f"{e}.npy" for e in range(number, len(about["expressions"]), 4)]
            found[f"{annotator}/{video}"] = merge_expressions([np.load(file) for file in files])
    return found


def test_merged_expressions(benchmarks):
    maps = label_maps(benchmarks / "ref_davis")
    assert {name: np.bincount(labels.ravel()).tolist() for name, labels in maps.items()} == REF_DAVIS[
        "merged_label_counts"
    ]


def test_ref_davis_from_logits_and_from_label_maps(benchmarks, tmp_path):
    folder = benchmarks / "ref_davis"
    options = ("ref-davis17", "--data", folder, "--predictions")
    scores = score(*options, folder / "logits", tmp_path / "scores.json")
    check(scores["figures"], {key: REF_DAVIS[key] for key in ("annotators", "mean_of_annotators")})
    assert len(scores["per_expression"]) == 24
    for name, labels in label_maps(folder).items():
        for number, frame in enumerate(labels):
            make_inputs.save_png(tmp_path / "maps" / name / f"{number:05d}.png", frame, True)
    again = score(*options, tmp_path / "maps", tmp_path / "again.json")
    assert again["figures"] == scores["figures"] and again["per_expression"] == scores["per_expression"]
    means = scores["figures"]["annotators"]["Davis17_annot1"]["J_per_object"]
    assert [scores["per_expression"][f"seq1_{e}"][0] for e in (0, 4, 8)] == [means[f"seq1_{o}"] for o in (1, 2, 3)]


def test_grounded_captions():
    samples = make_inputs.gcg_samples("A")
    found = [score_grounded_caption(s["gt_masks"], s["pred_masks"], s["similarity"]) for s in samples]
    for sample, scored, expected in zip(samples, found, GCG["samples"], strict=True):
        assert scored["miou"] == pytest.approx(expected["miou"], **CLOSE)
        assert scored["matches"] == expected["matches"] and scored["truths"] == len(sample["gt_masks"])
        assert clean_caption(sample["gt_text"]) == (expected["gt_clean"], expected["gt_phrases"])
        assert clean_caption(sample["pred_text"]) == (expected["pred_clean"], expected["pred_phrases"])
    assert np.mean([scored["miou"] for scored in found]) == pytest.approx(GCG["miou"], **CLOSE)
    recalled, truths = (sum(values) for values in zip(*((len(s["matches"]), s["truths"]) for s in found), strict=True))
    assert recalled / truths == pytest.approx(GCG["recall"], **CLOSE)


needs_java = pytest.mark.skipif(
    shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None,
    reason="captions need Java and pycocoevalcap (extra eval)",
)


@needs_java
def test_captions():
    pairs = [(sample["pred_clean"], sample["gt_clean"]) for sample in GCG["samples"]]
    scores = caption_scores(*zip(*pairs, strict=True))
    assert scores.keys() == {
        "METEOR", "METEOR_per_sample", "CIDEr", "CIDEr_per_sample", "BLEU_1_to_4", "ROUGE_L"
    }  # fmt: skip
    for name, value in scores.items():
        assert value == pytest.approx(GCG[name], rel=0, abs=1e-6), name


@pytest.mark.parametrize("given", [True, False])
def test_moments(given):
    expected = EXPECTED["grounding_moment_given" if given else "grounding_moment_predicted"]["per_sample"]
    for sample, figures in zip(make_inputs.grounding_samples("A"), expected, strict=True):
        moment = None if given else sample["predicted_moment"]
        found = score_moment(sample["pred_masks"], sample["gt_boxes"], sample["moment"], moment)
        assert found.keys() == figures.keys() - {"qtype"}
        check(found, {name: value for name, value in figures.items() if name != "qtype"})
