"""A sample as a small animated picture: masks of several origins beside each other."""

import base64
import io
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from ..clip_sources import open_clip, read_image
from ..data.masks import decode_masks
from ..errors import InputError
from ..render.arrays import resized, resized_masks
from ..render.colors import BACKGROUND, object_colors
from ..render.overlay import overlay_masks

MOST_FRAMES = 12
_WIDTH = 240  # of each side
_GAP = 4
_MILLISECONDS = 250
_DIMMED = 0.45


def animation(sample: dict[str, Any], *sides: Sequence[Any]) -> str:
    """An animated WebP as a data URL: the frames with the masks of each side, from left to right.

    Args:
        sample: A sample, see [`sample`]; `mask_frames` say which frames masks belong to.
        sides: One track per object each, COCO RLE or None per mask frame: the truth, what was predicted.

    Raises:
        InputError, MediaError: Frames or masks cannot be read.
    """
    numbers, places = places_shown(sample)
    pictures = []
    for frame, place in zip(sample_frames(sample, [numbers[place] for place in places]), places, strict=True):
        size = (_WIDTH, max(1, round(_WIDTH * frame.shape[0] / frame.shape[1])))
        small = resized(frame, size)
        gap = np.full((size[1], _GAP, 3), BACKGROUND, np.uint8)
        drawn = [part for tracks in sides for part in (gap, _drawn(small, tracks, place, frame.shape[:2]))]
        pictures.append(Image.fromarray(np.concatenate(drawn[1:], axis=1)))
    written = io.BytesIO()
    pictures[0].save(
        written,
        "WEBP",
        save_all=True,
        append_images=pictures[1:],
        duration=_MILLISECONDS,
        loop=0,
        quality=55,
    )
    return f"data:image/webp;base64,{base64.b64encode(written.getvalue()).decode('ascii')}"


def places_shown(sample: dict[str, Any]) -> tuple[Sequence[int], list[int]]:
    """The numbers of all frames with masks, and which of them are shown."""
    numbers = [0] if sample.get("image") is not None else sample["mask_frames"]
    places = np.unique(np.linspace(0, len(numbers) - 1, min(MOST_FRAMES, len(numbers))).round().astype(int)).tolist()
    return numbers, places


def sample_frames(sample: dict[str, Any], numbers: Sequence[int]) -> np.ndarray:
    """Frames of a sample, uint8 `[T, H, W, 3]`."""
    if sample.get("image") is not None:
        return read_image(sample["image"])[None]
    with open_clip(sample["video"]) as clip:
        return clip.frames(list(numbers))


def _drawn(frame: np.ndarray, tracks: Sequence[Any], place: int, size: tuple[int, int]) -> np.ndarray:
    if any(place >= len(track) for track in tracks):
        raise InputError(f"a track has no mask of frame {place}")
    masks = np.zeros((len(tracks), *size), bool)
    for mask, track in zip(masks, tracks, strict=True):
        mask[...] = decode_masks([[track[place]]], size)[0, 0] == 1
    masks = resized_masks(masks, frame.shape[1::-1])
    # What no mask covers is dimmed, for a tint alone is hard to see on a thing of its colour.
    shown = np.where(masks.any(axis=0)[..., None], frame, (frame * _DIMMED).astype(np.uint8))
    return overlay_masks(shown, masks, colors=object_colors(len(masks)), alpha=0.35)
