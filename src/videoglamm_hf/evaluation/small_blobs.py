"""Specks in masks."""

import numpy as np
from scipy.ndimage import generate_binary_structure, label

LEAST_BLOB = 20  # pixels, in VideoGLaMM's scripts


def without_small_blobs(masks: np.ndarray, least: int = LEAST_BLOB) -> np.ndarray:
    """Masks without the blobs that are too small; pixels belong together if they share an edge within a frame.

    Args:
        masks: bool `[T, H, W]`.
        least: pixels of the smallest blob that stays.

    Returns:
        bool `[T, H, W]`, a new array.
    """
    joined = generate_binary_structure(3, 1)
    joined[[0, 2]] = False
    blobs, _ = label(masks, joined)
    stays = np.bincount(blobs.ravel()) >= least
    stays[:1] = False  # the background
    return stays[blobs] if masks.size else masks.copy()
