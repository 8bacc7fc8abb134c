"""Arrays of frames: what one must look like, and how large one may be."""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np

from .errors import InputError, MediaError
from .limits import lift, limit

MAX_PIXELS = limit("VIDEOGLAMM_MAX_PIXELS", 2**28)  # of one frame; real cameras stop at a quarter of this
MAX_CLIP_BYTES = limit("VIDEOGLAMM_MAX_CLIP_BYTES", 2**34)  # of all frames of one clip


def is_tensor(source: Any) -> bool:
    # Whoever has a tensor has imported torch; whoever has none need not wait for the import.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def is_pil(source: Any) -> bool:
    # As with tensors.
    pillow = sys.modules.get("PIL.Image")
    return pillow is not None and isinstance(source, pillow.Image)


def as_array(source: Any) -> np.ndarray | None:
    """The array that `source` is or that a tensor holds; None if it is neither."""
    if isinstance(source, np.ndarray):
        return source
    if not is_tensor(source):
        return None
    try:
        source = source.detach().cpu()
        # NumPy has no bfloat16.
        return (source.float() if str(source.dtype) == "torch.bfloat16" else source).numpy()
    except (TypeError, RuntimeError) as error:  # sparse, quantized: not pictures
        raise InputError(f"a tensor of type {source.dtype} is not a video or picture: {error}") from error


def check_frame(array: np.ndarray, name: str) -> None:
    """Raise InputError unless `array` is uint8 [H, W, 3]."""
    if array.dtype != np.uint8:
        raise InputError(f"{name} has dtype {array.dtype}; convert it to uint8 with values from 0 to 255")
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(f"{name} has shape {list(array.shape)}; expected [H, W, 3] in RGB")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise InputError(f"{name} is {size_text(array)}, {_too_many()}")


def check_pixels(name: str, width: int, height: int) -> None:
    """Raise MediaError if the frames of a file are larger than a frame may be."""
    if width * height > MAX_PIXELS:
        raise MediaError(f"{name}: {width}x{height} is {_too_many()}")


def _too_many() -> str:
    return f"more than {MAX_PIXELS} pixels; make it smaller, or {lift('VIDEOGLAMM_MAX_PIXELS')}"


def as_uint8(array: np.ndarray, name: str) -> np.ndarray:
    """The array, of floating point numbers from 0 to 1 as uint8, rounded; InputError if they are others."""
    if array.dtype.kind != "f" or not array.size:
        return array
    least, most = array.min(), array.max()
    if not (least >= 0 and most <= 1):  # NaN is neither
        raise InputError(
            f"{name} has {array.dtype} values from {least:.4g} to {most:.4g}; give values from 0 to 1, or convert it "
            "to uint8 with values from 0 to 255"
        )
    result = np.empty(array.shape, np.uint8)
    for row, own in zip(result, array, strict=True):
        row[...] = np.rint(own.astype(np.float32) * 255)
    return result


def channels_last(array: np.ndarray) -> np.ndarray:
    """A picture or video whose channels come first, [..., 3, H, W], as [..., H, W, 3]; others as they are."""
    leads = array.ndim >= 3 and array.shape[-3] == 3 and array.shape[-1] != 3
    return np.moveaxis(array, -3, -1) if leads else array


def check_video_array(array: np.ndarray) -> np.ndarray:
    """The array as uint8 [T, H, W, 3], from [T, H, W, 3] or [T, 3, H, W]; InputError if its frames are no such."""
    if array.ndim == 4:
        array = channels_last(array)
    if array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"the video array has shape {list(array.shape)}; expected [T, H, W, 3] in RGB")
    if len(array) == 0:
        raise InputError("the video array holds no frames")
    array = as_uint8(array, "the video array")
    check_frame(array[0], "the video array")
    return array


def check_clip_bytes(name: str, count: int, shape: Sequence[int]) -> None:
    """Raise MediaError if `count` frames of this shape are more than a clip may hold."""
    size = count * math.prod(shape)
    if size > MAX_CLIP_BYTES:
        raise MediaError(
            f"{name}: {count} frames of {shape[1]}x{shape[0]} take {size / 2**30:.0f} GiB, more than the "
            f"{MAX_CLIP_BYTES / 2**30:.3g} GiB a clip may have; lower fps, num_frames or max_frames, or "
            f"{lift('VIDEOGLAMM_MAX_CLIP_BYTES')}"
        )


def size_text(frame: np.ndarray) -> str:
    """Width x height, as messages give it."""
    return f"{frame.shape[1]}x{frame.shape[0]}"
