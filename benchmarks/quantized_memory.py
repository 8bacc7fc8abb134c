"""A saved model in NF4: bytes of its weights and peak of an answer, against what `memory_estimate` predicts."""

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoProcessor

from common import benchmark_main
from device import best_device, device_peak_bytes
from floors import NOT_MEASURED
from full_size import ASKED, AnswerStages, Asked
from videoglamm_hf.loading.memory_estimate import estimate_memory
from videoglamm_hf.loading.models import quantization_config
from videoglamm_hf.toy import TINY_MODEL

GIB = 2**30


def measure(folder: Path, answer: Callable[[Any], Any], asked: Asked = ASKED) -> dict[str, Any]:
    """What the device holds of the model, and holds most during `answer(model)`; beside what it held before."""
    device, dtype = best_device(), torch.bfloat16
    nf4 = quantization_config("nf4")
    before = torch.cuda.memory_allocated() if device.type == "cuda" else 0
    model = AutoModel.from_pretrained(folder, dtype=dtype, device_map={"": device}, quantization_config=nf4).eval()
    weights = torch.cuda.memory_allocated() - before if device.type == "cuda" else _bytes(model)
    _, peak = device_peak_bytes(lambda: answer(model))
    config = type(model.config).from_pretrained(folder)
    predicted = estimate_memory(
        config, dtype, quantization_config("nf4"), frames=asked.frames, objects=asked.objects, tokens=asked.tokens
    )
    figures = {
        "weights GiB": round(weights / GIB, 4),
        "predicted weights GiB": round(sum(predicted.weights.values()) / GIB, 4),
        "predicted peak GiB": round(predicted.peak / GIB, 4),
    }
    return figures | ({} if peak is None else {"peak GiB": round((peak - before) / GIB, 4)})


def _bytes(model: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    processor = AutoProcessor.from_pretrained(TINY_MODEL)
    stages = AnswerStages(AutoModel.from_pretrained(TINY_MODEL).to(best_device()), processor, NOT_MEASURED)
    return measure(TINY_MODEL, lambda model: stages.answer(ASKED.tokens, model=model))


if __name__ == "__main__":
    benchmark_main("NF4 memory", run)
