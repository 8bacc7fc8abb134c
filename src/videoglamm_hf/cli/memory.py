"""`videoglamm memory`: how much memory a model and an answer need, without loading the model."""

import argparse
from pathlib import Path

import torch

from ..configuration_videoglamm import VideoGlammConfig
from ..loading.memory_estimate import MemoryEstimate, estimate_memory
from ..loading.models import load_config, named_dtype, quantization_config


def run(arguments: argparse.Namespace) -> None:
    """Prints the table."""
    # A config on its own has no weights beside it that could be quantised already.
    config = VideoGlammConfig() if arguments.model is None else load_config(arguments.model, arguments.quantization)
    dtype = named_dtype(arguments.dtype, config, torch.bfloat16)
    estimate = estimate_memory(
        config,
        dtype,
        quantization_config(arguments.quantization),
        frames=arguments.frames,
        objects=arguments.objects,
        tokens=arguments.tokens,
        progress=True,
    )
    name = "the published sizes" if arguments.model is None else Path(arguments.model).name
    print(f"{name}, {str(dtype).removeprefix('torch.')}, quantization {arguments.quantization}\n")
    asked = f"{arguments.frames} frames, {arguments.objects} objects, {arguments.tokens} tokens"
    print("\n".join(table(estimate, asked)))


def table(estimate: MemoryEstimate, asked: str) -> list[str]:
    """Lines of a table in MiB."""

    def row(name: str, size: int, more: str = "") -> str:
        return f"{name:<44}{size / 2**20:>12,.1f}{more}"

    parts = [row(part, size, f"{estimate.parameters[part] / 1e6:>14,.1f}") for part, size in estimate.weights.items()]
    total = row("all", sum(estimate.weights.values()), f"{sum(estimate.parameters.values()) / 1e6:>14,.1f}")
    stages = [row(stage, size) for stage, size in estimate.stages.items()]
    return [
        f"{'weights':<44}{'MiB':>12}{'million':>14}",
        *parts,
        total,
        "",
        f"{'an answer, beside the weights (estimate)':<44}{'MiB':>12}",
        f"({asked})",
        *stages,
        row("  of these, keys and values", estimate.key_value_cache),
        row("  of these, the memory bank", estimate.memory_bank),
        row("a quantised layer at work", estimate.workspace),
        "",
        row("peak: weights and the largest stage", estimate.peak, f"  = {estimate.peak / 1e9:.2f} GB"),
        "The device's libraries come on top (CUDA: about half a gigabyte).",
    ]
