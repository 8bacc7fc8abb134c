"""An hour of video from a file, one frame a second: bounded memory, however long the file is.

Each length runs in a fresh process, whose peak resident memory is compared; the masks leave bit-packed.
"""

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

from common import ForceTokens, benchmark_main, frames, peak_bytes, tiny_model
from videoglamm_hf.render.video_encoding import write_mp4

HEIGHT, WIDTH, IMAGE_SIZE = 180, 320, 96
LENGTHS = (60, 600, 3600)


def write_video(path: Path, num_frames: int) -> None:
    clip = frames(32, HEIGHT // 4, WIDTH // 4).repeat(4, 1).repeat(4, 2)
    write_mp4(path, (np.roll(clip[t % 32], t, axis=1) for t in range(num_frames)), fps=1)


def segment(path: Path) -> dict[str, float]:
    """Asks about a file, with one object forced, and returns what it took."""
    model, processor = tiny_model(IMAGE_SIZE)
    content = [{"type": "video", "path": str(path)}, {"type": "text", "text": "Can you segment the disc?"}]
    start = time.perf_counter()
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True, lazy=True
    ).to(model.device)
    forced = [ForceTokens({1: model.config.seg_token_id}, inputs["input_ids"].shape[1])]
    output = model.generate(**inputs, max_new_tokens=3, do_sample=False, logits_processor=forced, pack_masks=True)
    seconds = time.perf_counter() - start
    peak = peak_bytes() / 2**20
    return {"seconds": seconds, "peak MB": peak, "frames": output.masks[0].shape[1]}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.segment:
        print(json.dumps(segment(arguments.segment)))
        sys.exit()
    result: dict[str, Any] = {"file": f"{WIDTH}x{HEIGHT}, 1 frame/s", "image size": IMAGE_SIZE, "objects": 1}
    peaks = {}
    with tempfile.TemporaryDirectory() as folder:
        for length in LENGTHS:
            path = Path(folder) / f"{length}.mp4"
            write_video(path, length)
            command = [sys.executable, __file__, "--segment", str(path)]
            seen = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
            assert seen["frames"] == length
            peaks[length] = seen["peak MB"]
            result[f"{length} frames"] = {key: round(value, 1) for key, value in seen.items()}
    growth = (peaks[LENGTHS[-1]] - peaks[LENGTHS[0]]) / (LENGTHS[-1] - LENGTHS[0])
    result["growth MB per frame"] = round(growth, 4)
    result["growth / packed masks"] = round(growth / (HEIGHT * WIDTH / 8 / 2**20), 2)
    return result


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--segment", type=Path, help=argparse.SUPPRESS)


if __name__ == "__main__":
    benchmark_main("long video", run, options)
