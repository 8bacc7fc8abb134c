"""Masks as COCO run-length encoding, read and written by pycocotools.

A mask is read column by column, and the lengths of its runs are listed: first zeros (possibly none), then
ones, and so on. The compressed form writes every length, from the fourth on as the difference to the length
two before, in groups of five bits as printable characters. pycocotools trusts what it reads, so that the
runs are checked here first.
"""

from __future__ import annotations

import numbers
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ..errors import InputError
from ..frame_arrays import MAX_PIXELS
from ..mask_runs import run_lengths

_SAFE_PIXELS = 3 * 2**24  # of larger masks, see `_check_writable`


def encode_rle(mask: np.ndarray) -> dict[str, Any]:
    """Encode one mask.

    Args:
        mask: bool [H, W].

    Returns:
        {"size": [H, W], "counts": str}, what `pycocotools.mask.encode` gives, with `counts` as text.

    Raises:
        InputError: `mask` is not a bool array [H, W], or one that pycocotools cannot write.
    """
    if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 2:
        found = f"{mask.dtype} {list(mask.shape)}" if isinstance(mask, np.ndarray) else type(mask).__name__
        raise InputError(f"a mask must be a bool array [H, W], not {found}")
    if mask.size > _SAFE_PIXELS:
        flat = mask.ravel(order="F")
        _check_writable(mask.size, np.count_nonzero(flat[1:] != flat[:-1]) + 1)
    rle = coco.encode(np.asfortranarray(mask).view(np.uint8))
    return {**rle, "counts": rle["counts"].decode("ascii")}


def compress_rle(rle: dict[str, Any]) -> dict[str, Any]:
    """Check an encoding and give it in compressed form.

    Args:
        rle: {"size": [H, W], "counts": ...} with compressed counts (str or bytes) or a list of run lengths.

    Returns:
        {"size": [H, W], "counts": str}.

    Raises:
        InputError: the encoding is malformed, or its runs do not fill exactly H x W pixels.
    """
    if not isinstance(rle, dict) or not {"size", "counts"} <= rle.keys():
        raise InputError('a mask encoding must be {"size": [H, W], "counts": ...}')
    problem = size_problem(rle["size"], least=0)
    if problem:
        raise InputError(f"the size of a mask encoding {problem}, not {rle['size']!r:.80}")
    size = [int(side) for side in rle["size"]]
    height, width = size
    counts = rle["counts"]
    is_text = isinstance(counts, (str, bytes))
    if is_text:
        data = counts.encode(errors="surrogatepass") if isinstance(counts, str) else counts
        runs = run_lengths(data)
    else:
        try:
            runs = np.asarray(counts)
        except ValueError as error:
            raise InputError("the counts of a mask encoding must be text or a flat list") from error
        if runs.ndim != 1 or (runs.size and runs.dtype.kind not in "iu"):
            raise InputError("the counts of a mask encoding must be text or a list of whole numbers")
        runs = runs.astype(np.int64)
    pixels = height * width
    if not runs.size or runs.min() < 0 or runs.max() > pixels or runs.sum() != pixels:
        raise InputError(f"the runs of a mask encoding must be 0 or more and add up to {height} x {width} pixels")
    if not is_text:
        _check_writable(pixels, runs.size)
        data = coco.frPyObjects({"size": size, "counts": runs}, height, width)["counts"]
    return {"size": size, "counts": data.decode("ascii")}


def decode_rle(rle: dict[str, Any]) -> np.ndarray:
    """Decode one mask.

    Args:
        rle: as for `compress_rle`.

    Returns:
        bool [H, W].

    Raises:
        InputError: as of `compress_rle`.
    """
    return coco.decode(compress_rle(rle)).view(np.bool_)


def is_whole(value: Any) -> bool:
    """Whether a value is a whole number; True and False are not."""
    return isinstance(value, numbers.Integral) and not isinstance(value, bool)


def size_problem(size: Any, least: int = 1) -> str | None:
    """What is wrong with the size of a mask, if anything; the shortest side may be `least` long."""
    if not isinstance(size, (list, tuple)) or len(size) != 2 or not all(is_whole(side) for side in size):
        return "must be two whole numbers, [height, width]"
    if min(size) < least or size[0] * size[1] > MAX_PIXELS:
        return f"must be sides of at least {least} and at most {MAX_PIXELS} pixels (VIDEOGLAMM_MAX_PIXELS)"
    return None


def _check_writable(pixels: int, runs: int) -> None:
    """pycocotools writes past its buffer where all of four or more numbers take six characters, 2^24 or more each."""
    if pixels > MAX_PIXELS or (pixels > _SAFE_PIXELS and 4 <= runs < 36):  # 36 such runs have more than 2^28 pixels
        raise InputError(f"a mask of {pixels} pixels in {runs} runs has no safe encoding as RLE")
