"""One decoded clip to the three pixel streams: spatial tower, temporal tower, pixel decoder.

Each stream resizes in its own way because the original does, and the filters are part of what the model was
trained on: Pillow's bicubic for CLIP, OpenCV's fixed-point bilinear for InternVideo2, Pillow's antialiased
bilinear followed by a plain bilinear stretch for SAM 2. OpenCV's filter is reproduced bit by bit here, so it
is not needed at run time.

Shapes: T frames, H x W original size; frames are uint8 RGB `[T, H, W, 3]` on the way in.
"""

import math
from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

CLIP_MEAN = (0.48145466, 0.4578275, 0.40821073)
CLIP_STD = (0.26862954, 0.26130258, 0.27577711)
IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)
# SAM 2 as the original feeds it: ImageNet statistics on the 0..255 scale, rounded to three decimals.
GROUNDING_MEAN = (123.675, 116.28, 103.53)
GROUNDING_STD = (58.395, 57.12, 57.375)

# OpenCV keeps interpolation weights as integers with this many fractional bits.
_COEFFICIENT_BITS = 11


def spatial_stream(frames: np.ndarray, size: int) -> torch.Tensor:
    """CLIP's input: shortest edge to `size` (bicubic), centre crop, CLIP statistics.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        size: Side of the square, in pixels.

    Returns:
        float32 `[T, 3, size, size]`.
    """
    height, width = frames.shape[1:3]
    short, long = min(height, width), max(height, width)
    long = int(size * long / short)
    new_height, new_width = (size, long) if height <= width else (long, size)
    top, left = (new_height - size) // 2, (new_width - size) // 2
    box = (left, top, left + size, top + size)
    resized = [
        np.asarray(Image.fromarray(frame).resize((new_width, new_height), Image.Resampling.BICUBIC).crop(box))
        for frame in frames
    ]
    return _normalize(torch.from_numpy(np.stack(resized)), CLIP_MEAN, CLIP_STD)


def temporal_stream(frames: np.ndarray, size: int) -> torch.Tensor:
    """InternVideo2's input: stretched to a square with OpenCV's bilinear filter, ImageNet statistics.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        size: Side of the square, in pixels.

    Returns:
        float32 `[T, 3, size, size]`.
    """
    resized = opencv_resize_bilinear(torch.from_numpy(np.ascontiguousarray(frames)), size, size)
    return _normalize(resized, IMAGENET_MEAN, IMAGENET_STD)


def grounding_stream(frames: np.ndarray, size: int) -> torch.Tensor:
    """First half of the pixel decoder's input: longest side to `size` with Pillow's antialiased bilinear.

    The frames stay uint8 and keep their aspect, which is up to seven times smaller than what the image encoder
    finally sees; [`normalize_grounding_frames`] does the rest, a few frames at a time on the model's device.

    Args:
        frames: uint8 `[T, H, W, 3]`.
        size: Longest side, in pixels.

    Returns:
        uint8 `[T, 3, h, w]` with `max(h, w) == size`.
    """
    height, width = frames.shape[1:3]
    scale = size / max(height, width)
    new_height, new_width = max(1, int(height * scale + 0.5)), max(1, int(width * scale + 0.5))
    resized = np.empty((len(frames), new_height, new_width, 3), np.uint8)
    for row, frame in zip(resized, frames, strict=True):
        row[...] = Image.fromarray(frame).resize((new_width, new_height), Image.Resampling.BILINEAR)
    return torch.from_numpy(resized).permute(0, 3, 1, 2).contiguous()


def normalize_grounding_frames(frames: torch.Tensor, size: int, dtype: torch.dtype) -> torch.Tensor:
    """Second half: ImageNet statistics on the 0..255 scale, then stretched to a square without antialiasing.

    Args:
        frames: uint8 `[T, 3, h, w]` from [`grounding_stream`], on any device.
        size: Side of the square, in pixels.
        dtype: dtype of the result; the arithmetic is float32.

    Returns:
        `[T, 3, size, size]`.
    """
    mean = torch.tensor(GROUNDING_MEAN, device=frames.device).view(1, 3, 1, 1)
    std = torch.tensor(GROUNDING_STD, device=frames.device).view(1, 3, 1, 1)
    frames = (frames.float() - mean) / std
    return F.interpolate(frames, size=(size, size), mode="bilinear", align_corners=False).to(dtype)


def opencv_resize_bilinear(frames: torch.Tensor, height: int, width: int) -> torch.Tensor:
    """`cv2.resize(..., INTER_LINEAR)` of uint8 frames, bit by bit, in integer arithmetic.

    OpenCV rounds the weights to 11 fractional bits, does not antialias, and shifts intermediate sums in a
    fixed way. An exact halving of both sides is a 2 x 2 average instead, as in OpenCV.

    Args:
        frames: uint8 `[T, H, W, C]`.

    Returns:
        uint8 `[T, height, width, C]`.
    """
    if frames.shape[1] == 2 * height and frames.shape[2] == 2 * width:
        blocks = frames.to(torch.int32).unflatten(1, (height, 2)).unflatten(3, (width, 2))
        return ((blocks.sum(dim=(2, 4)) + 2) >> 2).to(torch.uint8)
    # OpenCV drops the weight of a neighbour outside the picture horizontally, but only repeats it vertically.
    rows, row_weights = _opencv_taps(frames.shape[1], height, drop_outside=False)
    columns, column_weights = _opencv_taps(frames.shape[2], width, drop_outside=True)
    column_weights = column_weights[:, :, None]
    row_weights = row_weights[:, :, None, None]
    output = []
    # Frame by frame: a long clip in int32 would be four times its own size.
    for frame in frames:
        frame = frame.to(torch.int32)
        horizontal = frame[:, columns[0]] * column_weights[0] + frame[:, columns[1]] * column_weights[1]
        upper = (row_weights[0] * (horizontal[rows[0]] >> 4)) >> 16
        lower = (row_weights[1] * (horizontal[rows[1]] >> 4)) >> 16
        output.append(((upper + lower + 2) >> 2).clamp(0, 255).to(torch.uint8))
    return torch.stack(output)


def _opencv_taps(source: int, target: int, drop_outside: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """The two source positions of every target position and their integer weights: int64 and int32 `[2, target]`."""
    scale = source / target
    positions, weights = [], []
    for index in range(target):
        exact = np.float32((index + 0.5) * scale - 0.5)
        position = math.floor(exact)
        fraction = np.float32(exact - np.float32(position))
        if drop_outside and (position < 0 or position >= source - 1):
            fraction = np.float32(0)
        one = np.float32(1 << _COEFFICIENT_BITS)
        positions.append((min(max(position, 0), source - 1), min(max(position + 1, 0), source - 1)))
        weights.append((int(np.rint((np.float32(1) - fraction) * one)), int(np.rint(fraction * one))))
    return torch.tensor(positions).T, torch.tensor(weights, dtype=torch.int32).T


def _normalize(frames: torch.Tensor, mean: Sequence[float], std: Sequence[float]) -> torch.Tensor:
    """uint8 `[T, H, W, 3]` to float32 `[T, 3, H, W]`, scaled to 0..1 and normalised."""
    frames = frames.permute(0, 3, 1, 2).float() / 255
    mean_ = torch.tensor(mean).view(1, 3, 1, 1)
    return (frames - mean_) / torch.tensor(std).view(1, 3, 1, 1)
