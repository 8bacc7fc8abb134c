"""Masks as COCO's compressed run lengths, in NumPy alone: for what must do without pycocotools.

A mask is read column by column, and the lengths of its runs are listed: first zeros (possibly none), then ones, and so
on. Every length is written, from the fourth on as the difference to the length two before, in groups of five bits as
printable characters.
"""

import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from .errors import InputError

# No character of the format; a number of more than 30 bits, which no mask needs; a number cut short.
_MALFORMED = re.compile(rb"[^0-o]|[P-o]{6}|[P-o]\Z")


def run_lengths(counts: bytes) -> np.ndarray:
    """Run lengths of compressed counts; nothing says yet that they are positive or fit a size.

    Returns:
        int64 `[runs]`.

    Raises:
        InputError: They are none.
    """
    if _MALFORMED.search(counts):
        raise InputError("the counts of a mask encoding are cut short or hold what does not belong there")
    groups = np.frombuffer(counts, np.uint8).astype(np.int64) - ord("0")  # bit 5: more follow; bit 4 of a last: sign
    ends = np.flatnonzero(groups < 32)
    lengths = np.diff(ends, prepend=-1)
    places = np.arange(groups.size) - np.repeat(ends - lengths + 1, lengths)
    runs = np.diff(np.cumsum((groups & 31) << 5 * places)[ends], prepend=0)
    runs -= (groups[ends] & 16) << (5 * lengths - 4)
    runs[1::2] = np.cumsum(runs[1::2])
    runs[2::2] = np.cumsum(runs[2::2])
    return runs


def mask_to_runs(mask: np.ndarray) -> dict[str, Any]:
    """A mask as plain JSON, character by character what pycocotools writes.

    Args:
        mask: bool `[H, W]`.

    Returns:
        `{"size": [H, W], "counts": str}`.
    """
    flat = np.asarray(mask, bool).ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    runs = np.diff(edges, prepend=0, append=flat.size).tolist()
    if flat.size and flat[0]:
        runs.insert(0, 0)
    written = [run if i < 3 else run - runs[i - 2] for i, run in enumerate(runs)]
    return {"size": [int(side) for side in mask.shape], "counts": "".join(map(_characters, written))}


def mask_from_runs(rle: Mapping[str, Any], size: tuple[int, int]) -> np.ndarray:
    """A mask of a known size from what [`mask_to_runs`] or pycocotools wrote.

    Args:
        rle: `{"size": [H, W], "counts": ...}` with compressed counts, or a list of run lengths.
        size: `(H, W)` that it must have.

    Returns:
        bool `[H, W]`.

    Raises:
        InputError: It is none, or of another size.
    """
    counts, own = rle.get("counts"), rle.get("size")
    if not isinstance(own, (list, tuple)) or list(own) != list(size):
        raise InputError(f"the size of a mask encoding is {own!r:.80}, and the video {list(size)}, as [height, width]")
    if isinstance(counts, (str, bytes)):
        runs = run_lengths(counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts)
    else:
        try:
            runs = np.asarray(counts)
        except ValueError as error:
            raise InputError("the counts of a mask encoding must be text or a flat list") from error
        if runs.ndim != 1 or runs.dtype.kind not in "iu":
            raise InputError("the counts of a mask encoding must be text or a list of whole numbers")
    height, width = size
    # Before they are added up, which large ones would overflow.
    if (runs.size and (runs.min() < 0 or runs.max() > height * width)) or runs.sum() != height * width:
        raise InputError(f"the runs of a mask encoding must be 0 or more and add up to {height} x {width} pixels")
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return np.ascontiguousarray(flat.reshape(width, height).T)


def _characters(number: int) -> str:
    """A whole number in groups of five bits, the lowest first."""
    found, more = "", True
    while more:
        group, number = number & 31, number >> 5
        more = number != (-1 if group & 16 else 0)
        found += chr(group + 32 * more + ord("0"))
    return found
