"""Logits of masks in files of numpy, which others may have written."""

from pathlib import Path

import numpy as np

from ..errors import MediaError
from .described import described

# All that numpy raises of a file that is no array, or whose header lies.
_DAMAGED = (OSError, ValueError, EOFError, TypeError, ArithmeticError, MemoryError, RecursionError, SyntaxError)


def read_logits(path: Path, shape: tuple[int, ...] | None = None) -> np.ndarray:
    """Float `[T, H, W]`, left in the file.

    Args:
        path: The file.
        shape: What it must have; None for any.

    Raises:
        MediaError: It is no such array, or holds NaN.
    """
    if not path.is_file():  # a pipe would be waited for
        raise MediaError(f"{path}: is no file that can be read")
    try:
        with np.errstate(over="ignore"):  # of sizes in a header that lies
            values = np.load(path, mmap_mode="r", allow_pickle=False)
    except _DAMAGED as error:
        raise MediaError(f"{path}: cannot be read as an array: {error}") from error
    good = isinstance(values, np.ndarray) and values.dtype.kind == "f" and values.ndim == 3
    if not good or (shape is not None and values.shape != shape):
        wanted = "[T, H, W]" if shape is None else f"{list(shape)}, [T, H, W] of the video"
        raise MediaError(f"{path}: must be float {wanted}, not {described(values)}")
    for number, frame in enumerate(values):
        if np.isnan(frame).any():
            raise MediaError(f"{path}: frame {number} holds NaN")
    return values
