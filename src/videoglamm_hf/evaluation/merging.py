"""Answers about several objects of one video, made into one map of labels."""

from collections.abc import Iterable

import numpy as np

from ..errors import InputError

BACKGROUND = np.float32(0.1)
LEAST = np.float32(0.5)


def merge_expressions(logits: Iterable[np.ndarray]) -> np.ndarray:
    """What VideoGLaMM's Ref-DAVIS script makes of one annotator's expressions: every pixel is of at most one object.

    Logits below 0.5 (not 0) become 0, the background has 0.1, the largest wins, and of equal ones the first. Numbers
    are compared in single precision, as there.

    Args:
        logits: float `[T, H, W]` of every expression, in the order of the objects; they are asked for one by one.

    Returns:
        uint8 `[T, H, W]`: 0 background, n the n-th expression's object.

    Raises:
        InputError: there is none, there are more than 255, or one is not float `[T, H, W]` of the first one's shape,
            or holds NaN.
    """
    labels = largest = None
    for number, given in enumerate(logits, start=1):
        given = np.asarray(given)
        if given.ndim != 3 or given.dtype.kind != "f":
            raise InputError(f"logits[{number - 1}] must be float [T, H, W], not {given.dtype} {list(given.shape)}")
        if labels is None:
            labels = np.zeros(given.shape, np.uint8)
            largest = np.full(given.shape, BACKGROUND)
        if given.shape != labels.shape:
            raise InputError(f"logits[{number - 1}] is {list(given.shape)}, but logits[0] is {list(labels.shape)}")
        if number > 255:
            raise InputError("a map of labels has room for 255 objects")
        for frame, values in enumerate(given):
            values = values.astype(np.float32)
            if np.isnan(values).any():
                raise InputError(f"logits[{number - 1}][{frame}] holds NaN")
            won = (values >= LEAST) & (values > largest[frame])
            labels[frame][won] = number
            largest[frame][won] = values[won]
    if labels is None:
        raise InputError("there are no logits to merge; give those of at least one expression")
    return labels
