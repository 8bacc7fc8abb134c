"""Boolean masks at one bit a pixel, for videos whose masks would not fit otherwise."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import torch


class PackedMasks:
    """Masks `[N, T, H, W]` packed to an eighth of their size as booleans; index or iterate to get them back.

    Args:
        bits: uint8 `[N, T, ceil(H * W / 8)]`, `numpy.packbits` of every mask.
        size: `(H, W)`.
    """

    def __init__(self, bits: np.ndarray, size: tuple[int, int]) -> None:
        self.bits, self.size = bits, (int(size[0]), int(size[1]))

    @classmethod
    def zeros(cls, shape: tuple[int, int, int, int]) -> "PackedMasks":
        """Empty masks of shape `(N, T, H, W)`."""
        num_objects, num_frames, height, width = shape
        return cls(np.zeros((num_objects, num_frames, -(-height * width // 8)), dtype=np.uint8), (height, width))

    @property
    def shape(self) -> tuple[int, int, int, int]:
        return (*self.bits.shape[:2], *self.size)

    @property
    def nbytes(self) -> int:
        return self.bits.nbytes

    def __repr__(self) -> str:
        return f"PackedMasks{list(self.shape)}"

    def __len__(self) -> int:
        return len(self.bits)

    def __getitem__(self, index: Any) -> torch.Tensor:
        """Masks of some objects and frames, unpacked: the index goes to the first two axes.

        >>> PackedMasks.zeros((2, 5, 4, 6))[:, 3].shape
        torch.Size([2, 4, 6])
        """
        bits = self.bits[index]
        height, width = self.size
        unpacked = np.unpackbits(bits, axis=-1, count=height * width).astype(bool)
        return torch.from_numpy(unpacked.reshape(*bits.shape[:-1], height, width))

    def __setitem__(self, index: Any, masks: torch.Tensor) -> None:
        flat = masks.cpu().numpy().reshape(*masks.shape[:-2], -1)
        self.bits[index] = np.packbits(flat, axis=-1)

    def __iter__(self) -> Iterator[torch.Tensor]:
        """The objects' masks, `[T, H, W]` each."""
        return (self[index] for index in range(len(self)))

    def of_objects(self, numbers: Sequence[int]) -> "PackedMasks":
        """The masks of some objects, still packed."""
        return PackedMasks(self.bits[list(numbers)], self.size)

    def unpack(self) -> torch.Tensor:
        """All masks, bool `[N, T, H, W]`."""
        return self[:]
