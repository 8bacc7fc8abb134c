"""Videos and pictures in: RGB frames with their times."""

from __future__ import annotations

import logging
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageOps

from .errors import InputError, MediaError, VideoGlammError
from .frame_arrays import as_array, check_clip_bytes, check_frame, check_video_array, is_tensor, size_text
from .media_files import diagnosis, folder_pictures, is_url, local_file, media_errors
from .picture_files import animation_frames, animation_times, open_picture, rgb
from .video_decoding import decode_positions, index_packets

logger = logging.getLogger(__name__)


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Frames of one video, in order of presentation.

    Attributes:
        frames: uint8 [T, H, W, 3], RGB, T >= 1.
        timestamps: one number per frame. For files: seconds since the first frame of the file. For arrays,
            lists and folders, whose rate is unknown: the position of the frame in the source, as a float.
        fps: frames per second of the source itself (not of this sample), None if unknown.
        source: how messages name the source: a path, a URL or "array".
        grounding_frames: uint8 [T', H, W, 3], frames to segment where those are not the frames above; `timestamps`
            are then theirs.
    """

    frames: np.ndarray
    timestamps: tuple[float, ...]
    fps: float | None
    source: str
    grounding_frames: np.ndarray | None = None


def read_clip(
    source: Any,
    *,
    fps: float | None = 1.0,
    num_frames: int | None = None,
    max_frames: int | None = 64,
    start_time: float | None = None,
    end_time: float | None = None,
) -> VideoClip:
    """Read the frames of a video.

    Files (video, GIF, animated WebP/PNG/AVIF, a still picture as a video of one frame) and http(s) URLs are
    sampled as `sample_frame_indices` describes. If a file ends earlier than it promises, or parts of it
    cannot be decoded, fewer frames than asked for are returned (never none) and a warning is logged.

    Clips that are frames already are taken as they are, `fps` and `max_frames` do not apply: a folder of
    pictures (in natural order of their names), a uint8 array or tensor [T, H, W, 3] (a tensor may also be
    [T, 3, H, W]), a list of PIL images, uint8 arrays [H, W, 3], tensors or picture paths. Only an explicit
    `num_frames` < T takes that many, evenly spread.

    Args:
        source: one of the above.
        fps: frames per second to sample, None for every frame.
        num_frames: take this many frames evenly spread instead of sampling at `fps`.
        max_frames: never return more than this many (evenly thinned out), None for no limit.
        start_time, end_time: part of the file to sample from, in seconds.

    Raises:
        InputError: an option or an array cannot be used; the message names it.
        MediaError: the source cannot be read, or holds no video; the message names it and says why.
    """
    check_options(fps, num_frames, max_frames, start_time, end_time)
    options = {
        "fps": fps,
        "num_frames": num_frames,
        "max_frames": max_frames,
        "start_time": start_time,
        "end_time": end_time,
    }
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a video path must be text, not {type(name).__name__}")
        if not is_url(name) and os.path.isdir(name):
            return _frames_as_they_are(folder_pictures(name), name, options, mismatch=MediaError)
        with local_file(name) as path:
            return _read_file(path, name, options)
    array = as_array(source)
    if array is not None:
        return _frames_as_they_are(check_video_array(array, is_tensor(source)), "array", options)
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return _frames_as_they_are(source, "array", options)
    raise InputError(
        f"a video cannot be read from {type(source).__name__}: give a path, a URL, a folder of pictures, "
        "a uint8 array or tensor [T, H, W, 3], or a list of pictures"
    )


def read_image(source: Any) -> np.ndarray:
    """Read one picture as uint8 [H, W, 3], RGB.

    Args:
        source: path or http(s) URL of a picture file (turned as its EXIF orientation says; of an animation
            the first frame), PIL image, uint8 array [H, W, 3], or uint8 tensor [H, W, 3] or [3, H, W].
            Transparency is laid on white.

    Raises:
        InputError: an array or object that is not such a picture.
        MediaError: a file or URL that cannot be read as a picture.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a picture path must be text, not {type(name).__name__}")
        with local_file(name) as path, media_errors(name):
            picture = open_picture(path, name)
            if picture is None:
                raise MediaError(f"{name}: not a picture (videos are read by read_clip): {diagnosis(path)}")
            with picture:
                return rgb(ImageOps.exif_transpose(picture))
    if isinstance(source, Image.Image):
        with media_errors("picture"):
            return rgb(source)
    array = as_array(source)
    if array is None:
        raise InputError(
            f"a picture cannot be read from {type(source).__name__}: give a path, a URL, a PIL image, "
            "or a uint8 array or tensor [H, W, 3]"
        )
    if is_tensor(source) and array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    check_frame(array, "the picture")
    return np.ascontiguousarray(array)


def sample_frame_indices(
    total: int,
    native_fps: float | None,
    *,
    fps: float | None,
    num_frames: int | None,
    max_frames: int | None,
    start_time: float | None,
    end_time: float | None,
) -> list[int]:
    """Which frames of a video to take: strictly increasing positions in range(total), at least one.

    The rule of the original model: from frame int(start * native_fps) to frame int(end * native_fps), every
    max(1, round(native_fps / fps))-th frame; with `num_frames`, that many evenly spread over the same part
    (each at most once); if that is more than `max_frames`, that many evenly spread over these.

    Args:
        total: number of frames of the video.
        native_fps: its frame rate; None if unknown, then `fps` has no effect and times cannot be given.
        fps, num_frames, max_frames, start_time, end_time: see `read_clip`.

    Raises:
        InputError: an option is out of range; the message names it.
    """
    check_options(fps, num_frames, max_frames, start_time, end_time)
    _check_count("total", total)
    if native_fps is not None:
        check_number("native_fps", native_fps, above=0)
    elif start_time is not None or end_time is not None:
        raise InputError("start_time and end_time need a video with a known frame rate")

    first, last = 0, total - 1
    if start_time:
        if start_time * native_fps >= total:
            raise InputError(
                f"start_time {start_time:g} s is not before the end of the video ({total / native_fps:g} s)"
            )
        first = int(start_time * native_fps)
    if end_time is not None:
        last = int(min(end_time * native_fps, total - 1))

    if num_frames is not None:
        positions = _spread(first, last, num_frames)
    else:
        stride = 1
        if fps is not None and native_fps is not None:
            stride = max(1, round(min(native_fps / fps, total)))
        positions = list(range(first, last + 1, stride))
    if max_frames is not None and len(positions) > max_frames:
        positions = [positions[i] for i in _spread(0, len(positions) - 1, max_frames)]
    return positions


def check_options(
    fps: float | None,
    num_frames: int | None,
    max_frames: int | None,
    start_time: float | None,
    end_time: float | None,
) -> None:
    """Raise InputError if an option of `read_clip` cannot be used; the message names it."""
    if fps is not None:
        check_number("fps", fps, above=0)
    if num_frames is not None:
        _check_count("num_frames", num_frames)
    if max_frames is not None:
        _check_count("max_frames", max_frames)
    if start_time is not None:
        check_number("start_time", start_time)
        if start_time < 0:
            raise InputError(f"start_time must not be negative, not {start_time:g}")
    if end_time is not None:
        check_number("end_time", end_time, above=0)
        if start_time is not None and start_time >= end_time:
            raise InputError(f"start_time ({start_time:g}) must be before end_time ({end_time:g})")


def check_number(option: str, value: Any, above: float = -math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{option} must be a number, not {value!r}")
    if not math.isfinite(value) or value <= above:
        wanted = "finite" if above == -math.inf else f"finite and more than {above:g}"
        raise InputError(f"{option} must be {wanted}, not {value}")


def _check_count(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{option} must be a whole number of at least 1, not {value!r}")


def _spread(first: int, last: int, count: int) -> list[int]:
    """`count` whole numbers evenly from `first` to `last`, each once; all of them if there are no more."""
    if count > last - first:
        return list(range(first, last + 1))
    return sorted(set(np.linspace(first, last, num=count, dtype=int).tolist()))


def _frames_as_they_are(
    items: Sequence[Any] | np.ndarray,
    name: str,
    options: dict[str, Any],
    mismatch: type[VideoGlammError] = InputError,
) -> VideoClip:
    """The clip of an array, or of a list of whatever `read_image` reads; `mismatch` tells of different sizes."""
    if options["start_time"] is not None or options["end_time"] is not None:
        raise InputError("start_time and end_time are for video files; frames given one by one have no times")
    if len(items) == 0:
        raise InputError("the list of frames is empty; a video needs at least one")
    positions = list(range(len(items)))
    if options["num_frames"] is not None:
        positions = _spread(0, len(items) - 1, options["num_frames"])
    if isinstance(items, np.ndarray):
        frames = np.ascontiguousarray(items if len(positions) == len(items) else items[positions])
    else:
        pictures: list[np.ndarray] = []
        for position in positions:
            item = items[position]
            try:
                picture = read_image(item)
            except InputError as error:
                raise InputError(f"frame {position} of the list: {error}") from error
            if pictures and picture.shape != pictures[0].shape:
                where = item if isinstance(item, (str, os.PathLike)) else f"frame {position} of the list"
                message = (
                    f"{where} is {size_text(picture)}, but the first frame is {size_text(pictures[0])}; "
                    "all frames of a video must have one size"
                )
                raise mismatch(message)
            check_clip_bytes(name, len(positions), picture.shape)
            pictures.append(picture)
        frames = np.stack(pictures)
    return VideoClip(frames, tuple(float(p) for p in positions), None, name)


def _read_file(path: Path, name: str, options: dict[str, Any]) -> VideoClip:
    with media_errors(name):
        picture = open_picture(path, name)
        if picture is not None:
            with picture:
                seconds, rate = animation_times(picture, name)
                positions = sample_frame_indices(len(seconds), rate, **options)
                frames = animation_frames(picture, name, positions)
                return VideoClip(frames, tuple(seconds[p] for p in positions), rate, name)
        return _read_video(path, name, options)


def _read_video(path: Path, name: str, options: dict[str, Any]) -> VideoClip:
    index = index_packets(path, name)
    positions = sample_frame_indices(index.total, index.rate, **options)
    frames, seconds = decode_positions(path, name, index, positions)
    if not seconds:
        raise MediaError(
            f"{name}: none of the {len(positions)} frames asked for can be decoded; the file is damaged or "
            "cut short, or the container promises frames it does not hold"
        )
    if len(seconds) < len(positions):
        logger.warning(
            "%s: only %d of %d frames asked for could be decoded; the file is damaged or cut short",
            name,
            len(seconds),
            len(positions),
        )
    return VideoClip(frames, tuple(seconds), index.rate, name)
