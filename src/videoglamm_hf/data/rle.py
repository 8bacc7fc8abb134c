"""Masks as COCO run-length encoding: the compressed strings that pycocotools writes and reads.

A mask is read column by column, and the lengths of its runs are listed: first zeros (possibly none), then
ones, and so on. The compressed form writes every length, from the fourth on as the difference to the length
two before, in groups of five bits as printable characters.
"""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InputError

_GROUP_BITS = 5
_MORE = 0x20  # set in a character that is followed by more bits of the same number
_SIGN = 0x10
_MAX_PIXELS = 2**31  # as in pycocotools; also keeps a false size from filling the memory
_MAX_GROUPS = 9  # 45 bits: more than any run of a mask that fits into memory


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode one mask.

    Args:
        mask: bool [H, W].

    Returns:
        {"size": [H, W], "counts": str}, what `pycocotools.mask.encode` gives, with `counts` as text.

    Raises:
        InputError: `mask` is not a bool array [H, W].
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        found = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"a mask must be a bool array [H, W], not {found}")
    flat = mask.ravel(order="F")
    edges = np.flatnonzero(flat[1:] != flat[:-1]) + 1
    start = [0, 0] if flat[:1].any() else [0]  # a mask that starts with ones has a first run of no zeros
    counts = np.diff(np.concatenate([start, edges, [flat.size]]))
    return {"size": [int(side) for side in mask.shape], "counts": _compress(counts)}


def decode_rle(rle: dict[str, Any]) -> np.ndarray:
    """Decode one mask.

    Args:
        rle: {"size": [H, W], "counts": ...} with compressed counts (str or bytes) or a list of run lengths.

    Returns:
        bool [H, W].

    Raises:
        InputError: the encoding is malformed, or its runs do not fill exactly H x W pixels.
    """
    try:
        height, width = (int(side) for side in rle["size"])
        counts = rle["counts"]
    except (KeyError, TypeError, ValueError, OverflowError) as error:
        raise InputError('a mask encoding must be {"size": [H, W], "counts": ...}') from error
    if height < 0 or width < 0 or height * width > _MAX_PIXELS:
        raise InputError(f"the size of a mask encoding is out of range: {[height, width]}")
    if isinstance(counts, (str, bytes)):
        runs = _decompress(counts)
    else:
        try:
            runs = np.asarray(counts)
        except ValueError as error:
            raise InputError("the counts of a mask encoding must be text or a flat list") from error
        if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
            raise InputError("the counts of a mask encoding must be text or a list of whole numbers")
        runs = runs.astype(np.int64)
    if (runs < 0).any() or (runs > height * width).any() or runs.sum() != height * width:
        raise InputError(f"the runs of a mask encoding must be 0 or more and add up to {height} x {width} pixels")
    flat = np.repeat(np.arange(runs.size) % 2 == 1, runs)
    return flat.reshape((height, width), order="F")


def _compress(counts: np.ndarray) -> str:
    numbers = counts.astype(np.int64)
    numbers[3:] -= counts[1:-2]
    characters = np.zeros((numbers.size, _MAX_GROUPS), np.uint8)
    unfinished = np.ones(numbers.size, bool)
    used = np.zeros(characters.shape, bool)
    for group in range(_MAX_GROUPS):
        used[:, group] = unfinished
        bits = numbers & (_MORE - 1)
        numbers >>= _GROUP_BITS
        unfinished = unfinished & (numbers != np.where(bits & _SIGN, -1, 0))
        characters[:, group] = bits + _MORE * unfinished + ord("0")
        if not unfinished.any():
            break
    return characters[used].tobytes().decode("ascii")


def _decompress(text: str | bytes) -> np.ndarray:
    try:
        data = text.encode("ascii") if isinstance(text, str) else text
    except UnicodeEncodeError as error:
        raise InputError("the counts of a mask encoding hold a character that is not ASCII") from error
    values = np.frombuffer(data, np.uint8).astype(np.int64) - ord("0")
    if (values < 0).any() or (values >= 2 * _MORE).any():
        raise InputError("the counts of a mask encoding hold a character that does not belong there")
    if values.size and values[-1] & _MORE:
        raise InputError("the counts of a mask encoding are cut short")
    ends = np.flatnonzero((values & _MORE) == 0)
    starts = np.concatenate([[0], ends[:-1] + 1])[: ends.size]
    lengths = ends - starts + 1
    if (lengths > _MAX_GROUPS).any():
        raise InputError("the counts of a mask encoding hold a number that is too long")
    places = np.arange(values.size) - np.repeat(starts, lengths)
    shifted = (values & (_MORE - 1)) << (_GROUP_BITS * places)
    numbers = np.add.reduceat(shifted, starts) if ends.size else np.zeros(0, np.int64)
    numbers -= np.where(values[ends] & _SIGN, np.int64(1) << (_GROUP_BITS * lengths), 0)
    numbers[1::2] = np.cumsum(numbers[1::2])
    numbers[2::2] = np.cumsum(numbers[2::2])
    return numbers
