"""What the model sees of a batch of pictures, videos and texts, in the order of the samples."""

from collections.abc import Sequence
from typing import Any

import torch

from .clip import ArrayClip, SampledClip
from .clip_sources import read_image
from .encoded_video import EncodedVideo
from .errors import InputError
from .frame_sampling import SAMPLING_OPTIONS
from .image_processing_videoglamm import VideoGlammImageProcessor
from .video_processing_videoglamm import VideoGlammVideoProcessor, check_seen_already, metadata_of_each


def read_visuals(
    visuals: Sequence[dict[str, Any] | None], video_processor: VideoGlammVideoProcessor, options: dict[str, Any]
) -> list[SampledClip | EncodedVideo | None]:
    """What these parts of messages hold, sampled by these options and their own; None for no part.

    Raises:
        InputError: An option cannot be used.
        MediaError: A video or picture cannot be read.
    """
    count = sum(visual is not None and visual["type"] == "video" for visual in visuals)
    own = iter(metadata_of_each(options.get("video_metadata"), count))
    return [
        _read(visual, video_processor, options | {"video_metadata": next(own)})
        if visual is not None and visual["type"] == "video"
        else _read(visual, video_processor, {})
        for visual in visuals
    ]


def _read(
    visual: dict[str, Any] | None, video_processor: VideoGlammVideoProcessor, options: dict[str, Any]
) -> SampledClip | EncodedVideo | None:
    if visual is None:
        return None
    source = visual["source"]
    options = options | {name: visual[name] for name in SAMPLING_OPTIONS if name in visual}
    if is_encoded(source):
        check_seen_already(options)
        return source
    if visual["type"] == "image":
        chosen = hasattr(source, "tower_indices")
        return source if chosen else SampledClip(ArrayClip(read_image(source)[None], source="picture"), [0])
    return video_processor.sample(source, **options)


def visual_inputs(
    clips: Sequence[SampledClip | EncodedVideo | None],
    kinds: Sequence[str | None],
    image_processor: VideoGlammImageProcessor,
    video_processor: VideoGlammVideoProcessor,
    lazy: bool = False,
) -> dict[str, Any]:
    """What the model sees of a batch.

    Args:
        clips: Per sample, its frames, its encoded video, or None for text only.
        kinds: Per sample, `"image"`, `"video"` or None.
        image_processor, video_processor: What makes pixels of frames.
        lazy: Whether frames are decoded when they are needed.

    Returns:
        `encoded_videos`, or the streams of all pictures and videos with `grounding_frames`, `original_sizes` and
        `frame_timestamps` of every sample.

    Raises:
        InputError: If some samples are encoded and others are not, or one was encoded as another kind.
    """
    if any(is_encoded(clip) for clip in clips):
        return {"encoded_videos": _checked_encoded(clips, kinds)}
    side = video_processor.grounding_image_size
    by_kind = {
        kind: [clip for clip, own in zip(clips, kinds, strict=True) if own == kind] for kind in ("image", "video")
    }
    streams: dict[str, Any] = {}
    per_sample: dict[str, Any] = {}
    if by_kind["image"]:
        found = image_processor.preprocess([clip.clip.frames([0])[0] for clip in by_kind["image"]])
        streams["pixel_values"] = found["pixel_values"]
        # A training sample's picture may have no masks.
        frames = [own[: len(clip)] for own, clip in zip(found["grounding_frames"], by_kind["image"], strict=True)]
        times = [list(clip.seconds) for clip in by_kind["image"]]
        per_sample["image"] = iter(list(zip(frames, found["original_sizes"].tolist(), times, strict=True)))
    if by_kind["video"]:
        found = video_processor.streams(by_kind["video"], lazy)
        names = ("pixel_values_videos", "temporal_pixel_values_videos")
        streams |= {name: found[name] for name in names}
        columns = (found["grounding_frames"], found["original_sizes"].tolist(), found["frame_timestamps"])
        per_sample["video"] = iter(list(zip(*columns, strict=True)))
    nothing = (torch.zeros((0, 3, side, side), dtype=torch.uint8), [0, 0], [])
    rows = [nothing if kind is None else next(per_sample[kind]) for kind in kinds]
    frames, sizes, times = (list(column) for column in zip(*rows, strict=True))
    streams["grounding_frames"] = frames
    streams["original_sizes"] = torch.tensor(sizes, dtype=torch.long)
    streams["frame_timestamps"] = times
    return streams


def is_encoded(source: Any) -> bool:
    """Whether a video was seen before. By its attribute: installed and remote classes are different objects."""
    return hasattr(source, "fingerprints")


def _checked_encoded(clips: Sequence[Any], kinds: Sequence[str | None]) -> list[EncodedVideo | None]:
    """The encoded videos of a batch, with None for text-only samples."""
    for i, (clip, kind) in enumerate(zip(clips, kinds, strict=True)):
        if clip is None:
            continue
        if not is_encoded(clip):
            raise InputError(f"Sample {i} gives pixels and another one an encoded video; encode all or none.")
        if clip.kind != kind:
            raise InputError(f"Sample {i} asks about a {kind}, but what was encoded is a {clip.kind}.")
    return list(clips)
