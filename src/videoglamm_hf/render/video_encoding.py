"""Frames into an mp4, with PyAV."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterable
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..errors import InputError, MediaError, VideoGlammError
from ..frame_arrays import as_array, check_frame, size_text
from ..media_files import media_errors, reason_of
from ..output_files import replacing_file
from ..video_io import check_number


def write_mp4(path: str | os.PathLike[str], frames: Iterable[np.ndarray], *, fps: float) -> None:
    """Write frames as an H.264 mp4 (yuv420p, BT.709) that players and browsers open.

    The file appears complete or not at all: it is written under another name in the same folder first. An
    existing file is replaced. Odd heights and widths are padded to even ones by repeating the last line.

    Args:
        path: the file to write; its folder must exist.
        frames: uint8 [H, W, 3] each, RGB, all of one size, at least one; taken one at a time.
        fps: frames per second, 0.01 to 1000.

    Raises:
        InputError: `fps` out of range, no frames, or a frame of another size or type.
        MediaError: the file cannot be written or encoded.
    """
    check_number("fps", fps, above=0)
    if not 0.01 <= fps <= 1000:
        raise InputError(f"fps must be between 0.01 and 1000 to write a video, not {fps:g}")
    target = Path(path)
    name = str(target)
    if target.is_dir():
        raise MediaError(f"{name}: is a folder; give the path of a file to write")
    if not target.parent.is_dir():
        raise MediaError(f"{name}: the folder {target.parent} does not exist; create it first")
    try:
        with replacing_file(target) as aside:
            _encode(aside, name, frames, Fraction(float(fps)).limit_denominator(100_000))
    except VideoGlammError:
        raise
    except OSError as error:
        raise MediaError(f"{name}: cannot be written: {reason_of(error)}") from error


def _encode(path: Path, name: str, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    """Encode into the file `path`, calling it `name` in messages."""
    shape: tuple[int, ...] | None = None
    with contextlib.ExitStack() as stack:
        for position, picture in enumerate(frames):
            array = as_array(picture)
            if array is None:
                raise InputError(f"frame {position} is {type(picture).__name__}; expected uint8 [H, W, 3]")
            check_frame(array, f"frame {position}")
            with media_errors(name):
                if shape is None:
                    shape = array.shape
                    container = stack.enter_context(
                        av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "faststart"})
                    )
                    stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
                    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                    stream.pix_fmt = "yuv420p"
                    context = stream.codec_context
                    context.color_range, context.colorspace = 1, 1  # limited range, BT.709
                    context.color_primaries, context.color_trc = 1, 1
                if array.shape != shape:
                    raise InputError(
                        f"frame {position} is {size_text(array)}, but the first is {shape[1]}x{shape[0]}; "
                        "all frames of a video must have one size"
                    )
                padded = np.pad(array, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
                frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                container.mux(stream.encode(frame))
        if shape is None:
            raise InputError("there are no frames to write")
        with media_errors(name):
            container.mux(stream.encode(None))
            stack.close()  # writes the index of the file
