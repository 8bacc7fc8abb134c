"""Runs, bits, outlines and keyframes: there and back for any mask, and as the tools have it."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays
from PIL import Image, ImageDraw

from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError
from videoglamm_hf.exchange.brush_rle import decode_brush, encode_brush
from videoglamm_hf.exchange.keyframes import Keyframe, between
from videoglamm_hf.exchange.outlines import box_mask, drawn_mask, polygon_mask
from videoglamm_hf.exchange.row_rle import decode_rows, encode_rows

MASKS = arrays(bool, array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=24))


@given(MASKS)
def test_brush_there_and_back(mask):
    assert np.array_equal(decode_brush(encode_brush(mask), mask.shape, "rle"), mask)


def test_brush_of_long_runs():
    mask = np.zeros((300, 400), bool)
    mask[100:, 7:] = True
    assert np.array_equal(decode_brush(encode_brush(mask), mask.shape, "rle"), mask)


def test_brush_with_pieces_that_do_not_repeat():
    """thi.ng's packer writes what differs from pixel to pixel as it is: here alpha 255, 0, 7."""
    values = [1, 2, 3, 255, 4, 5, 6, 0, 7, 8, 9, 7]
    bits = f"{12:032b}{7:05b}{2:04b}{3:04b}{7:04b}{15:04b}" + "0" + "01" + f"{11:04b}"
    bits += "".join(f"{value:08b}" for value in values)
    bits += "0" * (-len(bits) % 8)
    packed = [int(bits[i : i + 8], 2) for i in range(0, len(bits), 8)]
    assert decode_brush(packed, (1, 3), "rle").tolist() == [[True, False, True]]


@given(MASKS, st.data())
def test_a_brush_that_is_cut_short_is_refused(mask, data):
    packed = encode_brush(mask)
    with pytest.raises(InputError, match=r"^rle: "):
        decode_brush(packed[: data.draw(st.integers(0, len(packed) - 2))], mask.shape, "rle")


@given(st.one_of(st.lists(st.integers(-5, 300), max_size=60), st.none(), st.text(), st.lists(st.floats())))
def test_anything_for_a_brush(packed):
    try:
        assert decode_brush(packed, (3, 5), "rle").shape == (3, 5)
    except InputError as error:
        assert str(error).startswith("rle: ")


@given(MASKS)
def test_rows_there_and_back(mask):
    if mask.any():
        runs, box = encode_rows(mask)
        assert sum(runs) == box[2] * box[3] and all(run > 0 for run in runs[1:])
        assert np.array_equal(decode_rows(runs, box, mask.shape, "mask"), mask)


@given(st.lists(st.integers(-2, 40), max_size=9), st.lists(st.integers(-2, 9), min_size=4, max_size=4))
def test_any_rows(runs, box):
    try:
        assert decode_rows(runs, box, (5, 7), "mask").shape == (5, 7)
    except InputError as error:
        assert str(error).startswith("mask")


# A pentagram: its middle is enclosed twice.
STAR = [(50 + 45 * np.sin(turn), 50 - 45 * np.cos(turn)) for turn in np.arange(5) * 4 * np.pi / 5]


@pytest.mark.parametrize("draw", ["polygon", "labelme"])
def test_what_crosses_itself_is_filled_by_the_even_odd_rule(draw):
    points = np.array(STAR)
    if draw == "polygon":
        mask = decode_rle(polygon_mask(points.ravel().tolist(), (100, 100), "star"))
    else:
        mask = decode_rle(drawn_mask("polygon", points.tolist(), (100, 100), "star"))
    assert mask[15, 50] and not mask[50, 50]


@given(st.lists(st.tuples(st.floats(-20, 40), st.floats(-20, 40)), min_size=3, max_size=7))
def test_labelmes_polygons_are_pillows(points):
    picture = Image.new("L", (30, 20))
    ImageDraw.Draw(picture).polygon(points, outline=1, fill=1)
    drawn = drawn_mask("polygon", [list(point) for point in points], (20, 30), "shape")
    assert np.array_equal(decode_rle(drawn), np.array(picture) > 0)


@given(st.integers(0, 20), st.integers(0, 15), st.integers(1, 10), st.integers(1, 5))
def test_boxes_of_whole_pixels(left, top, width, height):
    expected = np.zeros((20, 30), bool)
    expected[top : top + height, left : left + width] = True
    assert np.array_equal(decode_rle(box_mask(left, top, width, height, (20, 30), "box")), expected)


def test_a_turned_box():
    """A quarter turn clockwise about the left upper corner: what lay to the right lies below, what lay below left."""
    expected = np.zeros((20, 30), bool)
    expected[5:15, 8:12] = True
    assert np.array_equal(decode_rle(box_mask(12, 5, 10, 4, (20, 30), "box", rotation=90)), expected)


ANYTHING = st.one_of(st.none(), st.floats(), st.text(max_size=3), st.lists(st.floats(), max_size=3), st.booleans())


@given(st.one_of(ANYTHING, st.lists(ANYTHING, max_size=8)))
def test_anything_for_an_outline(points):
    for draw in (
        lambda: polygon_mask(points if isinstance(points, list) else [points], (20, 30), "shape"),
        lambda: drawn_mask("circle", points, (20, 30), "shape"),
        lambda: drawn_mask("polygon", points, (20, 30), "shape"),
    ):
        try:
            assert draw()["size"] == [20, 30]
        except InputError as error:
            assert str(error).startswith("shape")


def test_between_keyframes():
    keyframes = {
        2: Keyframe((0.0, 0.0)),
        6: Keyframe((4.0, 8.0)),
        8: Keyframe((9.0, 9.0), is_here=False, goes_on=False),
        10: Keyframe((1.0, 1.0)),
    }
    found = between(keyframes, range(13), "track")
    assert found[2] == (0, 0) and found[4] == [2, 4] and found[6] == (4, 8)
    assert found[8] is None and found[9] is None and found[10] == found[12] == (1, 1)
    assert 0 not in found and 1 not in found  # before the first nothing is known
    with pytest.raises(InputError, match="keyframes 0 and 4 have 3 and 4 points"):
        between({0: Keyframe((0.0,) * 6), 4: Keyframe((0.0,) * 8)}, range(5), "track")
