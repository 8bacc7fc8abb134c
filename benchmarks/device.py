"""The device that is measured, and what it is called."""

import os
import platform
from collections.abc import Callable
from typing import Any

import torch


def best_device() -> torch.device:
    return torch.accelerator.current_accelerator() if torch.accelerator.is_available() else torch.device("cpu")


def synchronize() -> None:
    if torch.accelerator.is_available():
        torch.accelerator.synchronize()


def device_peak_bytes(function: Callable[[], Any]) -> tuple[Any, int | None]:
    """What a function returns, and the most bytes that tensors took on the accelerator; None without one."""
    if best_device().type != "cuda":
        return function(), None
    torch.cuda.reset_peak_memory_stats()
    result = function()
    synchronize()
    return result, torch.cuda.max_memory_allocated()


def device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {platform.machine()}, {torch.get_num_threads()} threads of {os.cpu_count()} cores"
