"""bfloat16 against float32: how far words and masks drift, on several sets of weights."""

import argparse
import json
import tempfile
from pathlib import Path
from typing import Any

import torch
from transformers import AutoModel, AutoProcessor

from common import TINY_CONFIG, ForceTokens, benchmark_main, frames
from device import best_device
from tests.tiny_checkpoint import write_original
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.mask_overlap import mask_iou

SEEDS = ("", "B:", "C:", "D:")


def answers(salt: str) -> dict[str, Any]:
    """Outputs of one set of weights in both precisions and both mask modes."""
    found = {}
    with tempfile.TemporaryDirectory() as work:
        original, converted = Path(work) / "original", Path(work) / "converted"
        write_original(original, salt=salt)
        convert_videoglamm(original, converted, clip=original / "clip", config=TINY_CONFIG, progress=False)
        processor = AutoProcessor.from_pretrained(converted)
        content = [{"type": "video", "video": frames(6, 90, 160)}, {"type": "text", "text": "Where is the disc?"}]
        inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        for dtype in (torch.float32, torch.bfloat16):
            model = AutoModel.from_pretrained(converted, dtype=dtype).to(best_device()).eval()
            for mode in ("framewise", "video"):
                forced = [ForceTokens({0: model.config.seg_token_id}, inputs["input_ids"].shape[1])]
                found[mode, dtype] = model.generate(
                    **inputs.to(model.device),
                    max_new_tokens=12,
                    do_sample=False,
                    mask_mode=mode,
                    logits_processor=forced,
                )
    return found


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    result: dict[str, Any] = {"seeds": len(SEEDS)}
    rows: dict[str, list[float]] = {"framewise": [], "video": []}
    same_tokens = []
    for salt in SEEDS:
        found = answers(salt)
        for mode, values in rows.items():
            full, half = found[mode, torch.float32], found[mode, torch.bfloat16]
            values.append(float(mask_iou(full.masks[0].flatten(0, 2), half.masks[0].flatten(0, 2))))
        tokens = [found["video", dtype].sequences[0] for dtype in (torch.float32, torch.bfloat16)]
        length = found["video", torch.float32].prompt_length
        same_tokens.append(float((tokens[0][length:] == tokens[1][length:]).float().mean()))
    for mode, values in rows.items():
        result[f"IoU of bfloat16 and float32 masks, {mode}"] = [round(v, 4) for v in values]
    result["share of equal greedy tokens"] = [round(v, 3) for v in same_tokens]
    return json.loads(json.dumps(result))


if __name__ == "__main__":
    benchmark_main("precision", run)
