"""From the original's tensors to the model's: checks first, then one tensor at a time."""

from collections.abc import Callable, Iterator, Mapping, Sequence

import torch

from ..errors import CheckpointError
from .checkpoint_reader import StoredTensor, TensorReader, all_finite
from .original_keys import EMBEDDINGS, LM_HEAD, Assignment, source_key

VOCABULARY_KEYS = (EMBEDDINGS, LM_HEAD)

Stored = Mapping[str, StoredTensor]
Targets = Mapping[str, tuple[int, ...]]
Changes = Mapping[str, Callable[[torch.Tensor], torch.Tensor]]

# V->L projectors and the [SEG] projection.
NEW_PARTS = ("model.spatial_projector.", "model.temporal_projector.", "seg_projection.")
_TOWER_OF_PROJECTOR = {
    "model.spatial_projector.linear_1.weight": "spatial tower (--clip)",
    "model.temporal_projector.linear_1.weight": "temporal tower (--internvideo2)",
}


def check_assignment(plan: Assignment, stored: Stored, targets: Targets) -> None:
    """Every source is used or left out on purpose, every target is filled, and the shapes fit.

    Args:
        plan: What becomes of every source key.
        stored: The source tensors by key.
        targets: Shape of every tensor of the model's state dict.

    Raises:
        CheckpointError: If not, naming the keys and their files.
    """
    problems = []
    if plan.missing:
        names = [f"{source_key(name)} (for {name})" for name in plan.missing]
        problems.append(f"{len(names)} missing: {_some(names)}")
    if plan.unexpected:
        names = [f"{key} (in {stored[key].file.name})" for key in plan.unexpected]
        problems.append(f"{len(names)} unknown: {_some(names)}")
    if plan.ambiguous:
        names = [f"{name} from {' and '.join(plan.sources[name])}" for name in plan.ambiguous]
        problems.append(f"{len(names)} given more than once: {_some(names)}")
    if problems:
        hint = "Is this a checkpoint of the original (Phi-3 or Llama, SAM 2), complete?"
        if any("lora_" in key or key.startswith("base_model.") for key in plan.unexpected):
            hint = "Its LoRA is not merged; give its base as --checkpoint and this as --adapter."
        elif plan.missing and all(is_new_in_training(name) for name in plan.missing) and not plan.unexpected:
            hint = (
                "Training makes these parts. Give the files that hold them (--adapter), or start them at random with "
                "--untrained-parts."
            )
        raise CheckpointError(f"The checkpoint's tensors do not fit the model: {'; '.join(problems)}. {hint}")
    for name, keys in plan.sources.items():
        _check_tensor(name, keys, stored, targets)


def is_new_in_training(name: str) -> bool:
    """Whether a target belongs to the parts that no tower, language model or pixel decoder brings."""
    return name.startswith(NEW_PARTS)


def untrained_tensors(
    names: Sequence[str], targets: Targets, deviation: float, dtype: torch.dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """New linear layers, the same in every run: normal weights, biases of zero.

    Args:
        names: Targets for which [`is_new_in_training`] holds.
        deviation: Standard deviation of the weights (`initializer_range`).
    """
    generator = torch.Generator().manual_seed(0)
    for name in names:
        tensor = torch.zeros(targets[name])
        yield name, (tensor.normal_(0, deviation, generator=generator) if tensor.ndim > 1 else tensor).to(dtype)


def converted_tensors(
    plan: Assignment, stored: Stored, targets: Targets, dtype: torch.dtype, changes: Changes | None = None
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the model by name, in the order of the sources' files, in `dtype`.

    Args:
        plan: What becomes of every source key.
        stored: The source tensors by key.
        targets: Shape of every tensor of the model's state dict.
        dtype: Of all tensors.
        changes: What is done to a source tensor after it is read, by key.

    Raises:
        CheckpointError: If a tensor holds NaN or infinite values, or would in `dtype`.
    """
    reader, changes = TensorReader(), changes or {}
    for name, keys in plan.sources.items():
        parts = [changes.get(key, _unchanged)(reader.read(stored[key])) for key in keys]
        tensor = _combine(name, keys, parts, targets)
        del parts
        if not all_finite(tensor):
            raise CheckpointError(
                f"{', '.join(keys)} in {stored[keys[0]].file} holds NaN or infinite values. The file is "
                "damaged; download it again."
            )
        converted = tensor.to(dtype)
        if converted is not tensor and not all_finite(converted):
            raise CheckpointError(
                f"{', '.join(keys)} in {stored[keys[0]].file} has values beyond {dtype}; use --dtype bfloat16."
            )
        yield name, converted


def _check_tensor(name: str, keys: Sequence[str], stored: Stored, targets: Targets) -> None:
    for key in keys:
        if stored[key].dtype is None:
            raise CheckpointError(
                f"{key} in {stored[key].file} is not stored as floating-point numbers; quantised checkpoints "
                "cannot be converted."
            )
    shapes = [stored[key].shape for key in keys]
    try:
        shape = tuple(_combine(name, keys, [torch.empty(s, device="meta") for s in shapes], targets).shape)
    except (RuntimeError, IndexError):
        shape = None
    if shape != targets[name] and name in _TOWER_OF_PROJECTOR and len(shapes[0]) == 2:
        raise CheckpointError(
            f"{keys[0]} in {stored[keys[0]].file} was trained for a {_TOWER_OF_PROJECTOR[name]} of width "
            f"{shapes[0][1]} and a language model of width {shapes[0][0]}; the ones given have {targets[name][1]} and "
            f"{targets[name][0]}. Give those it was trained with."
        )
    if shape != targets[name]:
        raise CheckpointError(
            f"{', '.join(keys)} in {stored[keys[0]].file} has shape {', '.join(map(str, shapes))}, which "
            f"does not become the {targets[name]} of {name}. The checkpoint or --config is of a model of "
            "another size."
        )


def _combine(name: str, keys: Sequence[str], parts: Sequence[torch.Tensor], targets: Targets) -> torch.Tensor:
    """A target made of its sources: rows joined, rows without a token cut, a patch's one frame dropped."""
    tensor = parts[0] if len(parts) == 1 else torch.cat(list(parts))
    if keys[0] in VOCABULARY_KEYS:
        return tensor[: targets[name][0]]
    if tensor.ndim == 5 and len(targets[name]) == 4 and tensor.shape[2] == 1:
        return tensor.squeeze(2)
    return tensor


def _unchanged(tensor: torch.Tensor) -> torch.Tensor:
    return tensor


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
