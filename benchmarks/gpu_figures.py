"""The figures of a GPU, one after the other: stages of an answer and their share of the floor, tracking against the
session, second question, batch, training step, start, NF4.

Everything is measured on the published sizes with random weights, made on the device. `--tiny` runs the same on the
small trained model, anywhere, once each.
"""

import argparse
import tempfile
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cached_property
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoProcessor

import batching
import full_size
import quantized_memory
import second_question
import start
import tracking
import training_step
from common import for_inference
from floors import Floors, measured_floors
from gpu_record import Record
from gpu_run import add_options, header, skipped
from videoglamm_hf import VideoGlammConfig
from videoglamm_hf.toy import TINY_MODEL

TRACKED_FRAMES = 16


class Bench:
    """What is measured: a model with its processor, floors, a folder; each made when first needed.

    Args:
        folder: For a video, and for the weights.
        tiny: The small model that ships instead of the full size.
        prediction: Of what the full size needs in NF4, worked out meanwhile.
    """

    def __init__(self, folder: Path, tiny: bool, prediction: Future | None = None) -> None:
        self.folder, self.tiny, self.prediction = folder, tiny, prediction
        # Seconds that the repetitions of one measurement may take.
        self.within = 0.0 if tiny else 2.0
        self.frames = 3 if tiny else TRACKED_FRAMES

    @cached_property
    def loaded(self) -> tuple[Any, Any]:
        if not self.tiny:
            return full_size.full_size()
        model = for_inference(AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32))
        return model, AutoProcessor.from_pretrained(TINY_MODEL)

    @cached_property
    def seeing_compiled(self) -> full_size.AnswerStages:
        """The same stages after `compile_vision`, which stays."""
        # It takes longer than all else that is tried of the small model; tests/gpu compiles that.
        if not self.tiny:
            self.model.compile_vision()
        return self.answer

    @property
    def model(self) -> Any:
        return self.loaded[0]

    @cached_property
    def floors(self) -> Floors:
        return measured_floors(torch.float32 if self.tiny else torch.bfloat16)

    @cached_property
    def answer(self) -> full_size.AnswerStages:
        asked = full_size.Asked(tokens=20) if self.tiny else full_size.ASKED
        return full_size.AnswerStages(*self.loaded, self.floors, asked, self.within)

    @cached_property
    def clip(self) -> Any:
        return tracking.prepare(self.model.pixel_decoder, self.frames)

    @cached_property
    def video(self) -> Path:
        return second_question.write_video(self.folder, num_seconds=2 if self.tiny else 16)

    @cached_property
    def saved(self) -> Path:
        """The model as `save_pretrained` writes it."""
        path = self.folder / "saved"
        self.model.save_pretrained(path)
        return path

    def track(self, num_objects: int) -> dict[str, Any]:
        return tracking.compare_at(self.model.pixel_decoder, self.clip, num_objects, self.floors, 5, self.within)

    def ask_again(self, kind: str) -> dict[str, Any]:
        return second_question.compare(*self.loaded, self.video, kind, self.within)

    def batch(self) -> dict[str, Any]:
        found = batching.compare(*self.loaded, ("words and masks",), tokens=32, within=self.within)
        return {"same tokens": found["same tokens"]} | found["words and masks"]

    def train(self, checkpointing: bool) -> dict[str, Any]:
        return training_step.measure(*self.loaded, checkpointing, within=self.within)

    def start(self) -> dict[str, Any]:
        return start.measure(
            self.saved, lambda model: self.answer.answer(1, model=model, return_masks=False), within=self.within
        )

    def quantize(self) -> dict[str, Any]:
        predicted = self.prediction.result() if self.prediction else quantized_memory.predict(self.model.config)
        return quantized_memory.measure(
            self.saved, lambda model: self.answer.answer(self.answer.asked.tokens, model=model), predicted
        )


@dataclass(frozen=True)
class Figure:
    """A figure: what it is called, how it is measured, what RESULTS.md shows of it, what is wanted."""

    name: str
    measure: Callable[[Bench], dict[str, Any]]
    shown: tuple[str, ...] = ("ms", "floor / time")
    goal: str = ""


STAGE_GOALS = {
    "spatial tower": ">= 60 % of the floor",
    "both towers and projectors": ">= 60 %",
    "prefill": ">= 60 %",
    "a token, default": "<= 3.6 ms, >= 70 %",
    "image encoder, 16 frames": ">= 40 %",
    "masks, 2 objects, 16 frames, encoder included": ">= 35 %",
    "whole answer": "<= 900 ms, <= 12.3 GB",
}


def _stage(name: str, compiled: bool = False) -> Figure:
    shown = ("ms", "peak GiB") if name == "whole answer" else ("ms", "floor / time")
    measure = full_size.STAGES[name]
    return Figure(
        f"{name}, compile_vision" if compiled else name,
        lambda bench: measure(bench.seeing_compiled if compiled else bench.answer),
        shown,
        STAGE_GOALS.get(name, ""),
    )


def _tracking(num_objects: int, goal: str) -> Figure:
    objects = f"{num_objects} object{'s' * (num_objects > 1)}"
    name = f"tracking, {objects}, {TRACKED_FRAMES} frames, 1024 px, against the session"
    return Figure(name, lambda bench: bench.track(num_objects), ("speed-up", "seconds", "floor / time"), goal)


FIGURES = (
    Figure(
        "the floors: matrix product, copy",
        lambda bench: bench.floors.figures(),
        ("TFLOP/s of a matrix product", "GB/s of a copy"),
    ),
    *map(_stage, full_size.STAGES),
    _tracking(1, ">= 2x"),
    _tracking(8, ">= 5x"),
    _tracking(16, ""),
    Figure(
        "tracked masks, bfloat16 and float32",
        lambda bench: tracking.agreement(bench.model.pixel_decoder, bench.frames, 2),
        ("median IoU", "least IoU"),
        "median >= 0.99",
    ),
    Figure(
        "second question / first, video mode",
        lambda bench: bench.ask_again("words and masks"),
        ("second / first",),
        "<= 15 %",
    ),
    Figure(
        "second question / first, framewise",
        lambda bench: bench.ask_again("words and masks, framewise"),
        ("second / first",),
    ),
    Figure("LoRA step, activations kept", lambda bench: bench.train(False), ("ms", "peak GiB")),
    Figure("LoRA step, gradient checkpointing", lambda bench: bench.train(True), ("ms", "peak GiB")),
    Figure("start: loading and first token / reading the files", Bench.start, ("start / reading",), "<= 1.5"),
    Figure(
        "NF4: weights and peak of an answer, against the estimate",
        Bench.quantize,
        ("weights GiB", "predicted weights GiB", "peak GiB", "predicted peak GiB"),
        "as predicted: weights 3.45, peak 5.46 GiB",
    ),
    Figure("batch of four, against four calls", Bench.batch, ("speed-up",), ">= 2.5x"),
    # The longest to compile, and the last, for the model stays so.
    *(
        _stage(name, compiled=True)
        for name in (
            "both towers and projectors",
            "image encoder, 16 frames",
            "masks, 2 objects, 16 frames, encoder included",
            "whole answer",
        )
    ),
)


def run(record: Record, tiny: bool, figures: Sequence[Figure]) -> None:
    """Measures figures; one that fails leaves the others alone."""
    # A process that needs no device, beside the one that measures.
    with tempfile.TemporaryDirectory() as folder, ProcessPoolExecutor(1, get_context("spawn")) as aside:
        bench = Bench(Path(folder), tiny, None if tiny else aside.submit(quantized_memory.predict, VideoGlammConfig()))
        for figure in figures:
            record.measure(figure.name, lambda f=figure: f.measure(bench))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_options(parser)
    parser.add_argument("--only", metavar="NAME", default="", help="only those that have this in their names")
    arguments = parser.parse_args()
    figures = [figure for figure in FIGURES if arguments.only in figure.name]
    if not arguments.tiny and not torch.cuda.is_available():
        for figure in figures:
            print(skipped(figure.name))
        return
    about = header(tiny=arguments.tiny)
    record = Record(arguments.json, "figures", about, arguments.seconds, keep=bool(arguments.only))
    run(record, arguments.tiny, figures)


if __name__ == "__main__":
    main()
