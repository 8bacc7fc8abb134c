"""Numbers that are none (NaN or infinite): said so and named, for an answer made of them looks like any other."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from transformers import LogitsProcessor

from .errors import CheckpointError, InputError, VideoGlammError


class NotFiniteError(InputError):
    """Something computed holds NaN or infinite numbers; where they come from is not known yet."""


class FiniteStart(LogitsProcessor):
    """Looks at the logits of the first step, before any other processor, and lets them through as they are.

    Whatever is wrong with weights or prompt shows there; once, for looking waits for the device.

    Raises:
        NotFiniteError: If one of them is NaN or infinite.
    """

    def __init__(self) -> None:
        self._seen = False

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        if not self._seen:
            self._seen = True
            # Of a draft's words, some may have been ruled out before.
            nothing = torch.isneginf(scores).all(dim=-1).any()
            if torch.isnan(scores).any() or torch.isposinf(scores).any() or nothing:
                raise NotFiniteError("Some of the logits of the first word are NaN or infinite.")
        return scores


def check_finite(tensor: torch.Tensor, what: str) -> None:
    """Raises `NotFiniteError` if a tensor holds NaN or infinite numbers; `what` names it in the message."""
    if not is_finite(tensor):
        raise NotFiniteError(f"Some of {what} are NaN or infinite.")


def is_finite(tensor: torch.Tensor) -> bool:
    return not tensor.is_floating_point() or tensor.is_meta or bool(torch.isfinite(tensor).all())


@contextmanager
def explained_by(inputs: Mapping[str, Any], model: nn.Module) -> Iterator[None]:
    """Names the first input, else the first weight, that is not finite, when something computed is not.

    Args:
        inputs: Everything the model was given; tensors, also in lists.
        model: Whose weights are looked through, in order.

    Raises:
        InputError: For an input, or numbers that grew too large on the way.
        CheckpointError: For a weight.
    """
    try:
        yield
    except NotFiniteError as error:
        raise _explained(error, inputs, model) from error


def _explained(error: NotFiniteError, inputs: Mapping[str, Any], model: nn.Module) -> VideoGlammError:
    name = _first_not_finite(_tensors(inputs))
    if name is not None:
        return InputError(f"{error} The input {name} holds NaN or infinite numbers; look at where it was made.")
    name = _first_not_finite((*model.named_parameters(), *model.named_buffers()))
    if name is not None:
        return CheckpointError(
            f"{error} The weight {name} holds NaN or infinite numbers; load or convert the checkpoint again, or take "
            "an earlier one of the training that made it."
        )
    dtype = getattr(model, "dtype", "their type")
    return InputError(
        f"{error} Inputs and weights are finite, so numbers grew too large for {dtype} on the way; load the model "
        "with dtype=torch.bfloat16 or torch.float32."
    )


def _first_not_finite(named: Iterable[tuple[str, torch.Tensor]]) -> str | None:
    return next((name for name, tensor in named if not is_finite(tensor)), None)


def _tensors(inputs: Mapping[str, Any]) -> Iterator[tuple[str, torch.Tensor]]:
    for name, value in inputs.items():
        if torch.is_tensor(value):
            yield name, value
        elif isinstance(value, (list, tuple)):
            yield from ((f"{name}[{i}]", one) for i, one in enumerate(value) if torch.is_tensor(one))
