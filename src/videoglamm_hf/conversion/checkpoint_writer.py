"""Writing a model folder: safetensors, one tensor at a time, in a folder that appears only when complete."""

import json
import os
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path

import torch
from huggingface_hub import split_torch_state_dict_into_shards

from ..errors import OutputError
from ..output_files import explained_writes

MAX_SHARD_BYTES = 5 * 10**9

_SAFETENSORS_DTYPES = {torch.float32: "F32", torch.float16: "F16", torch.bfloat16: "BF16"}


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
        max_shard_bytes: Most bytes of tensors in one file; more where one tensor alone has more.

    Returns:
        The weight files.

    Raises:
        OutputError: If the disk is too small or a file cannot be written.
    """
    dtypes = dtype if isinstance(dtype, Mapping) else dict.fromkeys(shapes, dtype)
    announced = {name: torch.empty(shape, dtype=dtypes[name], device="meta") for name, shape in shapes.items()}
    # Larger tensors than a shard would come first, and not in their order.
    limit = max(max_shard_bytes, *(tensor.nbytes for tensor in announced.values()))
    split = split_torch_state_dict_into_shards(announced, max_shard_size=limit)
    total = split.metadata["total_size"]
    free = shutil.disk_usage(folder).free
    if free < total:
        raise OutputError(
            f"The weights take {total / 1e9:.1f} GB, but {folder.parent} has {free / 1e9:.1f} GB left. "
            "Free some space, give another --output, or a smaller --dtype."
        )
    stream = iter(tensors)
    for file_name, names in split.filename_to_tensors.items():
        with explained_writes(folder / file_name), (folder / file_name).open("wb") as file:
            file.write(_header({name: announced[name] for name in names}))
            for name in names:
                came, tensor = next(stream)
                if (came, tensor.shape, tensor.dtype) != (name, announced[name].shape, announced[name].dtype):
                    raise RuntimeError(f"tensor {came} came where {name} of {shapes[name]} was announced")
                # In pieces of one memory view: no second copy of the tensor.
                file.write(memoryview(tensor.contiguous().reshape(-1).view(torch.uint8).numpy()))
            file.flush()
            os.fsync(file.fileno())
    if next(stream, None) is not None:
        raise RuntimeError("more tensors came than were announced")
    if split.is_sharded:
        index = {"metadata": split.metadata, "weight_map": split.tensor_to_filename}
        path = folder / "model.safetensors.index.json"
        with explained_writes(path):
            path.write_text(json.dumps(index, indent=2) + "\n", encoding="utf-8")
    return [folder / name for name in split.filename_to_tensors]


def _header(tensors: Mapping[str, torch.Tensor]) -> bytes:
    """The start of a safetensors file: the header's length as uint64, then JSON padded to 8 bytes."""
    header: dict = {"__metadata__": {"format": "pt"}}
    offset = 0
    for name, tensor in tensors.items():
        header[name] = {
            "dtype": _SAFETENSORS_DTYPES[tensor.dtype],
            "shape": list(tensor.shape),
            "data_offsets": [offset, offset + tensor.nbytes],
        }
        offset += tensor.nbytes
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    return len(text).to_bytes(8, "little") + text
