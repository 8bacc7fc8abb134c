"""How a model is trained so that it fits: LoRA or QLoRA, its precision, its batch; estimated, nothing is loaded."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ResourceError
from ..loading.memory_estimate import estimate_memory, meta_model
from ..loading.models import quantization_config
from ..training.fine_tuning import trainable_modules

# Of what is free, how much training may take.
_SHARE = 0.85
# Bytes that Adam and the gradient keep for a trained weight in float32, beside the weight itself.
_TRAINED_BYTES = 16
# Largest stage of an answer to what training holds of a sample, activations kept for the backward pass. With
# checkpointing they are computed again.
_ACTIVATIONS, _CHECKPOINTED = 6.0, 2.0
_LARGEST_BATCH = 4


@dataclass(frozen=True)
class Plan:
    """How training fits.

    Attributes:
        quantization: `"none"` (LoRA) or `"nf4"` (QLoRA).
        dtype: Of the frozen weights.
        checkpointing: Whether activations are computed again in the backward pass.
        batch_size: Samples that are seen at once.
        accumulate: Batches of a step.
        needed, free: Bytes, estimated and found.
    """

    quantization: str
    dtype: torch.dtype
    checkpointing: bool
    batch_size: int
    accumulate: int
    needed: int
    free: int

    def __str__(self) -> str:
        how = "QLoRA (4 bits)" if self.quantization == "nf4" else "LoRA"
        dtype = str(self.dtype).removeprefix("torch.")
        again = ", activations computed again" if self.checkpointing else ""
        return (
            f"{how} in {dtype}{again}, {self.batch_size} x {self.accumulate} samples a step: about "
            f"{self.needed / 2**30:.1f} of {self.free / 2**30:.1f} GiB"
        )


def fit(config: Any, device: torch.device, free: int, recipe: str, quantization: str = "auto") -> Plan:
    """The best way to train that fits into memory, the roomiest first.

    Args:
        config: The model's.
        device: What trains.
        free: Bytes that are free on it.
        recipe: What trains, see [`trainable_modules`].
        quantization: `"none"`, `"nf4"`, or `"auto"` for whatever fits.

    Raises:
        ResourceError: Nothing fits.
    """
    precise = torch.float32 if device.type == "cpu" else torch.bfloat16
    # The same however the others are stored.
    trained = _TRAINED_BYTES * _trained(meta_model(config, precise), recipe)
    smallest = None
    for dtype, quantized, checkpointing in (
        (precise, "none", False),
        (torch.bfloat16, "none", False),
        (torch.bfloat16, "none", True),
        (torch.bfloat16, "nf4", True),
    ):
        if quantization not in ("auto", quantized):
            continue
        weights, sample = _needs(config, dtype, quantized, checkpointing)
        weights += trained
        smallest = weights + sample if smallest is None else min(smallest, weights + sample)
        for batch in range(_LARGEST_BATCH, 0, -1):
            if weights + batch * sample <= _SHARE * free:
                accumulate = max(1, _LARGEST_BATCH // batch)
                return Plan(quantized, dtype, checkpointing, batch, accumulate, weights + batch * sample, free)
    raise ResourceError(
        f"Training takes about {smallest / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} GiB free. Use a device "
        "with more memory" + (", or --quantization nf4." if quantization == "none" else ".")
    )


def _needs(config: Any, dtype: torch.dtype, quantized: str, checkpointing: bool) -> tuple[int, int]:
    """Bytes of weights, and of one sample's activations."""
    estimate = estimate_memory(config, dtype, quantization_config(quantized), frames=5, objects=2, tokens=64)
    weights = sum(estimate.weights.values()) + estimate.workspace
    return weights, int(max(estimate.stages.values()) * (_CHECKPOINTED if checkpointing else _ACTIVATIONS))


def _trained(model: nn.Module, recipe: str) -> int:
    """How many weights train in full; LoRA's own are few beside them."""
    trainable_modules(model, recipe)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
