"""Which colour is which phrase, below a frame."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from .arrays import check_frame
from .colors import BACKGROUND, TEXT, Color
from .text import drawable, elided


def draw_legend(frame: np.ndarray, labels: Sequence[str], colors: Sequence[Color]) -> np.ndarray:
    """Add a strip below a frame that names the objects: a chip of the colour and the phrase for each.

    Args:
        frame: uint8 [H, W, 3].
        labels: one phrase per object; phrases that are too long for the width are cut with an ellipsis.
        colors: one colour (r, g, b) per object.

    Returns:
        uint8 [H + strip, W, 3]; the frame itself if there are no labels.

    Raises:
        InputError: the frame is not a picture, or the numbers of labels and colours differ.
    """
    check_frame(frame)
    strip = legend_strip(frame.shape[1], labels, colors, font_size_for(frame))
    return np.concatenate([frame, strip])


def legend_strip(
    width: int, labels: Sequence[str], colors: Sequence[Color], font_size: int, *, inset: int | None = None
) -> np.ndarray:
    """uint8 [strip, width, 3]: colour chips and phrases in rows, `inset` from the sides."""
    if len(labels) != len(colors):
        raise InputError(f"there are {len(colors)} colours for {len(labels)} labels")
    if not labels:
        return np.empty((0, width, 3), np.uint8)
    font = ImageFont.load_default(font_size)
    pad = font_size // 2 if inset is None else inset
    chip, between, row_height = round(0.9 * font_size), round(0.4 * font_size), round(1.7 * font_size)

    placed: list[tuple[int, int, str]] = []  # left, row, phrase
    left, row = pad, 0
    for label in labels:
        phrase = elided(drawable(label), font, max(1, width - 2 * pad - chip - between))
        taken = chip + between + math.ceil(font.getlength(phrase))
        if left > pad and left + taken > width - pad:
            left, row = pad, row + 1
        placed.append((left, row, phrase))
        left += taken + 2 * chip

    strip = Image.new("RGB", (width, (row + 1) * row_height + 2 * (pad // 2)), BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for (left, row, phrase), color in zip(placed, colors, strict=True):
        middle = pad // 2 + row * row_height + row_height // 2
        corners = (left, middle - chip // 2, left + chip - 1, middle - chip // 2 + chip - 1)
        draw.rounded_rectangle(corners, radius=chip // 4, fill=color)
        draw.text((left + chip + between, middle), phrase, font=font, fill=TEXT, anchor="lm")
    return np.asarray(strip)


def font_size_for(frame: np.ndarray) -> int:
    """Pixels."""
    return max(12, round(0.032 * min(frame.shape[:2])))
