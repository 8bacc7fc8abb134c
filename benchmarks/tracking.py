"""Tracking: all objects as one batch in bounded memory, against transformers' Sam2VideoModel session.

Both sides are given the same first-frame masks and the same frames; both use the same weights. Peak memory is
that of a fresh process for each length.
"""

import argparse
import json
import resource
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from common import ROOT, benchmark_main, frames, paired, tiny_model  # noqa: F401
from tests.tiny_checkpoint import gt_masks
from videoglamm_hf.image_streams import grounding_stream, normalize_grounding_frames
from videoglamm_hf.packed_masks import PackedMasks
from videoglamm_hf.pixel_decoder import resize_mask_logits
from videoglamm_hf.tracking import TrackingOptions, iter_masks

SIZE = 256
HEIGHT, WIDTH = 180, 320


def first_masks(num_objects: int) -> torch.Tensor:
    """float `[N, SIZE, SIZE]`: boxes in different places."""
    return torch.from_numpy(np.stack([gt_masks(1, 1, SIZE, SIZE, salt=i % 4)[0, 0] for i in range(num_objects)]))


@torch.inference_mode()
def session(decoder: Any, pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """bool `[T, N, H, W]` by transformers' session."""
    state = Sam2VideoInferenceSession(
        video=pixels,
        video_height=HEIGHT,
        video_width=WIDTH,
        inference_device=decoder.device,
        dtype=decoder.dtype,
    )
    for i, mask in enumerate(masks):
        state.add_mask_inputs(state.obj_id_to_idx(i), 0, mask[None, None])
        state.obj_with_new_inputs.append(i)
    outputs = decoder.propagate_in_video_iterator(state, start_frame_idx=0)
    return torch.stack([resize_mask_logits(output.pred_masks[:, 0], (HEIGHT, WIDTH)).cpu() > 0 for output in outputs])


@torch.inference_mode()
def ours(decoder: Any, resized: torch.Tensor, masks: torch.Tensor) -> PackedMasks:
    """The same by our tracker, packed."""
    packed = PackedMasks.zeros((len(masks), len(resized), HEIGHT, WIDTH))
    for frame in iter_masks(decoder, [masks.to(decoder.device)], [resized], [(HEIGHT, WIDTH)], TrackingOptions()):
        packed[:, frame.frame_index] = frame.masks
    return packed


def prepare(num_frames: int) -> tuple[Any, torch.Tensor, torch.Tensor]:
    decoder = tiny_model(SIZE)[0].pixel_decoder
    # A short clip repeated: the content does not matter to speed or memory.
    clip = frames(32, HEIGHT, WIDTH)
    resized = grounding_stream(clip, SIZE)[torch.arange(num_frames) % 32]
    return decoder, resized, normalize_grounding_frames(resized[:32], SIZE, decoder.dtype)


def peak_memory(side: str, num_frames: int, num_objects: int) -> float:
    """Peak resident megabytes of a process that tracks a video of this length."""
    command = [
        sys.executable,
        __file__,
        "--memory-of",
        side,
        "--frames",
        str(num_frames),
        "--objects",
        str(num_objects),
    ]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)["peak_mb"]


def measure_memory(arguments: argparse.Namespace) -> None:
    decoder, resized, _ = prepare(arguments.frames)
    masks = first_masks(arguments.objects)
    if arguments.memory_of == "session":
        pixels = torch.cat([normalize_grounding_frames(f[None], SIZE, decoder.dtype) for f in resized])
        # Its masks leave packed as well, so that only the session itself is compared.
        PackedMasks.zeros((arguments.objects, arguments.frames, HEIGHT, WIDTH))[:] = session(
            decoder, pixels, masks
        ).transpose(0, 1)
    else:
        ours(decoder, resized, masks)
    print(json.dumps({"peak_mb": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024}))


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.memory_of:
        measure_memory(arguments)
        sys.exit()
    decoder, resized, pixels = prepare(32)
    result: dict[str, Any] = {"frames": 32, "image size": SIZE}
    for num_objects in (1, 2, 4, 8, 16):
        masks = first_masks(num_objects)
        theirs, mine = session(decoder, pixels, masks), ours(decoder, resized, masks).unpack().transpose(0, 1)
        a, b, ratio = paired(
            lambda m=masks: session(decoder, pixels, m), lambda m=masks: ours(decoder, resized, m), runs=3
        )
        result[f"{num_objects} objects"] = {
            "session seconds": round(a, 2),
            "seconds": round(b, 2),
            "speed-up": round(ratio, 2),
            "differing mask pixels": float((theirs != mine).float().mean()),
        }
        print(num_objects, result[f"{num_objects} objects"], file=sys.stderr, flush=True)
    packed = 4 * HEIGHT * WIDTH / 8 / 2**20
    lengths = (32, 128, 512)
    for side in ("ours", "session"):
        peaks = {n: peak_memory(side, n, 4) for n in (lengths if side == "ours" else lengths[:2])}
        first, last = min(peaks), max(peaks)
        growth = (peaks[last] - peaks[first]) / (last - first)
        result[f"peak memory, {side}"] = {
            "peak MB by frames": {str(n): round(mb) for n, mb in peaks.items()},
            "growth MB per frame": round(growth, 4),
            "growth / packed masks": round(growth / packed, 2),
        }
    return result


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--memory-of", choices=("ours", "session"), help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--objects", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    benchmark_main("tracking", run, options)
