"""Predicted masks as benchmarks take them: a PNG per frame."""

from pathlib import Path

import numpy as np

from ..data.annotations import read_mask_picture, read_object_ids
from ..errors import MediaError

MOST_LABELS = 20  # objects of one video that the DAVIS toolkit takes


def read_mask(path: Path, size: tuple[int, int] | None) -> np.ndarray:
    """A mask of one frame: whatever is not black.

    Args:
        path: the file.
        size: (height, width) that it must have; None for any.

    Returns:
        bool `[H, W]`.

    Raises:
        MediaError: the file cannot be read, has more than one channel or 16 bits, or another size.
    """
    mask = read_mask_picture(path)
    _check_size(path, mask.shape, size)
    return mask


def read_labels(path: Path, size: tuple[int, int]) -> np.ndarray:
    """A map of labels of one frame, uint8 `[H, W]`: 0 background, n the n-th object.

    Raises:
        MediaError: the file cannot be read, has no palette and is not grey, has another size, or more objects than
            the DAVIS toolkit takes.
    """
    labels = read_object_ids(path)
    _check_size(path, labels.shape, size)
    if labels.size and labels.max() > MOST_LABELS:
        raise MediaError(f"{path}: has label {labels.max()}; of one video at most {MOST_LABELS} objects are scored")
    return labels


def _check_size(path: Path, found: tuple[int, int], size: tuple[int, int] | None) -> None:
    if size is not None and tuple(found) != tuple(size):
        raise MediaError(
            f"{path}: is {found[1]}x{found[0]}, but annotations and other frames are {size[1]}x{size[0]}; masks must "
            "have their size, and so must the frames that a model is asked about"
        )
