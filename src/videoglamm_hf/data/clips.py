"""The frames of a training sample: those the towers see as at inference, and those with masks, decoded once."""

import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..image_streams import tower_frame_indices
from ..lazy_clip import LazyClip
from ..video_io import VideoClip, read_clip, read_image, sample_frame_indices


def read_training_clip(
    sample: dict[str, Any],
    mask_frames: Sequence[int],
    *,
    num_tower_frames: int,
    fps: float | None,
    max_frames: int | None,
) -> VideoClip | None:
    """The video or picture of a sample, with its mask frames as the frames to segment.

    Args:
        sample: See [`sample`].
        mask_frames: Numbers of the frames to segment in the source video.
        num_tower_frames, fps, max_frames: As at inference: the towers see these frames of a video file; those of
            frames given as such are spread over all of them. With 0 tower frames only mask frames are read.

    Returns:
        None for text only.

    Raises:
        InputError: If a mask frame is not in the video.
        MediaError: If the video cannot be read.
    """
    if sample.get("image") is not None:
        frame = read_image(sample["image"])
        return VideoClip(frame[None], (0.0,), None, "picture", frame[None][: len(mask_frames)])
    source = sample.get("video")
    if source is None:
        return None
    if isinstance(source, (str, os.PathLike)) and not os.path.isdir(source):
        return _from_file(os.fspath(source), mask_frames, num_tower_frames, fps, max_frames)
    if isinstance(source, (list, tuple)):
        seen = tower_frame_indices(len(source), num_tower_frames)
        _check(mask_frames, len(source), "the list of frames")
        numbers = sorted({*seen, *mask_frames})
        frames = read_clip([source[n] for n in numbers], fps=None, max_frames=None).frames
        return _clip(frames, numbers, seen, mask_frames, None, "array")
    clip = read_clip(source, fps=None, max_frames=None)
    _check(mask_frames, len(clip.frames), clip.source)
    seen = tower_frame_indices(len(clip.frames), num_tower_frames)
    return _clip(clip.frames, range(len(clip.frames)), seen, mask_frames, clip.fps, clip.source)


def _from_file(
    source: str, mask_frames: Sequence[int], num_tower_frames: int, fps: float | None, max_frames: int | None
) -> VideoClip:
    clip = LazyClip(source, fps=None)
    try:
        _check(mask_frames, len(clip), source)
        sampled = sample_frame_indices(
            len(clip), clip.fps, fps=fps, num_frames=None, max_frames=max_frames, start_time=None, end_time=None
        )
        seen = [sampled[i] for i in tower_frame_indices(len(sampled), num_tower_frames)]
        numbers = sorted({*seen, *mask_frames})
        return _clip(clip.frames_at(numbers), numbers, seen, mask_frames, clip.fps, source)
    finally:
        clip.close()


def _clip(
    frames: np.ndarray,
    numbers: Sequence[int],
    seen: Sequence[int],
    mask_frames: Sequence[int],
    fps: float | None,
    source: str,
) -> VideoClip:
    row = {number: i for i, number in enumerate(numbers)}
    times = tuple(number / fps if fps else float(number) for number in mask_frames)
    to_segment = frames[[row[n] for n in mask_frames]] if len(mask_frames) else frames[:0]
    return VideoClip(frames[[row[n] for n in seen]], times, fps, source, to_segment)


def _check(mask_frames: Sequence[int], total: int, source: str) -> None:
    outside = [n for n in mask_frames if not 0 <= n < total]
    if outside:
        raise InputError(f"{source}: it has {total} frames, so there is no frame {outside[0]} of mask_frames.")
