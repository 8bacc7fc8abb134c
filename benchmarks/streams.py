"""A 300-frame 720p file to pixel streams, against decoding all of it and preparing every frame on its own.

16 frames go to the towers and 12 to the pixel decoder, as in the target; both sides give the same pixels.
"""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch

from common import benchmark_main, frames, paired
from videoglamm_hf import read_clip
from videoglamm_hf.image_streams import grounding_stream, spatial_stream, temporal_stream
from videoglamm_hf.render.video_encoding import write_mp4

NUM_FRAMES, HEIGHT, WIDTH = 300, 720, 1280
POSITIONS = {"towers": 16, "pixel decoder": 12}


def ours(path: Path) -> list[torch.Tensor]:
    clip = read_clip(path, fps=None, num_frames=16, max_frames=None).array
    fewer = clip[np.linspace(0, 15, 12, dtype=int)]
    return [spatial_stream(clip, 336), temporal_stream(clip, 224), grounding_stream(fewer, 1024)]


def decode_all_then_one_by_one(path: Path) -> list[torch.Tensor]:
    with av.open(str(path)) as container:
        every = np.stack([frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)])
    spatial = torch.cat([spatial_stream(frame[None], 336) for frame in every])
    temporal = torch.cat([temporal_stream(frame[None], 224) for frame in every])
    positions = np.linspace(0, NUM_FRAMES - 1, 16, dtype=int)
    fewer = positions[np.linspace(0, 15, 12, dtype=int)]
    grounding = torch.cat([grounding_stream(frame[None], 1024) for frame in every])
    return [spatial[positions], temporal[positions], grounding[fewer]]


def decode_all_then_the_used_ones(path: Path) -> list[torch.Tensor]:
    """A kinder other side: everything is decoded, but only the frames used are prepared."""
    with av.open(str(path)) as container:
        every = [frame.to_ndarray(format="rgb24") for frame in container.decode(video=0)]
    positions = np.linspace(0, NUM_FRAMES - 1, 16, dtype=int)
    fewer = positions[np.linspace(0, 15, 12, dtype=int)]
    return [
        torch.cat([spatial_stream(every[i][None], 336) for i in positions]),
        torch.cat([temporal_stream(every[i][None], 224) for i in positions]),
        torch.cat([grounding_stream(every[i][None], 1024) for i in fewer]),
    ]


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "clip.mp4"
        small = frames(NUM_FRAMES, HEIGHT // 4, WIDTH // 4)
        write_mp4(path, (frame.repeat(4, 0).repeat(4, 1) for frame in small), fps=30)
        result: dict[str, Any] = {"file": f"{NUM_FRAMES} frames, {WIDTH}x{HEIGHT}", "used": POSITIONS}
        for name, other in (
            ("decode all, prepare all one by one", decode_all_then_one_by_one),
            ("decode all, prepare the used ones", decode_all_then_the_used_ones),
        ):
            same = all(torch.equal(a, b) for a, b in zip(ours(path), other(path), strict=True))
            theirs, mine, ratio = paired(lambda o=other: o(path), lambda: ours(path))
            result[name] = {
                "seconds": round(theirs, 2),
                "ours seconds": round(mine, 2),
                "speed-up": round(ratio, 2),
                "same pixels": same,
            }
    return result


if __name__ == "__main__":
    benchmark_main("file to pixel streams", run)
