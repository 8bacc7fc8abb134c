"""Ten thousand frames pushed to a live session: how long one takes and how much memory there is, at the start and end.

The small model that ships; a clip of its world played forward and backward, asked again every 100 seconds of it.
"""

import argparse
import statistics
import time
from typing import Any

import psutil
from tqdm.auto import tqdm

from common import benchmark_main
from videoglamm_hf.live import LiveSession
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset

RATE = 8.0


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = load_model(str(TINY_MODEL), "float32", "cpu"), load_processor(str(TINY_MODEL))
    scene = ShapesWorldDataset("held_out", "caption", length=4, config=ShapesWorldConfig(num_frames=16)).scene(1)
    session = LiveSession(model, processor, "Describe the video.", window=2.0, ask_every=100.0, max_new_tokens=64)
    order = [*range(16), *range(14, 0, -1)]
    process, tenth = psutil.Process(), arguments.frames // 10
    times: list[float] = []
    memory: list[float] = []
    tracked: list[float] = []
    for index in tqdm(range(arguments.frames), desc="live", leave=False):
        answer = session.answer
        start = time.perf_counter()
        found = session.push(scene.video[order[index % len(order)]], index / RATE)
        seconds = time.perf_counter() - start
        if session.answer is answer and len(found.masks):
            tracked.append(seconds)
        if (index + 1) % tenth == 0:
            times.append(round(1000 * statistics.median(tracked), 2))
            memory.append(round(process.memory_info().rss / 2**20, 1))
            tracked = []
    return {
        "frames": arguments.frames,
        "objects at the end": len(session.numbers),
        "ms a frame, by tenths": times,
        "MiB of the process, by tenths": memory,
        "last / second tenth, time": round(times[-1] / times[1], 2),
        "last less second tenth, MiB": round(memory[-1] - memory[1], 1),
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--frames", type=int, default=10_000, help="how many (default: 10,000)")


if __name__ == "__main__":
    benchmark_main("live", run, options)
