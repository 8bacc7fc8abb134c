"""Random draws that are the same on every machine and with every version of numpy."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

T = TypeVar("T")


class Stream:
    """A stream of draws, determined by its key alone.

    numpy promises to keep the streams of SeedSequence and of PCG64's raw output; it promises nothing of the
    distributions of Generator. So everything here is made of raw output and exact arithmetic.

    Args:
        key: Whole numbers from 0 to 2**32 - 1; keys of one length are never the same stream.
    """

    def __init__(self, *key: int) -> None:
        self._bits = np.random.PCG64(np.random.SeedSequence(key))

    def unit(self) -> float:
        """A number in [0, 1)."""
        return (int(self._bits.random_raw()) >> 11) * 2.0**-53

    def uniform(self, low: float, high: float) -> float:
        return low + (high - low) * self.unit()

    def integer(self, low: int, high: int) -> int:
        """A whole number from low to high, both included."""
        return low + int(self.unit() * (high - low + 1))

    def chance(self, rate: float) -> bool:
        return self.unit() < rate

    def choice(self, values: Sequence[T]) -> T:
        return values[self.integer(0, len(values) - 1)]

    def weighted(self, weights: Sequence[tuple[T, float]]) -> T:
        """One of the values of `(value, weight)` pairs, the sum of whose weights is above 0."""
        rest = self.unit() * sum(weight for _, weight in weights)
        for value, weight in weights:
            if rest < weight:
                return value
            rest -= weight
        # Rounding may leave a trace; a value of weight 0 must still not be drawn.
        return [value for value, weight in weights if weight > 0][-1]

    def shuffled(self, values: Sequence[T]) -> list[T]:
        values = list(values)
        for i in range(len(values) - 1, 0, -1):
            j = self.integer(0, i)
            values[i], values[j] = values[j], values[i]
        return values

    def units(self, *shape: int) -> np.ndarray:
        """Numbers in [0, 1), float64 `[*shape]`."""
        raw = self._bits.random_raw(int(np.prod(shape)))
        return ((raw >> np.uint64(11)) * 2.0**-53).reshape(shape)

    def bytes(self, count: int) -> np.ndarray:
        """uint8 `[count]`."""
        return self._bits.random_raw(-(-count // 8)).astype("<u8", copy=False).view(np.uint8)[:count]
