"""How a model is trained so that it fits: LoRA or QLoRA, precision, batch, frames; estimated, nothing is loaded."""

import functools
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ResourceError
from ..loading.memory_estimate import estimate_memory, meta_model
from ..loading.models import quantization_config
from ..mask_training import mask_losses
from ..training.fine_tuning import trainable_modules

# Of what is free, how much training may take.
_SHARE = 0.85
# Bytes that Adam and the gradient keep for a trained weight in float32, beside the weight itself.
_TRAINED_BYTES = 16
# Largest stage of an answer to what training holds of a sample, activations kept for the backward pass. With
# checkpointing they are computed again.
_ACTIVATIONS, _CHECKPOINTED = 6.0, 2.0
_LARGEST_BATCH = 4
# Most frames of a sample whose masks are learned at once, as in the paper; and objects in each.
_FRAMES, _OBJECTS = 5, 2


@dataclass(frozen=True)
class Plan:
    """How training fits.

    Attributes:
        quantization: `"none"` (LoRA) or `"nf4"` (QLoRA).
        dtype: Of the frozen weights.
        checkpointing: Whether activations are computed again in the backward pass.
        batch_size: Samples that are seen at once.
        accumulate: Batches of a step.
        frames: Most frames of a sample whose masks are learned at once; at least one is, and which is drawn anew.
        needed, free: Bytes, estimated and found.
    """

    quantization: str
    dtype: torch.dtype
    checkpointing: bool
    batch_size: int
    accumulate: int
    frames: int
    needed: int
    free: int

    def __str__(self) -> str:
        how = "QLoRA (4 bits)" if self.quantization == "nf4" else "LoRA"
        dtype = str(self.dtype).removeprefix("torch.")
        again = ", activations computed again" if self.checkpointing else ""
        return (
            f"{how} in {dtype}{again}, {self.batch_size} x {self.accumulate} samples a step, masks of "
            f"{'1 frame' if self.frames == 1 else f'1 to {self.frames} frames'} of each: about "
            f"{self.needed / 2**30:.1f} of {self.free / 2**30:.1f} GiB"
        )


def fit(
    config: Any,
    device: torch.device,
    free: int,
    recipe: str,
    quantization: str = "auto",
    frames: int | None = None,
) -> Plan:
    """The best way to train that fits into memory, the roomiest first: most frames, then precision, then batch.

    Args:
        config: The model's.
        device: What trains.
        free: Bytes that are free on it.
        recipe: What trains, see [`trainable_modules`].
        quantization: `"none"`, `"nf4"`, or `"auto"` for whatever fits.
        frames: Most frames of a sample whose masks are learned at once; None for what fits, 5 at most.

    Raises:
        ResourceError: Nothing fits.
    """
    precise = torch.float32 if device.type == "cpu" else torch.bfloat16
    ways = (
        (precise, "none", False),
        (torch.bfloat16, "none", False),
        (torch.bfloat16, "none", True),
        (torch.bfloat16, "nf4", True),
    )
    models = {dtype: meta_model(config, dtype) for dtype in {precise, torch.bfloat16}}
    # The same however the others are stored.
    trained = _TRAINED_BYTES * _trained(models[precise], recipe)
    needs = functools.cache(functools.partial(_needs, config))
    smallest = None
    for number in range(_FRAMES, 0, -1) if frames is None else (frames,):
        masks = {dtype: _mask_bytes(model, recipe, number) for dtype, model in models.items()}
        for dtype, quantized, checkpointing in ways:
            if quantization not in ("auto", quantized):
                continue
            weights, sample = needs(dtype, quantized, checkpointing)
            weights, sample = weights + trained, sample + masks[dtype]
            smallest = weights + sample if smallest is None else min(smallest, weights + sample)
            for batch in range(_LARGEST_BATCH, 0, -1):
                needed = weights + batch * sample
                if needed <= _SHARE * free:
                    accumulate = max(1, _LARGEST_BATCH // batch)
                    return Plan(quantized, dtype, checkpointing, batch, accumulate, number, needed, free)
    less = [
        *(["--quantization nf4"] if quantization == "none" else []),
        *(["fewer --frames"] if frames is not None and frames > 1 else []),
    ]
    raise ResourceError(
        f"Training takes about {smallest / 2**30:.1f} GiB, and {device} has {free / 2**30:.1f} GiB free. Use a device "
        "with more memory" + (f", or {' and '.join(less)}." if less else ".")
    )


def _needs(config: Any, dtype: torch.dtype, quantized: str, checkpointing: bool) -> tuple[int, int]:
    """Bytes of weights, and of one sample's activations but those of the mask losses."""
    estimate = estimate_memory(config, dtype, quantization_config(quantized), frames=1, objects=_OBJECTS, tokens=64)
    weights = sum(estimate.weights.values()) + estimate.workspace
    return weights, int(max(estimate.stages.values()) * (_CHECKPOINTED if checkpointing else _ACTIVATIONS))


def _mask_bytes(model: nn.Module, recipe: str, frames: int) -> int:
    """Bytes that the mask losses of one sample keep for the backward pass, counted on a model without data."""
    trainable_modules(model, recipe)
    config, decoder = model.config, model.pixel_decoder
    known = {tensor.untyped_storage()._cdata for tensor in (*decoder.parameters(), *decoder.buffers())}
    kept: dict[int, torch.Tensor] = {}

    def count(tensor: torch.Tensor) -> torch.Tensor:
        # Kept alive, so that no other gets its place.
        if tensor.untyped_storage()._cdata not in known:
            kept[tensor.untyped_storage()._cdata] = tensor
        return tensor

    side, width = decoder.image_size, model.seg_projection.linear_2.out_features
    prompts = torch.empty(_OBJECTS, width, dtype=model.dtype, device="meta", requires_grad=True)
    pictures = torch.empty(frames, 3, side, side, dtype=torch.uint8, device="meta")
    truth = torch.empty(_OBJECTS, frames, side, side, dtype=torch.int8, device="meta")
    with torch.autograd.graph.saved_tensors_hooks(count, lambda tensor: tensor):
        mask_losses(
            decoder,
            [prompts],
            [pictures],
            [truth],
            mode=config.mask_training_mode,
            frames_per_batch=config.grounding_batch_size,
            padding_slots=config.mask_padding_slots,
            gradient_frames=config.memory_gradient_frames,
        )
    return sum(tensor.untyped_storage().nbytes() for tensor in kept.values())


def _trained(model: nn.Module, recipe: str) -> int:
    """How many weights train in full; LoRA's own are few beside them."""
    trainable_modules(model, recipe)
    return sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
