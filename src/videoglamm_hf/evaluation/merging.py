"""Answers about several objects of one video, made into one map of labels."""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .described import described

BACKGROUND = np.float32(0.1)
LEAST = np.float32(0.5)


def merge_expressions(logits: Sequence[np.ndarray]) -> np.ndarray:
    """What VideoGLaMM's Ref-DAVIS script makes of one annotator's expressions: every pixel is of at most one object.

    Logits below 0.5 (not 0) become 0, the background has 0.1, the largest wins, and of equal ones the first. Numbers
    are compared in single precision, as there.

    Args:
        logits: float `[T, H, W]` of every expression, in the order of the objects. They are looked at frame by frame,
            so that arrays in files (`numpy.memmap`) need no memory.

    Returns:
        uint8 `[T, H, W]`: 0 background, n the n-th expression's object.

    Raises:
        InputError: there is none, there are more than 255, or one is not float `[T, H, W]` of the first one's shape,
            or holds NaN.
    """
    if not 0 < len(logits) < 256:
        raise InputError(f"give the logits of 1 to 255 expressions, not of {len(logits)}")
    for number, values in enumerate(logits):
        if not isinstance(values, np.ndarray) or values.ndim != 3 or values.dtype.kind != "f":
            raise InputError(f"logits[{number}] must be a float array [T, H, W], not {described(values)}")
        if values.shape != logits[0].shape:
            raise InputError(f"logits[{number}] is {list(values.shape)}, but logits[0] is {list(logits[0].shape)}")
    labels = np.zeros(logits[0].shape, np.uint8)
    for frame, label in enumerate(labels):
        largest = np.full(label.shape, BACKGROUND)
        for number, all_values in enumerate(logits, start=1):
            with np.errstate(over="ignore"):  # what is too large is infinite
                values = all_values[frame].astype(np.float32)
            if np.isnan(values).any():
                raise InputError(f"logits[{number - 1}][{frame}] holds NaN")
            won = (values >= LEAST) & (values > largest)
            label[won] = number
            largest[won] = values[won]
    return labels
