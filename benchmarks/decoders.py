"""Frames of a ten-minute file with PyAV against the same frames with decord, through `open_clip`.

Sparse: a few frames, evenly spread. Dense: one a second, and every frame of 20 seconds. Each side opens the file, as
for a question; opening alone, which counts the packets, is a row of its own.
"""

import argparse
import importlib.util
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import numpy as np

from common import benchmark_main, paired
from videoglamm_hf import FrameSampling, open_clip
from videoglamm_hf.clip_sources import sample_clip
from videoglamm_hf.decord_decoding import decord_positions
from videoglamm_hf.video_decoding import index_packets

FPS, HEIGHT, WIDTH = 25, 360, 640
SPARSE, WINDOW = (8, 32, 100), 20


def moving_pattern(count: int) -> Iterator[np.ndarray]:
    """Waves with noise that pan to the left; a bar that grows tells frames of one phase apart."""
    noise = np.random.default_rng(0)
    y, x = np.mgrid[:HEIGHT, : 2 * WIDTH]
    turn = 6 * np.pi * x / WIDTH
    waves = 127 + 80 * np.stack([np.sin(turn), np.sin(turn + y / 20), np.cos(y / 15) + 0 * x], -1)
    pictures = [(waves + noise.integers(-12, 13, waves.shape)).astype(np.uint8) for _ in range(8)]
    for number in range(count):
        left = 3 * number % WIDTH
        frame = pictures[number % len(pictures)][:, left : left + WIDTH].copy()
        frame[:16, : WIDTH * number // count] = 255
        yield frame


def write_video(path: Path, seconds: float) -> None:
    """H.264 with x264's own distance of key frames; not by `write_mp4`, whose quality takes ten times as long."""
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=FPS, options={"preset": "veryfast"})
        stream.height, stream.width, stream.pix_fmt = HEIGHT, WIDTH, "yuv420p"
        for frame in moving_pattern(round(seconds * FPS)):
            container.mux(stream.encode(av.VideoFrame.from_ndarray(frame, format="rgb24")))
        container.mux(stream.encode(None))


def read(path: Path, decoder: str, options: dict[str, Any]) -> np.ndarray:
    with open_clip(path, decoder=decoder) as clip:
        return sample_clip(clip, FrameSampling(fps=None, max_frames=None), **options).load().clip.array


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if importlib.util.find_spec("decord") is None:
        return {"decord": "has no wheel for this platform"}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        write_video(path, arguments.seconds)
        index = index_packets(path, path.name, probe=True)
        if decord_positions(path, index, [0]) is None:
            raise SystemExit("decord does not read this file, so PyAV would be compared with itself")
        seen: dict[str, Any] = {
            "file": f"{index.total} frames, {WIDTH}x{HEIGHT}, {FPS} fps, {path.stat().st_size / 1e6:.1f} MB, "
            f"{len(index.keys)} key frames"
        }
        start = arguments.seconds / 2
        work: dict[str, dict[str, Any]] = {f"{count} frames": {"num_frames": count} for count in SPARSE}
        work["one frame a second"] = {"fps": 1.0}
        work[f"every frame of {WINDOW} seconds"] = {"start_time": start, "end_time": start + WINDOW}

        def row(one: Any, other: Any) -> dict[str, float]:
            with_av, with_decord, ratio = paired(one, other, runs=arguments.runs, warm=True)
            return {
                "av seconds": round(with_av, 3),
                "decord seconds": round(with_decord, 3),
                "av / decord": round(ratio, 2),
            }

        seen["opening"] = row(*(lambda d=d: open_clip(path, decoder=d).close() for d in ("av", "decord")))
        for name, options in work.items():
            first, second = (read(path, decoder, options) for decoder in ("av", "decord"))
            same, taken = np.array_equal(first, second), len(first)
            del first, second
            seen[name] = {"frames": taken, "same frames": same} | row(
                *(lambda d=d, o=options: read(path, d, o) for d in ("av", "decord"))
            )
    return seen


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--seconds", type=float, default=600, help="length of the file (default: 600)")
    parser.add_argument("--runs", type=int, default=3, help="pairs of readings (default: 3)")


if __name__ == "__main__":
    benchmark_main("decoders", run, options)
