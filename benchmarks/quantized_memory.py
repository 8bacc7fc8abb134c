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
from videoglamm_hf.loading.memory_estimate import MemoryEstimate, estimate_memory
from videoglamm_hf.loading.models import quantization_config
from videoglamm_hf.toy import TINY_MODEL

GIB = 2**30


def predict(config: Any, asked: Asked = ASKED) -> MemoryEstimate:
    """What a model in NF4 and an answer need; at the full size a matter of a quarter of a minute."""
    counts = {"frames": asked.frames, "objects": asked.objects, "tokens": asked.tokens}
    return estimate_memory(config, torch.bfloat16, quantization_config("nf4"), **counts)


def measure(folder: Path, answer: Callable[[Any], Any], predicted: MemoryEstimate) -> dict[str, Any]:
    """What the device holds of the model, and holds most during `answer(model)`, beside what it held before."""
    device, nf4 = best_device(), quantization_config("nf4")
    on_cuda = device.type == "cuda"
    before = torch.cuda.memory_allocated() if on_cuda else 0
    options = {"dtype": torch.bfloat16, "device_map": {"": device}, "quantization_config": nf4}
    model = AutoModel.from_pretrained(folder, **options).eval()
    weights = torch.cuda.memory_allocated() - before if on_cuda else _bytes(model)
    _, peak = device_peak_bytes(lambda: answer(model))
    return {
        "weights GiB": round(weights / GIB, 4),
        "predicted weights GiB": round(sum(predicted.weights.values()) / GIB, 4),
        **({} if peak is None else {"peak GiB": round((peak - before) / GIB, 4)}),
        "predicted peak GiB": round(predicted.peak / GIB, 4),
    }


def _bytes(model: torch.nn.Module) -> int:
    return sum(tensor.nbytes for tensor in (*model.parameters(), *model.buffers()))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model = AutoModel.from_pretrained(TINY_MODEL).to(best_device())
    stages = AnswerStages(model, AutoProcessor.from_pretrained(TINY_MODEL), NOT_MEASURED)
    return measure(TINY_MODEL, lambda other: stages.answer(ASKED.tokens, model=other), predict(model.config))


if __name__ == "__main__":
    benchmark_main("NF4 memory", run)
