"""Frames of a moment in a video: which are taken, and where they are."""

import os
import re
from collections.abc import Collection
from itertools import pairwise
from pathlib import Path

from ..errors import InputError, MediaError
from ..media_files import folder_pictures

_MOST_FRAMES = 2**24  # days; keeps a damaged file from filling the memory


def taken_frames(start: int, end: int, step: float, most: int) -> list[int]:
    """Numbers of the frames that are taken of [start, end): one in `step`, and evenly fewer if they are too many.

    The rule is that of VideoGLaMM's loaders, after TubeDETR (Yang et al., CVPR 2022).

    Args:
        start, end: first frame, and the one after the last.
        step: frames of the video per frame that is taken; below 1 all are.
        most: how many at most.
    """
    rate = min(1.0, 1 / step)
    frames = [start]
    for frame in range(start, end):
        if int(frames[-1] * rate) < int(frame * rate):
            frames.append(frame)
    return frames if len(frames) <= most else [frames[i * len(frames) // most] for i in range(most)]


def find_media(folder: Path, names: Collection[str], depth: int = 1) -> dict[str, Path]:
    """Files and folders of some names without suffix, in a folder or in folders in it, up to `depth` deep.

    Raises:
        MediaError: one is missing.
        InputError: two are of one name.
    """
    found: dict[str, Path] = {}

    def look(inside: Path, deeper: int) -> None:
        for entry in sorted(os.scandir(inside), key=lambda entry: entry.name):
            name = entry.name if entry.is_dir() else os.path.splitext(entry.name)[0]
            if name in names:
                if name in found:
                    raise InputError(f"{folder}: has {found[name]} and {entry.path}; of two of one name remove one")
                found[name] = Path(entry.path)
            elif deeper > 0 and entry.is_dir():
                look(Path(entry.path), deeper - 1)

    look(folder, depth)
    missing = sorted(set(names) - set(found))
    if missing:
        raise MediaError(f"{folder}: has no {missing[0]} ({len(missing)} of {len(names)} missing); download it")
    return found


def frame_range(first: int, after: int, count: int, where: str) -> tuple[int, int]:
    """Frames [first, after) of a video of so many.

    Raises:
        InputError: they are none, or not in it, or it has more than any video has.
    """
    if count > _MOST_FRAMES:
        raise InputError(f"{where}: the video has {count} frames, more than {_MOST_FRAMES}; check the file")
    if not 0 <= first < after <= count:
        raise InputError(f"{where}: from frame {first} to before {after}, but the video has {count} frames")
    return first, after


def frames_of(media: Path, taken: list[int], count: int) -> tuple[str | list[str], list[int]]:
    """What a sample has as its video, and the numbers of the taken frames in it.

    The last picture of a folder may be missing, as some decoders lose the last frame, if names are numbers from 0.

    Args:
        media: A file, or a folder of all frames.
        taken: Numbers of frames.
        count: How many frames the annotations say that the video has.

    Raises:
        MediaError: A folder holds other pictures, so that one may stand where another belongs.
    """
    if not media.is_dir():
        return str(media), taken
    pictures = folder_pictures(str(media))
    if taken[-1] >= len(pictures):
        raise MediaError(f"{media}: has {len(pictures)} pictures, but not frame {taken[-1]}; extract every frame")
    numbers = _numbers(pictures)
    if len(pictures) != count and numbers != list(range(count - 1)):
        raise MediaError(
            f"{media}: has {len(pictures)} pictures, but the annotations say {count} frames{_gap(numbers)}; extract "
            "every frame"
        )
    return [pictures[frame] for frame in taken], list(range(len(taken)))


def _numbers(pictures: list[str]) -> list[int]:
    """The last number in the name of each picture; none if a name has no number."""
    found = [re.findall(r"[0-9]{1,18}", Path(name).stem) for name in pictures]
    return [int(numbers[-1]) for numbers in found] if all(found) else []


def _gap(numbers: list[int]) -> str:
    """Which number is missing among those of pictures, for messages; nothing if none is between two."""
    missing = next((before + 1 for before, after in pairwise(numbers) if after > before + 1), None)
    return "" if missing is None else f", and none has number {missing}"
