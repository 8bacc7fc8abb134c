"""What is given to track objects through, checked before anything is computed from it."""

import operator
from collections.abc import Sequence
from typing import Any

import torch

from .errors import InputError

_AS_MADE = "pass what the processor returned (return_tensors='pt')"


def check_counts(**given: Sequence[Any]) -> None:
    """Raises InputError unless there are as many of all of these, one per sample."""
    counts = {name: len(own) for name, own in given.items()}
    if len(set(counts.values())) > 1:
        found = ", ".join(f"{count} {name}" for name, count in counts.items())
        raise InputError(f"There are {found}; give one of each per sample.")


def check_prompts(prompts: Any, width: int, where: str) -> None:
    """Raises InputError unless these are prompt embeddings `[N, width]` or masks `[N, H, W]`."""
    shape = tuple(getattr(prompts, "shape", ()))
    if not torch.is_tensor(prompts) or len(shape) not in (2, 3) or (len(shape) == 2 and shape[1] != width):
        found = f"a tensor {list(shape)}" if torch.is_tensor(prompts) else f"of type {type(prompts).__name__}"
        raise InputError(
            f"{where} are {found}; give embeddings [objects, {width}], or masks [objects, height, width] of the "
            "prompted frame."
        )


def check_frames(frames: Any, side: int, where: str) -> None:
    """Raises InputError unless these are frames as the pixel decoder takes them, as far as can be told unread.

    Args:
        frames: uint8 frames `[T, 3, h, w]`, features of frames, or frames that are decoded on demand.
        side: Longest side of the frames, in pixels.
        where: What they are called, as in `"grounding_frames of sample 0"`.
    """
    if hasattr(frames, "embedding"):
        return
    if torch.is_tensor(frames):
        shape = tuple(frames.shape)
        if frames.dtype != torch.uint8 or len(shape) != 4 or shape[1] != 3:
            kind = str(frames.dtype).removeprefix("torch.")
            raise InputError(f"{where} are {kind} {list(shape)}, not uint8 [frames, 3, height, width]; {_AS_MADE}.")
        _check_side(max(shape[2:]), side, where)
    elif hasattr(frames, "__array__") or isinstance(frames, (list, tuple)):
        raise InputError(f"{where} are of type {type(frames).__name__}, not a tensor; {_AS_MADE}.")
    elif hasattr(frames, "clip"):
        _check_side(frames.size, side, where)


def _check_side(found: int, side: int, where: str) -> None:
    if found != side:
        raise InputError(
            f"{where} are {found} pixels on their longest side, where this model's pixel decoder takes {side}; "
            "make them with this model's own processor."
        )


def mask_size(size: Any, where: str) -> tuple[int, int]:
    """`(height, width)` of the masks of a sample.

    Raises:
        InputError: If these are not two whole numbers from 1.
    """
    try:
        height, width = (operator.index(side) for side in size)
    except (TypeError, ValueError):
        height = width = 0
    if min(height, width) < 1:
        raise InputError(f"{where} is {_plain(size)}; it is the (height, width) its masks are wanted at, each from 1.")
    return height, width


def _plain(size: Any) -> Any:
    return size.tolist() if hasattr(size, "tolist") else size
