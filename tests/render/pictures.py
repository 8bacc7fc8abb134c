"""Frames and masks to draw."""

import itertools

import numpy as np


def ramp(height: int, width: int) -> np.ndarray:
    y, x = np.mgrid[:height, :width]
    return np.stack([x * 255 // width, y * 255 // height, (x + y) % 256], -1).astype(np.uint8)


def disks(count: int, frames: int, height: int, width: int) -> np.ndarray:
    """bool [N, T, H, W]: disks that walk to the right."""
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((count, frames, height, width), bool)
    for n, t in itertools.product(range(count), range(frames)):
        center = (height * (n + 1) / (count + 1), width * (t + 1) / (frames + 1))
        masks[n, t] = np.hypot(y - center[0], x - center[1]) < min(height, width) / 5
    return masks
