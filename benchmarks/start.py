"""From a saved model to its first word: weights straight to the device, against only reading their files.

The files were read before, so both sides find them where the system keeps them.
"""

import argparse
import statistics
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from transformers import AutoModel

from common import benchmark_main, rounds, seconds, tiny_model
from device import best_device
from floors import NOT_MEASURED
from full_size import AnswerStages


def read_weights(folder: Path, buffer: bytearray) -> int:
    """Reads every file of weights from beginning to end; returns how many bytes that were."""
    total = 0
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb", buffering=0) as file:
            while count := file.readinto(buffer):
                total += count
    return total


def measure(folder: Path, first_token: Callable[[Any], Any], within: float | None = None) -> dict[str, Any]:
    """Loads what `save_pretrained` wrote; `first_token` makes a model say its first word."""
    buffer = bytearray(16 * 2**20)
    size = read_weights(folder, buffer)
    times = [
        (seconds(lambda: read_weights(folder, buffer)), *load_and_say(folder, first_token)) for _ in rounds(3, within)
    ]
    read, load, say = map(statistics.median, zip(*times, strict=True))
    return {
        "GB of files": round(size / 1e9, 3),
        "seconds of reading": round(read, 3),
        "seconds of loading": round(load, 3),
        "seconds of the first token": round(say, 3),
        "start / reading": round((load + say) / read, 2),
    }


def load_and_say(folder: Path, first_token: Callable[[Any], Any]) -> tuple[float, float]:
    """Seconds of loading, and of the first word after it."""
    loaded: list[Any] = []
    options = {"dtype": "auto", "device_map": {"": best_device()}}
    return (
        seconds(lambda: loaded.append(AutoModel.from_pretrained(folder, **options).eval())),
        seconds(lambda: first_token(loaded[0])),
    )


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = tiny_model()

    stages = AnswerStages(model, processor, NOT_MEASURED)
    with tempfile.TemporaryDirectory() as folder:
        model.save_pretrained(folder)
        return measure(Path(folder), lambda loaded: stages.answer(1, model=loaded, return_masks=False))


if __name__ == "__main__":
    benchmark_main("start", run)
