"""What conversion is tested with: checkpoints to change and break, converting without a word, being refused."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from tests.tiny_checkpoint import FIXTURES, TINY_CONFIG
from videoglamm_hf import CheckpointError, VideoGlammError
from videoglamm_hf.conversion import convert_videoglamm

FIRST, SECOND = (f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
NORM = "model.norm.weight"
GROUNDING = "model.visual_model."
FULL_LISTING = FIXTURES.parent / "state_dict_full.txt"
GAUSSIANS = (
    "pixel_decoder.shared_image_embedding.positional_embedding",
    "pixel_decoder.prompt_encoder.shared_embedding.positional_embedding",
)


def link_weights(source: str, target: str) -> None:
    if source.endswith((".bin", ".safetensors")):
        os.link(source, target)
    else:
        shutil.copy(source, target)


def tiny_config(**changes) -> dict:
    return {**json.loads(TINY_CONFIG.read_text()), **changes}


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def replace(path: Path, contents: bytes) -> None:
    path.unlink(missing_ok=True)
    path.write_bytes(contents)


def change_tensors(original: Path, change: Callable[[dict], object], name: str = FIRST) -> None:
    """Rewrites one shard, and the index accordingly."""
    tensors = torch.load(original / name)
    old = set(tensors)
    change(tensors)
    (original / name).unlink()
    torch.save(tensors, original / name)
    index = json.loads((original / "pytorch_model.bin.index.json").read_text())
    for key in old - set(tensors):
        del index["weight_map"][key]
    index["weight_map"] |= dict.fromkeys(set(tensors) - old, name)
    (original / "pytorch_model.bin.index.json").write_text(json.dumps(index))


def quiet(checkpoint: Path, output: Path, **options) -> dict[str, torch.Tensor]:
    """Converts and returns the tensors written."""
    convert_videoglamm(checkpoint, output, **{"config": TINY_CONFIG, "progress": False, **options})
    return load_file(output / "model.safetensors")


def refused(checkpoint: Path, expected: str, error: type[VideoGlammError] = CheckpointError, **options) -> str:
    """Converts, expects the error, and that neither output nor temporary files appear."""
    place = checkpoint.parent / "place"
    with pytest.raises(error, match=expected) as caught:
        convert_videoglamm(checkpoint, place / "out", **{"config": TINY_CONFIG, "progress": False, **options})
    assert not place.exists() or not list(place.iterdir())
    return str(caught.value)


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


class Payload:
    """Creates a file when unpickled carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


def raiser(error: BaseException):
    def fail(*_, **__):
        raise error

    return fail
