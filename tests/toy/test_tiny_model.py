"""The small model that ships does what its card says, on a small fixed part of the held-out clips."""

import json

import pytest
from transformers import AutoModel, AutoProcessor

from videoglamm_hf import cli
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import demo_clip
from videoglamm_hf.toy.shapes_world.evaluation import UNSEEN_GAP, KindScores, as_table, evaluate, missed_floors

CLIPS = 64
# Kind, mask mode, measure, least value: what the full evaluation asks for, or more; 64 clips vary by about 0.05.
FLOORS = (
    ("referring", "framewise", "mean_iou", 0.85),
    ("referring", "video", "mean_iou", 0.75),
    ("same_colour", "framewise", "mean_iou", 0.80),
    ("same_colour", "video", "mean_iou", 0.70),
    ("present", "framewise", "with_masks", 0.95),
    ("caption", "framewise", "recall", 0.90),
    ("size", "framewise", "mean_iou", 0.70),
    ("unseen_pairs", "framewise", "mean_iou", 0.80),
    ("unseen_pairs", "video", "mean_iou", 0.75),
)


@pytest.fixture(scope="module")
def scores():
    model = AutoModel.from_pretrained(TINY_MODEL, dtype="float32")
    kinds = sorted({kind for kind, *_ in FLOORS} | {"absent"})
    found = evaluate(model, AutoProcessor.from_pretrained(TINY_MODEL), kinds=kinds, clips=CLIPS)
    return {(score.kind, score.mask_mode): score for score in found}


@pytest.mark.slow
@pytest.mark.parametrize(("kind", "mode", "measure", "least"), FLOORS)
def test_floors(scores, kind, mode, measure, least):
    assert getattr(scores[kind, mode], measure) >= least


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["framewise", "video"])
def test_pairs_it_never_saw_are_not_far_behind(scores, mode):
    assert scores["referring", mode].mean_iou - scores["unseen_pairs", mode].mean_iou <= UNSEEN_GAP


@pytest.mark.slow
def test_absent_things_are_denied(scores):
    assert scores["absent", "framewise"].with_masks <= 0.15


def test_its_card_shows_its_metrics_and_they_reach_every_floor():
    scores = [KindScores(**row) for row in json.loads((TINY_MODEL / "metrics.json").read_text())]
    assert missed_floors(scores) == []
    assert as_table(scores) in (TINY_MODEL / "MODEL_CARD.md").read_text()


def test_it_is_small_and_carries_its_card():
    files = {path.name: path.stat().st_size for path in TINY_MODEL.iterdir() if path.is_file()}
    assert files["model.safetensors"] <= 12e6
    assert {"config.json", "processor_config.json", "tokenizer.json", "MODEL_CARD.md", "metrics.json"} <= files.keys()


def test_segment_takes_it_when_no_model_is_given(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    write_mp4("shapes.mp4", demo_clip()["video"], fps=4)
    assert cli.main(["segment", "shapes.mp4", "Please segment the brown star.", "--device", "cpu"]) == 0
    captured = capsys.readouterr()
    assert "coloured shapes" in captured.err and "1 object in 16 frames" in captured.out
    assert (tmp_path / "shapes_answer" / "preview.png").exists()
