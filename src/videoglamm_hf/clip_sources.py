"""Whatever holds a video or a picture, as a clip or as an array."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from .clip import AnimationClip, ArrayClip, Clip, PicturesClip, SampledClip
from .errors import InputError, MediaError
from .frame_arrays import as_array, as_uint8, channels_last, check_frame, check_video_array
from .frame_sampling import FrameSampling
from .media_files import (
    diagnosis,
    folder_pictures,
    holds_file,
    is_url,
    local_file,
    media_errors,
    short_name,
    shown_name,
    without_file_scheme,
)
from .picture_files import open_picture, rgb, upright


def open_clip(source: Any, *, decoder: str = "av") -> Clip:
    """The clip of a video; close it, or use it as a context manager.

    Args:
        source: A video file, animation (GIF, APNG, WebP, AVIF), still picture, or file, http(s) or data URL of one,
            or its content as bytes or an open binary file; a folder of pictures (in natural order of their names); an
            array or tensor `[T, H, W, 3]` or `[T, 3, H, W]`, uint8 or of floating point numbers from 0 to 1; a list
            of what [`read_image`] takes.
        decoder: What decodes video files, `"av"` or `"decord"`; the frames are the same. av took about half of
            decord's time where both were measured (benchmarks/RESULTS.md), and decodes more kinds of files.

    Raises:
        InputError: An array or option cannot be used; the message names it.
        MediaError: The source cannot be read, or holds no video; the message names it and says why.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a video path must be text, not {type(name).__name__}")
        name = without_file_scheme(name)
        if not is_url(name) and os.path.isdir(name):
            return PicturesClip(folder_pictures(name), read_image, short_name(name), is_folder=True)
        return _open_file(name, decoder)
    if holds_file(source):
        return _open_file(source, decoder)
    array = as_array(source)
    if array is not None:
        return ArrayClip(np.ascontiguousarray(check_video_array(array)))
    if isinstance(source, Sequence):
        return PicturesClip(source, read_image, "array")
    raise InputError(
        f"a video cannot be read from {type(source).__name__}: give a path, a URL, a folder of pictures, "
        "a uint8 array or tensor [T, H, W, 3], or a list of pictures"
    )


def read_clip(source: Any, sampling: FrameSampling | None = None, *, decoder: str = "av", **options: Any) -> ArrayClip:
    """The sampled frames of a video, in memory.

    If a file ends earlier than it promises, or parts of it cannot be decoded, fewer frames than asked for are returned
    (never none) and a warning is logged.

    Args:
        source, decoder: As in [`open_clip`].
        sampling: What to take; [`FrameSampling`]'s defaults if None, but everything of frames that were given one by
            one.
        options: Fields of [`FrameSampling`] to change.

    Raises:
        InputError, MediaError: As [`open_clip`].
    """
    with open_clip(source, decoder=decoder) as clip:
        return sample_clip(clip, sampling or FrameSampling(), **options).load().clip


def sample_clip(clip: Clip, sampling: FrameSampling, **options: Any) -> SampledClip:
    """The frames of a clip that a sampling, changed by `options`, takes.

    Frames that somebody has chosen one by one are only thinned out by what `options` say.

    Raises:
        InputError: An option cannot be used.
    """
    if clip.is_chosen:
        sampling = FrameSampling(fps=None, max_frames=None)
    if clip.is_chosen and clip.rate is None:
        for name in ("fps", "start_time", "end_time"):
            if options.get(name) is not None:
                raise InputError(
                    f"{name} cannot be used: frames given one by one have no times. Say how they follow one another "
                    'with video_metadata={"fps": ...}, or leave it out.'
                )
    return SampledClip(clip, clip.choose(sampling.changed(**options)))


def read_image(source: Any) -> np.ndarray:
    """Read one picture as uint8 `[H, W, 3]`, RGB.

    Args:
        source: Path, file, http(s) or data URL of a picture file (of an animation the first frame), or its content as
            bytes or an open binary file; PIL image; array or tensor `[H, W, 3]` or `[3, H, W]`, uint8 or of floating
            point numbers from 0 to 1. A file or PIL image is turned as its EXIF orientation says; transparency is
            laid on white.

    Raises:
        InputError: An array or object that is not such a picture.
        MediaError: A file or URL that cannot be read as a picture.
    """
    if isinstance(source, (str, os.PathLike)) or holds_file(source):
        name = os.fspath(source) if isinstance(source, (str, os.PathLike)) else source
        if isinstance(source, os.PathLike) and not isinstance(name, str):
            raise InputError(f"a picture path must be text, not {type(name).__name__}")
        shown = shown_name(name)
        with local_file(name) as path, media_errors(shown):
            picture = open_picture(path, shown)
            if picture is None:
                raise MediaError(f"{shown}: not a picture (videos are read by read_clip): {diagnosis(path)}")
            with picture:
                return rgb(upright(picture))
    if isinstance(source, Image.Image):
        if 0 in source.size:
            raise InputError(f"the picture is {source.width}x{source.height}; it has no pixels")
        with media_errors("picture"):
            return rgb(upright(source))
    array = as_array(source)
    if array is None:
        raise InputError(
            f"a picture cannot be read from {type(source).__name__}: give a path, a URL, a PIL image, "
            "or a uint8 array or tensor [H, W, 3]"
        )
    if array.ndim == 3:
        array = channels_last(array)
    array = as_uint8(array, "the picture")
    check_frame(array, "the picture")
    return np.ascontiguousarray(array)


def _open_file(source: Any, decoder: str) -> Clip:
    with contextlib.ExitStack() as resources:
        path = resources.enter_context(local_file(source))
        name = shown_name(source)
        with media_errors(name):
            picture = open_picture(path, name)
        if picture is not None:
            resources.enter_context(picture)
            clip: Clip = AnimationClip(picture, name)
        else:
            # Imported here, for PyAV is needed by video files only.
            from .video_file import VideoFileClip

            clip = VideoFileClip(path, name, decoder)
        clip.keep(resources.pop_all())
        return clip
