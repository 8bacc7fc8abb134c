"""One part alone, InternVideo2, SAM 2 or CLIP in their authors' own files, to a folder of transformers."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from tqdm import tqdm
from transformers import AutoModel, PreTrainedConfig

from ..errors import CheckpointError
from ..output_files import check_output, explained_writes, replacing_folder
from .checkpoint_reader import StoredTensor, read_json
from .checkpoint_writer import write_safetensors
from .original_config import part_config
from .original_keys import assign
from .original_parts import Change, find_clip, grounding_file, spatial_folder, temporal_file
from .original_weights import check_assignment, converted_tensors

_TARGET_PREFIXES = {
    "spatial_config": "model.spatial_tower.",
    "temporal_config": "model.temporal_tower.",
    "grounding_config": "pixel_decoder.",
}


def convert_part(
    output: str | Path,
    *,
    clip: str | None = None,
    internvideo2: str | Path | None = None,
    sam2: str | Path | None = None,
    config: Mapping[str, Any] | None = None,
    dtype: torch.dtype | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Converts one part to a folder that its own class loads: `CLIPVisionModel`, [`InternVideo2Model`] or
    `Sam2VideoModel`.

    Args:
        output: Folder to write. It appears only when complete.
        clip: CLIP's folder or Hub id.
        internvideo2: InternVideo2's own file.
        sam2: SAM 2's own file, 2.0 or 2.1.
        config: Any part of a [`VideoGlammConfig`], for what shapes cannot tell.
        dtype: By default that of the part's first tensor.
        overwrite: Replace an output folder that a conversion wrote; what else lies in it stays.
        progress: Show a progress bar and print a line at the end.

    Raises:
        CheckpointError: If not exactly one part is given, or it cannot be read.
        OutputError: If the output cannot be written.
    """
    given = {"--clip": clip, "--internvideo2": internvideo2, "--sam2": sam2}
    named = [option for option, value in given.items() if value is not None]
    if len(named) != 1:
        raise CheckpointError(
            "Give a --checkpoint; or, to convert one part alone, exactly one of --clip, --internvideo2 and --sam2"
            f"{' (got ' + ', '.join(named) + ')' if named else ''}."
        )
    output = Path(output).expanduser()
    check_output(output, overwrite=overwrite, inputs=[Path(given[named[0]]).expanduser()], kind="model")
    part, tensors, changes, settings = _read(clip, internvideo2, sam2, config or {})
    built = part_config(part, {key: t.shape for key, t in tensors.items()}, clip=settings, given=config or {})
    stored = next(iter(tensors.values())).dtype
    built.dtype = dtype or stored or torch.float32
    prefix = _TARGET_PREFIXES[part]
    targets = {prefix + name: shape for name, shape in _shapes(built).items()}
    plan = assign(tensors, targets)
    check_assignment(plan, tensors, targets)
    with replacing_folder(output, "model", overwrite=overwrite) as folder:
        stream = converted_tensors(plan, tensors, targets, built.dtype, changes)
        named_alone = ((name.removeprefix(prefix), tensor) for name, tensor in stream)
        bar = tqdm(
            named_alone, total=len(targets), desc="Converting", unit="tensor", disable=None if progress else True
        )
        shapes = {name.removeprefix(prefix): targets[name] for name in plan.sources}
        write_safetensors(folder, shapes, built.dtype, bar)
        with explained_writes(output):
            built.save_pretrained(folder)
    if progress:
        print(f"{output}: {len(shapes)} tensors of {built.model_type}, stored as {built.dtype}.")
    return output


def _read(
    clip: str | None, internvideo2: str | Path | None, sam2: str | Path | None, config: Mapping[str, Any]
) -> tuple[str, dict[str, StoredTensor], dict[str, Change], dict[str, Any] | None]:
    """Name of the part in the configuration, its tensors, what is done to them, and CLIP's configuration."""
    if internvideo2 is not None:
        temporal = config.get("temporal_config") or {}
        options = {name: temporal[name] for name in ("num_frames", "image_size") if temporal.get(name)}
        return "temporal_config", *temporal_file(Path(internvideo2).expanduser(), **options), None
    if sam2 is not None:
        return "grounding_config", grounding_file(Path(sam2).expanduser()), {}, None
    folder = find_clip(clip, Path(), has_clip=False)
    settings = read_json(folder / "config.json") if (folder / "config.json").is_file() else None
    return "spatial_config", spatial_folder(folder), {}, settings


def _shapes(config: PreTrainedConfig) -> dict[str, tuple[int, ...]]:
    try:
        with torch.device("meta"):
            model = AutoModel.from_config(config)
    except Exception as error:
        raise CheckpointError(f"No model can be built with this configuration ({error!r}).") from error
    return {name: tuple(tensor.shape) for name, tensor in model.state_dict().items()}
