"""Scores of answers: what counts, and what a model that answers by rote gets."""

from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from videoglamm_hf.errors import InputError
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset
from videoglamm_hf.toy.shapes_world.evaluation import (
    FLOORS,
    KindScores,
    as_table,
    evaluate,
    missed_floors,
    score_clip,
    summarize,
    track_iou,
)

CONFIG = ShapesWorldConfig(frame_size=48, num_frames=4)
PERFECT = [
    KindScores(kind, mode, 200, 0.0 if kind == "absent" else 1.0, 0.0 if kind == "absent" else 1.0, 1.0, 1.0)
    for kind in ("referring", "unseen_pairs", "same_colour", "present", "absent", "caption", "size")
    for mode in ("framewise", "video")
]


def track(*columns: slice) -> np.ndarray:
    """One 4 x 4 frame per slice, bool `[T, 4, 4]`, those columns set."""
    masks = np.zeros((len(columns), 4, 4), bool)
    for mask, column in zip(masks, columns, strict=True):
        mask[:, column] = True
    return masks


LEFT, RIGHT, ALL, NONE = slice(0, 2), slice(2, 4), slice(0, 4), slice(0, 0)


def test_iou_counts_frames_in_which_there_is_something_to_see():
    assert track_iou(track(LEFT, ALL), track(LEFT, LEFT)) == 0.75
    assert track_iou(track(LEFT, ALL), track(LEFT, NONE)) == 1.0
    assert track_iou(track(NONE), track(LEFT)) == 0.0
    assert np.isnan(track_iou(track(LEFT), track(NONE)))


def score(text: str, phrases: list[str], masks: list[np.ndarray]):
    truth = np.stack([track(LEFT), track(RIGHT)])
    shape = (0, 1, 4, 4)
    true_text = "A <p> red star </p> [SEG] passes a <p> blue circle </p> [SEG]."
    return score_clip(
        text,
        phrases,
        np.stack(masks) if masks else np.zeros(shape, bool),
        true_text,
        ["red star", "blue circle"],
        truth,
    )


def test_the_true_answer_scores_one():
    text = "A <p> red star </p> [SEG] passes a <p> blue circle </p> [SEG] ."
    result = score(text, ["red star", "blue circle"], [track(LEFT), track(RIGHT)])
    assert result.iou == 1 and result.has_masks and result.exact and result.found == (True, True)


def test_phrases_may_come_in_another_order_but_need_their_words():
    swapped = score("", ["blue circle", "red star"], [track(RIGHT), track(LEFT)])
    assert swapped.found == (True, True) and swapped.iou == 0 and not swapped.exact
    misnamed = score("", ["red circle", "blue circle"], [track(LEFT), track(RIGHT)])
    assert misnamed.found == (False, True) and misnamed.iou == 1


def test_one_mask_finds_one_phrase():
    truth = np.stack([track(LEFT), track(LEFT)])
    result = score_clip("", ["red star"], truth[:1], "", ["red star", "red star"], truth)
    assert result.found == (True, False)


def test_missing_masks_count_zero():
    one = score("", ["red star"], [track(LEFT)])
    assert one.iou == 0.5 and one.found == (True, False)
    none = score("There is no red star.", [], [])
    assert none.iou == 0 and not none.has_masks and none.found == (False, False)


def test_absent_objects_have_no_iou():
    empty = np.zeros((0, 1, 4, 4), bool)
    right = score_clip("There is no red star .", [], empty, "There is no red star.", [], empty)
    assert right.iou is None and right.exact and not right.has_masks
    wrong = score_clip("", ["the red star"], np.stack([track(LEFT)]), "There is no red star.", [], empty)
    scores = summarize("absent", "video", [right, wrong, wrong, wrong])
    assert (scores.mean_iou, scores.recall) == (None, None)
    assert (scores.with_masks, scores.exact, scores.clips) == (0.75, 0.25, 4)


def test_floors():
    assert missed_floors(PERFECT) == []
    for floor in FLOORS:
        worse = [
            replace(s, **{floor.measure: 0.16 if floor.at_most else floor.value - 0.01})
            if (s.kind, s.mask_mode) == (floor.kind, floor.mask_mode)
            else s
            for s in PERFECT
        ]
        assert any(sentence.startswith(f"{floor.kind} ({floor.mask_mode})") for sentence in missed_floors(worse))
    unseen = [replace(s, mean_iou=0.85) if s.kind == "unseen_pairs" else s for s in PERFECT]
    assert [sentence.split(" is ")[0] for sentence in missed_floors(unseen)] == [
        "unseen_pairs (framewise) mean_iou",
        "unseen_pairs (video) mean_iou",
    ]
    assert len(missed_floors([])) == len(FLOORS)


def test_the_table_has_a_row_per_score():
    table = as_table([replace(PERFECT[0], mean_iou=0.8125), replace(PERFECT[0], mean_iou=None)])
    assert table.splitlines()[2:] == [
        "| referring | framewise | 200 | 0.812 | 1.000 | 1.000 | 1.000 |",
        "| referring | framewise | 200 |  | 1.000 | 1.000 | 1.000 |",
    ]


class Inputs(dict):
    def to(self, device):
        return self


class Knowing:
    """Stands for a processor and a model that know the true answers of a dataset, or say no to everything."""

    def __init__(self, kind: str, seed: int, knows: bool) -> None:
        self.samples = iter(ShapesWorldDataset("held_out", kind, config=CONFIG, seed=seed))
        self.knows, self.device, self.modes = knows, "cpu", []

    def eval(self):
        return self

    def apply_chat_template(self, conversations, **kwargs):
        self.batch = [next(self.samples) for _ in conversations]
        for (message,), sample in zip(conversations, self.batch, strict=True):
            assert message["role"] == "user" and np.array_equal(message["content"][0]["video"], sample["video"])
            assert message["content"][1] == sample["messages"][0]["content"][1]
        return Inputs(input_ids=None, attention_mask=None)

    def encode_videos(self, **inputs):
        return "features"

    def generate(self, *, encoded_videos, mask_mode, do_sample, **kwargs):
        assert encoded_videos == "features" and do_sample is False
        self.modes.append(mask_mode)
        return None

    def post_process_grounded_generation(self, output):
        return [self.answer(sample) for sample in self.batch]

    def answer(self, sample):
        masks = sample["masks"] if self.knows else sample["masks"][:0]
        phrases = sample["phrases"] if self.knows else []
        text = sample["messages"][1]["content"][0]["text"] if self.knows else "No."
        return SimpleNamespace(
            raw_text=text, phrases=[SimpleNamespace(text=words) for words in phrases], masks=torch.from_numpy(masks)
        )


@pytest.mark.parametrize("kind", ["referring", "absent", "caption", "unseen_pairs"])
@pytest.mark.parametrize("knows", [True, False])
def test_evaluation_asks_and_scores(kind, knows):
    known = Knowing(kind, 7, knows)
    scores = evaluate(known, known, kinds=[kind], clips=5, config=CONFIG, seed=7, batch_size=2)
    assert known.modes == ["framewise", "video"] * 3
    assert [(s.kind, s.mask_mode, s.clips) for s in scores] == [(kind, "framewise", 5), (kind, "video", 5)]
    for s in scores:
        assert s.exact == knows
        assert s.with_masks == (knows and kind != "absent")
        assert s.mean_iou == s.recall == (None if kind == "absent" else float(knows))


def test_unusable_numbers_are_named():
    with pytest.raises(InputError, match="batch_size 0"):
        evaluate(None, None, batch_size=0)
    with pytest.raises(InputError, match="kind is 'colour'"):
        evaluate(SimpleNamespace(eval=lambda: None), None, kinds=["colour"])
