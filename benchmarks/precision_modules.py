"""Which part loses the masks in bfloat16: each in float32 in turn, everything else in bfloat16.

Two models: four sets of formula weights (untrained: the harder case, masks are all edge), and the small trained model.
Words are those of float32, so that masks are of the same words.
"""

import argparse
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import nn
from transformers import AutoModel, AutoProcessor, LogitsProcessor

from common import TINY_CONFIG, ForceTokens, benchmark_main, frames
from device import best_device
from tests.tiny_checkpoint import write_original
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

SEEDS = ("", "B:", "C:", "D:")
MODES = ("framewise", "video")
DECODER = "pixel_decoder.mask_decoder"
PARTS: dict[str, tuple[str, ...]] = {
    "nothing": (),
    "spatial tower": ("model.spatial_tower",),
    "temporal tower": ("model.temporal_tower",),
    "projectors": ("model.spatial_projector", "model.temporal_projector"),
    "language model": ("model.language_model",),
    "[SEG] projection": ("seg_projection",),
    "image encoder": ("pixel_decoder.vision_encoder",),
    "image encoder, its neck": ("pixel_decoder.vision_encoder.neck",),
    "prompt encoder": ("pixel_decoder.prompt_encoder",),
    "mask decoder": (DECODER, f"{DECODER}.conv_s0", f"{DECODER}.conv_s1"),
    "mask decoder, its transformer": (f"{DECODER}.transformer",),
    "mask decoder, upscaling": tuple(
        f"{DECODER}.{name}" for name in ("upscale_conv1", "upscale_conv2", "upscale_layer_norm", "conv_s0", "conv_s1")
    ),
    "memory attention": ("pixel_decoder.memory_attention",),
    "memory encoder": ("pixel_decoder.memory_encoder",),
    "pixel decoder": ("pixel_decoder",),
    "all but the pixel decoder": ("model", "seg_projection"),
}


class Given(LogitsProcessor):
    """Says the words it is given."""

    def __init__(self, tokens: torch.Tensor, prompt_length: int) -> None:
        self.tokens, self.prompt_length = tokens, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forced = torch.full_like(scores, -torch.inf)
        forced[:, self.tokens[input_ids.shape[1] - self.prompt_length]] = 0
        return forced


def cast(value: Any, dtype: torch.dtype) -> Any:
    """The same with every floating tensor in it in another type."""
    if torch.is_tensor(value):
        return value.to(dtype) if value.is_floating_point() else value
    if isinstance(value, dict):
        for name in list(value):
            value[name] = cast(value[name], dtype)
        return value
    if isinstance(value, (list, tuple)) and not hasattr(value, "_fields"):
        return type(value)(cast(one, dtype) for one in value)
    return value


def keep_in_float32(model: nn.Module, names: tuple[str, ...]) -> None:
    for name in names:
        part = model.get_submodule(name)
        if part is model.get_submodule("pixel_decoder"):
            # Called part by part.
            keep_in_float32(model, tuple(f"{name}.{child}" for child, _ in part.named_children()))
            keep_in_float32(model, PARTS["mask decoder"])
            continue
        if name == "model":
            keep_in_float32(model, tuple(f"{name}.{child}" for child, _ in part.named_children()))
            continue
        part.float()
        part.register_forward_hook(lambda _, args, output: cast(output, torch.bfloat16))
    for layer in model.modules():
        if (isinstance(getattr(layer, "weight", None), nn.Parameter) and layer.weight.dim() != 2) or type(
            layer
        ) is nn.Linear:
            layer.register_forward_pre_hook(_as_weight)


def _as_weight(layer: nn.Module, args: tuple[Any, ...]) -> Any:
    return cast(args, layer.weight.dtype)


def cases() -> Iterator[tuple[str, Path, list[Any]]]:
    """Name, folder and questions of each model."""
    for salt in SEEDS:
        with tempfile.TemporaryDirectory() as work:
            original, converted = Path(work) / "original", Path(work) / "converted"
            write_original(original, salt=salt)
            convert_videoglamm(original, converted, clip=original / "clip", config=TINY_CONFIG, progress=False)
            yield "formula", converted, [(frames(6, 90, 160), "Where is the disc?")]
    clips = ShapesWorldDataset("held_out", "referring", length=8)
    asked = [(clip["video"], clip["messages"][0]["content"][1]["text"]) for clip in (clips[i] for i in range(8))]
    yield "trained", TINY_MODEL, asked


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    found: dict[tuple[str, str, str], list[float]] = {}
    for kind, folder, questions in cases():
        processor = AutoProcessor.from_pretrained(folder)
        model = AutoModel.from_pretrained(folder, dtype=torch.float32).to(best_device()).eval()
        asked = [ask(processor, model, video, question) for video, question in questions]
        expected = [answers(model, inputs, None, talks=kind == "trained") for inputs in asked]
        for part, names in PARTS.items():
            model = AutoModel.from_pretrained(folder, dtype=torch.bfloat16).to(best_device()).eval()
            keep_in_float32(model, names)
            for inputs, (words, masks) in zip(asked, expected, strict=True):
                _, again = answers(model, inputs, words)
                for mode in MODES:
                    ious = mask_iou(masks[mode].flatten(0, 1), again[mode].flatten(0, 1), empty=1)
                    found.setdefault((kind, mode, part), []).extend(ious.tolist())
    return {
        f"{kind}, {mode}, in float32: {part}": {
            "mean": round(sum(ious) / len(ious), 4),
            "least": round(min(ious), 4),
            "masks": len(ious),
        }
        for (kind, mode, part), ious in found.items()
    }


def ask(processor: Any, model: nn.Module, video: Any, question: str) -> Any:
    content = [{"type": "video", "video": video}, {"type": "text", "text": question}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    ).to(model.device)


def answers(
    model: nn.Module, inputs: Any, words: torch.Tensor | None, talks: bool = True
) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Words `[L]` and masks by mode."""
    length, masks = inputs["input_ids"].shape[1], {}
    for mode in MODES:
        # Untrained models say [SEG] only if told to; the small one names its object in twelve words.
        told = [Given(words, length)] if words is not None else []
        if words is None and not talks:
            told = [ForceTokens({0: model.config.seg_token_id}, length)]
        tokens = 12 if words is None else len(words)
        output = model.generate(
            **inputs, max_new_tokens=tokens, do_sample=False, mask_mode=mode, logits_processor=told
        )
        masks[mode] = output.masks[0]
        words = output.sequences[0, length:]
    return words, masks


if __name__ == "__main__":
    benchmark_main("precision_modules", run)
