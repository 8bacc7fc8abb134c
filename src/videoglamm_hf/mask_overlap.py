"""Intersection over union of masks."""

from typing import TypeVar

import numpy as np
import torch

Masks = TypeVar("Masks", np.ndarray, torch.Tensor)


def mask_iou(a: Masks, b: Masks, *, empty: int = 0) -> Masks:
    """IoU over the last two axes.

    Args:
        a, b: bool `[..., H, W]`, of shapes that broadcast.
        empty: The IoU of two masks without pixels.

    Returns:
        float `[...]`: float64 of arrays, float32 of tensors.
    """
    union = (a | b).sum((-2, -1))
    nothing = union == 0
    return ((a & b).sum((-2, -1)) + empty * nothing) / (union + nothing)
