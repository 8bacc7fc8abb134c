"""J and F of frames, and their statistics."""

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.ndimage import binary_dilation

from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation import boundary_accuracy, region_similarity, sequence_statistics
from videoglamm_hf.evaluation.packed_frames import count

FIGURES = pytest.mark.parametrize("figure", [region_similarity, boundary_accuracy])
# Sides on both sides of a word of 64 pixels.
SHAPES = st.tuples(st.integers(1, 2), st.integers(1, 20), st.sampled_from([1, 5, 63, 64, 65, 130]))


@st.composite
def masks(draw, count):
    """Boolean arrays of one shape: noise, boxes, nothing, everything."""
    shape = draw(SHAPES)
    found = []
    for _ in range(count):
        random = np.random.default_rng(draw(st.integers(0, 2**32)))
        kind = draw(st.sampled_from(["noise", "box", "nothing", "everything"]))
        mask = np.full(shape, kind == "everything")
        if kind == "noise":
            mask = random.random(shape) < random.random() ** 3
        elif kind == "box":
            top, left = (random.integers(0, side) for side in shape[1:])
            mask[:, top : top + random.integers(1, 9), left : left + random.integers(1, 60)] = True
        found.append(mask)
    return found


def boundary(mask):
    """As the toolkit's `seg2bmap`, pixel by pixel: right, lower and lower right neighbours inside the frame."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            near = [(y, min(x + 1, width - 1)), (min(y + 1, height - 1), x)]
            near.append((min(y + 1, height - 1), min(x + 1, width - 1)))
            found[y, x] = any(mask[place] != mask[y, x] for place in near)
    return found


def plain_accuracy(prediction, truth):
    edges = [boundary(mask) for mask in (prediction, truth)]
    if not all(edge.any() for edge in edges):
        return float(edges[0].any() == edges[1].any())
    radius = int(np.ceil(0.008 * np.sqrt(prediction.shape[0] ** 2 + prediction.shape[1] ** 2)))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    grown = [binary_dilation(edge, y * y + x * x <= radius * radius) for edge in edges]
    precision = (edges[0] & grown[1]).sum() / edges[0].sum()
    recall = (edges[1] & grown[0]).sum() / edges[1].sum()
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


@settings(max_examples=60, deadline=None)
@given(masks(3))
def test_frames_are_scored_by_definition(given_masks):
    prediction, truth, void = given_masks
    similarities = region_similarity(prediction, truth, void)
    accuracies = boundary_accuracy(prediction, truth, void)
    for own, other, out, j, f in zip(prediction, truth, void, similarities, accuracies, strict=True):
        union = ((own | other) & ~out).sum()
        assert j == pytest.approx((own & other & ~out).sum() / union if union else 1)
        assert f == pytest.approx(plain_accuracy(own & ~out, other & ~out))


@settings(max_examples=5, deadline=None)
@given(st.integers(0, 2**32))
def test_boundaries_reach_as_far_as_a_disc_in_large_frames(seed):
    """13 pixels: a disc is no square, and reaches over words."""
    random = np.random.default_rng(seed)
    first, second = np.zeros((2, 900, 1300), bool)
    for mask in (first, second):
        for y, x in random.integers(0, (60, 160), (8, 2)):
            mask[y : y + random.integers(1, 9), x : x + random.integers(1, 9)] = True
    # The boundaries are all at the upper left: that part, with the radius of the whole.
    edges = [np.pad(boundary(mask[:90, :190]), 20) for mask in (first, second)]
    y, x = np.mgrid[-13:14, -13:14]
    grown = [binary_dilation(edge, y * y + x * x <= 169) for edge in edges]
    precision, recall = (edges[0] & grown[1]).sum() / edges[0].sum(), (edges[1] & grown[0]).sum() / edges[1].sum()
    expected = 2 * precision * recall / (precision + recall)
    assert boundary_accuracy(first[None], second[None])[0] == pytest.approx(expected)


@FIGURES
@settings(max_examples=25, deadline=None)
@given(masks(3))
def test_what_holds_of_both(figure, given_masks):
    a, b, void = given_masks
    values = figure(a, b)
    assert values.shape == (len(a),) and values.dtype == np.float64
    assert values.min() >= 0 and values.max() <= 1
    assert values == pytest.approx(figure(b, a))
    assert (figure(a, a) == 1).all()
    assert (figure(a, b, np.ones_like(a)) == 1).all(), "nothing counts, so nothing differs"
    assert np.array_equal(figure(a, b, np.zeros_like(a)), values)
    assert np.array_equal(figure(a, b, void), figure(a ^ void, b | void, void)), "void pixels make no difference"


def test_tolerance_known_by_hand():
    def box(top, left):
        mask = np.zeros((1, 200, 200), bool)
        mask[0, top : top + 40, left : left + 40] = True
        return mask

    # 0.8 % of the diagonal of 200 x 200 is 2.3 pixels, so 3: a shift by 3 is forgiven, one by 60 is not.
    assert boundary_accuracy(box(50, 50), box(53, 50)) == 1
    assert boundary_accuracy(box(50, 50), box(54, 50)) < 1
    assert boundary_accuracy(box(50, 50), box(110, 50)) < 0.3
    assert boundary_accuracy(box(0, 0), np.zeros((1, 200, 200), bool)) == 0


def test_bits_are_counted_by_every_numpy(monkeypatch):
    words = np.random.default_rng(0).integers(0, 2**64, (5, 7), np.uint64)
    expected = sum(int(word).bit_count() for word in words.ravel())
    assert count(words) == count(words[:, ::2]) + count(words[:, 1::2]) == expected
    monkeypatch.delattr(np, "bitwise_count", raising=False)
    assert count(words) == count(words[:, ::2]) + count(words[:, 1::2]) == expected


@pytest.mark.parametrize("axis", [1, 2])
@pytest.mark.parametrize("apart, expected", [(13, 1), (14, 0)])
def test_tolerance_goes_both_ways_over_words(axis, apart, expected):
    """0.8 % of the diagonal of 900 x 1300 is 13 pixels; lines of one pixel have boundaries of two."""
    for place in (126, 128, 130):
        masks = np.zeros((2, 1, 900, 1300), bool)
        for mask, at in zip(masks, (place, place + apart + (expected == 0)), strict=True):
            np.moveaxis(mask, axis, 0)[at] = True
        assert boundary_accuracy(*masks)[0] == expected
        assert boundary_accuracy(masks[1], masks[0])[0] == expected


@FIGURES
def test_no_frames(figure):
    nothing = np.zeros((0, 4, 5), bool)
    assert figure(nothing, nothing).shape == (0,)


@FIGURES
@pytest.mark.parametrize(
    "change",
    [
        lambda a: (a.astype(np.uint8), a, None),
        lambda a: (a[0], a[0], None),
        lambda a: (a, a[:1], None),
        lambda a: (a, a[:, :2], None),
        lambda a: (a, a, a[:, :, :1]),
        lambda a: (a, a, a.astype(float)),
        lambda a: (a.tolist(), a, None),
        lambda a: (a[:, :0], a[:, :0], None),
    ],
)
def test_what_are_no_masks(figure, change):
    with pytest.raises(InputError, match=r"bool array|but prediction is"):
        figure(*change(np.zeros((2, 3, 4), bool)))


def test_statistics_known_by_hand():
    # Of nine frames the quarters end at 0, 2, 4, 6 and 8, both inside.
    values = np.array([1, 0.8, 0.9, 0, 0.5, 0, 0.6, 0.3, 0.6])
    mean, recall, decay = sequence_statistics(values)
    assert mean == pytest.approx(values.mean())
    assert recall == pytest.approx(5 / 9), "0.5 itself is not recalled"
    assert decay == pytest.approx(0.9 - 0.5)
    assert sequence_statistics(np.array([0.7])) == (0.7, 1, 0)
    # More than eight bits of frames.
    assert sequence_statistics(np.linspace(1, 0, 400))[2] == pytest.approx(0.75, abs=0.01)


def test_statistics_of_frames_without_value():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert np.isnan(sequence_statistics(np.array([]))).all()
        assert np.isnan(sequence_statistics(np.array([np.nan]))[0])
        mean, recall, decay = sequence_statistics(np.array([np.nan, 1, 0, 0.5, np.nan]))
    assert (mean, recall, decay) == (0.5, 0.2, 0.5)
    with pytest.raises(InputError, match="values"):
        sequence_statistics(np.zeros((2, 2)))


@settings(max_examples=40)
@given(arrays(float, st.integers(1, 30), elements=st.floats(0, 1)))
def test_statistics_are_bounded(values):
    mean, recall, decay = sequence_statistics(values)
    assert 0 <= mean <= 1 and 0 <= recall <= 1 and -1 <= decay <= 1
