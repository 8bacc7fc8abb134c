"""Masks of an answer paired with the true ones."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis.extra.numpy import arrays

from videoglamm_hf.calibration.truth import object_ious, track_iou, true_objects
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.errors import InputError

MASKS = arrays(bool, (2, 3, 4))


def square(place: int) -> np.ndarray:
    mask = np.zeros((2, 6, 6), bool)
    mask[:, place : place + 2, :2] = True
    return mask


LEFT, RIGHT, ELSEWHERE = square(0), square(4), square(2)
TRUTH = np.stack([LEFT, RIGHT]).astype(np.int8)
NAMES = ["a red circle", "the blue star"]


@given(MASKS, MASKS)
def test_iou_is_a_share_of_all_frames_together(mask, other):
    iou = track_iou(mask, other.astype(np.int8))
    assert 0 <= iou <= 1 and iou == track_iou(other, mask.astype(np.int8))
    assert track_iou(mask, mask.astype(np.int8)) == 1


@given(MASKS, MASKS)
def test_what_nobody_judged_does_not_count(mask, void):
    truth = np.where(void, -1, 1).astype(np.int8)
    assert track_iou(mask | void, truth) == track_iou(mask & ~void, truth)


@pytest.mark.parametrize(
    "masks, labels, expected",
    [
        ([LEFT, RIGHT], NAMES, [1, 1]),
        # In another order, and called otherwise in its articles.
        ([RIGHT, LEFT], ["blue star", "The red  circle"], [1, 1]),
        # Each has the other's mask: both wrong.
        ([RIGHT, LEFT], NAMES, [0, 0]),
        # As nothing true is called: any of them, but each one once.
        ([RIGHT, RIGHT], ["a thing", "a thing"], [1, 0]),
        ([ELSEWHERE, RIGHT], ["a red circle", "a thing"], [0, 1]),
        # One too many.
        ([LEFT, RIGHT, LEFT], [*NAMES, "a red circle"], [1, 1, 0]),
        ([RIGHT], ["a red circle"], [0]),
        ([], [], []),
    ],
)
def test_pairs(masks, labels, expected):
    assert object_ious(masks, labels, TRUTH, NAMES) == expected
    assert object_ious(masks, labels, TRUTH[:0], []) == [0] * len(masks)


def test_true_objects_of_a_sample():
    track = [encode_rle(np.asfortranarray(LEFT[0])), None]
    messages = [{"role": "user", "content": "?"}, {"role": "assistant", "content": "It is <p> it </p> [SEG], [SEG]."}]
    sample = {"messages": messages, "masks": [track, [None, None]]}
    truth, phrases = true_objects(sample, (6, 6), 2)
    assert truth.shape == (2, 2, 6, 6) and truth.sum() == 4 and phrases == ["it", ""]
    with pytest.raises(InputError, match="2 masks for 3 frames"):
        true_objects(sample, (6, 6), 3)
    with pytest.raises(InputError, match="6x6, but the video or picture of 8x6"):
        true_objects(sample, (6, 8), 2)
