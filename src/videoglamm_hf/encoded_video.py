"""What the model has seen of a video or picture, kept: to ask again, or to train, without seeing it again.

Shapes: n visual tokens, D width of the language model, F tower frames, P and P' patches of a frame of the spatial and
the temporal tower, C channels.
"""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from transformers import Cache

from .errors import InputError, MediaError
from .frame_arrays import check_pixels
from .output_files import replacing_file
from .pixel_decoder import FrameFeatures
from .short_repr import short_repr

# What the towers take and what they return by kind of visual, as arguments of the model's `forward`.
PIXEL_NAMES = {"image": ("pixel_values",), "video": ("pixel_values_videos", "temporal_pixel_values_videos")}
PATCH_NAMES = {"image": ("image_patches",), "video": ("video_patches", "temporal_video_patches")}
_FORMAT = "videoglamm-encoded-video-1"
_FRAME_TENSORS = ("embedding", "high_0", "high_1")


@dataclass(repr=False)
class PromptPrefix:
    """The start of a prompt that every question about a video shares, as the language model has read it.

    Attributes:
        input_ids: int64 `[p]`: the system turn and the visual tokens.
        cache: The language model's keys and values of these tokens, for one sequence.
    """

    input_ids: torch.Tensor
    cache: Cache

    __repr__ = short_repr

    def starts(self, input_ids: torch.Tensor) -> bool:
        """Whether a prompt `[L]` begins with this and goes on."""
        length = len(self.input_ids)
        return len(input_ids) > length and torch.equal(input_ids[:length], self.input_ids.to(input_ids.device))


@dataclass(repr=False)
class EncodedVideo:
    """One encoded video or picture, as `model.encode_videos` returns it.

    Pass it to `generate(..., encoded_videos=[...])`, or as the video of a message
    (`{"type": "video", "video": encoded}`), which then needs no decoding either.

    Attributes:
        kind: `"video"` or `"image"`.
        original_size: `(height, width)` of its masks.
        frame_timestamps: Seconds of each frame that gets masks.
        fingerprints: By part of the model that made something of it (see [`fingerprints`]), what it computed with.
        visual_tokens: `[n, D]`, what the language model reads; None if only the towers' output was kept.
        patches: The towers' output, as `VideoGlammForGroundedGeneration.forward` takes it but without the batch
            dimension: `image_patches` `[P, C]`, or `video_patches` `[F, P, C]` and `temporal_video_patches`
            `[F, P', C']`; empty if it was not kept.
        frame_features: The pixel decoder's features of the frames that get masks, or None.
        prefix: What the language model keeps of the prompt up to the last visual token, or None. Not written to
            files: it is as large as the prompt is long.
    """

    kind: str
    original_size: tuple[int, int]
    frame_timestamps: list[float]
    fingerprints: dict[str, str]
    visual_tokens: torch.Tensor | None = None
    patches: dict[str, torch.Tensor] = field(default_factory=dict)
    frame_features: FrameFeatures | None = None
    prefix: PromptPrefix | None = None

    __repr__ = short_repr

    def check_made_by(self, known: dict[str, str]) -> None:
        """Raises InputError unless the parts of a model with these fingerprints compute what made this."""
        parts = [part for part, name in self.fingerprints.items() if name != known.get(part)]
        if parts:
            raise InputError(
                f"This encoded video was made by another model ({', '.join(parts)} differ); encode it again."
            )

    def save(self, path: str | os.PathLike[str]) -> None:
        """Writes a safetensors file, aside first and then renamed.

        Raises:
            MediaError: If it cannot be written.
        """
        tensors = dict(self.patches)
        if self.visual_tokens is not None:
            tensors["visual_tokens"] = self.visual_tokens
        if self.frame_features is not None:
            features = (self.frame_features.embedding, *self.frame_features.high_resolution)
            tensors |= dict(zip(_FRAME_TENSORS, features, strict=True)) | {"position": self.frame_features.position}
        described = {
            "kind": self.kind,
            "original_size": list(self.original_size),
            "frame_timestamps": self.frame_timestamps,
            "fingerprints": self.fingerprints,
        }
        metadata = {"format": _FORMAT, "video": json.dumps(described)}
        try:
            with replacing_file(Path(path)) as aside:
                save_file({name: tensor.contiguous() for name, tensor in tensors.items()}, aside, metadata=metadata)
        except (OSError, SafetensorError) as error:
            raise MediaError(f"{path} cannot be written: {error}") from error

    @classmethod
    def load(
        cls, path: str | os.PathLike[str], device: str = "cpu", places: Sequence[int] | None = None
    ) -> "EncodedVideo":
        """Reads what [`save`] wrote.

        Args:
            path: The file.
            device: Where its tensors go.
            places: Which of its frames with masks are wanted; None for all.

        Raises:
            MediaError: If the file is missing, damaged, or holds something else.
        """
        try:
            with safe_open(path, framework="pt", device=device) as file:
                metadata = file.metadata() or {}
                if metadata.get("format") != _FORMAT:
                    raise MediaError(f"{path} holds no encoded video.")
                described = _checked(json.loads(metadata["video"]), str(path))
                known = set(file.keys())
                features = None
                if "embedding" in known:
                    if places is None:
                        embedding, *high = (file.get_tensor(name) for name in _FRAME_TENSORS)
                    else:
                        slices = [file.get_slice(name) for name in _FRAME_TENSORS]
                        embedding, *high = (torch.stack([one[place] for place in places]) for one in slices)
                    features = FrameFeatures(embedding, tuple(high), file.get_tensor("position"))
                times = described["frame_timestamps"]
                return cls(
                    kind=described["kind"],
                    original_size=tuple(described["original_size"]),
                    frame_timestamps=times if places is None else [times[place] for place in places],
                    fingerprints=described["fingerprints"],
                    visual_tokens=file.get_tensor("visual_tokens") if "visual_tokens" in known else None,
                    patches={name: file.get_tensor(name) for name in known if name.endswith("patches")},
                    frame_features=features,
                )
        except (OSError, SafetensorError, KeyError, ValueError, TypeError, IndexError, RuntimeError) as error:
            if isinstance(error, MediaError):
                raise
            raise MediaError(f"{path} cannot be read as an encoded video ({error}); encode it again.") from error


def _checked(described: dict[str, Any], name: str) -> dict[str, Any]:
    """What a file says about its video, if it can be so; raises MediaError, ValueError, KeyError or TypeError."""
    height, width = described["original_size"]
    times = described["frame_timestamps"]
    if described["kind"] not in PIXEL_NAMES or not isinstance(described["fingerprints"], dict):
        raise ValueError(f"it is of kind {described['kind']!r:.40}")
    if type(height) is not int or type(width) is not int or min(height, width) < 1:
        raise ValueError(f"its masks have size {described['original_size']!r:.80}")
    check_pixels(name, width, height)
    if not (isinstance(times, list) and all(type(time) in (int, float) and math.isfinite(time) for time in times)):
        raise ValueError("its frame_timestamps are no times")
    return described


def join_visual_tokens(videos: Sequence[EncodedVideo | None], kind: str, device: torch.device) -> torch.Tensor | None:
    """Visual tokens `[V, n, D]` of all samples of one kind, or None if there are none."""
    tokens = [video.visual_tokens for video in videos if video is not None and video.kind == kind]
    return torch.stack([own.to(device) for own in tokens]) if tokens else None
