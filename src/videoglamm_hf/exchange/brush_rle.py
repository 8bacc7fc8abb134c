"""Label Studio's brush masks: pixels as red, green, blue, alpha, row by row, packed as thi.ng's rle-pack writes them.

Bits, the highest first: 32 for the number of values, 5 for the bits of a value less 1, four times 4 for the bits of
the four kinds of lengths less 1. Then pieces: 1 bit whether a value repeats, 2 for the kind of the length, the length
less 1, and the value, or as many values as the length says. A pixel belongs to the mask if its alpha is not 0.
"""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError

_LENGTH_BITS = (3, 4, 8, 16)
_CUT = "is cut short; export it again"


def decode_brush(packed: Any, size: tuple[int, int], where: str) -> np.ndarray:
    """Pixels of a brush mask.

    Args:
        packed: List of bytes, numbers 0 to 255.
        size: (height, width) of the picture.
        where: What messages call it.

    Returns:
        bool [H, W].

    Raises:
        InputError: it is no such list, is cut short, or is of another size.
    """
    try:
        data = np.frombuffer(bytes(packed if isinstance(packed, (list, bytes)) else None), np.uint8)  # type: ignore
    except (TypeError, ValueError) as error:
        raise InputError(f"{where}: must be a list of whole numbers from 0 to 255") from error
    bits = np.unpackbits(data)
    total, word = _number(bits, 0, 32, where), _number(bits, 32, 5, where) + 1
    lengths = [_number(bits, 37 + 4 * kind, 4, where) + 1 for kind in range(4)]
    if total != 4 * size[0] * size[1]:
        raise InputError(
            f"{where}: holds {total} values, but a picture of {size[1]}x{size[0]} has {4 * size[0] * size[1]} (four a "
            "pixel); check original_width and original_height"
        )
    values = np.zeros(total, bool)  # only whether a value is 0 matters
    place, done = 53, 0
    while done < total:
        head = _number(bits, place, 3, where)
        width = lengths[head & 3]
        count = _number(bits, place + 3, width, where) + 1
        place += 3 + width
        if count > total - done:
            raise InputError(f"{where}: has more values than it says; export it again")
        if head & 4:
            values[done : done + count] = _number(bits, place, word, where) != 0
            place += word
        else:
            if place + count * word > bits.size:
                raise InputError(f"{where}: {_CUT}")
            values[done : done + count] = bits[place : place + count * word].reshape(count, word).any(axis=1)
            place += count * word
        done += count
    return values.reshape(*size, 4)[:, :, 3].copy()


def encode_brush(mask: np.ndarray) -> list[int]:
    """A bool mask [H, W] as bytes of a brush mask: 255 four times where it is, 0 elsewhere."""
    flat = mask.ravel()
    starts = np.flatnonzero(np.diff(flat, prepend=~flat[:1]))
    ends = np.append(starts[1:], flat.size)
    pieces = [f"{4 * flat.size:032b}{7:05b}", *(f"{width - 1:04b}" for width in _LENGTH_BITS)]
    for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
        value, left = "1" * 8 if flat[start] else "0" * 8, 4 * (end - start)
        while left:
            count = min(left, 2 ** _LENGTH_BITS[-1])
            kind = next(i for i, width in enumerate(_LENGTH_BITS) if count <= 2**width)
            pieces.append(f"1{kind:02b}{count - 1:0{_LENGTH_BITS[kind]}b}{value}")
            left -= count
    text = "".join(pieces)
    return np.packbits(np.frombuffer(text.encode("ascii"), np.uint8) - ord("0")).tolist()


def _number(bits: np.ndarray, place: int, width: int, where: str) -> int:
    """The number in some bits."""
    if place + width > bits.size:
        raise InputError(f"{where}: {_CUT}")
    return _value(bits[place : place + width].tolist())


def _value(bits: Sequence[int]) -> int:
    number = 0
    for bit in bits:
        number = number << 1 | bit
    return number
