"""Tracking: all objects as one batch in bounded memory, against transformers' Sam2VideoModel session.

Both sides are given the same first-frame masks and the same frames; both use the same weights. Peak memory is
that of a fresh process for each length.
"""

import argparse
import copy
import json
import subprocess
import sys
from typing import Any

import numpy as np
import torch
from transformers.models.sam2_video.modeling_sam2_video import Sam2VideoInferenceSession

from common import benchmark_main, frames, paired, peak_bytes, small_decoder, tiny_model
from floors import Floors, measured_floors
from tests.tiny_checkpoint import gt_masks
from videoglamm_hf.image_streams import grounding_stream, normalize_grounding_frames
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.packed_masks import PackedMasks
from videoglamm_hf.pixel_decoder import resize_mask_logits
from videoglamm_hf.tracking import Tracker, TrackingOptions

HEIGHT, WIDTH = 180, 320


class RepeatedFrames:
    """A video of any length that takes the memory of a short clip: its frames again and again."""

    def __init__(self, clip: torch.Tensor, length: int) -> None:
        self.repeated, self.length = clip, length

    def __len__(self) -> int:
        return self.length

    def __getitem__(self, rows: slice) -> torch.Tensor:
        return self.repeated[torch.arange(*rows.indices(self.length)) % len(self.repeated)]


def first_masks(num_objects: int, size: int) -> torch.Tensor:
    """float `[N, size, size]`: boxes in different places."""
    return torch.from_numpy(np.stack([gt_masks(1, 1, size, size, salt=i % 4)[0, 0] for i in range(num_objects)]))


@torch.inference_mode()
def session(decoder: Any, pixels: torch.Tensor, masks: torch.Tensor) -> torch.Tensor:
    """bool `[T, N, H, W]` by transformers' session."""
    state = Sam2VideoInferenceSession(
        video=pixels,
        video_height=HEIGHT,
        video_width=WIDTH,
        inference_device=decoder.device,
        inference_state_device=decoder.device,
        video_storage_device=decoder.device,
        dtype=decoder.dtype,
    )
    for i, mask in enumerate(masks):
        state.add_mask_inputs(state.obj_id_to_idx(i), 0, mask[None, None])
        state.obj_with_new_inputs.append(i)
    outputs = decoder.propagate_in_video_iterator(state, start_frame_idx=0)
    return torch.stack([resize_mask_logits(output.pred_masks[:, 0], (HEIGHT, WIDTH)).cpu() > 0 for output in outputs])


@torch.inference_mode()
def ours(decoder: Any, resized: Any, masks: torch.Tensor) -> PackedMasks:
    """The same by our tracker, packed."""
    packed = PackedMasks.zeros((len(masks), len(resized), HEIGHT, WIDTH))
    for frame in Tracker(decoder, [masks.to(decoder.device)], [resized], TrackingOptions()).masks([(HEIGHT, WIDTH)]):
        packed[:, frame.frame_index] = frame.masks
    return packed


def prepare(decoder: Any, num_frames: int = 32) -> tuple[torch.Tensor, torch.Tensor]:
    """A clip as the tracker takes it (uint8) and as the session does (normalised)."""
    resized = grounding_stream(frames(num_frames, HEIGHT, WIDTH), decoder.image_size)
    return resized, normalize_grounding_frames(resized, decoder.image_size, decoder.dtype).to(decoder.device)


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
    decoder = small_decoder()
    resized, pixels = prepare(decoder)
    masks = first_masks(arguments.objects, decoder.image_size)
    if arguments.memory_of == "session":
        # Its masks leave packed as well, so that only the session itself is compared.
        video = RepeatedFrames(pixels, arguments.frames)[:]
        PackedMasks.zeros((arguments.objects, arguments.frames, HEIGHT, WIDTH))[:] = session(
            decoder, video, masks
        ).transpose(0, 1)
    else:
        ours(decoder, RepeatedFrames(resized, arguments.frames), masks)
    print(json.dumps({"peak_mb": peak_bytes() / 2**20}))


def compare_at(
    decoder: Any,
    clip: tuple[torch.Tensor, torch.Tensor],
    num_objects: int,
    floors: Floors,
    runs: int,
    within: float | None = None,
) -> dict[str, Any]:
    """Both sides for so many objects over a clip that was prepared, and what our arithmetic alone would take."""
    resized, pixels = clip
    masks = first_masks(num_objects, decoder.image_size)
    theirs, mine = session(decoder, pixels, masks), ours(decoder, resized, masks).unpack().transpose(0, 1)
    a, b, ratio = paired(
        lambda: session(decoder, pixels, masks),
        lambda: ours(decoder, resized, masks),
        runs=runs,
        warm=True,
        within=within,
    )
    floor = floors.of_arithmetic(lambda: ours(decoder, resized, masks))
    return {
        "session seconds": round(a, 3),
        "seconds": round(b, 3),
        "speed-up": round(ratio, 2),
        "differing mask pixels": float((theirs != mine).float().mean()),
        "seconds of its arithmetic alone": round(floor, 3),
        "floor / time": round(floor / b, 3),
    }


def compare(decoder: Any, runs: int) -> dict[str, Any]:
    """Both sides for 1 to 16 objects over 32 frames."""
    clip, floors = prepare(decoder), measured_floors(decoder.dtype)
    result: dict[str, Any] = {"image size": decoder.image_size} | floors.figures()
    for num_objects in (1, 2, 4, 8, 16):
        result[f"{num_objects} objects"] = compare_at(decoder, clip, num_objects, floors, runs)
        print(num_objects, result[f"{num_objects} objects"], file=sys.stderr, flush=True)
    return result


def agreement(decoder: Any, num_frames: int, num_objects: int) -> dict[str, Any]:
    """IoU of the tracked masks of a decoder and of the same one in float32, over objects and frames."""
    exact = copy.deepcopy(decoder).float()
    masks = first_masks(num_objects, decoder.image_size)
    resized, _ = prepare(decoder, num_frames)
    one, other = (ours(some, resized, masks).unpack() for some in (decoder, exact))
    iou = mask_iou(one, other, empty=1)
    return {"median IoU": round(float(iou.median()), 4), "least IoU": round(float(iou.min()), 4)}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    if arguments.memory_of:
        measure_memory(arguments)
        sys.exit()
    result: dict[str, Any] = {"frames": 32}
    # First, while this process is small: a child's peak starts at its parent's.
    packed = 4 * HEIGHT * WIDTH / 8 / 2**20
    for side in ("ours", "session"):
        peaks = {length: peak_memory(side, length, 4) for length in (32, 128, 512)}
        growth = (peaks[512] - peaks[32]) / (512 - 32)
        result[f"peak memory, {side}"] = {
            "peak MB by frames": {str(n): round(mb) for n, mb in peaks.items()},
            "growth MB per frame": round(growth, 4),
            "growth / packed masks": round(growth / packed, 2),
        }
    result["small decoder"] = compare(small_decoder(), runs=5)
    result["tiny golden decoder"] = compare(tiny_model()[0].pixel_decoder, runs=3)
    return result


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--memory-of", choices=("ours", "session"), help=argparse.SUPPRESS)
    parser.add_argument("--frames", type=int, help=argparse.SUPPRESS)
    parser.add_argument("--objects", type=int, help=argparse.SUPPRESS)


if __name__ == "__main__":
    benchmark_main("tracking", run, options)
