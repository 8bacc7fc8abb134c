"""Masks over frames: only what is promised changes."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from tests.render.pictures import ramp
from videoglamm_hf.errors import InputError
from videoglamm_hf.render.colors import object_colors
from videoglamm_hf.render.overlay import overlay_masks

frames_and_masks = st.tuples(st.integers(0, 4), st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: st.tuples(
        arrays.arrays(np.uint8, (*size[1:], 3)),
        arrays.arrays(bool, size),
    )
)


@given(frames_and_masks, st.floats(0, 1))
def test_nothing_outside_the_masks_changes(pair, alpha):
    frame, masks = pair
    before = frame.copy()
    result = overlay_masks(frame, masks, alpha=alpha)
    outside = ~masks.any(axis=0)
    assert result.shape == frame.shape and result.dtype == np.uint8
    assert np.array_equal(result[outside], frame[outside])
    assert np.array_equal(frame, before)


@given(frames_and_masks)
def test_opaque_masks_show_the_topmost_object(pair):
    frame, masks = pair
    result = overlay_masks(frame, masks, alpha=1)
    for n, color in enumerate(object_colors(len(masks))):
        visible = masks[n] & ~masks[n + 1 :].any(axis=0)
        assert (result[visible] == color).all()


@given(frames_and_masks)
def test_inside_pixels_are_tinted_or_contour(pair):
    frame, masks = pair
    result = overlay_masks(frame, masks, alpha=0.25)
    for n, color in enumerate(object_colors(len(masks))):
        visible = masks[n] & ~masks[n + 1 :].any(axis=0)
        tinted = np.rint(0.75 * frame[visible] + 0.25 * np.array(color))
        is_tint = (np.abs(result[visible] - tinted) <= 1).all(axis=-1)
        is_contour = (result[visible] == color).all(axis=-1)
        assert (is_tint | is_contour).all()


@pytest.mark.parametrize(("side", "thickness"), [(90, 1), (360, 2), (1080, 6)])
def test_contours_are_closed_and_grow_with_the_frame(side, thickness):
    frame = np.zeros((side, side, 3), np.uint8)
    masks = np.zeros((1, side, side), bool)
    low, high = side // 4, side * 3 // 4
    masks[0, low:high, low:high] = True
    color = object_colors(1)[0]
    contour = (overlay_masks(frame, masks, alpha=0) == color).all(axis=-1)
    edge = np.zeros_like(contour)
    edge[low:high, low:high] = True
    edge[low + thickness : high - thickness, low + thickness : high - thickness] = False
    middle = side // 2
    assert np.array_equal(contour[middle], edge[middle])
    assert np.array_equal(contour[:, middle], edge[:, middle])
    assert contour[low, low:high].all() and contour[low:high, high - 1].all()


def test_contours_are_equally_thick_all_around():
    side, radius, thickness = 1080, 400, 6
    y, x = np.mgrid[:side, :side]
    masks = (np.hypot(y - side / 2, x - side / 2) < radius)[None]
    contour = overlay_masks(np.zeros((side, side, 3), np.uint8), masks, alpha=0).any(axis=-1)
    across, diagonal = contour[side // 2, side // 2 :].sum(), contour.diagonal()[side // 2 :].sum() * 2**0.5
    assert across == thickness
    assert diagonal == pytest.approx(thickness, rel=0.25)


def test_a_mask_over_the_whole_frame_has_no_contour():
    frame = ramp(30, 40)
    assert np.array_equal(overlay_masks(frame, np.ones((1, 30, 40), bool), alpha=0), frame)


@pytest.mark.parametrize(
    "arguments",
    [
        {"masks": np.zeros((1, 8, 9), bool)},
        {"masks": np.zeros((8, 8), bool)},
        {"masks": np.zeros((1, 8, 8), np.uint8)},
        {"masks": None},
        {"frame": np.zeros((8, 8, 3), np.float32)},
        {"frame": np.zeros((8, 8), np.uint8)},
        {"frame": np.zeros((0, 8, 3), np.uint8)},
        {"colors": [(1, 2, 3), (4, 5, 6)]},
        {"alpha": 1.5},
        {"alpha": float("nan")},
    ],
)
def test_overlays_that_do_not_fit_are_refused(arguments):
    fitting = {"frame": np.zeros((8, 8, 3), np.uint8), "masks": np.zeros((1, 8, 8), bool)}
    with pytest.raises(InputError):
        overlay_masks(**{**fitting, **arguments})
