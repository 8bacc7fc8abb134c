"""Which colour is which phrase, below a frame."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from .colors import BACKGROUND, TEXT, Color
from .text import drawable, elided


def legend_strip(
    width: int, labels: Sequence[str], colors: Sequence[Color], font_size: int, *, inset: int | None = None
) -> np.ndarray:
    """A strip that names the objects: a chip of the colour and the phrase for each, in rows.

    Args:
        width: pixels of the frame above it.
        labels: one phrase per object; phrases that are too long for the width are cut with an ellipsis.
        colors: one colour (r, g, b) per object.
        font_size: pixels.
        inset: pixels left free at the sides; half the font size if None.

    Returns:
        uint8 [strip, width, 3], of no rows if there are no labels.

    Raises:
        InputError: the numbers of labels and colours differ.
    """
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
    """Pixels of the text below a frame [H, W, 3]."""
    return max(12, round(0.032 * min(frame.shape[:2])))
