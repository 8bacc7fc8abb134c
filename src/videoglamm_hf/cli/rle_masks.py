"""Masks of every frame of a video, kept as they are written: hours of them take little memory."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..data.rle import decode_rle, encode_rle


class RleMasks:
    """Masks `[N, T, H, W]` as COCO-RLE; `masks[:, t]` is a bool array `[N, H, W]` of one frame.

    Args:
        shape: `(N, T, H, W)`.

    Attributes:
        rles: Per object and frame, `{"size": [H, W], "counts": str}`.
    """

    def __init__(self, shape: tuple[int, int, int, int]) -> None:
        self.shape = shape
        nothing = encode_rle(np.zeros(shape[2:], bool))
        self.rles: list[list[dict[str, Any]]] = [[nothing] * shape[1] for _ in range(shape[0])]

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, index: tuple[slice, int]) -> np.ndarray:
        objects, t = index
        frames = [decode_rle(own[t]) for own in self.rles[objects]]
        return np.stack(frames) if frames else np.zeros((0, *self.shape[2:]), bool)

    def __setitem__(self, index: tuple[slice, int], masks: np.ndarray) -> None:
        objects, t = index
        for own, mask in zip(self.rles[objects], masks, strict=True):
            own[t] = encode_rle(mask)

    def of_objects(self, numbers: Sequence[int]) -> "RleMasks":
        """The masks of some objects."""
        kept = RleMasks((len(numbers), *self.shape[1:]))
        kept.rles = [self.rles[number] for number in numbers]
        return kept
