"""The full-size architecture with random weights in bfloat16, stage by stage, against the device's own floor.

Needs an accelerator of about 24 GB; `--tiny` runs the same code on the parity tests' architecture, anywhere.
"""

import argparse
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch

from common import ForceTokens, benchmark_main, for_inference, frames, median_seconds, tiny_model
from device import best_device
from floors import Floors, measured_floors, stage
from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration, VideoGlammProcessor
from videoglamm_hf.image_streams import normalize_grounding_frames
from videoglamm_hf.pixel_decoder import encode_frames
from videoglamm_hf.tracking import Tracker, TrackingOptions

RUNS = 5


@dataclass(frozen=True)
class Asked:
    """The video and the answer that is measured."""

    frames: int = 16
    height: int = 720
    width: int = 1280
    objects: int = 2
    tokens: int = 64


ASKED = Asked()


def full_size() -> tuple[Any, Any]:
    """The published sizes with random weights, and the tiny model's processor (its words) for those sizes."""
    tiny, processor = tiny_model()
    ids = {name: getattr(tiny.config, name) for name in ("seg_token_id", "image_token_id", "video_token_id")}
    config = VideoGlammConfig(**ids)
    torch.set_default_dtype(torch.bfloat16)
    try:
        with torch.device(best_device()):
            model = for_inference(VideoGlammForGroundedGeneration(config))
    finally:
        torch.set_default_dtype(torch.float32)
    processor = VideoGlammProcessor.for_config(config, processor.tokenizer, chat_template=processor.chat_template)
    return model, processor


class AnswerStages:
    """One question about one video; each method measures a stage of its answer.

    Args:
        model, processor: Whose stages these are.
        floors: Of the device, in the model's dtype.
        within: Seconds that the repetitions of one measurement may take; None repeats `RUNS` times.
    """

    @torch.inference_mode()
    def __init__(self, model: Any, processor: Any, floors: Floors, asked: Asked = ASKED, within: float | None = None):
        self.model, self.floors, self.asked, self.within = model, floors, asked, within
        content = [
            {"type": "video", "video": frames(asked.frames, asked.height // 4, asked.width // 4)},
            {"type": "text", "text": "Can you segment the disc and the square?"},
        ]
        self.inputs = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        ).to(model.device)
        self.inputs["original_sizes"] = torch.tensor([[asked.height, asked.width]])
        names = ("pixel_values_videos", "temporal_pixel_values_videos")
        self.pixels = {name: self.inputs[name].to(model.dtype) for name in names}
        self.frames = self.inputs["grounding_frames"][0].to(model.device)
        self.prompt_tokens = self.inputs["input_ids"].shape[1]

    @torch.inference_mode()
    def answer(self, tokens: int, model: Any = None, **options: Any) -> Any:
        """An answer of so many tokens, which names an object in every eighth; by another model, if one is given."""
        forced = {8 * (i + 1): self.model.config.seg_token_id for i in range(self.asked.objects)}
        return (model or self.model).generate(
            **self.inputs,
            max_new_tokens=tokens,
            min_new_tokens=tokens,
            do_sample=False,
            logits_processor=[ForceTokens(forced, self.prompt_tokens)],
            **options,
        )

    def spatial_tower(self) -> dict[str, Any]:
        return self._stage(lambda: self.model.model._spatial_patches(self.pixels["pixel_values_videos"][0]))

    def towers(self) -> dict[str, Any]:
        return self._stage(lambda: self.model.get_video_features(**self.pixels))

    @torch.inference_mode()
    def prefill(self) -> dict[str, Any]:
        seen = self.model.get_video_features(**self.pixels).pooler_output
        embeds = self.model.model.embed_inputs(self.inputs["input_ids"], video_features=seen)
        return self._stage(lambda: self.model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1))

    def token(self, cache: str | None) -> dict[str, Any]:
        """A further token, with a cache of transformers by its name; None leaves the choice to `generate`."""
        options = {"return_masks": False} | ({"cache_implementation": cache} if cache else {})
        few, many = (
            median_seconds(lambda n=n: self.answer(n, **options), runs=RUNS, within=self.within)
            for n in (1, self.asked.tokens)
        )
        read = [*self.model.model.language_model.layers.parameters(), self.model.lm_head.weight]
        floor = self.floors.of_reading(sum(weight.nbytes for weight in read))
        return stage((many - few) / (self.asked.tokens - 1), floor)

    def image_encoder(self) -> dict[str, Any]:
        decoder, size = self.model.pixel_decoder, self.model.config.grounding_batch_size
        normal = normalize_grounding_frames(self.frames, decoder.image_size, decoder.dtype)
        return self._stage(lambda: [encode_frames(decoder, some) for some in normal.split(size)])

    def masks(self) -> dict[str, Any]:
        channels = self.model.seg_projection.linear_2.out_features
        prompts = torch.randn(self.asked.objects, channels, device=self.model.device, dtype=self.model.dtype)
        sizes = [(self.asked.height, self.asked.width)]
        return self._stage(
            lambda: list(
                Tracker(self.model.pixel_decoder, [prompts], [self.frames], TrackingOptions()).masks(sizes),
            )
        )

    def whole_answer(self) -> dict[str, Any]:
        taken = median_seconds(lambda: self.answer(self.asked.tokens), runs=RUNS, within=self.within)
        return {"ms": round(1e3 * taken, 1)}

    @torch.inference_mode()
    def _stage(self, function: Callable[[], Any]) -> dict[str, Any]:
        floor = self.floors.of_arithmetic(function)
        return stage(median_seconds(function, runs=RUNS, within=self.within), floor)


STAGES: dict[str, Callable[[AnswerStages], dict[str, Any]]] = {
    "spatial tower": AnswerStages.spatial_tower,
    "both towers and projectors": AnswerStages.towers,
    "prefill": AnswerStages.prefill,
    "a token, dynamic cache": lambda stages: stages.token("dynamic"),
    "a token, static cache, compiled": lambda stages: stages.token("static"),
    "a token, default": lambda stages: stages.token(None),
    f"image encoder, {ASKED.frames} frames": AnswerStages.image_encoder,
    f"masks, {ASKED.objects} objects, {ASKED.frames} frames, encoder included": AnswerStages.masks,
    "whole answer": AnswerStages.whole_answer,
}


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    model, processor = tiny_model() if arguments.tiny else full_size()
    floors = measured_floors(model.dtype)
    stages = AnswerStages(model, processor, floors)
    result: dict[str, Any] = {
        "weights": "tiny" if arguments.tiny else "full size, random",
        "dtype": str(model.dtype),
        "parameters": sum(p.numel() for p in model.parameters()),
        "prompt tokens": stages.prompt_tokens,
        **floors.figures(),
    }
    # What transformers compiles, it compiles on an accelerator.
    on_cpu = model.device.type == "cpu"
    measured = {name: measure for name, measure in STAGES.items() if not (on_cpu and name.endswith("compiled"))}
    return result | {"stages": {name: measure(stages) for name, measure in measured.items()}}


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--tiny", action="store_true", help="the tiny architecture in float32, to try the script")


if __name__ == "__main__":
    benchmark_main("full size", run, options)
