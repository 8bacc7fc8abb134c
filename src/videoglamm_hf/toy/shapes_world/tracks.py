"""How objects move, and where they are put so that none hides another for long."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .config import ShapesWorldConfig
from .outlines import OUTLINES
from .randomness import Stream

_CANDIDATES = 16
# An object moving "left" drifts up or down by this share of its way at most.
_MAX_DRIFT = 0.15
# Two circles overlap by this share of the smaller's diameter when about a quarter of it is hidden.
_MAX_OVERLAP = 0.3


@dataclass(frozen=True)
class Motion:
    """A way through the frame at an even speed, wherever it starts.

    Attributes:
        way: Travel during the clip, x to the right and y down, in frame sides. `(0, 0)` stands still.
        crossing: "enters" from out of the frame, "leaves" it, or "stays".
    """

    way: tuple[float, float]
    crossing: str = "stays"


def draw_motion(stream: Stream, config: ShapesWorldConfig, directions: Sequence[str], free: bool) -> Motion:
    """A motion in one of the directions, or none.

    Args:
        directions: Some of `DIRECTIONS`.
        free: Whether it may also go slantwise.
    """
    if stream.chance(config.still_rate):
        return Motion((0.0, 0.0))
    if free and stream.chance(0.3):
        length = stream.uniform(config.min_travel, config.max_travel)
        slant = length * stream.uniform(-1, 1)
        ways = ((length, slant), (-length, slant), (slant, length), (slant, -length))
        return Motion(stream.choice(ways))
    return draw_straight_motion(stream, config, stream.choice(directions))


def draw_straight_motion(stream: Stream, config: ShapesWorldConfig, direction: str) -> Motion:
    """A motion in one direction."""
    length = stream.uniform(config.min_travel, config.max_travel)
    drift = length * stream.uniform(-_MAX_DRIFT, _MAX_DRIFT)
    crossing = "stays"
    if stream.chance(config.enter_leave_rate):
        crossing = stream.choice(("enters", "leaves"))
    ways = {"left": (-length, drift), "right": (length, drift), "up": (drift, -length), "down": (drift, length)}
    return Motion(ways[direction], crossing)


def draw_centres(
    stream: Stream,
    motion: Motion,
    shape: str,
    size: float,
    others: Sequence[tuple[float, np.ndarray]],
    num_frames: int,
) -> np.ndarray:
    """Places a motion in the frame: of some random places, the first that keeps apart from others long enough.

    Args:
        size: Diameter of a circle of this size, in frame sides.
        others: `(size, centres)` of objects already placed.

    Returns:
        float64 `[T, 2]`, in frame sides.
    """
    time = np.arange(num_frames) / (num_frames - 1)
    reach = OUTLINES[shape].reach * size
    if motion.crossing == "stays":
        candidates = _staying(stream, motion.way, size, time)
    else:
        candidates = _crossing(stream, motion, reach, time)
    crowded = np.zeros(len(candidates), int)
    for other_size, other in others:
        x, y = np.moveaxis(candidates - other, -1, 0)
        near = (size + other_size) / 2 - _MAX_OVERLAP * min(size, other_size)
        crowded += (x * x + y * y < near * near).sum(1)
    allowed = np.flatnonzero(crowded * 4 <= num_frames)
    return candidates[allowed[0] if allowed.size else int(crowded.argmin())]


def draw_rotations(stream: Stream, max_degrees: float, num_frames: int) -> np.ndarray:
    """A lean that changes evenly; cosine and sine, float64 `[T, 2]`."""
    # Half-angle tangents give sine and cosine without either function. Rounded: tan is not exact everywhere.
    limit = round(math.tan(math.radians(max_degrees) / 2), 9)
    first, last = stream.uniform(-limit, limit), stream.uniform(-limit, limit)
    half = first + (last - first) * (np.arange(num_frames) / (num_frames - 1))
    square = half * half
    return np.stack([(1 - square) / (1 + square), 2 * half / (1 + square)], axis=1)


def _staying(stream: Stream, way: tuple[float, float], size: float, time: np.ndarray) -> np.ndarray:
    """Tracks that keep (nearly) all of an object in the frame, `[candidates, T, 2]`."""
    travel = np.array(way)
    # Only the outermost tenth may be cut off; a way too long for that is kept centred.
    margin = np.minimum(0.4 * size + np.abs(travel) / 2, 0.5)
    middle = margin + stream.units(_CANDIDATES, 2) * (1 - 2 * margin)
    return middle[:, None] + (time[:, None] - 0.5) * travel


def _crossing(stream: Stream, motion: Motion, reach: float, time: np.ndarray) -> np.ndarray:
    """Tracks that begin just out of the frame, or end there, `[candidates, T, 2]`."""
    axis = 0 if abs(motion.way[0]) > abs(motion.way[1]) else 1
    forward = motion.way[axis] > 0
    start, depth, place = stream.units(3, _CANDIDATES)
    begins = 0.05 + 0.2 * start  # when its first pixel comes in (its last goes out, counted from the end)
    depth = 2 * reach + 0.15 + 0.25 * depth
    clock = time if motion.crossing == "enters" else 1 - time
    inwards = (clock - begins[:, None]) / (1 - begins[:, None]) * depth[:, None] - reach
    if forward != (motion.crossing == "enters"):
        inwards = 1 - inwards
    drift = motion.way[1 - axis]
    margin = min(reach + abs(drift) / 2, 0.5)
    sideways = (margin + place * (1 - 2 * margin))[:, None] + (time - 0.5) * drift
    return np.stack([inwards, sideways] if axis == 0 else [sideways, inwards], axis=-1)
