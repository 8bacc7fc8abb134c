"""`encode_videos`: everything of an answer that does not depend on the question, run once."""

from collections.abc import Sequence
from typing import Any

import torch
from transformers import DynamicCache

from .encoded_video import PATCH_NAMES, EncodedVideo, PromptPrefix
from .fingerprints import fingerprints
from .options import check_names
from .pixel_decoder import FrameFeatures, concatenate_features, encode_pixels
from .tracking_inputs import check_frames
from .transformers_versions import CACHE

# What else a processor or collator returns, and what a misspelt option may have meant.
_BESIDE = ("attention_mask", "assistant_masks", "labels", "mask_labels", "sample_index", "sample_names")
_OPTIONS = ("keep_frames", "keep_patches", "read_prompt", "storage_device")


class VideoEncodingMixin:
    """`encode_videos` of [`VideoGlammForGroundedGeneration`]."""

    @torch.no_grad()
    def encode_videos(
        self,
        input_ids: torch.Tensor,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        grounding_frames: Sequence[torch.Tensor] | None = None,
        original_sizes: torch.Tensor | Sequence[Sequence[int]] | None = None,
        frame_timestamps: Sequence[Sequence[float]] | None = None,
        *,
        keep_frames: bool = True,
        keep_patches: bool = False,
        read_prompt: bool = False,
        storage_device: torch.device | str | None = None,
        **kwargs: Any,
    ) -> list[EncodedVideo | None]:
        r"""
        Runs everything that does not depend on the question, once: `(video,) = model.encode_videos(**inputs)`.

        Args:
            input_ids, pixel_values, pixel_values_videos, temporal_pixel_values_videos: What
                [`VideoGlammProcessor`] returned.
            grounding_frames, original_sizes, frame_timestamps, kwargs: The same.
            keep_frames: Also run the pixel decoder's image encoder and keep its features of every frame (at 1024
                pixels 16.8 MB a frame in float32); otherwise masks are still decoded from `grounding_frames`.
            keep_patches: Also keep the towers' own output, which training takes.
            read_prompt: Also let the language model read the prompt up to the last visual token, and keep its keys
                and values (1.3 GB at the published size in bfloat16), which every further single question with the
                same system turn reuses. Prompts must not be padded.
            storage_device: Where frame features are kept; the model's device by default.

        Returns:
            Per prompt, its video or picture; None for text only.

        Raises:
            InputError: If frames are not as the pixel decoder takes them.
        """
        check_names(kwargs, (*_BESIDE, "video_metadata", *_OPTIONS), "of encode_videos")
        patches = self._patches(
            pixel_values=pixel_values,
            pixel_values_videos=pixel_values_videos,
            temporal_pixel_values_videos=temporal_pixel_values_videos,
        )
        tokens = dict(zip(("image", "video"), self.model.project(patches), strict=True))
        made_by = fingerprints(self)
        count = {"image": 0, "video": 0}
        encoded: list[EncodedVideo | None] = []
        for row, ids in enumerate(input_ids):
            kind = next((k for k in count if (ids == getattr(self.config, f"{k}_token_id")).any()), None)
            if kind is None:
                encoded.append(None)
                continue
            place = count[kind]
            count[kind] += 1
            size = (0, 0) if original_sizes is None else (int(side) for side in original_sizes[row])
            frames = grounding_frames[row] if keep_frames and grounding_frames is not None else ()
            one = EncodedVideo(
                kind=kind,
                original_size=tuple(size),
                frame_timestamps=list(frame_timestamps[row]) if frame_timestamps else [],
                fingerprints={part: made_by[part] for part in ("towers", "projectors")},
                visual_tokens=tokens[kind][place],
                patches={name: patches[name][place] for name in PATCH_NAMES[kind]} if keep_patches else {},
                prefix=self._read_prefix(ids, tokens[kind][place]) if read_prompt else None,
            )
            if len(frames):
                check_frames(frames, self.config.grounding_config.image_size, f"grounding_frames of sample {row}")
                one.frame_features = self._encode_all_frames(frames, storage_device)
                one.fingerprints["image_encoder"] = made_by["image_encoder"]
            encoded.append(one)
        return encoded

    def _patches(self, **pixels: torch.Tensor | None) -> dict[str, torch.Tensor]:
        """What the towers see of pixels of any dtype, by the names of `forward`."""
        return self.model.encode_towers(
            **{n: None if own is None else own.to(self.dtype) for n, own in pixels.items()}
        )

    def _read_prefix(self, input_ids: torch.Tensor, visual_tokens: torch.Tensor) -> PromptPrefix:
        """Reads one prompt `[L]` up to its last visual token."""
        is_video = input_ids == self.config.video_token_id
        last = (is_video | (input_ids == self.config.image_token_id)).nonzero()[-1]
        prefix = input_ids[None, : int(last) + 1]
        kind = "video_features" if is_video.any() else "image_features"
        embeds = self.model.embed_inputs(prefix, **{kind: visual_tokens[None]})
        cache = DynamicCache(config=self.config.text_config)
        self.model.language_model(inputs_embeds=embeds, use_cache=True, **{CACHE: cache})
        return PromptPrefix(prefix[0], cache)

    def _encode_all_frames(self, frames: Sequence[Any], device: torch.device | str | None) -> FrameFeatures:
        """The pixel decoder's features of every frame, encoded a few at a time."""
        size = self.config.grounding_batch_size
        return concatenate_features(
            [
                self.pixel_decoder([frames[start : start + size]], step=encode_pixels).to(device)
                for start in range(0, len(frames), size)
            ]
        )
