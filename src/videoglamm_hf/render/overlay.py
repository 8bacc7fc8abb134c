"""Masks over a frame."""

from collections.abc import Sequence

import numpy as np
from scipy.ndimage import binary_erosion

from ..errors import InputError
from .arrays import check_frame, check_masks
from .colors import Color, object_colors


def overlay_masks(
    frame: np.ndarray,
    masks: np.ndarray,
    *,
    colors: Sequence[Color] | None = None,
    alpha: float = 0.5,
) -> np.ndarray:
    """Tint the masks over a frame and draw their contours (inside the masks). Later objects lie on top.

    Args:
        frame: uint8 [H, W, 3].
        masks: bool [N, H, W].
        colors: N colours (r, g, b); `object_colors(N)` if None.
        alpha: strength of the tint, 0 (only contours) to 1 (opaque).

    Returns:
        uint8 [H, W, 3], a new array, equal to `frame` outside the masks.

    Raises:
        InputError: shapes, types, number of colours or alpha do not fit.
    """
    check_frame(frame)
    check_masks(masks, ("N", *frame.shape[:2]))
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be from 0 to 1, not {alpha}")
    colors = object_colors(len(masks)) if colors is None else colors
    if len(colors) != len(masks):
        raise InputError(f"there are {len(colors)} colours for {len(masks)} objects")
    table = np.array(colors, np.float32).reshape(-1, 3)

    tints = np.zeros(frame.shape[:2], np.int32)  # 1 + the number of the topmost object, 0 where there is none
    contours = np.zeros(frame.shape[:2], bool)
    thickness = max(1, round(min(frame.shape[:2]) / 180))
    for number, mask in enumerate(masks, start=1):
        box = _box(mask, thickness + 1)
        if box is not None:
            part = mask[box]
            tints[box][part] = number
            contours[box][part] = ~_eroded(part, thickness)[part]

    result = frame.copy()
    weight = np.where(contours, np.float32(1), np.float32(alpha))
    covered = tints > 0
    if covered.any():
        share = weight[covered][:, None]
        mixed = frame[covered] * (1 - share) + table[tints[covered] - 1] * share
        result[covered] = np.rint(mixed)
    return result


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """The part of a mask [H, W] that holds all its pixels and `margin` more on each side; None if empty."""
    sides = []
    for axis in (1, 0):
        hits = np.flatnonzero(mask.any(axis=axis))
        if not hits.size:
            return None
        sides.append(slice(max(0, int(hits[0]) - margin), int(hits[-1]) + margin + 1))
    return sides[0], sides[1]


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """The pixels of a mask [H, W] at least `steps` away from its edge; the edge of the frame is none."""
    if steps > 1:  # squares and crosses together come close to a disc
        mask = binary_erosion(mask, np.ones((3, 3)), steps // 2, border_value=1)
    return binary_erosion(mask, iterations=(steps + 1) // 2, border_value=1)
