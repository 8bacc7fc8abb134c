"""What this device can do at most, measured, and what share of that a stage reaches.

The floor of a stage is the time its arithmetic takes at the rate of one large matrix product; that of a decoding step
is the time that the language model's weights take at the rate of one large copy.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
from torch.utils.flop_counter import FlopCounterMode

from common import seconds
from device import best_device


@dataclass(frozen=True)
class Floors:
    """Rates of a device: operations of a matrix product, bytes read and written by a copy, both a second."""

    flops_per_second: float
    bytes_per_second: float

    def figures(self) -> dict[str, float]:
        return {
            "TFLOP/s of a matrix product": round(self.flops_per_second / 1e12, 3),
            "GB/s of a copy": round(self.bytes_per_second / 1e9, 1),
        }

    def of_arithmetic(self, function: Callable[[], Any]) -> float:
        """Seconds that a function's matrix products, convolutions and attention take at the measured rate."""
        return flops(function) / self.flops_per_second

    def of_reading(self, num_bytes: int) -> float:
        """Seconds in which so many bytes are read."""
        return num_bytes / self.bytes_per_second


# For what needs no floor.
NOT_MEASURED = Floors(float("nan"), float("nan"))


def stage(taken: float, floor: float) -> dict[str, float]:
    """Figures of a stage that took so many seconds."""
    return {"ms": _short(1e3 * taken), "floor ms": _short(1e3 * floor), "floor / time": _short(floor / taken)}


def measured_floors(dtype: torch.dtype = torch.float32) -> Floors:
    """The rates of this device, for matrices of this type."""
    small = best_device().type == "cpu"
    return Floors(
        matrix_flops_per_second(dtype, size=2048 if small else 8192),
        copied_bytes_per_second(megabytes=256 if small else 4096),
    )


def flops(function: Callable[[], Any]) -> int:
    """Floating-point operations of the matrix products, convolutions and attention in one run."""
    # Inside compiled code they would not be seen.
    with torch.compiler.set_stance("force_eager"), FlopCounterMode(display=False) as counter:
        function()
    return counter.get_total_flops()


def matrix_flops_per_second(dtype: torch.dtype = torch.float32, size: int = 2048) -> float:
    """What this device reaches on one large matrix product, the best of several."""
    a, b = (torch.randn(size, size, device=best_device()).to(dtype) for _ in range(2))
    return 2 * size**3 / min(seconds(lambda: a @ b) for _ in range(12))


def copied_bytes_per_second(megabytes: int) -> float:
    """What this device reads and writes in one large copy, the best of several."""
    source = torch.ones(megabytes * 2**20, dtype=torch.uint8, device=best_device())
    target = torch.ones_like(source)
    return 2 * source.numel() / min(seconds(lambda: target.copy_(source)) for _ in range(8))


def _short(value: float) -> float:
    """Four digits are more than a figure is worth."""
    return float(f"{value:.4g}")
