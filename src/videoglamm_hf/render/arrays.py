"""Frames and masks to draw: what they must look like; in another size."""

import numpy as np
from PIL import Image

from ..errors import InputError


def check_frame(frame: np.ndarray) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        raise InputError(f"a frame must be a uint8 array, not {getattr(frame, 'dtype', type(frame).__name__)}")
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError(f"a frame must have shape [H, W, 3], not {list(frame.shape)}")


def check_masks(masks: np.ndarray, expected: tuple[int | str, ...]) -> None:
    """Raise InputError unless masks are bool of this shape; letters stand for any length."""
    if not isinstance(masks, np.ndarray) or masks.dtype != np.bool_:
        raise InputError(f"masks must be a bool array, not {getattr(masks, 'dtype', type(masks).__name__)}")
    fits = masks.ndim == len(expected) and all(
        isinstance(side, str) or side == found for side, found in zip(expected, masks.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(map(str, expected))
        raise InputError(f"masks have shape {list(masks.shape)}; expected [{wanted}] to fit frames and labels")


def resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame [H, W, 3] in another (width, height)."""
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def resized_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks [N, H, W] in another (width, height), smooth; what is there does not vanish."""
    if masks.shape[1:] == (size[1], size[0]):
        return masks
    resized = np.zeros((len(masks), size[1], size[0]), bool)
    for before, after in zip(masks, resized, strict=True):
        share = np.asarray(Image.fromarray(before.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        after[...] = share >= min(0.5, share.max())
        after &= share > 0
    return resized
