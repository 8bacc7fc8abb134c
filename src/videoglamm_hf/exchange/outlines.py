"""Outlines in pixels to masks. What crosses itself is filled by the even-odd rule: what is enclosed twice is outside.

COCO, CVAT and Label Studio leave pixels to pycocotools, labelme to Pillow; so do we. Both fill by that rule.
"""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image, ImageDraw

from ..data.polygons import segmentation_mask
from ..data.rle import encode_rle
from ..errors import InputError


def polygon_mask(points: Sequence[float], size: tuple[int, int], where: str) -> dict[str, Any]:
    """The mask of one polygon `[x0, y0, x1, y1, ...]`, as pycocotools draws it.

    Raises:
        InputError: it has fewer than three points, coordinates that are no numbers, or lies far outside.
    """
    return segmentation_mask([list(points)], size, where)


def box_mask(
    left: float, top: float, width: float, height: float, size: tuple[int, int], where: str, rotation: float = 0.0
) -> dict[str, Any]:
    """The mask of a box, turned by `rotation` degrees clockwise about its left upper corner.

    Raises:
        InputError: as of [`polygon_mask`].
    """
    turn = math.radians(rotation)
    across, down = (math.cos(turn), math.sin(turn)), (-math.sin(turn), math.cos(turn))
    corners = []
    for x, y in ((0.0, 0.0), (width, 0.0), (width, height), (0.0, height)):
        corners += [left + x * across[0] + y * down[0], top + x * across[1] + y * down[1]]
    return polygon_mask(corners, size, where)


def drawn_mask(kind: str, points: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """The mask of a shape as labelme draws it, with its edge.

    Args:
        kind: `"polygon"`, `"oriented_rectangle"`, `"rectangle"` (two corners) or `"circle"` (centre, a point on it).
        points: `[[x, y], ...]` in pixels.
        size: (height, width).
        where: What messages call it.

    Raises:
        InputError: the points are no such, are no numbers, or lie far outside.
    """
    pairs = checked_points(points, size, where, 2 if kind in ("rectangle", "circle") else 3)
    picture = Image.new("L", (size[1], size[0]))
    draw = ImageDraw.Draw(picture)
    if kind in ("rectangle", "circle") and len(pairs) != 2:
        raise InputError(f"{where}: a {kind} has two points, not {len(pairs)}")
    if kind == "rectangle":
        (x0, y0), (x1, y1) = pairs
        draw.rectangle(((min(x0, x1), min(y0, y1)), (max(x0, x1), max(y0, y1))), outline=1, fill=1)
    elif kind == "circle":
        (x, y), (on_x, on_y) = pairs
        radius = math.hypot(x - on_x, y - on_y)
        draw.ellipse(((x - radius, y - radius), (x + radius, y + radius)), outline=1, fill=1)
    else:
        draw.polygon(pairs, outline=1, fill=1)
    return encode_rle(np.array(picture).astype(bool))


def checked_points(points: Any, size: tuple[int, int], where: str, least: int) -> list[tuple[float, float]]:
    """Points that are pairs of finite numbers in or near the picture."""
    try:
        array = np.asarray(points, np.float64)
    except (ValueError, TypeError, OverflowError):
        array = np.zeros(0)
    if array.ndim != 2 or array.shape[1] != 2 or len(array) < least or not np.isfinite(array).all():
        raise InputError(f"{where}: must be at least {least} points, each an x and a y that are finite numbers")
    low, high = array.min(axis=0), array.max(axis=0)
    if (low < [-size[1], -size[0]]).any() or (high > [2 * size[1], 2 * size[0]]).any():
        raise InputError(f"{where}: lies far outside of its picture of {size[1]}x{size[0]}")
    return [(float(x), float(y)) for x, y in array]


def number(value: Any, where: str) -> float:
    """A finite number, given as a number or as its text.

    Raises:
        InputError: it is none.
    """
    try:
        if isinstance(value, bool):
            raise TypeError
        found = float(value)
    except (TypeError, ValueError, OverflowError):
        found = math.nan
    if not math.isfinite(found):
        raise InputError(f"{where}: must be a finite number, not {value!r:.40}")
    return found
