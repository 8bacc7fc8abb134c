"""Shapes that move from one keyframe to the next: what they are on the frames between."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from ..errors import InputError


@dataclass(frozen=True)
class Keyframe:
    """A shape at a frame.

    Attributes:
        values: Coordinates, in whatever order.
        is_here: Whether it is visible on this frame.
        goes_on: Whether it is visible from here to the next keyframe.
    """

    values: tuple[float, ...]
    is_here: bool = True
    goes_on: bool = True


def between(keyframes: Mapping[int, Keyframe], frames: Iterable[int], where: str) -> dict[int, Sequence[float] | None]:
    """The shape on each of these frames from the first keyframe on: every number moves evenly to the next keyframe.

    After the last keyframe it stays as it is, if it goes on.

    Args:
        keyframes: By number of frame.
        frames: Numbers of frames.
        where: What messages call the track.

    Returns:
        Coordinates by number of frame; None where it is not visible.

    Raises:
        InputError: two keyframes that the shape moves between have different numbers of points.
    """
    known = sorted(keyframes)
    found: dict[int, Sequence[float] | None] = {}
    place = -1
    for frame in sorted(set(frames)):
        while place + 1 < len(known) and known[place + 1] <= frame:
            place += 1
        if place < 0:
            continue
        last = keyframes[known[place]]
        if known[place] == frame:
            found[frame] = last.values if last.is_here else None
        elif not last.goes_on:
            found[frame] = None
        elif place + 1 == len(known):
            found[frame] = last.values
        else:
            following = keyframes[known[place + 1]]
            if len(following.values) == len(last.values):
                part = (frame - known[place]) / (known[place + 1] - known[place])
                pairs = zip(last.values, following.values, strict=True)
                found[frame] = [a + (b - a) * part for a, b in pairs]
            elif not following.is_here:
                found[frame] = last.values
            else:
                raise InputError(
                    f"{where}: keyframes {known[place]} and {known[place + 1]} have {len(last.values) // 2} and "
                    f"{len(following.values) // 2} points, so frames between are not known; export these, "
                    "too, or draw both with as many points"
                )
    return found
