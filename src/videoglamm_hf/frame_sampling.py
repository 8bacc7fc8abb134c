"""Which frames of a video are taken: those on screen when they are asked for."""

import contextlib
import math
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from .errors import InputError
from .options import check_names

# Two times nearer to each other than this are the same, in seconds.
SAME_TIME = 1e-6
# How far a container's stated rate may be from the one its frames come at, before the frames are believed.
_RATE_TOLERANCE = 0.02


@dataclass(frozen=True)
class FrameSampling:
    """What is taken of a video.

    Attributes:
        fps: Frames per second to take, None for every frame.
        num_frames: Take this many frames, evenly spread, in place of `fps`.
        max_frames: Never take more than this many (evenly thinned out), None for no limit.
        start_time, end_time: The part of the video to take from, in seconds from its first frame: every frame that is
            on screen in it.

    Raises:
        InputError: An option is out of range; the message names it.
    """

    fps: float | None = 1.0
    num_frames: int | None = None
    max_frames: int | None = 64
    start_time: float | None = None
    end_time: float | None = None

    def __post_init__(self) -> None:
        for field in fields(self):
            value = getattr(self, field.name)
            if getattr(value, "ndim", None) == 0:  # a scalar of NumPy or PyTorch
                with contextlib.suppress(RuntimeError):  # one without a value, on PyTorch's meta device
                    object.__setattr__(self, field.name, value.item())
        if self.fps is not None:
            check_number("fps", self.fps, above=0)
        for option in ("num_frames", "max_frames"):
            if getattr(self, option) is not None:
                _check_count(option, getattr(self, option))
        if self.start_time is not None:
            check_number("start_time", self.start_time)
            if self.start_time < 0:
                raise InputError(f"start_time must not be negative, not {self.start_time:g}")
        if self.end_time is not None:
            check_number("end_time", self.end_time, above=0)
            if self.start_time is not None and self.start_time >= self.end_time:
                raise InputError(f"start_time ({self.start_time:g}) must be before end_time ({self.end_time:g})")

    def changed(self, **options: Any) -> "FrameSampling":
        """The same with other options.

        Raises:
            InputError: There is no such option, or it is out of range.
        """
        check_names(options, SAMPLING_OPTIONS, "of how a video is sampled")
        return replace(self, **options)

    @property
    def is_timed(self) -> bool:
        """Whether a part of the video is asked for."""
        return self.start_time is not None or self.end_time is not None

    def at_rate(self, total: int, rate: float | None) -> list[int]:
        """Positions in range(total) of the frames taken from a video of constant rate: increasing, at least one.

        The rule of the original model: from frame int(start * rate) to frame int(end * rate), every
        max(1, round(rate / fps))-th frame; with `num_frames`, that many evenly spread over the same part (each at
        most once); if that is more than `max_frames`, that many evenly spread over these.

        Args:
            total: Number of frames.
            rate: Frames per second; None if unknown, then `fps` has no effect.

        Raises:
            InputError: A part is asked for that the video does not have.
        """
        _check_count("total", total)
        if rate is not None:
            check_number("rate", rate, above=0)
        elif self.is_timed:
            raise InputError("start_time and end_time need a video with a known frame rate")
        first, last = 0, total - 1
        if self.start_time:
            if self.start_time * rate >= total:
                raise self._starts_too_late(total / rate)
            first = int(self.start_time * rate)
        if self.end_time is not None:
            last = int(min(self.end_time * rate, total - 1))
        stride = 1
        if self.fps is not None and rate is not None:
            stride = max(1, round(min(rate / self.fps, total)))
        return self._limited(first, last, range(first, last + 1, stride))

    def at_seconds(self, seconds: Sequence[float], duration: float) -> list[int]:
        """The same for a video whose frames stay on screen for different times.

        The part is every frame on screen in [start, end]; of these, `fps` takes the one on screen at start,
        start + 1 / fps, start + 2 / fps, ..., each at most once.

        Args:
            seconds: When each frame appears; increasing, from 0.
            duration: When the last one leaves the screen.
        """
        begin = self.start_time or 0.0
        if begin >= duration:
            raise self._starts_too_late(duration)
        first = bisect_right(seconds, begin + SAME_TIME) - 1
        end, last = duration, len(seconds) - 1
        if self.end_time is not None:
            end, last = self.end_time, bisect_right(seconds, self.end_time + SAME_TIME) - 1
        taken = range(first, last + 1)
        if self.fps is not None:
            leaves = [*seconds[first + 1 : last + 1], duration if last == len(seconds) - 1 else seconds[last + 1]]
            taken = [
                i for i, leave in zip(taken, leaves, strict=True) if self._is_asked_for(seconds[i], leave, begin, end)
            ]
        return self._limited(first, last, taken)

    def _is_asked_for(self, appears: float, leaves: float, begin: float, end: float) -> bool:
        """Whether one of the times begin + k / fps, up to `end`, finds this frame on screen."""
        number = max(0, math.ceil((appears - begin - SAME_TIME) * self.fps))
        # Division by a tiny rate may overflow, where there is no second time.
        asked = begin + (number / self.fps if number else 0.0)
        return asked < leaves - SAME_TIME and asked <= end + SAME_TIME

    def _limited(self, first: int, last: int, taken: Sequence[int]) -> list[int]:
        positions = list(taken) if self.num_frames is None else spread(first, last, self.num_frames)
        if self.max_frames is not None and len(positions) > self.max_frames:
            positions = [positions[i] for i in spread(0, len(positions) - 1, self.max_frames)]
        return positions

    def _starts_too_late(self, duration: float) -> InputError:
        return InputError(f"start_time {self.start_time:g} s is not before the end of the video ({duration:g} s)")


SAMPLING_OPTIONS = tuple(field.name for field in fields(FrameSampling))


def is_even(seconds: Sequence[float], rate: float | None, tick: float) -> bool:
    """Whether frames come at the constant `rate` (frames per second), their times rounded to `tick` seconds."""
    if rate is None or len(seconds) < 2:
        return True
    step = (seconds[-1] - seconds[0]) / (len(seconds) - 1)
    if abs(step * rate - 1) > max(_RATE_TOLERANCE, rate * tick / (len(seconds) - 1)):
        return False
    expected = seconds[0] + step * np.arange(len(seconds))
    return bool(np.abs(np.asarray(seconds) - expected).max() <= tick + SAME_TIME)


def spread(first: int, last: int, count: int) -> list[int]:
    """`count` whole numbers evenly from `first` to `last`, each once; all of them if there are no more."""
    if count > last - first:
        return list(range(first, last + 1))
    return sorted(set(np.linspace(first, last, num=count, dtype=int).tolist()))


def tower_frame_indices(num_frames: int, num_tower_frames: int) -> list[int]:
    """Which frames of a clip the towers see: evenly spread (truncated to int), or the last one repeated.

    >>> tower_frame_indices(5, 8)
    [0, 1, 2, 3, 4, 4, 4, 4]
    """
    if num_frames > num_tower_frames:
        return np.linspace(0, num_frames - 1, num_tower_frames).astype(int).tolist()
    return [min(index, num_frames - 1) for index in range(num_tower_frames)]


def check_number(option: str, value: Any, above: float = -math.inf) -> None:
    """Raises InputError unless an option is a finite number above `above`."""
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{option} must be a number, not {value!r}")
    try:
        finite = math.isfinite(value)
    except OverflowError:  # a whole number that no float holds
        finite = False
    if not finite or value <= above:
        wanted = "finite" if above == -math.inf else f"finite and more than {above:g}"
        raise InputError(f"{option} must be {wanted}, not {value!s:.40}")


def _check_count(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{option} must be a whole number of at least 1, not {value!r}")
