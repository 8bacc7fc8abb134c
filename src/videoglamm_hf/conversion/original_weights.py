"""From the original's tensors to the model's: checks first, then one tensor at a time."""

from collections.abc import Iterator, Mapping, Sequence

import torch

from ..errors import CheckpointError
from .checkpoint_reader import StoredTensor, TensorReader
from .original_keys import EMBEDDINGS, LM_HEAD, Assignment, source_key

VOCABULARY_KEYS = (EMBEDDINGS, LM_HEAD)

Stored = Mapping[str, StoredTensor]
Targets = Mapping[str, tuple[int, ...]]


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
        hint = "Is this the released checkpoint (Phi-3, SAM 2.0), complete?"
        if any("lora_" in key for key in plan.unexpected):
            hint = "Its LoRA is not merged; do that with the original's own save step (--save_hf_model)."
        raise CheckpointError(f"The checkpoint's tensors do not fit the model: {'; '.join(problems)}. {hint}")
    for name, keys in plan.sources.items():
        _check_tensor(name, keys, stored, targets)


def converted_tensors(
    plan: Assignment, stored: Stored, targets: Targets, dtype: torch.dtype
) -> Iterator[tuple[str, torch.Tensor]]:
    """Every tensor of the model by name, in the order of the sources' files, in `dtype`.

    Raises:
        CheckpointError: If a tensor holds NaN or infinite values, or would in `dtype`.
    """
    reader = TensorReader()
    for name, keys in plan.sources.items():
        tensor = _combine(name, keys, [reader.read(stored[key]) for key in keys], targets)
        if not torch.isfinite(tensor).all():
            raise CheckpointError(
                f"{', '.join(keys)} in {stored[keys[0]].file} holds NaN or infinite values. The file is "
                "damaged; download it again."
            )
        converted = tensor.to(dtype)
        if converted is not tensor and not torch.isfinite(converted).all():
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


def _some(names: Sequence[str], most: int = 8) -> str:
    more = f", and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
