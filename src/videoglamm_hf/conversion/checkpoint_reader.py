"""Lazy reading of weight files: pickles and safetensors, single or sharded, one tensor at a time.

Nothing in a file is ever executed: pickles are read with `weights_only=True`. Pickles are memory-mapped where
their format allows it, so that only the tensors asked for come into memory.
"""

import json
import mmap
import pickle
import re
import sys
import zipfile
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

import torch
from safetensors import safe_open

from ..errors import CheckpointError

_SHARD_NUMBER = re.compile(r"-([0-9]{5})-of-([0-9]{5})\.")
_LFS_POINTER = b"version https://git-lfs"
_ZIP_MAGIC = b"PK\x03\x04"
# How torch names what it refuses to unpickle.
_REFUSED = re.compile(
    r"unsupported (global|class|operand)\b[^\n]*?(?=\.\s|\.?$| was not an)", re.IGNORECASE | re.MULTILINE
)
# The one thing that torch lets a pickle make of a number alone: that many bytes. Tensors need none.
_BUFFER = b"bytearray"
# Opening costs as much as reading some megabytes.
_BYTES_PER_OPENING = 2**29
_SAFETENSORS_DTYPES = {
    "F64": torch.float64,
    "F32": torch.float32,
    "F16": torch.float16,
    "BF16": torch.bfloat16,
}


@dataclass(frozen=True)
class StoredTensor:
    """Where a tensor lies.

    Attributes:
        file: The file that holds it.
        name: Its key in that file.
        shape: Its shape.
        dtype: Its dtype; None if it is not a plain floating-point one.
    """

    file: Path
    name: str
    shape: tuple[int, ...]
    dtype: torch.dtype | None


class TensorReader:
    """Reads tensors from files, keeping only the file used last open.

    A mapped file stays in memory as far as it was read; so it is opened anew every now and then, and resident memory
    does not grow with the size of a file.
    """

    def __init__(self) -> None:
        self._path: Path | None = None
        self._contents: Any = None
        self._bytes_left = 0

    def read(self, stored: StoredTensor) -> torch.Tensor:
        """The tensor on the CPU, as it is stored (possibly memory-mapped: do not write to it).

        Raises:
            CheckpointError: If the file cannot be read.
        """
        if self._path != stored.file or self._bytes_left <= 0:
            self.close()
            self._contents = _open(stored.file)
            self._path = stored.file
            self._bytes_left = _BYTES_PER_OPENING if _is_mapped(stored.file) else sys.maxsize
        self._bytes_left -= torch.Size(stored.shape).numel() * (stored.dtype or torch.float64).itemsize
        if isinstance(self._contents, Mapping):
            return self._contents[stored.name]
        try:
            return self._contents.get_tensor(stored.name)
        except Exception as error:
            raise _damaged(stored.file, error) from error

    def close(self) -> None:
        self._path, self._contents = None, None


def read_json(path: Path) -> dict[str, Any]:
    """A JSON object from a file.

    Raises:
        CheckpointError: If there is none.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise CheckpointError(f"{path} cannot be read as JSON ({error}). Is the download complete?") from error
    if not isinstance(value, dict):
        raise CheckpointError(f"{path} holds a JSON {type(value).__name__} where an object was expected.")
    return value


def find_weights(folder: Path) -> dict[str, StoredTensor]:
    """Every tensor of a Hugging Face style folder, in the order of its files.

    Read are, in this order of preference, `model.safetensors` (or its index and shards) and
    `pytorch_model.bin` (or its index and shards, or all `pytorch_model*.bin` if there is no index).

    Raises:
        CheckpointError: If the folder has no weights, lacks a shard, or its files contradict each other.
    """
    for stem, end in (("model", ".safetensors"), ("pytorch_model", ".bin")):
        index, single = folder / f"{stem}{end}.index.json", folder / f"{stem}{end}"
        if index.exists():
            return _read_indexed(index)
        if single.exists():
            return read_files([single])
        files = sorted(folder.glob(f"{stem}*{end}"))
        if files:
            _check_numbering(folder, files)
            return read_files(files)
    raise CheckpointError(
        f"{folder} holds no model weights: looked for model*.safetensors and pytorch_model*.bin. {_what_else(folder)}"
    )


def read_files(files: Iterable[Path]) -> dict[str, StoredTensor]:
    """Every tensor of the given files.

    Raises:
        CheckpointError: If a file cannot be read, or two hold different tensors under one key.
    """
    found: dict[str, StoredTensor] = {}
    for file in files:
        contents = _open(file)
        for name, stored in _list(file, contents):
            if name in found and not _same(found[name], stored):
                raise CheckpointError(
                    f"{name!r} is in {found[name].file.name} and in {file.name} of {file.parent} with "
                    "different values. The folder mixes two checkpoints; download it again into an empty "
                    "one."
                )
            found.setdefault(name, stored)
    return found


def all_finite(tensor: torch.Tensor) -> bool:
    """Whether no value is NaN or infinite, without an array of the tensor's size: least and greatest carry a NaN."""
    return not tensor.numel() or all(bool(torch.isfinite(extreme)) for extreme in torch.aminmax(tensor))


def _read_indexed(index: Path) -> dict[str, StoredTensor]:
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index} has no usable 'weight_map'. Download it again.")
    names = sorted(set(weight_map.values()))
    if not names:
        raise CheckpointError(f"{index} names no files. Download it again.")
    outside = [name for name in names if Path(name).name != name]
    if outside:
        raise CheckpointError(f"{index} names files outside its folder, which are not read: {outside[:5]}.")
    absent = [name for name in names if not (index.parent / name).is_file()]
    if absent:
        raise CheckpointError(
            f"{index.parent} lacks {len(absent)} of the {len(names)} files that {index.name} names: "
            f"{', '.join(absent[:5])}. Download the missing ones."
        )
    found = read_files(index.parent / name for name in names)
    lost = [key for key in weight_map if key not in found]
    if lost:
        raise CheckpointError(
            f"{index} lists {len(lost)} keys that its files do not hold: {', '.join(lost[:5])} "
            f"(should be in {weight_map[lost[0]]}). Download the folder again."
        )
    return found


def _check_numbering(folder: Path, files: list[Path]) -> None:
    numbers = [match for match in (_SHARD_NUMBER.search(file.name) for file in files) if match]
    totals = {int(match[2]) for match in numbers}
    if not totals:
        return
    absent = sorted(set(range(1, max(totals) + 1)) - {int(match[1]) for match in numbers})
    if absent or len(totals) > 1:
        raise CheckpointError(
            f"{folder} has {len(numbers)} shards of {max(totals)}; missing are numbers {absent[:10]}. "
            "Download the missing ones."
        )


def _open(path: Path) -> Any:
    """A mapping of tensors (pickles) or an open safetensors file."""
    try:
        with path.open("rb") as stream:
            start = stream.read(len(_LFS_POINTER))
    except OSError as error:
        raise CheckpointError(f"{path} cannot be opened: {error.strerror or error}.") from error
    if start == _LFS_POINTER:
        raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull` in its folder.")
    if path.suffix == ".safetensors":
        try:
            return safe_open(path, framework="pt", device="cpu")
        except Exception as error:
            raise _damaged(path, error) from error
    try:
        mapped = _is_mapped(path)
        (_check_archive if mapped else _check_old_pickle)(path)
        contents = torch.load(path, map_location="cpu", weights_only=True, mmap=mapped)
    except CheckpointError:
        raise
    except pickle.UnpicklingError as error:
        refused = _REFUSED.search(str(error))
        # "Unsupported global": surely an object; "unsupported operand": an object, or bytes that are no pickle.
        verdict = "unsafe" if refused and refused[1].lower() != "operand" else "damaged or unsafe"
        raise CheckpointError(
            f"{path} is {verdict}: it seems to hold more than tensors, and loading that could run code, so it is "
            f"not read ({refused[0] if refused else _reason(error)}). Download it again if it is incomplete; else get "
            "the weights from a source you trust, as safetensors or as a pickle of tensors only."
        ) from error
    except MemoryError:
        raise
    except Exception as error:
        raise _damaged(path, error) from error
    return _state_dict(path, contents)


def _is_mapped(path: Path) -> bool:
    """Whether a file is read piece by piece: pickles from before torch 1.6 are no zip archives and cannot be."""
    if path.suffix == ".safetensors":
        return True
    with path.open("rb") as stream:
        return stream.read(len(_ZIP_MAGIC)) == _ZIP_MAGIC


def _check_archive(path: Path) -> None:
    """Refuses what torch never writes: entries that land outside the archive, that grow when read, or ask for more."""
    with zipfile.ZipFile(path) as archive:
        for entry in archive.infolist():
            name = entry.filename
            if ".." in PurePosixPath(name).parts or name.startswith("/") or "\\" in name:
                raise CheckpointError(
                    f"{path} is unsafe: it holds entries that point outside the archive ({name!r}). Get the weights "
                    "from a source you trust."
                )
            if entry.compress_type != zipfile.ZIP_STORED or entry.file_size != entry.compress_size:
                raise CheckpointError(
                    f"{path} is compressed ({name!r} is {entry.compress_size} bytes for {entry.file_size}), which no "
                    "weights are: it could fill the memory, so it is not read. Unpack it and save it with torch.save."
                )
            if name.endswith(".pkl") and _BUFFER in archive.read(entry):
                raise _asks_for_memory(path)


def _check_old_pickle(path: Path) -> None:
    with path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as contents:
        if contents.find(_BUFFER) >= 0:
            raise _asks_for_memory(path)


def _asks_for_memory(path: Path) -> CheckpointError:
    return CheckpointError(
        f"{path} is unsafe: it seems to hold more than tensors (a bytearray, which may be of any size), so it is not "
        "read. Get the weights from a source you trust, as safetensors or as a pickle of tensors only."
    )


def _state_dict(path: Path, contents: Any) -> dict[str, torch.Tensor]:
    """The tensors of a pickle: the dict itself, or the one under `model`, `module` or `state_dict`."""
    candidates = [contents]
    if isinstance(contents, Mapping):
        candidates = [*(contents.get(key) for key in ("model", "module", "state_dict")), contents]
    for candidate in candidates:
        if isinstance(candidate, Mapping) and any(isinstance(v, torch.Tensor) for v in candidate.values()):
            break
    else:
        raise CheckpointError(f"{path} holds no state dict: no tensors by name at its top, nor under 'model'.")
    others = [name for name, value in candidate.items() if not isinstance(value, torch.Tensor)]
    if others:
        raise CheckpointError(f"{path} holds entries that are no tensors: {', '.join(map(str, others[:5]))}.")
    size = path.stat().st_size
    for name, tensor in candidate.items():
        # A tensor of a million rows may be a view of a single one.
        if tensor.layout is not torch.strided or tensor.is_meta or tensor.nbytes > size:
            raise CheckpointError(
                f"{path} is damaged or unsafe: {name} claims {tensor.numel()} values, which the file does not hold."
            )
    return {str(name): value for name, value in candidate.items()}


def _list(path: Path, contents: Any) -> Iterable[tuple[str, StoredTensor]]:
    if isinstance(contents, Mapping):
        for name, tensor in contents.items():
            dtype = tensor.dtype if tensor.is_floating_point() else None
            yield name, StoredTensor(path, name, tuple(tensor.shape), dtype)
        return
    try:
        for name in contents.keys():  # noqa: SIM118 - an open safetensors file is no mapping
            part = contents.get_slice(name)
            dtype = _SAFETENSORS_DTYPES.get(part.get_dtype())
            yield name, StoredTensor(path, name, tuple(part.get_shape()), dtype)
    except Exception as error:
        raise _damaged(path, error) from error


def _same(first: StoredTensor, second: StoredTensor) -> bool:
    if (first.shape, first.dtype) != (second.shape, second.dtype):
        return False
    return torch.equal(TensorReader().read(first), TensorReader().read(second))


def _damaged(path: Path, error: Exception) -> CheckpointError:
    return CheckpointError(
        f"{path} cannot be read; it is damaged or incomplete ({_reason(error)}). Download it again."
    )


def _reason(error: Exception) -> str:
    """What went wrong, in one line, without torch's advice to read the file unsafely."""
    text = str(error).rpartition("WeightsUnpickler error:")[2].strip()
    return text.splitlines()[0] if text else type(error).__name__


def _what_else(folder: Path) -> str:
    """A hint for folders that hold another stage of the original's training."""
    if (folder / "adapter_config.json").exists() or (folder / "non_lora_trainables.bin").exists():
        return "It looks like a LoRA adapter; give its base model as --checkpoint and this folder as --adapter."
    if (folder / "latest").exists() or any(folder.glob("global_step*")):
        return (
            "It looks like a DeepSpeed training state; give what the training started from as --checkpoint (and "
            "--adapter), and this folder as the last --adapter."
        )
    return "Give the folder that holds config.json and the weights of the released checkpoint."
