"""Floating-point operations of the full-size architecture, stage by stage, counted on the meta device.

Nothing is computed: this says what share of a first question a second one cannot save, on any device.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch
from transformers import DynamicCache

from common import benchmark_main
from floors import flops
from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration
from videoglamm_hf.pixel_decoder import (
    decode_first_frame,
    decode_framewise,
    decode_tracked_frame,
    encode_frames,
    new_memory_bank,
    remember,
)
from videoglamm_hf.transformers_versions import CACHE

NUM_FRAMES, NUM_TOKENS, PROMPT_TOKENS = 16, 64, 3400


@torch.inference_mode()
def run(arguments: argparse.Namespace) -> dict[str, Any]:
    config = VideoGlammConfig()
    with torch.device("meta"):
        model = VideoGlammForGroundedGeneration(config).eval()
        pixels = {
            "pixel_values_videos": torch.empty(1, NUM_FRAMES, 3, 336, 336),
            "temporal_pixel_values_videos": torch.empty(1, NUM_FRAMES, 3, 224, 224),
        }
        embeds = torch.empty(1, PROMPT_TOKENS, config.text_config.hidden_size)
        frame = torch.empty(1, 3, 1024, 1024)
        prompt = torch.empty(1, 256)
    decoder = model.pixel_decoder
    features = encode_frames(decoder, frame)

    def track(num_frames: int) -> None:
        bank = new_memory_bank(decoder)
        bank.condition(0, remember(decoder, features, decode_first_frame(decoder, features, prompt), prompted=True))
        for t in range(1, num_frames):
            masks = decode_tracked_frame(decoder, features, bank, t)
            bank.append(t, remember(decoder, features, masks, prompted=False))

    def decode(num_tokens: int) -> None:
        cache = DynamicCache(config=config.text_config)
        model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1, **{CACHE: cache})
        for _ in range(num_tokens):
            model(inputs_embeds=embeds[:, :1], use_cache=True, logits_to_keep=1, **{CACHE: cache})

    def tera(function: Callable[[], Any]) -> float:
        return flops(function) / 1e12

    prefill = tera(lambda: decode(0))
    stages = {
        "towers and projectors": tera(lambda: model.get_video_features(**pixels)),
        "prefill": prefill,
        f"{NUM_TOKENS} tokens": tera(lambda: decode(NUM_TOKENS)) - prefill,
        f"image encoder, {NUM_FRAMES} frames": NUM_FRAMES * tera(lambda: encode_frames(decoder, frame)),
        f"one object, {NUM_FRAMES} frames, framewise": NUM_FRAMES
        * tera(lambda: decode_framewise(decoder, features, prompt)),
        f"one object, {NUM_FRAMES} frames, video": tera(lambda: track(NUM_FRAMES)),
    }
    seen, words, encoder, framewise, video = (
        stages["towers and projectors"],
        stages["prefill"] + stages[f"{NUM_TOKENS} tokens"],
        *list(stages.values())[3:],
    )
    first, again = seen + words + encoder, words
    return {
        "TFLOP by stage": {name: round(value, 2) for name, value in stages.items()},
        "second question / first, new conversation": {
            "framewise": round((again + framewise) / (first + framewise), 3),
            "video": round((again + video) / (first + video), 3),
        },
        "second question / first, next turn (prefix cached)": {
            "framewise": round((again - prefill + framewise) / (first + framewise), 3),
            "video": round((again - prefill + video) / (first + video), 3),
        },
    }


if __name__ == "__main__":
    benchmark_main("arithmetic of the full size", run)
