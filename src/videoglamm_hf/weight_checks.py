"""Whether files of weights hold what a configuration promises, told from their headers before memory is taken."""

import re
from collections.abc import Iterable
from typing import Any

from safetensors import safe_open
from torch import nn

from .errors import CheckpointError
from .explained_loading import explained

# What is stored as it is; other dtypes are packed or quantised, and have shapes of their own.
_PLAIN_DTYPES = ("F64", "F32", "F16", "BF16")
_LAYER = re.compile(r"(.+?\.\d+)\.")
_SHOWN = 3


def check_weights(model: nn.Module, files: Iterable[str], ignore_mismatched_sizes: bool = False) -> None:
    """Compares the shapes that safetensors files declare with those of a model that is not filled yet.

    Args:
        model: A model as its configuration describes it, on the meta device or not.
        files: Paths of its weight files; pickles are passed over.
        ignore_mismatched_sizes: Whether other shapes are wanted.

    Raises:
        CheckpointError: A file is damaged, a shape differs, or a layer of the model has no weights at all.
    """
    files = [str(file) for file in files if str(file).endswith(".safetensors")]
    if not files:
        return
    declared: dict[str, tuple[str, tuple[int, ...]]] = {}
    for file in files:
        with explained(f"The weight file {file}"), safe_open(file, framework="pt") as opened:
            for name in opened.keys():  # noqa: SIM118 - an open safetensors file is no mapping
                own = opened.get_slice(name)
                declared[name] = own.get_dtype(), tuple(own.get_shape())
    wanted = {name: tuple(tensor.shape) for name, tensor in _tensors(model)}
    different = [
        f"{name} is {list(declared[name][1])}, but config.json promises {list(shape)}"
        for name, shape in wanted.items()
        if name in declared and declared[name][0] in _PLAIN_DTYPES and declared[name][1] != shape
    ]
    if different and not ignore_mismatched_sizes:
        more = f", and {len(different) - _SHOWN} more" if len(different) > _SHOWN else ""
        raise CheckpointError(f"The weights do not fit their configuration: {'; '.join(different[:_SHOWN])}{more}.")
    if not wanted.keys() & declared.keys():
        # Of another class, such as a base model, whose names transformers changes.
        return
    filled = {layer for name in declared if (layer := _layer_of(name))}
    empty = sorted({layer for name in wanted if (layer := _layer_of(name))} - filled)
    if empty:
        raise CheckpointError(
            f"config.json promises {empty[0]} ({len(empty)} layers in all), of which the weight files hold nothing; "
            "correct the number of layers, or download the weights again."
        )


def _tensors(model: nn.Module) -> Iterable[tuple[str, Any]]:
    yield from model.named_parameters(remove_duplicate=False)


def _layer_of(name: str) -> str | None:
    found = _LAYER.match(name)
    return found[1] if found else None
