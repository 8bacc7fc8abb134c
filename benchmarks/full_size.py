"""The full-size architecture with random weights in bfloat16, stage by stage, against the device's own floor.

The floor of a stage is its arithmetic at the rate of one large matrix product; that of a decoding step is the
bytes of the language model's weights at the rate of a large copy. Both rates are measured in the same run. Needs
an accelerator of about 24 GB; `--tiny` runs the same code on the parity tests' architecture, anywhere.
"""

import argparse
from collections.abc import Callable
from typing import Any

import torch

from common import (
    ForceTokens,
    benchmark_main,
    best_device,
    flops,
    frames,
    matrix_flops_per_second,
    median_seconds,
    seconds,
    tiny_model,
)
from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration, VideoGlammProcessor
from videoglamm_hf.image_streams import normalize_grounding_frames
from videoglamm_hf.pixel_decoder import encode_frames
from videoglamm_hf.tracking import Tracker, TrackingOptions

NUM_FRAMES, NUM_TOKENS, NUM_OBJECTS = 16, 64, 2
HEIGHT, WIDTH = 720, 1280


def full_size() -> tuple[Any, Any]:
    """The published sizes with random weights, and the tiny model's processor (its words) for those sizes."""
    tiny, processor = tiny_model()
    ids = {name: getattr(tiny.config, name) for name in ("seg_token_id", "image_token_id", "video_token_id")}
    config = VideoGlammConfig(**ids)
    torch.set_default_dtype(torch.bfloat16)
    with torch.device(best_device()):
        model = VideoGlammForGroundedGeneration(config).eval()
    torch.set_default_dtype(torch.float32)
    processor = VideoGlammProcessor.for_config(config, processor.tokenizer, chat_template=processor.chat_template)
    return model, processor


def copied_bytes_per_second(megabytes: int = 1024) -> float:
    """What this device reads and writes in one large copy."""
    source = torch.empty(megabytes * 2**20, dtype=torch.uint8, device=best_device())
    target = torch.empty_like(source)
    return 2 * source.numel() / min(seconds(lambda: target.copy_(source)) for _ in range(8))


@torch.inference_mode()
def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = tiny_model() if arguments.tiny else full_size()
    decoder, language_model = model.pixel_decoder, model.model.language_model
    on_cuda = model.device.type == "cuda"
    rate = matrix_flops_per_second(model.dtype, size=1024 if arguments.tiny else 8192)
    bandwidth = copied_bytes_per_second(64 if arguments.tiny else 4096)
    content = [
        {"type": "video", "video": frames(NUM_FRAMES, HEIGHT // 4, WIDTH // 4)},
        {"type": "text", "text": "Can you segment the disc and the square?"},
    ]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    ).to(model.device)
    sizes = torch.tensor([[HEIGHT, WIDTH]])
    length = inputs["input_ids"].shape[1]
    result: dict[str, Any] = {
        "weights": "tiny" if arguments.tiny else "full size, random",
        "dtype": str(model.dtype),
        "parameters": sum(p.numel() for p in model.parameters()),
        "prompt tokens": length,
        "TFLOP/s of a matrix product": round(rate / 1e12, 2),
        "GB/s of a copy": round(bandwidth / 1e9, 1),
    }
    stages: dict[str, dict[str, float]] = {}

    def stage(name: str, function: Callable[[], Any], floor: float | None = None) -> None:
        floor = flops(function) / rate if floor is None else floor
        taken = median_seconds(function, runs=5)
        stages[name] = {
            "ms": round(1e3 * taken, 2),
            "floor ms": round(1e3 * floor, 2),
            "floor / time": round(floor / taken, 3),
        }

    pixels = {name: inputs[name].to(model.dtype) for name in ("pixel_values_videos", "temporal_pixel_values_videos")}
    stage("spatial tower", lambda: model.model._spatial_patches(pixels["pixel_values_videos"][0]))
    stage("both towers, projectors", lambda: model.get_video_features(**pixels).pooler_output)
    embeds = model.model.embed_inputs(
        inputs["input_ids"], video_features=model.get_video_features(**pixels).pooler_output
    )
    stage("prefill", lambda: model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1))

    def answer(tokens: int, **options: Any) -> Any:
        forced = {8 * (i + 1): model.config.seg_token_id for i in range(NUM_OBJECTS)}
        return model.generate(
            **{**inputs, "original_sizes": sizes},
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            logits_processor=[ForceTokens(forced, length)],
            **options,
        )

    weights = sum(p.numel() * p.element_size() for p in [*language_model.layers.parameters(), model.lm_head.weight])
    for cache in ("dynamic", "static") if on_cuda else ("dynamic",):
        options = {"return_masks": False, "cache_implementation": cache}
        few = median_seconds(lambda o=options: answer(1, **o), runs=3)
        many = median_seconds(lambda o=options: answer(NUM_TOKENS, **o), runs=3)
        step = (many - few) / (NUM_TOKENS - 1)
        stages[f"decode, per token, {cache} cache"] = {
            "ms": round(1e3 * step, 2),
            "floor ms": round(1e3 * weights / bandwidth, 2),
            "floor / time": round(weights / bandwidth / step, 3),
        }
    resized = inputs["grounding_frames"][0].to(model.device)
    normal = normalize_grounding_frames(resized, decoder.image_size, decoder.dtype)
    size = model.config.grounding_batch_size
    stage(
        f"image encoder, {NUM_FRAMES} frames",
        lambda: [encode_frames(decoder, normal[t : t + size]) for t in range(0, NUM_FRAMES, size)],
    )
    prompts = torch.randn(
        NUM_OBJECTS, model.seg_projection.linear_2.out_features, device=model.device, dtype=model.dtype
    )
    stage(
        f"masks, {NUM_OBJECTS} objects, {NUM_FRAMES} frames (with the image encoder)",
        lambda: list(Tracker(decoder, [prompts], [resized], TrackingOptions()).masks([(HEIGHT, WIDTH)])),
    )
    if on_cuda:
        torch.cuda.reset_peak_memory_stats()
    result["whole answer seconds"] = round(median_seconds(lambda: answer(NUM_TOKENS), runs=3), 3)
    if on_cuda:
        result["peak memory GB"] = round(torch.cuda.max_memory_allocated() / 2**30, 2)
    return result | {"stages": stages}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tiny", action="store_true", help="the tiny architecture in float32, to try the script")


if __name__ == "__main__":
    benchmark_main("full size", run, options)
