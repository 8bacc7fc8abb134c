"""The masks of a sample: checked, united, and turned into pixels when they are needed.

A mask is what a track holds for one frame:

* `{"size": [H, W], "counts": ...}`, COCO run-length encoding. `counts` is compressed text (what readers give) or a
  list of run lengths. An optional `"ignore"`, encoded like `counts` and of the same size, marks the pixels that
  nobody judged.
* a bool array `[H, W]`;
* None: the object is not visible.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..frame_arrays import MAX_CLIP_BYTES
from ..limits import lift
from .rle import compress_rle, decode_rle, encode_rle, is_whole, size_problem

Mask = dict[str, Any] | np.ndarray | None
Track = Sequence[Mask]


def decode_masks(
    sample_masks: Sequence[Track], size: tuple[int, int], frames: Sequence[int] | None = None
) -> np.ndarray:
    """Pixels of the masks of one conversation.

    Args:
        sample_masks: one track per object, each with one mask per mask frame.
        size: (height, width) of the video; what frames without a mask are filled to.
        frames: which mask frames, as positions in the tracks (not numbers of the video's frames); None for all.

    Returns:
        int8 `[objects, frames, H, W]`: 1 object, 0 background, -1 to be ignored.

    Raises:
        InputError: a mask is malformed or not of this size, or a track lacks a frame; the message says which.
    """
    problem = size_problem(size)
    if problem:
        raise InputError(f"size {problem}")
    if frames is None:
        lengths = {len(track) for track in sample_masks}
        if len(lengths) > 1:
            raise InputError(f"the tracks have different numbers of masks: {sorted(lengths)}")
        frames = range(max(lengths, default=0))
    needed = len(sample_masks) * len(frames) * size[0] * size[1]
    if needed > MAX_CLIP_BYTES:
        raise InputError(
            f"{len(sample_masks)} x {len(frames)} masks of {size[1]}x{size[0]} take {needed / 2**30:.3g} GiB, more "
            f"than {MAX_CLIP_BYTES / 2**30:.3g} GiB; take fewer mask_frames, or {lift('VIDEOGLAMM_MAX_CLIP_BYTES')}"
        )
    decoded = np.zeros((len(sample_masks), len(frames), *size), np.int8)
    for number, track in enumerate(sample_masks):
        for place, frame in enumerate(frames):
            if not is_whole(frame) or not 0 <= frame < len(track):
                raise InputError(f"masks[{number}] has {len(track)} masks; there is no mask {frame}")
            mask = check_mask(track[frame], f"masks[{number}][{frame}]", size)
            if mask is not None:
                decoded[number, place] = _pixels(mask)
    return decoded


def mask_problem(mask: Any) -> tuple[str, str] | None:
    """What is wrong with a mask: the field (as in `.counts`) and a message; None if nothing is."""
    if mask is None:
        return None
    if isinstance(mask, np.ndarray):
        if mask.dtype != np.bool_ or mask.ndim != 2 or 0 in mask.shape:
            return "", f"a mask array must be bool [H, W], not {mask.dtype} {list(mask.shape)}"
        return None
    if not isinstance(mask, dict):
        return "", f'must be {{"size": [H, W], "counts": ...}}, or null where unseen, not {type(mask).__name__}'
    problem = size_problem(mask.get("size"))
    if problem:
        return ".size", problem
    for field in ("counts", "ignore"):
        counts = mask.get(field)
        if counts is None and field == "ignore":
            continue
        if not isinstance(counts, (str, bytes, list, tuple)):
            return f".{field}", f"must be text or a list of run lengths, not {type(counts).__name__}"
        try:
            compress_rle({"size": mask["size"], "counts": counts})
        except InputError as error:
            return f".{field}", str(error)
    return None


def mask_size(mask: dict[str, Any] | np.ndarray) -> tuple[int, int]:
    """(height, width) of a mask without problems."""
    height, width = mask.shape if isinstance(mask, np.ndarray) else mask["size"]
    return int(height), int(width)


def check_mask(mask: Mask, where: str, size: tuple[int, int] | None = None) -> Mask:
    """The mask itself.

    Args:
        mask: anything.
        where: what messages call it.
        size: (height, width) it must have; None for any.

    Raises:
        InputError: it is not a mask, or has another size.
    """
    problem = mask_problem(mask)
    if problem:
        raise InputError(f"{where}{problem[0]}: {problem[1]}")
    if mask is not None and size is not None and mask_size(mask) != tuple(size):
        raise InputError(f"{where}.size: {list(mask_size(mask))}, but it must be {list(size)}, as [height, width]")
    return mask


def compressed(mask: Mask) -> dict[str, Any] | None:
    """A mask without problems as plain types with compressed counts, so that all masks of a dataset look the same."""
    if mask is None:
        return None
    if isinstance(mask, np.ndarray):
        return encode_rle(mask)
    plain = {**mask, "size": list(mask_size(mask))}
    for field in ("counts", "ignore"):
        if mask.get(field) is not None:
            plain[field] = compress_rle({"size": mask["size"], "counts": mask[field]})["counts"]
    return plain


def united(tracks: Sequence[Track], names: Sequence[str], size: tuple[int, int] | None = None) -> list[dict | None]:
    """One track of what any of several objects covers.

    Args:
        tracks: masks without "ignore", as many in each.
        names: what messages call each track.
        size: (height, width) of all masks; None if unknown, but the same for all.

    Raises:
        InputError: a mask is malformed, or not of the size of the others.
    """
    track: list[dict | None] = []
    for frame, masks in enumerate(zip(*tracks, strict=True)):
        seen = []
        for mask, name in zip(masks, names, strict=True):
            if check_mask(mask, f"{name}[{frame}]", size) is not None:
                size = mask_size(mask)
                seen.append(mask)
        if len(seen) > 1:
            seen = [encode_rle(np.logical_or.reduce([decode_rle(mask) for mask in seen]))]
        track.append(compressed(seen[0]) if seen else None)
    return track


def _pixels(mask: dict[str, Any] | np.ndarray) -> np.ndarray:
    """int8 [H, W] of a mask without problems."""
    if isinstance(mask, np.ndarray):
        return mask.astype(np.int8)
    pixels = decode_rle(mask).astype(np.int8)
    if mask.get("ignore") is not None:
        pixels[decode_rle({"size": mask["size"], "counts": mask["ignore"]})] = -1
    return pixels
