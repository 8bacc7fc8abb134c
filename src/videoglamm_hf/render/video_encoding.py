"""Frames into an mp4, with PyAV."""

from __future__ import annotations

import contextlib
import itertools
import math
import os
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np

from ..errors import InputError, MediaError, VideoGlammError
from ..frame_arrays import as_array, check_frame, size_text
from ..frame_sampling import check_number
from ..media_files import media_errors, reason_of
from ..output_files import replacing_file
from .sound import copied_sound

# Seconds of a tick in files whose frames have times of their own.
_CLOCK = Fraction(1, 90_000)


def write_mp4(
    path: str | os.PathLike[str],
    frames: Iterable[np.ndarray],
    *,
    fps: float | None = None,
    seconds: Sequence[float] | None = None,
    duration: float | None = None,
    tick: float | None = None,
    start: float | None = None,
    sound: Path | None = None,
) -> None:
    """Write frames as an H.264 mp4 (yuv420p, BT.709) that players and browsers open.

    The file appears complete or not at all: it is written under another name in the same folder first. An
    existing file is replaced. Odd heights and widths are padded to even ones by repeating the last line.

    Args:
        path: the file to write; its folder must exist.
        frames: uint8 [H, W, 3] each, RGB, all of one size, at least one; taken one at a time.
        fps: frames per second, 0.01 to 1000.
        seconds: in place of `fps`, when each frame appears: increasing; the first counts as 0.
        duration: when the last frame of `seconds` leaves the screen.
        tick: seconds of which the times of the file are multiples; 1/90000 by default.
        start: what the first of `seconds` counts as, in place of 0.
        sound: a video file whose sound goes along, packet by packet as it is, at its own times; of a kind that no mp4
            holds it is left out, with a warning.

    Raises:
        InputError: a time is out of range, no frames, or a frame of another size or type.
        MediaError: the file cannot be written or encoded.
    """
    if seconds is None:
        check_number("fps", fps, above=0)
        if not 0.01 <= fps <= 1000:
            raise InputError(f"fps must be between 0.01 and 1000 to write a video, not {fps:g}")
        clock, rate, stamps = _CLOCK, Fraction(float(fps)).limit_denominator(100_000), None
    else:
        clock = Fraction(tick).limit_denominator(10_000_000) if tick else _CLOCK
        rate, stamps = _stamps(seconds, duration, start or 0.0, clock)
    target = Path(path)
    name = str(target)
    if target.is_dir():
        raise MediaError(f"{name}: is a folder; give the path of a file to write")
    if not target.parent.is_dir():
        raise MediaError(f"{name}: the folder {target.parent} does not exist; create it first")
    try:
        with replacing_file(target) as aside:
            _encode(aside, name, frames, rate, stamps, clock, sound)
    except VideoGlammError:
        raise
    except OSError as error:
        raise MediaError(f"{name}: cannot be written: {reason_of(error)}; free some space") from error


def _stamps(
    seconds: Sequence[float], duration: float | None, start: float, clock: Fraction
) -> tuple[Fraction, list[int]]:
    """The mean rate of frames with times of their own, and these in ticks, the end of the last one included."""
    if len(seconds) == 0:
        raise InputError("there are no frames to write")
    if duration is None:
        duration = 2 * seconds[-1] - seconds[-2] if len(seconds) > 1 else seconds[0] + 1
    stamps = [round((second - seconds[0] + start) / float(clock)) for second in (*seconds, duration)]
    if any(before >= after for before, after in itertools.pairwise(stamps)):
        raise InputError("the times of frames must increase, and the last must leave the screen after it appears")
    return (len(seconds) / ((stamps[-1] - stamps[0]) * clock)).limit_denominator(100_000), stamps


def _encode(
    path: Path,
    name: str,
    frames: Iterable[np.ndarray],
    rate: Fraction,
    stamps: Sequence[int] | None,
    clock: Fraction,
    sound: Path | None,
) -> None:
    """Encode into the file `path`, calling it `name` in messages."""
    shape: tuple[int, ...] | None = None
    copied: Callable[[float], None] = _nothing
    with contextlib.ExitStack() as stack:
        for position, picture in enumerate(frames):
            array = as_array(picture)
            if array is None:
                raise InputError(f"frame {position} is {type(picture).__name__}; expected uint8 [H, W, 3]")
            check_frame(array, f"frame {position}")
            with _encoder_errors(name):
                if shape is None:
                    shape = array.shape
                    container = stack.enter_context(
                        av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "faststart"})
                    )
                    # Frames stored out of order (B-frames) make readers disagree on how long uneven ones last.
                    stream = container.add_stream("libx264", rate=rate, options={"crf": "18", "bf": "0"})
                    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                    stream.pix_fmt = "yuv420p"
                    context = stream.codec_context
                    if stamps is not None:
                        context.time_base = clock
                    context.color_range, context.colorspace = 1, 1  # limited range, BT.709
                    context.color_primaries, context.color_trc = 1, 1
                    copied = copied_sound(stack, sound, container, name) if sound is not None else copied
                if array.shape != shape:
                    raise InputError(
                        f"frame {position} is {size_text(array)}, but the first is {shape[1]}x{shape[0]}; "
                        "all frames of a video must have one size"
                    )
                padded = np.pad(array, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
                frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                if stamps is not None:
                    if position + 1 >= len(stamps):
                        raise InputError(f"there are more frames than the {len(stamps) - 1} times given")
                    frame.pts, frame.time_base = stamps[position], clock
                container.mux(_lasting(stream.encode(frame), stamps))
                copied(float(stamps[position] * clock) if stamps is not None else position / float(rate))
        if shape is None:
            raise InputError("there are no frames to write")
        with _encoder_errors(name):
            container.mux(_lasting(stream.encode(None), stamps))
            copied(math.inf)
            stack.close()  # writes the index of the file


def _nothing(second: float) -> None:
    """What goes along with frames that have no sound."""


@contextlib.contextmanager
def _encoder_errors(name: str) -> Iterator[None]:
    """As `media_errors`, but of the disk it says that it is the disk."""
    with media_errors(name):
        try:
            yield
        except VideoGlammError:
            raise
        except OSError as error:
            raise MediaError(f"{name}: cannot be written: {reason_of(error)}; free some space") from error


def _lasting(packets: list[av.Packet], stamps: Sequence[int] | None) -> list[av.Packet]:
    """Packets that say how long their frames stay: the last one has no next to tell."""
    for packet in packets if stamps is not None else []:
        packet.duration = stamps[bisect_right(stamps, packet.pts)] - packet.pts
    return packets
