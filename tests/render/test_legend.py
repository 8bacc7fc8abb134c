"""Legends: everything fits, nothing crashes on odd text."""

import numpy as np
import pytest

from tests.render.pictures import disks, ramp
from videoglamm_hf.errors import InputError
from videoglamm_hf.render.colors import object_colors
from videoglamm_hf.render.contact_sheet import contact_sheet
from videoglamm_hf.render.legend import font_size_for, legend_strip

ODD_TEXTS = [
    "",
    " ",
    "two\nlines\tand tabs",
    "日本語 中文 العربية",
    "emoji 🙂👩‍👩‍👧",
    "naïve café — “quoted”…",
    "\ud800 lone surrogate",
    "\x00\x1b[31m control",
    "a" * 3000,
    "word " * 600,
]


def draw_legend(frame, labels, colors):
    strip = legend_strip(frame.shape[1], labels, colors, font_size_for(frame))
    return np.concatenate([frame, strip])


@pytest.mark.parametrize(("height", "width"), [(1, 1), (48, 64), (64, 48), (272, 640), (2160, 3840)])
def test_legends_stand_below_the_frame_and_show_their_colors(height, width):
    frame = ramp(height, width)
    colors = object_colors(3)
    result = draw_legend(frame, ["a dog", "the man in the very long coat " * 20, "x"], colors)
    assert result.dtype == np.uint8 and result.shape[1:] == (width, 3)
    assert np.array_equal(result[:height], frame)
    strip = result[height:].reshape(-1, 3)
    assert len(strip)
    if width > 40:
        assert all((strip == color).all(axis=-1).any() for color in colors)
        assert (strip.min(axis=-1) > 150).any()  # some text in light letters


def test_legends_wrap_into_rows():
    frame = ramp(300, 400)
    heights = [draw_legend(frame, ["a phrase"] * n, object_colors(n)).shape[0] - 300 for n in (0, 1, 2, 20)]
    assert heights[0] == 0 < heights[1] == heights[2] < heights[3] / 3


def test_legends_grow_with_the_frame():
    small = draw_legend(ramp(480, 640), ["a dog"], object_colors(1)).shape[0] - 480
    large = draw_legend(ramp(2160, 3840), ["a dog"], object_colors(1)).shape[0] - 2160
    assert large > 3 * small


@pytest.mark.parametrize("text", ODD_TEXTS)
def test_any_text_can_be_drawn(text):
    frame = ramp(60, 80)
    assert draw_legend(frame, [text], object_colors(1)).shape[1] == 80
    sheet = contact_sheet([frame], disks(1, 1, 60, 80), [text], title=text)
    assert sheet.height >= 60


def test_accents_are_drawn_as_plain_letters():
    frame = ramp(100, 400)
    color = object_colors(1)
    assert np.array_equal(draw_legend(frame, ["café – ñ"], color), draw_legend(frame, ["cafe - n"], color))


def test_legends_need_a_color_for_each_label():
    with pytest.raises(InputError, match="1 colours for 2 labels"):
        draw_legend(ramp(10, 10), ["a", "b"], object_colors(1))
