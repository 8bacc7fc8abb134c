"""What the model has seen of a video, kept to ask again without seeing again.

Shapes: B samples, n visual tokens of one sample, D width of the language model.
"""

import hashlib
import json
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import Cache

from .errors import InputError, MediaError
from .output_files import replacing_file
from .pixel_decoder import FrameFeatures
from .placement import stored_parameter

_FORMAT = "videoglamm-video-features-1"
# Fields of a config that say nothing about what the weights compute.
_VOLATILE = {
    "_name_or_path",
    "transformers_version",
    "dtype",
    "torch_dtype",
    "architectures",
    "auto_map",
    "quantization_config",
    "mask_mode",
    "mask_training_mode",
    "mask_padding_slots",
    "memory_gradient_frames",
    "ce_loss_weight",
    "mask_bce_loss_weight",
    "mask_dice_loss_weight",
    "iou_loss_weight",
    "object_score_loss_weight",
}


@dataclass
class PromptPrefix:
    """The start of a prompt that every question about a video shares, as the language model has read it.

    Attributes:
        input_ids: int64 `[p]`: the system turn and the visual tokens.
        cache: The language model's keys and values of these tokens, for one sequence.
    """

    input_ids: torch.Tensor
    cache: Cache

    def starts(self, input_ids: torch.Tensor) -> bool:
        """Whether a prompt `[L]` begins with this and goes on."""
        length = len(self.input_ids)
        return len(input_ids) > length and torch.equal(input_ids[:length], self.input_ids.to(input_ids.device))


@dataclass
class VideoFeatures:
    """Encoded videos or pictures of B samples, as `model.encode_video` returns them.

    Pass it to `generate(..., video_features=features)`, or as the video of a message
    (`{"type": "video", "video": features}`), which then needs no decoding either.

    Attributes:
        kinds: Per sample, `"video"`, `"image"` or None for text only.
        visual_tokens: Per sample, `[n, D]` (no tokens for text only).
        frame_features: Per sample, the pixel decoder's features of all its frames, or None if only the towers'
            output was kept.
        original_sizes: Per sample, `(height, width)` of the masks.
        frame_timestamps: Per sample, seconds of each frame.
        prefixes: Per sample, what the language model keeps of the prompt up to the last visual token, or None. Not
            written to files: it is as large as the prompt is long.
        fingerprint: Names the model that made them; another one refuses them.
    """

    kinds: list[str | None]
    visual_tokens: list[torch.Tensor]
    frame_features: list[FrameFeatures | None]
    original_sizes: list[tuple[int, int]]
    frame_timestamps: list[list[float]]
    prefixes: list["PromptPrefix | None"]
    fingerprint: str

    def __len__(self) -> int:
        return len(self.kinds)

    def __getitem__(self, index: int) -> "VideoFeatures":
        """The features of one sample."""
        index = range(len(self))[index]
        one = slice(index, index + 1)
        return VideoFeatures(
            self.kinds[one],
            self.visual_tokens[one],
            self.frame_features[one],
            self.original_sizes[one],
            self.frame_timestamps[one],
            self.prefixes[one],
            self.fingerprint,
        )

    @classmethod
    def concatenate(cls, parts: Sequence["VideoFeatures"]) -> "VideoFeatures":
        """Features of several samples as one batch.

        Raises:
            InputError: If different models made them.
        """
        if len({part.fingerprint for part in parts}) > 1:
            raise InputError("The video features come from different models; encode all videos with one model.")
        joined = [[item for part in parts for item in getattr(part, name)] for name in _FIELDS]
        return cls(*joined, parts[0].fingerprint)

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a safetensors file, aside first and then renamed.

        Raises:
            MediaError: If it cannot be written.
        """
        path = Path(path)
        tensors, described = {}, []
        for i, features in enumerate(self.frame_features):
            tensors[f"{i}.visual_tokens"] = self.visual_tokens[i].contiguous()
            if features is not None:
                first, second = features.high_resolution
                named = {
                    "embedding": features.embedding,
                    "high_0": first,
                    "high_1": second,
                    "position": features.position,
                }
                tensors |= {f"{i}.{name}": tensor.contiguous() for name, tensor in named.items()}
            described.append(
                {
                    "kind": self.kinds[i],
                    "has_frames": features is not None,
                    "original_size": list(self.original_sizes[i]),
                    "frame_timestamps": self.frame_timestamps[i],
                }
            )
        metadata = {"format": _FORMAT, "fingerprint": self.fingerprint, "samples": json.dumps(described)}
        try:
            with replacing_file(path) as aside:
                save_file(tensors, aside, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise MediaError(f"{path} cannot be written: {error}") from error

    @classmethod
    def load(cls, path: str | os.PathLike[str], device: str = "cpu") -> "VideoFeatures":
        """Reads what [`save`] wrote.

        Raises:
            MediaError: If the file is missing, damaged, or holds something else.
        """
        try:
            with safe_open(path, framework="pt", device=device) as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise MediaError(f"{path} holds no video features.")
                samples = json.loads(metadata["samples"])
                tokens, frames = [], []
                for i, sample in enumerate(samples):
                    tokens.append(file.get_tensor(f"{i}.visual_tokens"))
                    frames.append(
                        FrameFeatures(
                            file.get_tensor(f"{i}.embedding"),
                            (file.get_tensor(f"{i}.high_0"), file.get_tensor(f"{i}.high_1")),
                            file.get_tensor(f"{i}.position"),
                        )
                        if sample["has_frames"]
                        else None
                    )
        except (OSError, SafetensorError, KeyError, ValueError) as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"{path} cannot be read as video features: {error}") from error
        return cls(
            [sample["kind"] for sample in samples],
            tokens,
            frames,
            [tuple(sample["original_size"]) for sample in samples],
            [sample["frame_timestamps"] for sample in samples],
            [None] * len(samples),
            metadata["fingerprint"],
        )


_FIELDS = ("kinds", "visual_tokens", "frame_features", "original_sizes", "frame_timestamps", "prefixes")


def lasting_fields(config: Any) -> Any:
    """A config as a dict, nested ones alike, without what loading and saving change."""
    if not isinstance(config, dict):
        return config
    return {key: lasting_fields(value) for key, value in config.items() if key not in _VOLATILE}


def model_fingerprint(model: Any) -> str:
    """A name for what a model computes: its config and a few weights of every part that is trained."""
    config = lasting_fields(model.config.to_dict())
    digest = hashlib.sha256(json.dumps(config, sort_keys=True, default=str).encode())
    probes = (
        stored_parameter(model.model.spatial_projector.linear_2, "bias"),
        stored_parameter(model.model.temporal_projector.linear_2, "bias"),
        stored_parameter(model.pixel_decoder, "no_memory_embedding"),
        stored_parameter(model.seg_projection.linear_2, "bias"),
    )
    for probe in probes:
        # Rounded to bfloat16, so that a model loaded in another precision knows its features again.
        digest.update(probe.detach().to("cpu", torch.bfloat16).view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]
