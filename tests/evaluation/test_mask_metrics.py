"""Means over objects, and IoU of whole videos."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from videoglamm_hf.evaluation import boundary_accuracy, region_similarity
from videoglamm_hf.evaluation.mask_metrics import score_masks
from videoglamm_hf.mask_overlap import mask_iou

MASKS = arrays(bool, (2, 12, 15))


def test_overlap_known_by_hand():
    a, b = np.zeros((2, 20, 20), bool)
    a[:8, :8] = b[:8, 4:12] = True
    assert mask_iou(a, b) == pytest.approx(4 / 12)
    nothing = np.zeros((3, 3), bool)
    assert mask_iou(nothing, nothing, empty=1) == 1 and mask_iou(nothing, nothing) == 0


@settings(max_examples=40)
@given(MASKS, MASKS)
def test_overlap_is_symmetric_and_bounded(a, b):
    both = mask_iou(a, b)
    assert np.array_equal(both, mask_iou(b, a)) and both.min() >= 0 and both.max() <= 1
    assert (mask_iou(a, a, empty=1) == 1).all()


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


@settings(max_examples=20)
@given(arrays(bool, (2, 2, 9, 11)), arrays(bool, (2, 2, 9, 11)))
def test_j_and_f_are_means_over_objects_and_frames(a, b):
    scores = score_masks([a], [b])
    pairs = list(zip(a, b, strict=True))
    assert scores.j == pytest.approx(np.mean([region_similarity(*pair) for pair in pairs]))
    assert scores.f == pytest.approx(np.mean([boundary_accuracy(*pair) for pair in pairs]))
    assert scores.j_and_f == pytest.approx((scores.j + scores.f) / 2)
