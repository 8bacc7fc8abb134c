"""The six shapes as signed distances.

Only sums, products, maxima and square roots, which IEEE 754 rounds the same everywhere; sines do not.
"""

import math
from dataclasses import dataclass

import numpy as np

# Half a side of the square, circumradius of the others, for a circle of diameter 1: about equally wide.
_SQUARE, _TRIANGLE, _STAR, _DIAMOND = 0.43, 0.62, 0.6, 0.58
# A heart is a square on its tip, this far from its centre, with half a disc on either upper side.
_HEART = 0.43
_STAR_INNER = 0.45  # inner to outer radius: plump enough to stay a star at 30 pixels
_COS_30 = 0.8660254037844386
_COS_45 = 0.7071067811865476
_COS_36, _SIN_36 = 0.8090169943749475, 0.5877852522924731


@dataclass(frozen=True)
class Outline:
    """What is known of a shape of size 1.

    Attributes:
        area: Its area.
        reach: How far it extends from its centre at most.
    """

    area: float
    reach: float


OUTLINES: dict[str, Outline] = {
    "circle": Outline(0.7853981633974483, 0.5),
    "square": Outline(4 * _SQUARE**2, _SQUARE * math.sqrt(2)),
    "triangle": Outline(1.5 * _COS_30 * _TRIANGLE**2, _TRIANGLE),
    "star": Outline(5 * _STAR_INNER * _SIN_36 * _STAR**2, _STAR),
    "diamond": Outline(2 * _DIAMOND**2, _DIAMOND),
    "heart": Outline((2 + math.pi / 2) * _HEART**2, 2 * _COS_45 * _HEART),
}


def signed_distance(shape: str, x: np.ndarray, y: np.ndarray, size: np.float32) -> np.ndarray:
    """Distance to the outline, negative inside; beyond a corner, to the extended edges.

    Args:
        shape: One of `SHAPES`.
        x, y: Right and down of the shape's centre in its own, unrotated axes; float32, broadcastable.
        size: Diameter of the circle of this size, float32.
    """
    f = np.float32
    if shape == "circle":
        return np.sqrt(x * x + y * y) - f(0.5) * size
    if shape == "square":
        return np.maximum(np.abs(x), np.abs(y)) - f(_SQUARE) * size
    if shape == "triangle":
        return np.maximum(y, f(_COS_30) * np.abs(x) - f(0.5) * y) - f(0.5 * _TRIANGLE) * size
    if shape == "star":
        return _star(np.abs(x), -y, f(_STAR) * size)
    if shape == "diamond":
        return _diamond(np.abs(x), np.abs(y), f(_DIAMOND) * size)
    return _heart(np.abs(x), y, f(_HEART) * size)


def _diamond(x: np.ndarray, y: np.ndarray, radius: np.float32) -> np.ndarray:
    return np.float32(_COS_45) * (x + y - radius)


def _heart(x: np.ndarray, y: np.ndarray, radius: np.float32) -> np.ndarray:
    x_lobe, y_lobe = x - np.float32(0.5) * radius, y + np.float32(0.5) * radius
    lobe = np.sqrt(x_lobe * x_lobe + y_lobe * y_lobe) - np.float32(_COS_45) * radius
    return np.minimum(_diamond(x, np.abs(y), radius), lobe)


def _star(x: np.ndarray, y: np.ndarray, radius: np.float32) -> np.ndarray:
    """Folds the plane onto one half of one tip, where the outline is a single edge."""
    f = np.float32
    cos, sin = f(_COS_36), f(_SIN_36)
    beyond = np.maximum(cos * x - sin * y, f(0)) * f(2)
    x, y = x - beyond * cos, y + beyond * sin
    beyond = np.maximum(-cos * x - sin * y, f(0)) * f(2)
    x, y = np.abs(x + beyond * cos), y + beyond * sin
    edge_x, edge_y = _STAR_INNER * _SIN_36, _STAR_INNER * _COS_36 - 1
    length = math.sqrt(edge_x * edge_x + edge_y * edge_y)
    return f(edge_x / length) * (y - radius) - f(edge_y / length) * x
