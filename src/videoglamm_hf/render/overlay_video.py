"""A video with masks and a legend."""

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .arrays import check_frame, check_masks, resized, resized_masks
from .colors import object_colors
from .legend import font_size_for, legend_strip
from .overlay import overlay_masks

_MIN_SHORT_SIDE = 240  # smaller videos are enlarged for a legible legend
_MAX_LONG_SIDE = 1920  # and no further than this


def render_video(
    frames: Iterable[np.ndarray],
    masks: Any,
    labels: Sequence[str],
    *,
    legend: bool = True,
    enlarge: bool = True,
) -> Iterator[np.ndarray]:
    """Frames with masks and a legend, one at a time, all of one size: what `write_mp4` takes.

    Args:
        frames: T frames, uint8 [H, W, 3].
        masks: bool [N, T, H, W]; or what has this shape and gives an array [N, H, W] for `masks[:, t]`.
        labels: N phrases.
        legend: Whether a strip below the frames says which colour is which phrase.
        enlarge: Whether videos with a short side below 240 pixels are enlarged.

    Returns:
        An iterator over T frames, uint8 [H', W', 3].

    Raises:
        InputError: shapes or numbers do not fit together; for a frame, when its turn comes.
    """
    if isinstance(masks, np.ndarray) or not hasattr(masks, "shape"):
        check_masks(masks, (len(labels), "T", "H", "W"))
    return _rendered(frames, masks, labels, legend, enlarge)


def _rendered(
    frames: Iterable[np.ndarray], masks: Any, labels: Sequence[str], with_legend: bool, enlarge: bool
) -> Iterator[np.ndarray]:
    colors = object_colors(len(labels))
    count, height, width = masks.shape[1:]
    factor = _enlargement(height, width) if enlarge and height and width else 1
    size = (width * factor, height * factor)
    legend = None
    position = 0
    for frame in frames:
        check_frame(frame)
        if frame.shape[:2] != (height, width) or position == count:
            raise InputError(
                f"frame {position} is {frame.shape[1]}x{frame.shape[0]}, but the masks are for "
                f"{count} frames of {width}x{height}"
            )
        shown = resized(frame, size) if factor > 1 else frame
        picture = overlay_masks(shown, resized_masks(masks[:, position], size), colors=colors)
        if legend is None:
            named = labels if with_legend else ()
            legend = legend_strip(size[0], named, colors[: len(named)], font_size_for(picture))
        yield np.concatenate([picture, legend])
        position += 1
    if position < count:
        raise InputError(f"there are only {position} frames, but masks for {count}")


def _enlargement(height: int, width: int) -> int:
    factor = math.ceil(_MIN_SHORT_SIDE / min(height, width))
    return max(1, min(factor, _MAX_LONG_SIDE // max(height, width)))
