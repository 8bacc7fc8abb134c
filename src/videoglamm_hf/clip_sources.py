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
from .frame_arrays import as_array, check_frame, check_video_array, is_tensor
from .frame_sampling import FrameSampling
from .media_files import diagnosis, folder_pictures, is_url, local_file, media_errors, short_name
from .picture_files import open_picture, rgb, upright


def open_clip(source: Any, *, decoder: str = "av") -> Clip:
    """The clip of a video; close it, or use it as a context manager.

    Args:
        source: A video file, animation (GIF, APNG, WebP, AVIF), still picture, or http(s) or data URL of one; a folder
            of pictures (in natural order of their names); a uint8 array `[T, H, W, 3]` or tensor (also
            `[T, 3, H, W]`); a list of PIL images, uint8 arrays `[H, W, 3]`, tensors or picture paths.
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
        if not is_url(name) and os.path.isdir(name):
            return PicturesClip(folder_pictures(name), read_image, short_name(name), is_folder=True)
        return _open_file(name, decoder)
    array = as_array(source)
    if array is not None:
        return ArrayClip(np.ascontiguousarray(check_video_array(array, is_tensor(source))))
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
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
        source: Path, http(s) or data URL of a picture file (of an animation the first frame), PIL image, uint8 array
            `[H, W, 3]`, or uint8 tensor `[H, W, 3]` or `[3, H, W]`. A file or PIL image is turned as its EXIF
            orientation says; transparency is laid on white.

    Raises:
        InputError: An array or object that is not such a picture.
        MediaError: A file or URL that cannot be read as a picture.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a picture path must be text, not {type(name).__name__}")
        shown = short_name(name)
        with local_file(name) as path, media_errors(name):
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
    if is_tensor(source) and array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    check_frame(array, "the picture")
    return np.ascontiguousarray(array)


def _open_file(name: str, decoder: str) -> Clip:
    with contextlib.ExitStack() as resources:
        path = resources.enter_context(local_file(name))
        name = short_name(name)
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
