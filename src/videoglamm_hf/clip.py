"""A clip: the frames of a video, wherever they are, with the time of each.

`open_clip` (clip_sources.py) makes one of whatever holds a video. Whether frames are in memory or decoded when they
are asked for is the clip's own affair. Shapes: T frames, H x W pixels.
"""

from __future__ import annotations

import os
import weakref
from bisect import bisect_right
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from .errors import InputError, MediaError
from .frame_arrays import check_clip_bytes, size_text
from .frame_sampling import SAME_TIME, FrameSampling, is_even
from .media_files import media_errors
from .picture_files import animation_times, rgb, upright

# Frames per second of what has no times: arrays, lists and folders of pictures.
STATED_RATE = 1.0


class Clip:
    """Frames in order of presentation. A context manager: leaving it, or `close`, frees the file it holds.

    Attributes:
        source: How messages name it: a path, a URL, `"array"`.
        seconds: When each frame appears, from 0; increasing.
        duration: When the last frame leaves the screen, in seconds.
        rate: Native frames per second, an average where it varies; None where there are no times: frames are then
            taken to follow one another once a second.
        pixel_aspect: Width of a pixel over its height in the file. Frames are as players show them, of square pixels:
            their width is what is stored times this, before they are turned.
        is_chosen: Whether somebody picked these frames one by one: then only an explicit option thins them out.
        tick: Seconds to which the times are rounded.
        start: When the first frame appears by the file's own clock, in seconds, as its sound may begin before.
        path: The file on this machine, if it is a video file.
        numbers: Which frame of the source each frame is, from 0; every one of them if None.
        total: Frames of the source.
    """

    source: str = "array"
    seconds: Sequence[float] = ()
    duration: float = 0.0
    rate: float | None = None
    pixel_aspect: float = 1.0
    is_chosen: bool = False
    tick: float = 0.0
    start: float = 0.0
    path: Path | None = None
    numbers: Sequence[int] | None = None
    _resources: Any = None

    @property
    def size(self) -> tuple[int, int]:
        """`(height, width)` of every frame, in pixels of the display: square, upright."""
        raise NotImplementedError

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        """The frames at increasing `indices`: uint8 `[n, H, W, 3]`, RGB.

        Raises:
            MediaError: If one of them cannot be read.
        """
        raise NotImplementedError

    def read(self, indices: Sequence[int]) -> tuple[np.ndarray, list[float]]:
        """As many of the frames at increasing `indices` as can be read, and when each appears.

        Raises:
            MediaError: If none can be.
        """
        return self.frames(indices), [self.seconds[i] for i in indices]

    @property
    def total(self) -> int:
        return len(self)

    def leaves(self, index: int) -> float:
        """When a frame leaves the screen, in seconds."""
        return self.seconds[index + 1] if index + 1 < len(self) else self.duration

    def choose(self, sampling: FrameSampling) -> list[int]:
        """Indices of the frames that a sampling takes.

        Raises:
            InputError: A part is asked for that the clip does not have.
        """
        if is_even(self.seconds, self.rate, self.tick):
            is_still = len(self) == 1 and self.rate is None
            return sampling.at_rate(len(self), None if is_still else self.rate or STATED_RATE)
        return sampling.at_seconds(self.seconds, self.duration)

    def keep(self, resources: Any) -> None:
        """Has `resources.close()` called when the clip is closed or forgotten."""
        self._resources = weakref.finalize(self, resources.close)

    def close(self) -> None:
        """Frees what the clip holds; its frames cannot be read any more."""
        if self._resources is not None:
            self._resources()

    def __len__(self) -> int:
        return len(self.seconds)

    def __enter__(self) -> Any:
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()


class ArrayClip(Clip):
    """Frames in memory.

    Args:
        array: uint8 `[T, H, W, 3]`, RGB, T >= 1.
        seconds, duration, rate, pixel_aspect, source, numbers, total: See [`Clip`]; one frame a second by default.
    """

    is_chosen = True

    def __init__(
        self,
        array: np.ndarray,
        *,
        seconds: Sequence[float] | None = None,
        duration: float | None = None,
        rate: float | None = None,
        pixel_aspect: float = 1.0,
        source: str = "array",
        numbers: Sequence[int] | None = None,
        total: int | None = None,
    ) -> None:
        self.numbers, self._total = numbers, len(array) if total is None else total
        self.array, self.rate, self.pixel_aspect, self.source = array, rate, pixel_aspect, source
        step = 1 / (rate or STATED_RATE)
        self.seconds = tuple(i * step for i in range(len(array))) if seconds is None else tuple(map(float, seconds))
        self.duration = (self.seconds[-1] if self.seconds else 0.0) + step if duration is None else float(duration)

    @property
    def total(self) -> int:
        return self._total

    @property
    def size(self) -> tuple[int, int]:
        return self.array.shape[1:3]

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        everything = len(indices) == len(self.array) and list(indices) == list(range(len(self.array)))
        return self.array if everything else self.array[list(indices)]


class PicturesClip(Clip):
    """Frames that are pictures, one by one: of a list, or the files of a folder.

    Args:
        pictures: Whatever `read` takes.
        read: Gives uint8 `[H, W, 3]` of one of them.
        source: See [`Clip`].
        is_folder: Whether these are the files of a folder, which nobody has chosen one by one.
    """

    def __init__(
        self, pictures: Sequence[Any], read: Callable[[Any], np.ndarray], source: str, is_folder: bool = False
    ) -> None:
        if len(pictures) == 0:
            raise InputError("the list of frames is empty; a video needs at least one")
        self._pictures, self._read_one, self.source = pictures, read, source
        self.is_chosen = not is_folder
        self._wrong_size = MediaError if is_folder else InputError
        self.seconds = tuple(i / STATED_RATE for i in range(len(pictures)))
        self.duration = len(pictures) / STATED_RATE

    @property
    def size(self) -> tuple[int, int]:
        return self._picture(0).shape[:2]

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        pictures: list[np.ndarray] = []
        for index in indices:
            picture = self._picture(index)
            if pictures and picture.shape != pictures[0].shape:
                given = self._pictures[index]
                where = given if isinstance(given, (str, os.PathLike)) else f"frame {index} of the list"
                raise self._wrong_size(
                    f"{where} is {size_text(picture)}, but the first frame is {size_text(pictures[0])}; "
                    "all frames of a video must have one size"
                )
            check_clip_bytes(self.source, len(indices), picture.shape)
            pictures.append(picture)
        return np.stack(pictures)

    def _picture(self, index: int) -> np.ndarray:
        try:
            return self._read_one(self._pictures[index])
        except InputError as error:
            raise InputError(f"frame {index} of the list: {error}") from error


class AnimationClip(Clip):
    """A GIF, APNG, animated WebP or AVIF, or a still picture as a video of one frame.

    Args:
        picture: An opened picture.
        source: See [`Clip`].
    """

    def __init__(self, picture: Image.Image, source: str) -> None:
        self._picture, self.source = picture, source
        with media_errors(source):
            self.seconds, self.duration = animation_times(picture, source)
        self.rate = len(self.seconds) / self.duration if len(self.seconds) > 1 else None

    @property
    def size(self) -> tuple[int, int]:
        return self.frames([0]).shape[1:3]

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        frames: list[np.ndarray] = []
        with media_errors(self.source):
            for index in indices:
                self._picture.seek(index)
                frames.append(rgb(upright(self._picture)))
                if frames[-1].shape != frames[0].shape:
                    raise MediaError(
                        f"{self.source}: frame {index} is {size_text(frames[-1])}, but the first is "
                        f"{size_text(frames[0])}; all frames of a video must have one size"
                    )
        return np.stack(frames) if len(frames) > 1 else frames[0][None]


@dataclass(frozen=True, eq=False)
class SampledClip:
    """Which frames of a clip the model works on.

    Attributes:
        clip: Where they come from.
        indices: Frames that get masks, increasing.
        tower_indices: Frames that the towers see, if they are others: as many as the towers take, not decreasing.
            None spreads them over `indices`.
    """

    clip: Clip
    indices: Sequence[int]
    tower_indices: Sequence[int] | None = None

    @property
    def seconds(self) -> list[float]:
        """When each frame with masks appears."""
        return [self.clip.seconds[i] for i in self.indices]

    @property
    def duration(self) -> float:
        """When the last of them leaves the screen: with the next frame of the same spacing, at most with the clip."""
        seconds = self.seconds
        if not seconds:
            return 0.0
        step = seconds[-1] - seconds[-2] if len(seconds) > 1 else self.clip.duration
        return min(self.clip.duration, max(seconds[-1] + step, self.clip.leaves(self.indices[-1])))

    @property
    def size(self) -> tuple[int, int]:
        return self.clip.size

    @property
    def numbers(self) -> list[int]:
        """Which frame of the source each of them is, from 0."""
        return self._numbers(self.indices, ())

    def _numbers(self, indices: Sequence[int], seconds: Sequence[float]) -> list[int]:
        """Numbers of frames of the clip in its source; where some could not be read, of those with these times."""
        if seconds and len(seconds) < len(indices):
            indices = [max(0, bisect_right(self.clip.seconds, second + SAME_TIME) - 1) for second in seconds]
        return [index if self.clip.numbers is None else self.clip.numbers[index] for index in indices]

    def frames(self, places: Sequence[int]) -> np.ndarray:
        """Some of the frames with masks, by increasing place among them: uint8 `[n, H, W, 3]`."""
        return self.clip.frames([self.indices[place] for place in places])

    def load(self) -> SampledClip:
        """The same in memory, every frame decoded once.

        Frames that cannot be decoded are left out, unless the towers see others than get masks.

        Raises:
            MediaError: If no frame can be decoded, or one that must not be left out.
        """
        wanted = sorted({*self.indices, *(self.tower_indices or ())})
        if self.tower_indices is None:
            array, seconds = self.clip.read(wanted)
        else:
            array, seconds = self.clip.frames(wanted), [self.clip.seconds[i] for i in wanted]
        loaded = ArrayClip(
            array,
            seconds=seconds,
            duration=self.duration,
            rate=self.clip.rate,
            pixel_aspect=self.clip.pixel_aspect,
            source=self.clip.source,
            numbers=self._numbers(wanted, seconds),
            total=self.clip.total,
        )
        if self.tower_indices is None:
            return SampledClip(loaded, range(len(loaded)))
        row = {index: i for i, index in enumerate(wanted)}
        return SampledClip(loaded, [row[i] for i in self.indices], [row[i] for i in self.tower_indices])

    def __len__(self) -> int:
        return len(self.indices)
