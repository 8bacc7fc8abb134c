"""The numbers that an answer's scores become: all mean "surer" where they are larger, and none is ever NaN."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from videoglamm_hf.answer_scores import (
    OBJECT_FEATURES,
    SENTENCE_FEATURES,
    least_word_log_probs,
    mean_predicted_iou,
    object_features,
    sentence_features,
)

LOGITS = st.floats(-40, 40)
SHARES = st.floats(0, 1)


@st.composite
def scores(draw):
    count, frames = draw(st.integers(0, 3)), draw(st.integers(0, 4))
    table = lambda own: [[draw(own) for _ in range(frames)] for _ in range(count)]  # noqa: E731
    object_scores = torch.tensor(table(LOGITS)).reshape(count, frames)
    iou_scores = torch.tensor(table(SHARES)).reshape(count, frames)
    return object_scores, iou_scores, torch.tensor([draw(st.floats(-30, 0)) for _ in range(count)])


@given(scores())
def test_they_are_finite_and_bounded(given):
    features = object_features(*given)
    assert features.shape == (len(given[0]), len(OBJECT_FEATURES)) and features.dtype == torch.float64
    assert torch.isfinite(features).all() and (features.abs() <= 8).all()
    sentence = sentence_features(features, float(given[2].amin()) if len(given[2]) else -0.5)
    assert sentence.shape == (len(SENTENCE_FEATURES),) and torch.isfinite(sentence).all()


@given(scores(), st.floats(0, 5))
def test_more_is_never_less_sure(given, more):
    object_scores, iou_scores, words = given
    there = object_scores > 0
    features = object_features(object_scores, iou_scores, words)
    surer = object_features(
        torch.where(there, object_scores + more, object_scores), (iou_scores + more).clamp(max=1), words / (1 + more)
    )
    assert (surer >= features - 1e-9).all()


def test_what_they_are():
    object_scores = torch.tensor([[3.0, 1.0, -2.0, -1.0], [-1.0, -3.0, -0.5, -2.0]])
    iou_scores = torch.tensor([[0.8, 0.6, 0.1, 0.1], [0.9, 0.9, 0.9, 0.9]])
    words = torch.tensor([math.log(0.9), math.log(0.5)])
    first, nowhere = object_features(object_scores, iou_scores, words).tolist()
    assert first == pytest.approx([math.log(0.7 / 0.3), 2.0, 0.0, math.log(9)], abs=1e-5)
    # In no frame: what nearly was one, and no predicted IoU.
    assert nowhere == pytest.approx([-8, -0.5, -8, 0], abs=1e-5)
    assert mean_predicted_iou(object_scores[0], iou_scores[0]) == pytest.approx(0.7)
    assert mean_predicted_iou(object_scores[1], iou_scores[1]) == 0


def test_sure_words_speak_for_what_they_say():
    none = torch.zeros((0, len(OBJECT_FEATURES)), dtype=torch.float64)
    assert sentence_features(none, math.log(0.9)).tolist() == pytest.approx([-1, -math.log(9), 0, 0])
    one = object_features([[2.0]], [[0.5]], [math.log(0.9)])
    assert sentence_features(one, math.log(0.9)).tolist() == pytest.approx([1, math.log(9), 2, 0], abs=1e-6)


def test_words_of_an_object_follow_the_one_before():
    tokens = torch.tensor([5, 6, 9, 7, 9, 8])
    log_probs = torch.tensor([-0.1, -0.3, -0.2, -0.7, -0.4, -9.0])
    assert least_word_log_probs(tokens, log_probs, 9).tolist() == pytest.approx([-0.3, -0.7])
    assert least_word_log_probs(tokens[:0], log_probs[:0], 9).shape == (0,)
    assert np.isfinite(least_word_log_probs(tokens, log_probs, 8).tolist()).all()
