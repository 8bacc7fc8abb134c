"""Where weights are when accelerate's hooks keep them elsewhere until a module runs (`device_map`, offloading)."""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import nn


def computing_device(module: nn.Module) -> torch.device | None:
    """The device an offloaded module computes on; None if nothing moves its weights."""
    for hook in _hooks(module):
        device = getattr(hook, "execution_device", None)
        if device is not None:
            return torch.device(device)
    return None


def several_processes() -> bool:
    """Whether this is one of several processes that compute together."""
    return dist.is_available() and dist.is_initialized() and dist.get_world_size() > 1


def stored_parameter(module: nn.Module, name: str) -> torch.Tensor:
    """A parameter of the module itself, read from where it is kept if it is offloaded."""
    parameter = getattr(module, name)
    if parameter.is_meta:
        for hook in _hooks(module):
            weights = getattr(hook, "weights_map", None)
            if weights is not None:
                return weights[name]
    return parameter


@contextmanager
def weights_in_place(modules: Iterable[nn.Module]) -> Iterator[None]:
    """Brings the weights of modules that are read, not called, to where they are computed with."""
    hooked = [(module, module._hf_hook) for module in modules if hasattr(module, "_hf_hook")]
    for module, hook in hooked:
        hook.pre_forward(module)
    try:
        yield
    finally:
        for module, hook in hooked:
            hook.post_forward(module, None)


def _hooks(module: nn.Module) -> list[Any]:
    hook = getattr(module, "_hf_hook", None)
    return list(getattr(hook, "hooks", [hook]))
