"""The four shapes as signed distances.

Only sums, products, maxima and square roots, which IEEE 754 rounds the same everywhere; sines do not.
"""

import math
from dataclasses import dataclass

import numpy as np

# Half a side of the square, circumradius of triangle and star, for a circle of diameter 1: about equally wide.
_SQUARE, _TRIANGLE, _STAR = 0.43, 0.62, 0.6
_STAR_INNER = 0.45  # inner to outer radius: plump enough to stay a star at 30 pixels
_COS_30 = 0.8660254037844386
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
    return _star(np.abs(x), -y, f(_STAR) * size)


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
