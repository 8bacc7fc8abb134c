"""From samples to a training batch."""

import zlib
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from transformers import logging

from ..clip import SampledClip
from ..encoded_video import PATCH_NAMES, EncodedVideo
from ..errors import InputError, MediaError
from ..forward_checks import NO_LABEL
from ..frame_sampling import FrameSampling
from ..messages import is_list
from .clips import read_training_clip
from .feature_cache import FeatureCache
from .masks import decode_masks
from .rle import is_whole
from .sample import check_sample, conversations_of

logger = logging.get_logger(__name__)


@dataclass
class VideoGlammDataCollator:
    """Builds batches for `VideoGlammForGroundedGeneration` from samples (see [`sample`]).

    Args:
        processor: A [`VideoGlammProcessor`].
        num_mask_frames: Least and most mask frames of a video in a batch; their number and which ones they are is
            drawn anew every time. The original took 1 to 5. None takes all, in order.
        sampling: What the towers see of a video; as the processor samples it by default.
        features: A [`FeatureCache`] to take the place of pixels. If it holds no frame features, the mask frames are
            still decoded.
        seed: Of the draws, once [`set_epoch`] says which epoch this is (as [`VideoGlammTrainer`] does, with its own
            seed if this is None): they depend on seed, epoch and sample alone, so a training that was interrupted goes
            on as if it had not been, with any number of workers. Before that they follow torch's random state.
        skip_broken: Leave out samples whose video cannot be read, with a warning that counts them; a batch of none
            but broken ones is the last good sample once more. By default they raise.

    Returns:
        A dict with what [`VideoGlammProcessor.sample_inputs`] returns (with patches in place of pixels, and frame
        features in place of `grounding_frames`, where they come from the cache), except `assistant_masks`, and

        - `labels` int64 `[B, L]`: the ids of assistant turns (their end token included), elsewhere -100;
        - `mask_labels`: per sample, int8 `[objects, frames, H, W]`, objects in the order of their [SEG] over all its
          conversations;
        - `sample_names`: what a person would call each sample.

    Raises:
        InputError: If a sample is not one; the message says which of the batch, and what is wrong where.
        MediaError: If a video cannot be read.
    """

    processor: Any
    num_mask_frames: tuple[int, int] | None = (1, 5)
    sampling: FrameSampling | None = None
    features: FeatureCache | None = None
    seed: int | None = None
    skip_broken: bool = False

    def __post_init__(self) -> None:
        # Shared, for workers that stay from one epoch to the next; -1 until it is known.
        self._epoch = torch.full((), -1, dtype=torch.int64).share_memory_()
        self.num_skipped, self._last_good = 0, None
        bounds = self.num_mask_frames
        is_pair = is_list(bounds) and len(bounds) == 2 and all(map(is_whole, bounds))
        if bounds is not None and not (is_pair and 1 <= bounds[0] <= bounds[1]):
            raise InputError(f"num_mask_frames is {bounds!r:.80}; give (least, most), at least 1, or None for all.")
        # By an attribute, as of all our own classes.
        if self.sampling is not None and not hasattr(self.sampling, "is_timed"):
            raise InputError(f"sampling is a {type(self.sampling).__name__}; give a FrameSampling, or None.")

    def __call__(self, samples: Sequence[dict[str, Any]]) -> dict[str, Any]:
        if not is_list(samples) or not samples:
            raise InputError(f"A batch is a list of samples, at least one, not {samples!r:.80}.")
        read = [one for i, sample in enumerate(samples) if (one := self._read_or_skip(i, sample)) is not None]
        if not read and self._last_good is not None:
            read = [self._last_good]
        if not read:
            raise MediaError("None of the batch's videos could be read, nor any before; see the warnings above.")
        self._last_good = read[-1] if self.skip_broken else None
        names, clips, conversations, masks = zip(*read, strict=True)
        batch = self.processor.sample_inputs(conversations, clips, pixel_streams=self.features is None)
        if self.features is not None:
            batch |= self._cached_inputs(clips)
        answers = batch.pop("assistant_masks").bool()
        batch["labels"] = batch["input_ids"].masked_fill(~answers, NO_LABEL)
        batch["mask_labels"], batch["sample_names"] = list(masks), list(names)
        return dict(batch)

    def set_epoch(self, epoch: int) -> None:
        """Draws from now on as in this epoch, also in workers that run already."""
        self._epoch.fill_(epoch)

    def _read_or_skip(self, index: int, sample: Any) -> tuple[Any, ...] | None:
        if isinstance(sample, dict) and not sample:
            raise InputError("The samples arrive empty; set TrainingArguments(remove_unused_columns=False).")
        name = _name(sample)
        try:
            return name, *self._read(sample)
        except InputError as error:
            raise InputError(f"Sample {index} of the batch ({name}): {error}") from error
        except MediaError as error:
            if not self.skip_broken:
                raise
            self.num_skipped += 1
            logger.warning(f"Skipped {name}, the {self.num_skipped}. sample that cannot be read: {error}")
            return None

    def _read(self, sample: dict[str, Any]) -> tuple[Any, list[list[dict[str, Any]]], torch.Tensor]:
        """A sample's clip or cached features, conversations, and masks int8 `[objects, frames, H, W]`."""
        check_sample(sample)
        conversations = conversations_of(sample)
        numbers = list(sample.get("mask_frames") or ())
        places = self._draw(sample, len(numbers))
        video = self.processor.video_processor
        wanted = [numbers[place] for place in places]
        if self.features is None:
            clip = self._clip(sample, wanted, video.num_tower_frames)
            size = (1, 1) if clip is None else clip.size
        else:
            clip = self.features.read(sample, places)
            size = (1, 1) if clip is None else clip.original_size
            if clip is not None and clip.frame_features is None and places:
                clip = replace(clip, frame_features=video.grounding_frames(self._clip(sample, wanted, 0)))
        tracks = [track for _, own in conversations for track in own]
        masks = torch.from_numpy(decode_masks(tracks, tuple(size), places))
        return clip, [messages for messages, _ in conversations], masks

    def _clip(self, sample: dict[str, Any], mask_frames: Sequence[int], num_tower_frames: int) -> SampledClip | None:
        sampling = self.sampling or self.processor.video_processor.sampling
        return read_training_clip(sample, mask_frames, num_tower_frames=num_tower_frames, sampling=sampling)

    def _cached_inputs(self, videos: Sequence[EncodedVideo | None]) -> dict[str, Any]:
        """What the pixels of a batch would have become, and its frames to segment."""
        side = self.processor.video_processor.grounding_image_size
        no_frames = torch.zeros((0, 3, side, side), dtype=torch.uint8)
        nothing = EncodedVideo("text", (0, 0), [], {})
        videos = [video or nothing for video in videos]
        names = [name for own in PATCH_NAMES.values() for name in own]
        found = {name: [video.patches[name] for video in videos if name in video.patches] for name in names}
        return {name: torch.stack(patches) if patches else torch.zeros(0) for name, patches in found.items()} | {
            "grounding_frames": [no_frames if v.frame_features is None else v.frame_features for v in videos],
            "original_sizes": torch.tensor([video.original_size for video in videos]),
            "frame_timestamps": [video.frame_timestamps for video in videos],
        }

    def _draw(self, sample: dict[str, Any], count: int) -> list[int]:
        """Which of so many mask frames to take, in order."""
        if self.num_mask_frames is None or count == 0:
            return list(range(count))
        least, most = (min(bound, count) for bound in self.num_mask_frames)
        source = None
        if int(self._epoch) >= 0:
            words = repr(
                (self.seed or 0, int(self._epoch), _name(sample), sample["messages"], sample.get("mask_frames"))
            )
            source = torch.Generator().manual_seed(zlib.crc32(words.encode("utf-8", "surrogatepass")))
        number = int(torch.randint(least, most + 1, (), generator=source))
        return np.sort(torch.randperm(count, generator=source)[:number].numpy()).tolist()


def _name(sample: Any) -> str:
    """What a person would call a sample."""
    if not isinstance(sample, dict):
        return type(sample).__name__
    names = [sample.get(key) for key in ("id", "video", "image")]
    return next((name for name in names if isinstance(name, str)), "without id")
