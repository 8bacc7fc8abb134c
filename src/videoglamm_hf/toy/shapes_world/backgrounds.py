"""Dull backgrounds: training and held-out splits share no family."""

from dataclasses import dataclass

import numpy as np

from .randomness import Stream

FAMILIES: dict[str, tuple[str, ...]] = {
    "train": ("plain", "gradient", "checks", "clouds"),
    "held_out": ("stripes", "rings", "dots"),
}

RGB = tuple[int, int, int]


@dataclass(frozen=True, eq=False)
class Background:
    """A blend of two dull colours.

    Attributes:
        family: One of `FAMILIES`.
        colours: The two colours; no channel differs much from another, as it does in every object.
        origin: A point of the frame, `(x, y)` in [0, 1).
        slope: A direction, not normalised.
        count: How often the pattern repeats along a frame side.
        grid: float64 `[6, 6]` in [0, 1), heights of the clouds.
    """

    family: str
    colours: tuple[RGB, RGB]
    origin: tuple[float, float]
    slope: tuple[float, float]
    count: int
    grid: np.ndarray


def draw_background(stream: Stream, split: str) -> Background:
    """A background of one of the split's families."""
    family = stream.choice(FAMILIES[split])
    tone = stream.integer(50, 190)
    contrast = stream.integer(18, 40) * stream.choice((-1, 1))
    return Background(
        family=family,
        colours=(_dull(stream, tone), _dull(stream, tone + contrast)),
        origin=(stream.unit(), stream.unit()),
        slope=(stream.uniform(0.3, 1), stream.uniform(0.3, 1) * stream.choice((-1, 1))),
        count=stream.integer(2, 5),
        grid=stream.units(6, 6),
    )


def paint(background: Background, size: int) -> np.ndarray:
    """uint8 `[size, size, 3]`."""
    x = (np.arange(size) + 0.5) / size
    blend = _PATTERNS[background.family](background, x[None, :], x[:, None])[..., None]
    first, second = np.array(background.colours, np.float64)
    return np.floor(first + blend * (second - first) + 0.5).astype(np.uint8)


def _dull(stream: Stream, tone: int) -> RGB:
    red, green, blue = (tone + stream.integer(-10, 10) for _ in range(3))
    return red, green, blue


# The patterns: how much of the second colour, float64 `[H, W]` in [0, 1] (or what broadcasts to it).


def _plain(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.zeros((y.size, x.size))


def _gradient(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    way = b.slope[0] * x + b.slope[1] * y
    return (way - way.min()) / (way.max() - way.min())


def _checks(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    cells = np.floor((x + b.origin[0]) * b.count) + np.floor((y + b.origin[1]) * b.count)
    return cells % 2


def _clouds(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    cells = b.grid.shape[0] - 1
    left, top = np.floor(x * cells).astype(int), np.floor(y * cells).astype(int)
    across, down = x * cells - left, y * cells - top
    upper = b.grid[top, left] * (1 - across) + b.grid[top, left + 1] * across
    lower = b.grid[top + 1, left] * (1 - across) + b.grid[top + 1, left + 1] * across
    return upper * (1 - down) + lower * down


def _stripes(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    return np.floor((b.slope[0] * x + b.slope[1] * y + b.origin[0]) * 2 * b.count) % 2


def _rings(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    across, down = x - b.origin[0], y - b.origin[1]
    return np.floor(np.sqrt(across * across + down * down) * 2 * b.count) % 2


def _dots(b: Background, x: np.ndarray, y: np.ndarray) -> np.ndarray:
    across, down = (x + b.origin[0]) * 2 * b.count % 1 - 0.5, (y + b.origin[1]) * 2 * b.count % 1 - 0.5
    return (across * across + down * down < 0.07).astype(np.float64)


_PATTERNS = {
    "plain": _plain,
    "gradient": _gradient,
    "checks": _checks,
    "clouds": _clouds,
    "stripes": _stripes,
    "rings": _rings,
    "dots": _dots,
}
