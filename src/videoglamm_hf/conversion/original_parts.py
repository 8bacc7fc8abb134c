"""Where the tensors of the parts come from: the checkpoint, and the files of CLIP, InternVideo2 and SAM 2."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from huggingface_hub import snapshot_download

from ..errors import CheckpointError
from .checkpoint_reader import StoredTensor, find_weights, read_files
from .original_keys import GROUNDING_PREFIX, SPATIAL_PREFIX, TEMPORAL_PREFIX

PUBLISHED_CLIP = "openai/clip-vit-large-patch14-336"
_CLIP_FILES = [
    "config.json",
    "preprocessor_config.json",
    "*.safetensors",
    "*.safetensors.index.json",
    "pytorch_model*",
]
_TEMPORAL_POSITIONS = TEMPORAL_PREFIX + "vision_encoder.pos_embed"


@dataclass
class Sources:
    """All tensors of a checkpoint.

    Attributes:
        tensors: By key in the original's state dict, in the order of the files.
        clip_folder: Folder of CLIP, for its configuration; None if the checkpoint holds the tower and no
            folder is given.
        replaced: Keys of the checkpoint that another file's take the place of, with the option that says so.
    """

    tensors: dict[str, StoredTensor]
    clip_folder: Path | None = None
    replaced: dict[str, str] = field(default_factory=dict)


def gather_sources(
    checkpoint: Path, *, clip: str | None = None, internvideo2: Path | None = None, sam2: Path | None = None
) -> Sources:
    """Finds every tensor; only headers and shapes are read.

    Args:
        checkpoint: Folder of the release.
        clip: Folder or Hub id of CLIP. The checkpoint's own spatial tower, if it holds one, is preferred.
        internvideo2: InternVideo2's own file, in place of the checkpoint's temporal tower.
        sam2: SAM 2's own file, in place of the checkpoint's pixel decoder.

    Raises:
        CheckpointError: If something is missing or cannot be read.
    """
    sources = Sources(find_weights(checkpoint))
    if internvideo2 is not None:
        own = _temporal_file(internvideo2)
        _check_positions(sources.tensors, own)
        _replace(sources, TEMPORAL_PREFIX, own, "--internvideo2")
    if sam2 is not None:
        own = {GROUNDING_PREFIX + key: tensor for key, tensor in _read_file(sam2).items()}
        _replace(sources, GROUNDING_PREFIX, own, "--sam2")
    has_clip = any(key.startswith(SPATIAL_PREFIX) for key in sources.tensors)
    sources.clip_folder = _clip_folder(clip, checkpoint, has_clip)
    if not has_clip:
        own = find_weights(sources.clip_folder)
        sources.tensors |= {SPATIAL_PREFIX + key: tensor for key, tensor in own.items()}
    return sources


def _read_file(path: Path) -> dict[str, StoredTensor]:
    if not path.is_file():
        raise CheckpointError(f"{path} is not a file.")
    return read_files([path])


def _temporal_file(path: Path) -> dict[str, StoredTensor]:
    """InternVideo2's own file, in the original's namespace; the vision encoder alone is accepted, too."""
    own = _read_file(path)
    prefix = TEMPORAL_PREFIX
    if not any(key.startswith("vision_encoder.") for key in own):
        prefix += "vision_encoder."
    return {prefix + key: tensor for key, tensor in own.items()}


def _check_positions(tensors: Mapping[str, StoredTensor], own: Mapping[str, StoredTensor]) -> None:
    old, new = tensors.get(_TEMPORAL_POSITIONS), own.get(_TEMPORAL_POSITIONS)
    if old is not None and new is not None and old.shape != new.shape:
        raise CheckpointError(
            f"The positions in {new.file} have shape {new.shape}, the checkpoint's {old.shape}. Positions "
            "are not interpolated; give the file that was trained with the same number of frames (f4)."
        )


def _replace(sources: Sources, prefix: str, own: Mapping[str, StoredTensor], option: str) -> None:
    """Puts `own` in the place of everything behind `prefix`."""
    gone = [key for key in sources.tensors if key.startswith(prefix)]
    for key in gone:
        del sources.tensors[key]
        sources.replaced[key] = f"replaced by {option}"
    sources.tensors |= own


def _clip_folder(clip: str | None, checkpoint: Path, has_clip: bool) -> Path | None:
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
