"""LoRA adapters and training states: what is laid over a language model or a checkpoint.

Three layouts carry the same two things, low-rank updates of weights and whole tensors that replace them:

* the folder of VideoGPT+, where training starts: `adapter_config.json`, `adapter_model.*`, `non_lora_trainables.bin`;
* a DeepSpeed folder of training (ZeRO 1 or 2), whose `mp_rank_00_model_states.pt` holds the model in 16 bits;
* a state dict that `zero_to_fp32.py` made of such a folder, one file or several.

Source of the names: the original's `train_ds_with_videogptplus.py`, peft's and DeepSpeed's saved files.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from ..errors import CheckpointError
from .checkpoint_reader import StoredTensor, TensorReader, find_weights, read_files, read_json
from .defaults import DEFAULT_ALPHA

_MODEL_STATES = "mp_rank_00_model_states.pt"
_LORA = re.compile(r"(?P<module>.+)\.lora_(?P<side>[AB])(?:\.(?P<name>[^.]+))?\.weight")
_NOT_PLAIN_LORA = re.compile(r"\.lora_(embedding_[AB]|magnitude_vector|[AB]\.(?:[^.]+\.)?bias)")
_WRAPPERS = ("module.", "base_model.model.", "base_model.")
# What peft supports and a plain W + scale * B A does not.
_UNSUPPORTED = ("use_dora", "fan_in_fan_out", "lora_bias", "alpha_pattern", "rank_pattern", "layer_replication")


@dataclass(frozen=True)
class LowRankUpdate:
    """What LoRA adds to a weight: `scale * B A`.

    Attributes:
        a: `[r, in]`.
        b: `[out, r]`.
        scale: alpha / r, or alpha / sqrt(r) for rank-stabilised LoRA.
    """

    a: StoredTensor
    b: StoredTensor
    scale: float

    @property
    def shape(self) -> tuple[int, int]:
        return self.b.shape[0], self.a.shape[1]


@dataclass
class Adapter:
    """What an adapter or a training state changes, by key of the original's state dict.

    Attributes:
        path: The folder or file.
        updates: Low-rank updates by the key of the weight they change.
        tensors: Tensors that replace those of the base.
        settings: Its `config.json`, empty if it has none.
        base_name: What it calls the model it was trained on, if it does.
        assumed_alpha: Whether alpha is the original's default because no file says it.
    """

    path: Path
    updates: dict[str, LowRankUpdate] = field(default_factory=dict)
    tensors: dict[str, StoredTensor] = field(default_factory=dict)
    settings: dict[str, Any] = field(default_factory=dict)
    base_name: str | None = None
    assumed_alpha: bool = False


def read_adapter(path: Path, alpha: float | None = None) -> Adapter:
    """Finds what an adapter changes; only headers and shapes are read.

    Args:
        path: A folder of one of the three layouts, or the file of a state dict.
        alpha: LoRA's alpha where no `adapter_config.json` says it; the original's 16 by default.

    Raises:
        CheckpointError: If it holds no adapter or training state, or one of a kind that cannot be merged.
    """
    if not path.exists():
        raise CheckpointError(f"{path} does not exist; give an adapter's folder, or a training state, as --adapter.")
    settings = _read_optional(path / "adapter_config.json") if path.is_dir() else {}
    _check_kind(path, settings)
    stored = _plain_keys(read_files([path]) if path.is_file() else _folder_tensors(path))
    adapter = Adapter(path, settings=_read_optional(path / "config.json") if path.is_dir() else {})
    adapter.base_name = settings.get("base_model_name_or_path")
    halves: dict[str, dict[str, StoredTensor]] = {}
    for key, tensor in stored.items():
        match = _LORA.fullmatch(key)
        if _NOT_PLAIN_LORA.search(key):
            raise CheckpointError(
                f"{key} in {tensor.file} is no plain LoRA of a linear layer; merge it with peft first."
            )
        if match is None:
            adapter.tensors[key] = tensor
        elif match["side"] in halves.setdefault(match["module"], {}):
            raise CheckpointError(f"{tensor.file} holds several adapters of {match['module']}; keep the one to merge.")
        else:
            halves[match["module"]][match["side"]] = tensor
    adapter.assumed_alpha = bool(halves) and "lora_alpha" not in settings and alpha is None
    settings = {"lora_alpha": DEFAULT_ALPHA if alpha is None else alpha, **settings}
    for module, sides in halves.items():
        adapter.updates[f"{module}.weight"] = _update(path, module, sides, settings)
    return adapter


def merged(weight: torch.Tensor, updates: Iterable[LowRankUpdate], reader: TensorReader) -> torch.Tensor:
    """`W + scale * B A` in float32, for every update in turn.

    Args:
        weight: `[out, in]`, any floating-point dtype; not written to.
    """
    result = weight.float()
    for update in updates:
        a, b = (reader.read(side).float() for side in (update.a, update.b))
        result = result + update.scale * (b @ a)
    return result


def _update(path: Path, module: str, sides: Mapping[str, StoredTensor], settings: Mapping[str, Any]) -> LowRankUpdate:
    if sides.keys() != {"A", "B"}:
        raise CheckpointError(f"{path} holds only one half of the LoRA of {module}. Is the download complete?")
    a, b = sides["A"], sides["B"]
    rank = settings.get("r", a.shape[0] if a.shape else 0)
    if len(a.shape) != 2 or len(b.shape) != 2 or not 0 < a.shape[0] == b.shape[1] == rank:
        raise CheckpointError(
            f"The LoRA of {module} in {a.file} has shapes {a.shape} and {b.shape}, no matrices of rank {rank}."
        )
    if a.dtype is None or b.dtype is None:
        raise CheckpointError(f"The LoRA of {module} in {a.file} is not stored as floating-point numbers.")
    alpha = settings["lora_alpha"]
    return LowRankUpdate(a, b, alpha / math.sqrt(rank) if settings.get("use_rslora") else alpha / rank)


def _check_kind(path: Path, settings: Mapping[str, Any]) -> None:
    if settings.get("peft_type", "LORA") != "LORA":
        raise CheckpointError(f"{path} is an adapter of type {settings['peft_type']}; only LoRA can be merged.")
    used = [name for name in _UNSUPPORTED if settings.get(name)]
    numbers = [name for name in ("r", "lora_alpha") if not isinstance(settings.get(name, 1), int | float)]
    if used:
        raise CheckpointError(f"The LoRA of {path} uses {', '.join(used)}; merge it with peft first.")
    if numbers:
        raise CheckpointError(f"{path / 'adapter_config.json'} gives no number for {', '.join(numbers)}.")


def _folder_tensors(folder: Path) -> dict[str, StoredTensor]:
    step = _deepspeed_step(folder)
    if step is not None:
        try:
            found = read_files([step / _MODEL_STATES])
        except CheckpointError as error:
            raise CheckpointError(
                f"{error} DeepSpeed may put more than tensors into its states: zero_to_fp32.py, which it leaves in "
                f"{folder}, makes a file of tensors only."
            ) from error
        if not any(tensor.shape and 0 not in tensor.shape for tensor in found.values()):
            raise CheckpointError(
                f"{step} holds a ZeRO-3 state, whose weights are in pieces; run DeepSpeed's zero_to_fp32.py in "
                f"{folder} and give what it writes."
            )
        return found
    files = [
        *_one_of(folder, "adapter_model.safetensors", "adapter_model.bin"),
        *_one_of(folder, "non_lora_trainables.bin"),
    ]
    if (folder / "adapter_config.json").exists() and not files:
        raise CheckpointError(f"{folder} lacks adapter_model.safetensors (or .bin). Is the download complete?")
    return read_files(files) if files else find_weights(folder)


def _deepspeed_step(folder: Path) -> Path | None:
    """The folder of the newest step of a DeepSpeed folder; itself, if it is one."""
    if (folder / _MODEL_STATES).exists():
        return folder
    steps = sorted(folder.glob("global_step*"))
    if not steps and not (folder / "latest").exists():
        return None
    name = (folder / "latest").read_text(encoding="utf-8").strip() if (folder / "latest").is_file() else steps[-1].name
    step = folder / name
    if Path(name).name != name or not (step / _MODEL_STATES).is_file():
        raise CheckpointError(
            f"{folder} is a DeepSpeed folder without {name}/{_MODEL_STATES}. Copy it, or run zero_to_fp32.py where "
            "the training ran and give what it writes."
        )
    return step


def _plain_keys(stored: Mapping[str, StoredTensor]) -> dict[str, StoredTensor]:
    """Keys without the wrappers of peft, DeepSpeed and DDP."""
    plain = {}
    for key, tensor in stored.items():
        for wrapper in _WRAPPERS:
            key = key.removeprefix(wrapper)
        if ".original_module." not in key:
            plain[key.replace(".base_layer.", ".").replace(".modules_to_save.default.", ".")] = tensor
    if any(key.startswith("model.model.") for key in plain):
        plain = {key.removeprefix("model."): tensor for key, tensor in plain.items()}
    return plain


def _one_of(folder: Path, *names: str) -> list[Path]:
    return [folder / name for name in names if (folder / name).is_file()][:1]


def _read_optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.is_file() else {}
