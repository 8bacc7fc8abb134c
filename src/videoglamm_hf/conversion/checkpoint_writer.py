"""Writing a model folder: safetensors, one tensor at a time, in a folder that appears only when complete."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch

from ..errors import OutputError
from ..output_files import explained_writes

MAX_SHARD_BYTES = 5 * 10**9

_SAFETENSORS_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


def plan_shards(sizes: Mapping[str, int], max_bytes: int) -> list[list[str]]:
    """Splits tensors into files, in order, none above `max_bytes` unless one tensor alone is.

    >>> plan_shards({"a": 3, "b": 2, "c": 9, "d": 1}, 5)
    [['a', 'b'], ['c'], ['d']]
    """
    shards: list[list[str]] = [[]]
    used = 0
    for name, size in sizes.items():
        if shards[-1] and used + size > max_bytes:
            shards.append([])
            used = 0
        shards[-1].append(name)
        used += size
    return shards


def write_safetensors(
    folder: Path,
    shapes: Mapping[str, tuple[int, ...]],
    dtype: torch.dtype | Mapping[str, torch.dtype],
    tensors: Iterable[tuple[str, torch.Tensor]],
    max_shard_bytes: int = MAX_SHARD_BYTES,
) -> list[Path]:
    """Writes `model.safetensors`, or numbered shards and `model.safetensors.index.json`.

    The headers are known beforehand, so only one tensor at a time is in memory.

    Args:
        folder: Where to write.
        shapes: Shape of every tensor, in the order they come.
        dtype: float32, float16 or bfloat16, of every tensor or by name.
        tensors: `(name, tensor)` in the order of `shapes`.
        max_shard_bytes: Most bytes of tensors in one file.

    Returns:
        The weight files.

    Raises:
        OutputError: If the disk is too small or a file cannot be written.
    """
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(shapes, dtype)
    sizes = {name: torch.Size(shape).numel() * dtypes[name].itemsize for name, shape in shapes.items()}
    total = sum(sizes.values())
    free = shutil.disk_usage(folder).free
    if free < total:
        raise OutputError(
            f"The weights take {total / 1e9:.1f} GB, but {folder.parent} has {free / 1e9:.1f} GB left. "
            "Free some space, give another --output, or a smaller --dtype."
        )
    shards = plan_shards(sizes, max_shard_bytes)
    count = len(shards)
    names = ["model.safetensors"]
    if count > 1:
        names = [f"model-{i + 1:05d}-of-{count:05d}.safetensors" for i in range(count)]
    stream = iter(tensors)
    for file_name, shard in zip(names, shards, strict=True):
        with explained_writes(folder / file_name), (folder / file_name).open("wb") as file:
            file.write(_header(shard, shapes, sizes, dtypes))
            for name in shard:
                came, tensor = next(stream)
                if (came, tuple(tensor.shape), tensor.dtype) != (name, tuple(shapes[name]), dtypes[name]):
                    raise RuntimeError(f"tensor {came} came where {name} of {shapes[name]} was announced")
                # In pieces of one memory view: no second copy of the tensor.
                file.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
            file.flush()
            os.fsync(file.fileno())
    if next(stream, None) is not None:
        raise RuntimeError("more tensors came than were announced")
    if count > 1:
        index = {
            "metadata": {"total_size": total},
            "weight_map": {name: file for file, shard in zip(names, shards, strict=True) for name in shard},
        }
        path = folder / "model.safetensors.index.json"
        with explained_writes(path):
            path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [folder / name for name in names]


def _header(
    names: list[str],
    shapes: Mapping[str, tuple[int, ...]],
    sizes: Mapping[str, int],
    dtypes: Mapping[str, torch.dtype],
) -> bytes:
    """The start of a safetensors file: the header's length as uint64, then JSON padded to 8 bytes."""
    header: dict = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name in names:
        header[name] = {
            "dtype": _SAFETENSORS_DTYPES[dtypes[name]],
            "shape": list(shapes[name]),
            "data_offsets": [offset, offset + sizes[name]],
        }
        offset += sizes[name]
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
