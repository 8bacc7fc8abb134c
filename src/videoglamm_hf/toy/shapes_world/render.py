"""Frames and masks from outlines: every object inside a small window only, all of its frames at once."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from .backgrounds import RGB, Background, paint
from .outlines import OUTLINES, signed_distance
from .randomness import Stream

# Coverage in 1/128: times a colour it still fits int16.
_FULL = 128
# Rims tell overlapping shapes of one colour apart: this wide, in frame sides, and 5/8 as bright.
_RIM = 1 / 64


@dataclass(frozen=True, eq=False)
class Layer:
    """What an object does to the pixels in windows of K x K pixels that lie inside the frame.

    Attributes:
        coverage: How much of each pixel it covers, int16 `[T, K, K]`, 0 to 128.
        light: How much of its colour each pixel gets: less than it covers at the rim; as `coverage`.
        lefts, tops: Where each frame's window starts.
    """

    coverage: np.ndarray
    light: np.ndarray
    lefts: list[int]
    tops: list[int]


def draw_layer(shape: str, diameter: float, centres: np.ndarray, rotations: np.ndarray, frame_size: int) -> Layer:
    """One object, smooth-edged.

    Args:
        shape: One of `SHAPES`.
        diameter: Of a circle of this size, in pixels.
        centres: float64 `[T, 2]`, x and y in pixels; may lie out of the frame.
        rotations: float64 `[T, 2]`, cosine and sine.
        frame_size: Height and width of the frame.
    """
    window = min(frame_size, math.ceil(2 * OUTLINES[shape].reach * diameter) + 4)
    # A window pushed back into the frame still holds whatever part of the object is in the frame.
    corners = np.clip(np.floor(centres - window / 2), 0, frame_size - window)
    offsets = (corners - centres + 0.5).astype(np.float32)
    steps = np.arange(window, dtype=np.float32)
    x = offsets[:, 0, None, None] + steps[None, None, :]
    y = offsets[:, 1, None, None] + steps[None, :, None]
    if shape != "circle":
        cos, sin = rotations.astype(np.float32).T[:, :, None, None]
        x, y = cos * x + sin * y, cos * y - sin * x
    distance = signed_distance(shape, x, y, np.float32(diameter))
    coverage = _coverage(distance)
    inner = _coverage(distance + np.float32(max(1.0, _RIM * frame_size)))
    lefts, tops = corners.astype(int).T.tolist()
    return Layer(coverage, (5 * coverage + 3 * inner) >> 3, lefts, tops)


def draw_labels(layers: Sequence[Layer], num_frames: int, frame_size: int) -> np.ndarray:
    """Which object each pixel shows: a pixel shows the nearest one that covers at least half of it.

    Args:
        layers: Farthest first.

    Returns:
        uint8 `[T, H, W]`, 0 for the background, else 1 + the layer's index.
    """
    labels = np.zeros((num_frames, frame_size, frame_size), np.uint8)
    for number, layer in enumerate(layers, start=1):
        window = layer.coverage.shape[1]
        inside = layer.coverage >= _FULL // 2
        for t, (left, top) in enumerate(zip(layer.lefts, layer.tops, strict=True)):
            np.copyto(labels[t, top : top + window, left : left + window], number, where=inside[t])
    return labels


def draw_video(
    layers: Sequence[Layer],
    colours: Sequence[RGB],
    background: Background,
    num_frames: int,
    frame_size: int,
    noise_level: int,
    noise: Stream,
) -> np.ndarray:
    """Objects over their background, with evenly distributed noise.

    Args:
        layers, colours: One of each per object, farthest first.
        noise_level: Largest change of a pixel; all are kept that far from 0 and 255 before.
        noise: Where the noise is drawn from.

    Returns:
        uint8 `[T, H, W, 3]`.
    """
    # Channels first until the end: long rows are several times faster than rows of three.
    canvas = np.empty((num_frames, 3, frame_size, frame_size), np.int16)
    canvas[:] = paint(background, frame_size).transpose(2, 0, 1)
    for layer, colour in zip(layers, colours, strict=True):
        window = layer.coverage.shape[1]
        light = layer.light[:, None] * np.array(colour, np.int16)[:, None, None]
        clear = _FULL - layer.coverage
        for t, (left, top) in enumerate(zip(layer.lefts, layer.tops, strict=True)):
            seen = canvas[t, :, top : top + window, left : left + window]
            seen *= clear[t]
            seen += light[t]
            seen >>= 7
    video = np.clip(canvas, noise_level, 255 - noise_level, out=canvas).astype(np.uint8)
    if noise_level:
        change = noise.bytes(video.size).astype(np.uint16) * np.uint16(2 * noise_level + 1) >> 8
        # Whole numbers modulo 256: no sum leaves [0, 255], as all keep that distance.
        video += (change - noise_level).astype(np.uint8).reshape(video.shape)
    return np.ascontiguousarray(video.transpose(0, 2, 3, 1))


def _coverage(distance: np.ndarray) -> np.ndarray:
    """How much of a pixel lies inside an outline, 0 to 128, from the distance of its centre."""
    return np.clip((np.float32(0.5) - distance) * np.float32(_FULL), 0, _FULL).astype(np.int16)
