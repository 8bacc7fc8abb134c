"""A training step from cached features against one from pixels: same samples, same losses, other seconds."""

import argparse
import tempfile
from pathlib import Path
from typing import Any

import torch

from common import benchmark_main, frames, paired, tiny_model
from tests.tiny_checkpoint import gt_masks
from videoglamm_hf.data import FeatureCache, VideoGlammDataCollator, cache_features
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.training.fine_tuning import trainable_modules


def sample(path: Path) -> dict[str, Any]:
    """A ten-second video with one object in five frames."""
    write_mp4(path, frames(100, 180, 320), fps=10)
    return {
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Can you segment the disc?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is [SEG]."}]},
        ],
        "video": str(path),
        "masks": list(gt_masks(1, 5, 180, 320).astype(bool)),
        "mask_frames": [0, 20, 40, 60, 80],
    }


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    result = {}
    model, processor = tiny_model()
    trainable_modules(model.train(), "paper")
    with tempfile.TemporaryDirectory() as work:
        samples = [sample(Path(work) / "clip.mp4")]

        def step(collate: VideoGlammDataCollator) -> torch.Tensor:
            model.zero_grad()
            loss = model(**collate(samples)).loss
            loss.backward()
            return loss.detach()

        pixels = VideoGlammDataCollator(processor, num_mask_frames=None)
        for name, frame_features in (("towers", False), ("towers and frames", True)):
            folder = Path(work) / name
            cache_features(model, processor, samples, folder, frame_features=frame_features)
            cached = VideoGlammDataCollator(processor, num_mask_frames=None, features=FeatureCache(folder, model))
            difference = abs(float(step(pixels) - step(cached)) / float(step(pixels)))
            slow, fast, ratio = paired(lambda: step(pixels), lambda c=cached: step(c), runs=5, warm=True)
            result[name] = {
                "seconds from pixels": round(slow, 3),
                "seconds from the cache": round(fast, 3),
                "speed-up": round(ratio, 2),
                "relative difference of the loss": difference,
                "MB per sample": round(sum(p.stat().st_size for p in folder.iterdir()) / 1e6, 1),
            }
    return result


if __name__ == "__main__":
    benchmark_main("cached features", run)
