"""Model folders whose files contradict themselves: the error is ours and names the field, before memory is taken."""

import json
import os
import shutil
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoConfig, AutoModel, AutoProcessor

from videoglamm_hf import InputError, VideoGlammConfig
from videoglamm_hf.cli import main
from videoglamm_hf.configuration_checks import configuration_problems
from videoglamm_hf.errors import CheckpointError, CheckpointFileError, VideoGlammError
from videoglamm_hf.loading.models import load_config, load_model, load_processor


@pytest.fixture
def folder(light_tiny: Path, tmp_path: Path) -> Path:
    """A copy of a model folder whose large file is a link."""
    made = tmp_path / "model"
    made.mkdir()
    for path in light_tiny.iterdir():
        if path.suffix == ".safetensors":
            (made / path.name).symlink_to(path)
        elif path.is_file():
            shutil.copy(path, made / path.name)
    return made


def edit(folder: Path, name: str, field: str, value: object) -> None:
    path = folder / name
    document = json.loads(path.read_text())
    *parents, last = field.split(".")
    inner = document
    for parent in parents:
        inner = inner[parent]
    inner[last] = value
    path.write_text(json.dumps(document))


FIELDS = {
    "num_tower_frames": 3,
    "seg_token_id": -1,
    "mask_mode": "magic",
    "ce_loss_weight": float("nan"),
    "grounding_batch_size": "4",
    "text_config": [1],
    "text_config.num_hidden_layers": 10**9,
    "text_config.num_attention_heads": 3,
    "text_config.hidden_size": "wide",
    "spatial_config.image_size": 10**9,
    "spatial_config.attention_dropout": 7.0,
    "temporal_config.patch_size": 0,
    "temporal_feature_layer": 9,
    "grounding_config.image_size": 255,
    "grounding_config.num_maskmem": 0,
    "grounding_config.memory_attention_rope_feat_sizes": [10**6, 10**6],
    "grounding_config.mask_decoder_config.num_attention_heads": 7,
    "grounding_config.vision_config.backbone_feature_sizes": [[1, 1]],
    "grounding_config.vision_config.backbone_config.blocks_per_stage": [1, 2, 10**6, 1],
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_field_that_cannot_be_is_named(folder, field):
    edit(folder, "config.json", field, FIELDS[field])
    for load in (AutoConfig.from_pretrained, AutoModel.from_pretrained):
        with pytest.raises(VideoGlammError, match=field.rpartition(".")[2]):
            load(folder)


def test_the_ids_must_be_of_this_vocabulary(folder):
    edit(folder, "config.json", "seg_token_id", 5000)
    with pytest.raises(InputError, match="seg_token_id is 5000, outside the vocabulary of 320"):
        AutoModel.from_pretrained(folder)


def test_a_class_of_layer_that_does_not_exist(folder):
    edit(folder, "config.json", "spatial_config.hidden_act", "no such thing")
    with pytest.raises(CheckpointError, match=r"spatial_config cannot be used: KeyError.*no such thing"):
        AutoModel.from_pretrained(folder)


@pytest.mark.parametrize("field, value", [("text_config.intermediate_size", 2**22), ("text_config.hidden_size", 128)])
def test_weights_of_other_shapes_are_refused_before_memory_is_taken(folder, monkeypatch, field, value):
    edit(folder, "config.json", field, value)
    # Four million times 64 numbers would be taken as soon as a tensor is filled.
    monkeypatch.setattr(torch, "empty_like", lambda *_, **__: pytest.fail("memory was taken"))
    with pytest.raises(CheckpointError, match=r"weights do not fit .* but config.json promises"):
        AutoModel.from_pretrained(folder)


def test_layers_beyond_the_weights(folder):
    edit(folder, "config.json", "text_config.num_hidden_layers", 3)
    with pytest.raises(CheckpointError, match=r"config.json promises model.language_model.layers.2 \(1 layers"):
        AutoModel.from_pretrained(folder)


def test_one_missing_weight_is_a_warning_as_in_transformers(folder):
    weights = folder / "model.safetensors"
    with safe_open(weights, framework="pt") as opened:
        kept = {name: opened.get_tensor(name) for name in opened.keys() if name != "lm_head.weight"}  # noqa: SIM118
    weights.unlink()
    save_file(kept, weights, metadata={"format": "pt"})
    assert AutoModel.from_pretrained(folder).lm_head.weight.shape == (320, 64)


DAMAGED = {
    "model.safetensors": [b"", b"\xff" * 64, b"\x08\0\0\0\0\0\0\0not json"],
    "tokenizer.json": [b"{}", b'{"version": '],
    "processor_config.json": [b"null", b'"text"'],
    "generation_config.json": [b'{"pad_token_id": "x"}', b'{"temperature": Infinity}'],
}


@pytest.mark.parametrize("name, text", [(name, text) for name, texts in DAMAGED.items() for text in texts])
def test_a_damaged_file(folder, name, text):
    (folder / name).unlink()
    (folder / name).write_bytes(text)
    load = AutoProcessor.from_pretrained if name in ("tokenizer.json", "processor_config.json") else None
    if load is not None and text != b'"text"' and text != b"null":
        # What is no object fails in transformers before it knows whose it is.
        with pytest.raises(VideoGlammError):
            load(folder)
    if load is None:
        with pytest.raises(VideoGlammError):
            AutoModel.from_pretrained(folder)
    with pytest.raises(InputError, match="cannot be loaded as a VideoGLaMM model"):
        load_model(str(folder)) if load is None else load_processor(str(folder))


@pytest.mark.parametrize("place", ["vocabulary", "added"])
@pytest.mark.parametrize("number", [2**31, -1])
def test_ids_that_no_vocabulary_has(folder, place, number):
    """The library that reads the file makes room for the largest id: minutes, or all memory."""
    path = folder / "tokenizer.json"
    content = json.loads(path.read_text())
    if place == "vocabulary":
        content["model"]["vocab"]["<0xDD>"] = number
    else:
        content["added_tokens"][-1]["id"] = number
    path.unlink()
    path.write_text(json.dumps(content))
    with pytest.raises(CheckpointError, match=f"has the id {number}, and ids go from 0"):
        AutoProcessor.from_pretrained(folder)


def test_deep_json_and_pipes_and_loops(folder, capsys):
    (folder / "config.json").write_bytes(b"[" * 100_000)
    with pytest.raises(InputError, match="recursion"):
        load_config(str(folder))
    for make in (os.mkfifo, lambda path: path.symlink_to(path), lambda path: path.mkdir()):
        (folder / "config.json").unlink()
        make(folder / "config.json")
        with pytest.raises(CheckpointFileError, match=r"config.json is not a file that can be read"):
            VideoGlammConfig.from_pretrained(folder)
        assert main(["memory", str(folder)]) == 1
        assert "error: " in capsys.readouterr().err
        if (folder / "config.json").is_dir():
            return


def test_unknown_keys_are_kept(folder):
    edit(folder, "config.json", "somebody_s_own", {"a": [1]})
    edit(folder, "config.json", "text_config.another", 3)
    config = AutoConfig.from_pretrained(folder)
    assert config.somebody_s_own == {"a": [1]} and config.text_config.another == 3


def test_published_sizes_have_no_problems():
    for side in (256, 512, 1024):
        assert list(configuration_problems(VideoGlammConfig(grounding_config={"image_size": side}))) == []


def test_a_missing_processor_file_is_also_an_os_error(folder):
    (folder / "processor_config.json").unlink()
    with pytest.raises(CheckpointFileError) as caught:
        AutoProcessor.from_pretrained(folder)
    assert isinstance(caught.value, OSError) and isinstance(caught.value, ValueError)
