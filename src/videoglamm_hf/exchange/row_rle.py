"""CVAT's masks: lengths of runs in a box, row by row, the first of what is outside."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.rle import is_whole
from ..errors import InputError


def decode_rows(runs: Sequence[int], box: Sequence[int], size: tuple[int, int], where: str) -> np.ndarray:
    """Pixels of a mask.

    Args:
        runs: Lengths, in turn of what is outside and inside.
        box: left, top, width, height in pixels.
        size: (height, width) of the picture.
        where: What messages call it.

    Returns:
        bool [H, W].

    Raises:
        InputError: the box is not inside of the picture, or the runs do not fill it.
    """
    left, top, width, height = box
    if min(left, top) < 0 or min(width, height) < 1 or left + width > size[1] or top + height > size[0]:
        raise InputError(
            f"{where}: its box (left {left}, top {top}, {width}x{height}) is not inside of its picture of "
            f"{size[1]}x{size[0]}; check that it is of this video"
        )
    if not all(is_whole(run) and 0 <= run <= width * height for run in runs) or sum(runs) != width * height:
        raise InputError(f"{where}.rle: must be runs that fill its box of {width}x{height} pixels; export it again")
    inside = np.repeat(np.arange(len(runs)) % 2 == 1, runs).reshape(height, width)
    mask = np.zeros(size, bool)
    mask[top : top + height, left : left + width] = inside
    return mask


def encode_rows(mask: np.ndarray) -> tuple[list[int], list[int]]:
    """Runs and box (left, top, width, height) of a bool mask [H, W] that is not empty."""
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    top, left = int(rows[0]), int(columns[0])
    inside = mask[top : rows[-1] + 1, left : columns[-1] + 1]
    flat = np.concatenate([[False], inside.ravel()])
    places = np.flatnonzero(flat[1:] != flat[:-1])
    runs: Any = np.diff(np.concatenate([[0], places, [inside.size]]))
    return runs.tolist(), [left, top, inside.shape[1], inside.shape[0]]
