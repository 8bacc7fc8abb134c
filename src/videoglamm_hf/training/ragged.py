"""Arrays of many shapes, one per sample, as rows of one tensor that Trainer can gather, pad and concatenate.

A row is int16 `[length]`: a mark, then bytes (how many follow, the shape, the deflated values), then what the row was
padded with.
"""

import struct
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

_MARK = 0x5647  # no byte, so no other predictions look like it
_HEAD = struct.Struct("<q4q")


def pack(arrays: Sequence[torch.Tensor], device: torch.device | str) -> torch.Tensor:
    """int16 `[B, longest]` of B bool or int8 arrays of four axes."""
    rows = []
    for array in arrays:
        values = array.to("cpu", torch.int8).contiguous().numpy()
        body = zlib.compress(values.tobytes(), level=1)
        data = _HEAD.pack(len(body), *values.shape) + body
        rows.append(torch.tensor([_MARK, *data], dtype=torch.int16))
    return torch.nn.utils.rnn.pad_sequence(rows, batch_first=True).to(device)


def is_packed(rows: Any) -> bool:
    """Whether an array is what [`pack`] made, perhaps padded and concatenated since."""
    return (
        isinstance(rows, np.ndarray)
        and rows.ndim == 2
        and rows.dtype == np.int16
        and bool((rows[:, 0] == _MARK).all())
    )


def unpack(rows: np.ndarray) -> list[np.ndarray]:
    """int8 arrays of four axes, one per row."""
    arrays = []
    for row in rows:
        data = row[1:].astype(np.uint8).tobytes()
        length, *shape = _HEAD.unpack_from(data)
        body = zlib.decompress(data[_HEAD.size : _HEAD.size + length])
        arrays.append(np.frombuffer(body, np.int8).reshape(shape))
    return arrays
