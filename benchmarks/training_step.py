"""A training step of LoRA by the paper's recipe, with activations kept and recomputed: its time and its memory."""

import argparse
from typing import Any

import torch
from accelerate.utils import send_to_device
from peft import get_peft_model

from common import benchmark_main, frames, median_seconds, tiny_model
from device import device_peak_bytes
from tests.tiny_checkpoint import gt_masks
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.training.fine_tuning import lora_config

MASK_FRAMES = (0, 4, 8, 12)


def sample(num_frames: int = 16) -> dict[str, Any]:
    """A clip with one object in four of its frames."""
    return {
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Can you segment the disc?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "It is [SEG]."}]},
        ],
        "video": frames(num_frames, 180, 320),
        "masks": list(gt_masks(1, len(MASK_FRAMES), 180, 320).astype(bool)),
        "mask_frames": list(MASK_FRAMES),
    }


def measure(model: Any, processor: Any, checkpointing: bool, within: float | None = None) -> dict[str, Any]:
    """A step on one sample: forward, backward, AdamW. The model is left as it was, in evaluation mode."""
    torch.manual_seed(0)
    batch = send_to_device(VideoGlammDataCollator(processor, num_mask_frames=None)([sample()]), model.device)
    tuned = get_peft_model(model, lora_config(model)).train()
    try:
        if checkpointing:
            tuned.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        trained = [p for p in tuned.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(trained, lr=1e-6)

        def step() -> float:
            loss = tuned(**batch).loss
            loss.backward()
            optimizer.step()
            optimizer.zero_grad()
            return loss.item()

        losses: list[float] = []
        taken, peak = device_peak_bytes(lambda: median_seconds(lambda: losses.append(step()), runs=5, within=within))
        return {
            "ms": round(1e3 * taken, 1),
            "trained parameters": sum(p.numel() for p in trained),
            "loss": losses[0],
            **({} if peak is None else {"peak GiB": round(peak / 2**30, 2)}),
        }
    finally:
        if checkpointing:
            tuned.gradient_checkpointing_disable()
        tuned.unload()
        model.requires_grad_(False).eval()


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = tiny_model()
    return {
        "activations kept": measure(model, processor, checkpointing=False),
        "activations recomputed": measure(model, processor, checkpointing=True),
    }


if __name__ == "__main__":
    benchmark_main("training step", run)
