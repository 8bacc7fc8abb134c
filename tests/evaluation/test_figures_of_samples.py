"""Merging, grounded captions, moments: what their goldens do not show."""

import numpy as np
import pytest

from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation import merge_expressions, score_grounded_caption, score_moment
from videoglamm_hf.evaluation.small_blobs import without_small_blobs


def test_merging_by_hand():
    logits = np.array([[0.49, 0.5, 3, 2, -9, 0.2, np.inf], [0.4, 0.6, 3, 5, -1, 0.3, 7]], np.float32)[:, None, None]
    labels = merge_expressions(list(logits))
    assert labels.dtype == np.uint8 and labels.tolist() == [[[0, 2, 1, 2, 0, 0, 1]]]
    # In single precision 0.5 less 1e-9 is 0.5; of equal ones the first stays.
    near = [np.full((1, 1, 1), value) for value in (0.5 - 1e-9, 0.5)]
    assert merge_expressions(near).item() == 1
    assert merge_expressions([np.zeros((0, 2, 3), np.float16)]).shape == (0, 2, 3)


@pytest.mark.parametrize(
    "logits",
    [
        [],
        [np.zeros((1, 2))],
        [np.zeros((1, 2, 3), int)],
        [np.zeros((1, 2, 3)), np.zeros((1, 3, 2))],
        [np.full((1, 2, 3), np.nan)],
        [np.zeros((1, 1, 1))] * 256,
        [None],
    ],
)
def test_what_cannot_be_merged(logits):
    with pytest.raises(InputError, match="logits"):
        merge_expressions(logits)


def squares(*places):
    """A mask of 4 x 4 pixels for each place in a row, bool [1, 4, 40]."""
    masks = np.zeros((len(places), 1, 4, 40), bool)
    for mask, left in zip(masks, places, strict=True):
        mask[..., left : left + 4] = True
    return list(masks)


def test_grounded_captions_stop_at_the_first_pair_named_differently():
    truths, predictions = squares(0, 10, 20), squares(1, 20, 10)  # IoU 0.6, and 1 of the others, crosswise
    alike = np.ones((3, 3))
    scores = score_grounded_caption(truths, predictions, alike)
    assert scores == {"miou": pytest.approx(2.6 / 3), "matches": [[1, 2], [2, 1], [0, 0]], "truths": 3}
    alike[2, 1] = 0.49
    assert score_grounded_caption(truths, predictions, alike)["matches"] == [[1, 2]]
    assert score_grounded_caption(truths, predictions, alike)["miou"] == pytest.approx(2.6 / 3)


def test_grounded_captions_of_equal_overlaps():
    """The mean IoU takes the first prediction's, the recall the first truth's."""
    truths = [squares(0)[0] | squares(8)[0], squares(0)[0] | squares(4)[0]]
    predictions = [squares(0)[0], squares(4)[0]]
    scores = score_grounded_caption(truths, predictions, np.ones((2, 2)))
    assert scores["matches"] == [[0, 0], [1, 1]] and scores["miou"] == 0.5


def test_grounded_captions_without_pixels():
    nothing = np.zeros((1, 4, 40), bool)
    scores = score_grounded_caption([nothing, *squares(0)], [nothing, *squares(0)], np.ones((2, 2)))
    assert scores == {"miou": 1, "matches": [[1, 1]], "truths": 2}
    assert score_grounded_caption([], squares(0), []) == {"miou": 0, "matches": [], "truths": 0}
    assert score_grounded_caption(squares(0), [], np.zeros((1, 0)))["truths"] == 1


@pytest.mark.parametrize(
    "truths, predictions, similarity",
    [
        (squares(0), squares(0), np.zeros((2, 1))),
        (squares(0), squares(0), [[np.nan]]),
        (squares(0), [squares(0)[0][0]], [[1]]),
        (squares(0), [squares(0)[0][:, :2]], [[1]]),
        (squares(0), [squares(0)[0].astype(int)], [[1]]),
    ],
)
def test_what_are_no_grounded_captions(truths, predictions, similarity):
    with pytest.raises(InputError, match=r"mask|similarity"):
        score_grounded_caption(truths, predictions, similarity)


def test_small_blobs_are_judged_in_their_frame_by_edges():
    masks = np.zeros((2, 12, 12), bool)
    masks[:, :4, :5] = True  # 20 pixels in each frame stay
    masks[0, 6:10, 6:10] = True  # 16 and 16 that touch at a corner, or in time, go
    masks[0, 2:6, 10:12] = masks[1, 6:10, 6:10] = True
    masks[0, 4, 5] = True
    kept = without_small_blobs(masks)
    assert kept[0].sum() == kept[1].sum() == 20 and kept[:, :4, :5].all()
    assert not without_small_blobs(np.zeros((2, 3, 3), bool)).any()
    assert without_small_blobs(np.ones((1, 4, 5), bool)).all()
    assert without_small_blobs(np.zeros((0, 3, 3), bool)).shape == (0, 3, 3)


def followed(frames=10):
    masks = np.zeros((frames, 30, 30), bool)
    masks[:, 5:16, 5:16] = True
    return masks, np.tile([5.0, 5, 15, 15], (frames, 1))


def test_moments_by_hand():
    masks, boxes = followed()
    right = score_moment([masks], boxes, (2, 6), (2, 6))
    assert right == {
        "tiou": 1, "viou": 1, "viou@0.3": 1, "viou@0.5": 1, "gt_viou": 1, "gt_viou@0.3": 1, "gt_viou@0.5": 1
    }  # fmt: skip
    # Ends are outside: frames 4 and 5 are in both, 2 to 7 in one of them.
    shifted = score_moment([masks], boxes, (2, 6), (4, 8))
    assert shifted["tiou"] == pytest.approx(2 / 6) and shifted["viou"] == pytest.approx(2 / 6)
    assert score_moment([masks], boxes, (2, 6), (6, 9))["tiou"] == 0
    assert score_moment([masks], boxes, (2, 6), (8, 3))["viou"] == 0, "an end before its start"
    # Frames that the video does not have are in no span.
    assert score_moment([masks], boxes, (2, 6), (2, 50))["viou"] == pytest.approx(4 / 8)
    assert score_moment([masks], boxes, (2, 6), (2, 50))["tiou"] == pytest.approx(4 / 48)


def test_moments_without_a_box():
    masks, boxes = followed()
    masks[3] = False
    assert score_moment([masks], boxes, (2, 3))["gt_viou"] == 0.5
    assert score_moment([masks], boxes, (2, 3))["gt_viou@0.5"] == 0, "above, not at"
    assert score_moment([], boxes, (2, 3))["gt_viou"] == 0
    assert score_moment([masks, np.zeros_like(masks)], boxes, (2, 3))["gt_viou"] == 0, "the last object counts"
    boxes[0] = np.nan
    assert score_moment([masks], boxes, (2, 2))["gt_viou"] == 1, "boxes outside the moment are not looked at"
    line = np.zeros((1, 30, 30), bool)
    line[:, 4, :20] = True
    assert score_moment([line], np.array([[0, 4, 19, 4]]), (0, 0))["gt_viou"] == 0, "no area, no overlap"


@pytest.mark.parametrize(
    "change",
    [
        {"moment": (2, 10)},
        {"moment": (3, 2)},
        {"moment": (-1, 2)},
        {"moment": (1.5, 2)},
        {"moment": (1, 2, 3)},
        {"predicted_moment": ("a", "b")},
        {"boxes": np.zeros((10, 3))},
        {"boxes": np.zeros((9, 4))},
        {"boxes": np.full((10, 4), np.nan)},
        {"predicted_masks": [np.zeros((10, 4), bool)]},
        {"predicted_masks": [np.zeros((10, 4, 4))]},
    ],
)
def test_what_are_no_moments(change):
    masks, boxes = followed()
    with pytest.raises(InputError):
        score_moment(**({"predicted_masks": [masks], "boxes": boxes, "moment": (2, 6)} | change))
