"""Questions about one video that share what the model sees of it, against each question alone.

The small model that ships, clips of its world in MeViS' layout, `videoglamm evaluate`'s own loop both times.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

from common import benchmark_main, paired
from tests.evaluation.shapes_folders import write_mevis
from videoglamm_hf.evaluation.answering import Answering, answer_items
from videoglamm_hf.evaluation.evaluate import read_benchmark, run_settings
from videoglamm_hf.evaluation.options import Options
from videoglamm_hf.evaluation.run_folder import RunFolder
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

CLIPS = 2


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = load_model(str(TINY_MODEL), device="cpu"), load_processor(str(TINY_MODEL))
    dataset = ShapesWorldDataset("held_out", "referring", length=CLIPS, seed=5)
    found: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        data = write_mevis(Path(folder) / "mevis", [dataset[i] for i in range(CLIPS)], arguments.questions)
        for mode in ("video", "framewise"):
            benchmark = read_benchmark("mevis", str(data), Options("Please segment {phrase}."))
            runs = iter(range(10**6))

            def ask(share: bool, mode: str = mode, benchmark: Any = benchmark, runs: Any = runs) -> None:
                how = Answering(mode, 64, share)
                output = RunFolder(Path(folder) / f"{mode}{next(runs)}", run_settings(benchmark, how))
                answer_items(model, processor, benchmark, benchmark.items, output, how)

            alone, shared, ratio = paired(lambda: ask(False), lambda: ask(True), runs=3)
            found[mode] = {
                "questions": len(benchmark.items),
                "alone seconds": round(alone, 2),
                "shared seconds": round(shared, 2),
                "speed-up": round(ratio, 2),
            }
    return found


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--questions", type=int, default=16, help="about every clip (default: 16)")


if __name__ == "__main__":
    benchmark_main("evaluation", run, options)
