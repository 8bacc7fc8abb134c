"""A model of transformers back to the layout of the original VideoGLaMM.

What converting left out cannot return: rows of the embeddings that no token has, InternVideo2's heads and its tables
of single pictures, CLIP's text side. The original code reads none of them. CLIP comes back as a folder `clip` beside
the weights, as the original loads it. Weights are written as safetensors, which the original's transformers reads.
"""

import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import torch
from tqdm import tqdm

from ..configuration_videoglamm import VideoGlammConfig
from ..errors import CheckpointError
from ..image_streams import CLIP_MEAN, CLIP_STD
from ..output_files import check_output, explained_writes, replacing_folder
from .checkpoint_reader import StoredTensor, TensorReader, find_weights, read_json
from .checkpoint_writer import write_safetensors
from .original_files import copy_small_files, find_original_files
from .original_keys import POINT_EMBEDDINGS, SECOND_COPY, SPATIAL_PREFIX, source_key

PathLike = str | os.PathLike

_KIND = "original checkpoint"
_DTYPES = (torch.float32, torch.float16, torch.bfloat16)


def export_videoglamm(
    model: PathLike,
    output: PathLike,
    *,
    like: PathLike | None = None,
    overwrite: bool = False,
    progress: bool = True,
) -> Path:
    """Writes a model's folder in the original's layout; one tensor at a time is in memory.

    Args:
        model: Folder of a converted or fine-tuned model.
        output: Folder to write. It appears only when complete.
        like: Original checkpoint, or a folder converted from it, whose `config.json` and tokenizer files are taken;
            by default those that converting kept in `model/original`.
        overwrite: Replace an output folder that this function wrote.
        progress: Show a progress bar and print what was written.

    Returns:
        The output folder.

    Raises:
        CheckpointError: If the model cannot be read, or has tensors that the original does not know.
        OutputError: If the output cannot be written.
    """
    model, output = Path(model).expanduser(), Path(output).expanduser()
    like = None if like is None else Path(like).expanduser()
    check_output(output, overwrite=overwrite, inputs=[model, *([like] if like else [])], kind=_KIND)
    if read_json(model / "config.json").get("model_type") != "videoglamm":
        raise CheckpointError(
            f"{model} is no VideoGLaMM of transformers; give a folder that `videoglamm convert` wrote."
        )
    config, small = VideoGlammConfig.from_pretrained(model), find_original_files(model, like)
    named = original_names(find_weights(model))
    clip = {key.removeprefix(SPATIAL_PREFIX): part for key, part in named.items() if key.startswith(SPATIAL_PREFIX)}
    rest = {key: part for key, part in named.items() if not key.startswith(SPATIAL_PREFIX)}
    settings = read_json(small / "config.json")
    seg = settings.get("seg_token_idx")
    if seg not in (None, config.seg_token_id):
        raise CheckpointError(f"{small} says that [SEG] is token {seg}, the model says {config.seg_token_id}.")
    settings |= {
        "model_type": "VideoGPT+",
        "vocab_size": config.text_config.vocab_size,
        "seg_token_idx": config.seg_token_id,
    }
    with replacing_folder(output, _KIND, overwrite=overwrite) as folder:
        (folder / "clip").mkdir()
        bar = tqdm(total=len(named), desc="Exporting", unit="tensor", disable=None if progress else True)
        with bar:
            _write(folder / "clip", clip, bar)
            _write(folder, rest, bar)
        with explained_writes(output):
            copy_small_files(small, folder)
            config.spatial_config.architectures = ["CLIPVisionModel"]
            config.spatial_config.save_pretrained(folder / "clip")
            _write_json(folder / "clip" / "preprocessor_config.json", _clip_preprocessing(config))
            _write_json(folder / "config.json", settings)
    if progress:
        print(f"{output}: {len(rest)} tensors in the original's layout, {len(clip)} of CLIP in the folder clip.")
    return output


def original_names(stored: Mapping[str, StoredTensor]) -> dict[str, tuple[StoredTensor, int | None]]:
    """By key of the original's state dict, the tensor and the row of it that the key is (None: all).

    Raises:
        CheckpointError: If the original has no name for a tensor.
    """
    named: dict[str, tuple[StoredTensor, int | None]] = {}
    for name, tensor in stored.items():
        if name in SECOND_COPY.values():
            continue
        key = source_key(name)
        if tensor.dtype not in _DTYPES:
            raise CheckpointError(
                f"{name} in {tensor.file} is not stored in float32, float16 or bfloat16; quantised models cannot be "
                "exported. Export the model they were made from."
            )
        if key is None:
            raise CheckpointError(
                f"{name} in {tensor.file} has no place in the original. Adapters are merged before exporting "
                "(merge_and_unload)."
            )
        if name == POINT_EMBEDDINGS:
            named |= {key.replace("*", str(row)): (tensor, row) for row in range(tensor.shape[0])}
        else:
            named[key] = (tensor, None)
    return named


def _write(folder: Path, named: Mapping[str, tuple[StoredTensor, int | None]], bar: tqdm) -> None:
    shapes, dtypes = {}, {}
    for key, (tensor, row) in named.items():
        shapes[key] = _original_shape(key, tensor.shape if row is None else (1, *tensor.shape[1:]))
        dtypes[key] = tensor.dtype
    reader = TensorReader()

    def tensors() -> Iterator[tuple[str, torch.Tensor]]:
        for key, (stored, row) in named.items():
            tensor = reader.read(stored)
            yield key, (tensor if row is None else tensor[row : row + 1]).reshape(shapes[key])
            bar.update()

    write_safetensors(folder, shapes, dtypes, tensors())


def _original_shape(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """InternVideo2's patches span one frame of time."""
    return (*shape[:2], 1, *shape[2:]) if key.endswith("vision_encoder.patch_embed.proj.weight") else shape


def _clip_preprocessing(config: VideoGlammConfig) -> dict:
    side = config.spatial_config.image_size
    return {
        "image_processor_type": "CLIPImageProcessor",
        "do_resize": True,
        "size": {"shortest_edge": side},
        "resample": 3,
        "do_center_crop": True,
        "crop_size": {"height": side, "width": side},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(CLIP_MEAN),
        "image_std": list(CLIP_STD),
        "do_convert_rgb": True,
    }


def _write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, sort_keys=True) + "\n", encoding="utf-8")
