"""Where the tensors of the parts come from: the checkpoint, the files of CLIP, InternVideo2 and SAM 2, adapters."""

import functools
import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import torch
import torch.nn.functional as F
from huggingface_hub import snapshot_download

from ..errors import CheckpointError
from .checkpoint_reader import StoredTensor, TensorReader, find_weights, read_files
from .defaults import PUBLISHED_CLIP
from .original_adapters import Adapter, LowRankUpdate, merged
from .original_keys import EMBEDDINGS, GROUNDING_PREFIX, LM_HEAD, SPATIAL_PREFIX, TEMPORAL_PREFIX

_CLIP_FILES = [
    "config.json",
    "preprocessor_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*",
]
_TEMPORAL_POSITIONS = TEMPORAL_PREFIX + "vision_encoder.pos_embed"
_TEMPORAL_PATCHES = TEMPORAL_PREFIX + "vision_encoder.patch_embed.proj.weight"
# Frames of a chunk in the published model (f4).
_PUBLISHED_CHUNK = 4
# SAM 2's own name of a scale that the original renamed.
_FUSER_GAMMA = re.compile(r"(memory_encoder\.fuser\.layers\.[0-9]+)\.gamma")

Change = Callable[[torch.Tensor], torch.Tensor]


@dataclass
class Sources:
    """All tensors of a checkpoint.

    Attributes:
        tensors: By key in the original's state dict, in the order of the files; shapes after `changes`.
        changes: By key, what is done to a tensor after it is read.
        clip_folder: Folder of CLIP, for its configuration; None if the checkpoint holds the tower and no
            folder is given.
        replaced: Keys of the checkpoint that another file's take the place of, with the option that says so.
    """

    tensors: dict[str, StoredTensor]
    changes: dict[str, Change] = field(default_factory=dict)
    clip_folder: Path | None = None
    replaced: dict[str, str] = field(default_factory=dict)


def gather_sources(
    checkpoint: Path,
    *,
    clip: str | None = None,
    internvideo2: Path | None = None,
    sam2: Path | None = None,
    adapters: Iterable[Adapter] = (),
    num_frames: int | None = None,
    image_size: int = 224,
) -> Sources:
    """Finds every tensor; only headers and shapes are read.

    Args:
        checkpoint: Folder of the release, or of a language model alone.
        clip: Folder or Hub id of CLIP. The checkpoint's own spatial tower, if it holds one, is preferred.
        internvideo2: InternVideo2's own file, in place of the checkpoint's temporal tower.
        sam2: SAM 2's own file, in place of the checkpoint's pixel decoder.
        adapters: What is laid over all of these, in order.
        num_frames: Frames that InternVideo2's positions are wanted for; by default those of the tower it replaces, or
            the published 4.
        image_size: Side of the temporal tower's pictures, in pixels.

    Raises:
        CheckpointError: If something is missing, cannot be read, or does not fit.
    """
    sources, adapters = Sources(find_weights(checkpoint)), list(adapters)
    if internvideo2 is not None:
        own, change = temporal_file(internvideo2, num_frames or _chunk(sources.tensors, image_size), image_size)
        _replace(sources, TEMPORAL_PREFIX, own, "--internvideo2")
        sources.changes |= change
    if sam2 is not None:
        _replace(sources, GROUNDING_PREFIX, grounding_file(sam2), "--sam2")
    keys = {*sources.tensors, *(key for adapter in adapters for key in adapter.tensors)}
    has_clip = any(key.startswith(SPATIAL_PREFIX) for key in keys)
    sources.clip_folder = find_clip(clip, checkpoint, has_clip)
    if not has_clip:
        sources.tensors |= spatial_folder(sources.clip_folder)
    for adapter in adapters:
        _lay_over(sources, adapter)
    return sources


def grounding_file(path: Path) -> dict[str, StoredTensor]:
    """SAM 2's own file (2.0 or 2.1), in the original's namespace."""
    own = _read_file(path)
    return {GROUNDING_PREFIX + _FUSER_GAMMA.sub(r"\1.weight", key): tensor for key, tensor in own.items()}


def spatial_folder(folder: Path) -> dict[str, StoredTensor]:
    """CLIP's folder, in the original's namespace."""
    return {SPATIAL_PREFIX + key: tensor for key, tensor in find_weights(folder).items()}


def temporal_file(
    path: Path, num_frames: int = _PUBLISHED_CHUNK, image_size: int = 224
) -> tuple[dict[str, StoredTensor], dict[str, Change]]:
    """InternVideo2's own file, in the original's namespace; the vision encoder alone is accepted, too.

    Args:
        path: The file.
        num_frames: Frames of a chunk; positions of another number are interpolated in time.
        image_size: Side of the pictures, in pixels.

    Returns:
        The tensors, and what is to be done to the position embeddings.
    """
    own = _read_file(path)
    prefix = TEMPORAL_PREFIX
    if not any(key.startswith("vision_encoder.") for key in own):
        prefix += "vision_encoder."
    own = {prefix + key: tensor for key, tensor in own.items()}
    frames = _chunk(own, image_size, default=num_frames)
    if frames == num_frames:
        return own, {}
    table = own[_TEMPORAL_POSITIONS]
    tokens = 1 + (table.shape[1] - 1) // frames * num_frames
    own[_TEMPORAL_POSITIONS] = replace(table, shape=(1, tokens, table.shape[2]))
    change = functools.partial(resampled_in_time, old_frames=frames, new_frames=num_frames)
    return own, {_TEMPORAL_POSITIONS: change}


def resampled_in_time(table: torch.Tensor, old_frames: int, new_frames: int) -> torch.Tensor:
    """InternVideo2's position embeddings for another number of frames, linearly interpolated.

    Source: InternVideo2's `interpolate_pos_embed_internvideo2_new`; half-pixel centres, ends held.

    Args:
        table: `[1, 1 + old_frames * P, C]`, class position first.

    Returns:
        float32 `[1, 1 + new_frames * P, C]`.
    """
    table = table.float()
    by_frame = table[:, 1:].unflatten(1, (old_frames, -1))  # [1, T, P, C]
    in_time = by_frame.permute(0, 2, 3, 1).flatten(0, 1)  # [P, C, T]
    stretched = F.interpolate(in_time, size=new_frames, mode="linear")
    return torch.cat([table[:, :1], stretched.permute(2, 0, 1).flatten(0, 1)[None]], dim=1)


def with_new_rows(sources: Sources, num_tokens: int) -> int:
    """Lengthens embeddings and head to `num_tokens` rows by their mean; returns how many rows are new.

    Source of the mean: transformers' `resize_token_embeddings`, without its noise.
    """
    most = 0
    for key in (EMBEDDINGS, LM_HEAD):
        stored = sources.tensors.get(key)
        if stored is None or len(stored.shape) != 2 or stored.shape[0] >= num_tokens:
            continue
        new, before = num_tokens - stored.shape[0], sources.changes.get(key)
        sources.changes[key] = functools.partial(_mean_rows, count=new, before=before)
        sources.tensors[key] = replace(stored, shape=(num_tokens, stored.shape[1]))
        most = max(most, new)
    return most


def _mean_rows(table: torch.Tensor, count: int, before: Change | None) -> torch.Tensor:
    table = table if before is None else before(table)
    return torch.cat([table, table.float().mean(dim=0, keepdim=True).to(table.dtype).expand(count, -1)])


def _lay_over(sources: Sources, adapter: Adapter) -> None:
    """Puts an adapter's whole tensors in the place of the base's, and its low-rank updates on top."""
    for key, tensor in adapter.tensors.items():
        base = sources.tensors.get(key)
        # Rows may differ: the vocabulary grows by [SEG].
        if base is not None and base.shape[1:] != tensor.shape[1:]:
            raise _other_base(adapter, f"its {key} has shape {tensor.shape}, the base's {base.shape} ({base.file})")
        sources.tensors[key] = tensor
        sources.changes.pop(key, None)
    unknown = [key for key in adapter.updates if key not in sources.tensors]
    if unknown:
        raise _other_base(
            adapter, f"it changes {len(unknown)} weights that the base does not have, {', '.join(unknown[:4])}"
        )
    reader = TensorReader()
    for key, update in adapter.updates.items():
        base = sources.tensors[key]
        if update.shape != base.shape:
            raise _other_base(adapter, f"it changes {key} by {update.shape}, which is {base.shape} in {base.file}")
        earlier = sources.changes.get(key)
        sources.changes[key] = functools.partial(_merge, update=update, reader=reader, earlier=earlier)


def _merge(weight: torch.Tensor, update: LowRankUpdate, reader: TensorReader, earlier: Change | None) -> torch.Tensor:
    return merged(weight if earlier is None else earlier(weight), [update], reader)


def _other_base(adapter: Adapter, reason: str) -> CheckpointError:
    hint = f" ({adapter.base_name})" if adapter.base_name else ""
    return CheckpointError(
        f"{adapter.path} was trained on another base: {reason}. Give the model{hint} it was trained on as "
        "--checkpoint, and adapters that came before it as earlier --adapter."
    )


def _read_file(path: Path) -> dict[str, StoredTensor]:
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file.")
    return read_files([path])


def _chunk(tensors: Mapping[str, StoredTensor], image_size: int, default: int = _PUBLISHED_CHUNK) -> int:
    """Frames that a temporal tower has positions for; `default` where its shapes do not tell."""
    table, patches = tensors.get(_TEMPORAL_POSITIONS), tensors.get(_TEMPORAL_PATCHES)
    if table is None or patches is None or len(table.shape) != 3 or len(patches.shape) != 5 or not patches.shape[-1]:
        return default
    frames, rest = divmod(table.shape[1] - 1, max(1, image_size // patches.shape[-1]) ** 2)
    return frames if frames and not rest else default


def _replace(sources: Sources, prefix: str, own: Mapping[str, StoredTensor], option: str) -> None:
    """Puts `own` in the place of everything behind `prefix`."""
    gone = [key for key in sources.tensors if key.startswith(prefix)]
    for key in gone:
        del sources.tensors[key]
        sources.replaced[key] = f"replaced by {option}"
    sources.tensors |= own


def find_clip(clip: str | None, checkpoint: Path, has_clip: bool) -> Path | None:
    """CLIP's folder: the one given, the checkpoint's own, or the Hub's; None if none is needed."""
    if clip is not None and Path(clip).expanduser().is_dir():
        return Path(clip).expanduser()
    if clip is None and (checkpoint / "clip").is_dir():
        return checkpoint / "clip"
    if clip is None and has_clip:
        return None
    name = clip or PUBLISHED_CLIP
    try:
        return Path(snapshot_download(name, allow_patterns=_CLIP_FILES))
    except Exception as error:
        reason = (str(error) or type(error).__name__).splitlines()[0]
        raise CheckpointError(
            f"CLIP {name!r}, the spatial tower, is no folder and could not be had from the Hub ({reason}). "
            "Give a local folder of it with --clip."
        ) from error
