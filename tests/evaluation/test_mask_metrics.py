"""J, F and mIoU."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videoglamm_hf.evaluation import mask_metrics
from videoglamm_hf.evaluation.mask_metrics import boundary_accuracy, score_masks
from videoglamm_hf.mask_overlap import mask_iou

MASKS = arrays(bool, (2, 12, 15))


def box(top, left, size=8, side=200):
    mask = np.zeros((side, side), bool)
    mask[top : top + size, left : left + size] = True
    return mask


def test_values_known_by_hand():
    assert mask_iou(box(0, 0), box(0, 4)) == pytest.approx(4 / 12)
    nothing = np.zeros((3, 3), bool)
    assert mask_iou(nothing, nothing, empty=1) == 1 and mask_iou(nothing, nothing) == 0
    # 0.8 % of the diagonal of 200 x 200 is 2.3 pixels, so 3: a shift by 3 is forgiven, one by 60 is not.
    assert boundary_accuracy(box(50, 50, 40), box(53, 50, 40)) == 1
    assert boundary_accuracy(box(50, 50, 40), box(110, 50, 40)) < 0.3
    assert boundary_accuracy(box(0, 0), np.zeros((200, 200), bool)) == 0


@settings(max_examples=40)
@given(MASKS, MASKS)
def test_scores_are_symmetric_and_bounded(a, b):
    both = mask_iou(a, b)
    assert np.array_equal(both, mask_iou(b, a)) and both.min() >= 0 and both.max() <= 1
    assert boundary_accuracy(a[0], b[0]) == pytest.approx(boundary_accuracy(b[0], a[0]))
    assert boundary_accuracy(a[0], a[0]) == 1 and (mask_iou(a, a, empty=1) == 1).all()


@settings(max_examples=40)
@given(MASKS)
def test_boundaries_are_matched_within_a_disc(masks):
    """As DAVIS defines it: each boundary is grown by a disc of ceil(0.8 % of the diagonal), here 3 pixels."""
    first, second = (np.pad(mask, 120) for mask in masks)
    edges = [mask_metrics._boundary(mask) for mask in (first, second)]
    if not edges[0].any() or not edges[1].any():
        return
    offsets = [(dy, dx) for dy in range(-3, 4) for dx in range(-3, 4) if dy * dy + dx * dx <= 9]
    grown = [np.any([np.roll(edge, offset, (0, 1)) for offset in offsets], axis=0) for edge in edges]
    precision = (edges[0] & grown[1]).sum() / edges[0].sum()
    recall = (edges[1] & grown[0]).sum() / edges[1].sum()
    expected = 2 * precision * recall / (precision + recall) if precision + recall else 0
    assert boundary_accuracy(first, second) == pytest.approx(expected)


@given(MASKS, MASKS, st.integers(0, 1))
def test_tensors_and_arrays_have_the_same_iou(a, b, empty):
    tensors = mask_iou(torch.from_numpy(a)[:, None], torch.from_numpy(b), empty=empty)
    assert tensors.shape == (2, 2) and tensors.dtype == torch.float32
    assert np.allclose(tensors, mask_iou(a[:, None], b, empty=empty))


@settings(max_examples=30)
@given(st.integers(0, 3), st.integers(0, 3))
def test_missing_and_surplus_objects_score_zero(found, there):
    masks = np.ones((3, 2, 4, 4), bool)
    scores = score_masks([masks[:found]], [masks[:there]])
    expected = 1.0 if found == there == 0 else min(found, there) / max(found, there)
    assert scores.miou == pytest.approx(expected) and scores.j == pytest.approx(expected)
    assert scores.num_objects == there
