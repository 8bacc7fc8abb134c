"""From samples to a training batch."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ..errors import InputError
from .clips import read_training_clip
from .masks import decode_masks
from .sample import check_sample, conversations_of

NO_LABEL = -100


@dataclass
class VideoGlammDataCollator:
    """Builds batches for `VideoGlammForGroundedGeneration` from samples (see [`sample`]).

    Args:
        processor: A [`VideoGlammProcessor`].
        num_mask_frames: Least and most mask frames of a video in a batch; their number and which ones they are is
            drawn anew every time (by torch's random state). The original took 1 to 5. None takes all, in order.
        fps, max_frames: How video files are sampled for the towers; the processor's own by default.

    Returns:
        A dict with what [`VideoGlammProcessor.sample_inputs`] returns, except `assistant_masks`, and

        - `labels` int64 `[B, L]`: the ids of assistant turns (their end token included), elsewhere -100;
        - `mask_labels`: per sample, int8 `[objects, frames, H, W]`, objects in the order of their [SEG] over all its
          conversations.

    Raises:
        InputError: If a sample is not one; the message says which of the batch, and what is wrong where.
        MediaError: If a video cannot be read.
    """

    processor: Any
    num_mask_frames: tuple[int, int] | None = (1, 5)
    fps: float | str | None = "default"
    max_frames: int | str | None = "default"

    def __post_init__(self) -> None:
        bounds = self.num_mask_frames
        if bounds is not None and not 1 <= bounds[0] <= bounds[1]:
            raise InputError(f"num_mask_frames is {bounds}; give (least, most), at least 1, or None for all.")

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        clips, conversations, masks = [], [], []
        for i, sample in enumerate(samples):
            if isinstance(sample, dict) and not sample:
                raise InputError("The samples arrive empty; set TrainingArguments(remove_unused_columns=False).")
            try:
                clip, own, labels = self._read(sample)
            except InputError as error:
                raise InputError(f"Sample {i} of the batch ({_name(sample)}): {error}") from error
            clips.append(clip)
            conversations.append(own)
            masks.append(labels)
        batch = self.processor.sample_inputs(conversations, clips)
        answers = batch.pop("assistant_masks").bool()
        batch["labels"] = batch["input_ids"].masked_fill(~answers, NO_LABEL)
        batch["mask_labels"] = masks
        return dict(batch)

    def _read(self, sample: dict[str, Any]) -> tuple[Any, list[list[dict[str, Any]]], torch.Tensor]:
        """A sample's clip, conversations, and masks int8 `[objects, frames, H, W]`."""
        check_sample(sample)
        conversations = conversations_of(sample)
        numbers = list(sample.get("mask_frames") or ())
        places = self._draw(len(numbers))
        options = {
            name: getattr(self.processor, name) if getattr(self, name) == "default" else getattr(self, name)
            for name in ("fps", "max_frames")
        }
        clip = read_training_clip(
            sample,
            [numbers[place] for place in places],
            num_tower_frames=self.processor.num_tower_frames,
            **options,
        )
        size = clip.frames.shape[1:3] if clip is not None else (1, 1)
        tracks = [track for _, own in conversations for track in own]
        masks = torch.from_numpy(decode_masks(tracks, tuple(size), places))
        return clip, [messages for messages, _ in conversations], masks

    def _draw(self, count: int) -> list[int]:
        """Which of so many mask frames to take, in order."""
        if self.num_mask_frames is None or count == 0:
            return list(range(count))
        least, most = (min(bound, count) for bound in self.num_mask_frames)
        number = int(torch.randint(least, most + 1, ()))
        return np.sort(torch.randperm(count)[:number].numpy()).tolist()


def _name(sample: Any) -> str:
    """What a person would call a sample."""
    if not isinstance(sample, dict):
        return type(sample).__name__
    names = [sample.get(key) for key in ("id", "video", "image")]
    return next((name for name in names if isinstance(name, str)), "without id")
