"""Checkpoints that cannot be converted: a typed error that says what, where and what to do; nothing is left."""

import json
import os
import pickle
import shutil
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.original_layouts import (
    language_tensors,
    lora_tensors,
    write_deepspeed,
    write_internvideo2,
    write_language_model,
    write_sam2,
    write_videogpt_plus,
)
from tests.tiny_checkpoint import TINY_CONFIG
from videoglamm_hf import CheckpointError, OutputError, VideoGlammError
from videoglamm_hf.conversion import checkpoint_writer, convert_videoglamm, original_parts
from videoglamm_hf.conversion.checkpoint_reader import TensorReader, read_files

FIRST, SECOND = (f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
NORM = "model.norm.weight"
GROUNDING = "model.visual_model."


@pytest.fixture
def original(original_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to break; weight files are links, so replace them, do not write to them."""
    copy = tmp_path / "original"
    shutil.copytree(original_tiny, copy, copy_function=_link_weights)
    return copy


def _link_weights(source: str, target: str) -> None:
    os.link(source, target) if source.endswith(".bin") else shutil.copy(source, target)


def refused(checkpoint: Path, expected: str, error: type[VideoGlammError] = CheckpointError, **options) -> str:
    """Converts, expects the error, and that neither output nor temporary files appear."""
    place = checkpoint.parent / "place"
    with pytest.raises(error, match=expected) as caught:
        convert_videoglamm(checkpoint, place / "out", **{"config": TINY_CONFIG, "progress": False, **options})
    assert not place.exists() or not list(place.iterdir())
    return str(caught.value)


def tiny_config() -> dict:
    return json.loads(TINY_CONFIG.read_text())


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


# Folders


def test_no_such_folder_and_a_file(tmp_path):
    refused(tmp_path / "nowhere", "nowhere does not exist")
    (tmp_path / "file").touch()
    refused(tmp_path / "file", "file is a file")


@pytest.mark.parametrize(
    ("files", "expected"),
    [
        ([], "no model weights"),
        (["config.json"], "no model weights"),
        (["adapter_config.json", "non_lora_trainables.bin"], "LoRA adapter; give its base"),
        (["latest", "config.json"], "DeepSpeed training state; give what"),
    ],
)
def test_folders_that_are_no_checkpoint(tmp_path, files, expected):
    folder = tmp_path / "folder"
    folder.mkdir()
    for file in files:
        (folder / file).write_text("{}")
    refused(folder, expected)


def test_a_folder_without_config(original):
    (original / "config.json").unlink()
    refused(original, "no config.json")


def test_a_converted_folder(converted_tiny, tmp_path):
    refused(Path(shutil.copytree(converted_tiny, tmp_path / "converted")), "already converted")


@pytest.mark.parametrize("name", ["config.json", "pytorch_model.bin.index.json", "tokenizer_config.json"])
@pytest.mark.parametrize("contents", [b"{", b"[]", b"\xff\xfe", b"[" * 100_000])
def test_unreadable_json(original, name, contents):
    replace(original / name, contents)
    refused(original, name)


def test_unreadable_user_config(original, tmp_path):
    (tmp_path / "mine.json").write_text("{'single': 'quotes'}")
    refused(original, "mine.json", config=tmp_path / "mine.json")
    refused(original, "absent.json", config=tmp_path / "absent.json")


# Shards


def test_a_missing_shard(original):
    (original / SECOND).unlink()
    refused(original, f"lacks 1 of the 2 files .*{SECOND}")
    (original / "pytorch_model.bin.index.json").unlink()
    refused(original, r"1 shards of 2; missing are numbers \[2\]")


def test_an_index_that_promises_too_much(original):
    index = json.loads((original / "pytorch_model.bin.index.json").read_text())
    index["weight_map"]["model.extra.weight"] = SECOND
    replace(original / "pytorch_model.bin.index.json", json.dumps(index).encode())
    refused(original, f"model.extra.weight .*{SECOND}")


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "a/b.bin"])
def test_an_index_that_points_outside(original, name):
    replace(original / "pytorch_model.bin.index.json", json.dumps({"weight_map": {NORM: name}}).encode())
    refused(original, "outside its folder")


@pytest.mark.parametrize("weight_map", [None, [], {}, {NORM: 3}])
def test_an_index_without_a_map(original, weight_map):
    replace(original / "pytorch_model.bin.index.json", json.dumps({"weight_map": weight_map}).encode())
    refused(original, "weight_map|names no files")


@pytest.mark.parametrize(
    "damage",
    [
        lambda data: data[: len(data) // 2],
        lambda data: data[:100],
        lambda data: b"",
        lambda data: b"PK\x03\x04" + bytes(500),
    ],
)
def test_a_damaged_pickle(original, damage):
    replace(original / FIRST, damage((original / FIRST).read_bytes()))
    assert "weights_only" not in refused(original, f"{FIRST} cannot be read; it is damaged or incomplete")


def test_bytes_that_are_no_pickle(original):
    replace(original / FIRST, b"<html>404</html>")
    assert "weights_only" not in refused(original, f"{FIRST} is damaged or unsafe")


def test_a_truncated_pickle_of_the_old_format(original):
    tensors = torch.load(original / FIRST)
    torch.save(tensors, original / "old.bin", _use_new_zipfile_serialization=False)
    data = (original / "old.bin").read_bytes()
    replace(original / FIRST, data[: len(data) // 2])
    refused(original, f"{FIRST} cannot be read; it is damaged")


def test_damaged_safetensors(original):
    clip = original / "clip"
    save_file(torch.load(clip / "pytorch_model.bin"), clip / "model.safetensors")
    data = (clip / "model.safetensors").read_bytes()
    for contents in (data[: len(data) // 2], data[:4], b"", b"\xff" * 100):
        replace(clip / "model.safetensors", contents)
        refused(original, "model.safetensors cannot be read; it is damaged")


def test_a_git_lfs_pointer(original):
    replace(original / FIRST, b"version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 5\n")
    refused(original, "git lfs pull")


class _Payload:
    """Creates a file when unpickled carelessly."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self):
        return (Path.touch, (self.path,))


@pytest.mark.parametrize("container", ["zip", "legacy", "protocol 2", "protocol 4"])
@pytest.mark.parametrize("place", ["shard", "clip", "sam2", "internvideo2"])
def test_a_malicious_pickle_runs_nothing(original, tmp_path, place, container):
    trap, file = tmp_path / "executed", tmp_path / "evil.pt"
    contents = {NORM: torch.ones(64), "payload": _Payload(trap)}
    if container.startswith("protocol"):
        file.write_bytes(pickle.dumps(contents, int(container[-1])))
    else:
        torch.save(contents, file, _use_new_zipfile_serialization=container == "zip")
    options = {}
    if place in ("shard", "clip"):
        target = original / FIRST if place == "shard" else original / "clip" / "pytorch_model.bin"
        replace(target, file.read_bytes())
    else:
        options[place] = file
    message = refused(original, "unsafe", **options)
    assert "source you trust" in message and "weights_only" not in message
    assert not trap.exists()


def test_a_pickle_of_something_else(original):
    for contents, expected in (
        ([torch.ones(2)], "no state dict"),
        ({"epoch": 3}, "no state dict"),
        ({NORM: torch.ones(64), "step": 3}, "no tensors: step"),
    ):
        (original / FIRST).unlink()
        torch.save(contents, original / FIRST)
        refused(original, expected)


def test_two_shards_that_disagree(original):
    tensors = torch.load(original / SECOND)
    tensors[NORM] = torch.full((64,), 5.0)
    (original / SECOND).unlink()
    torch.save(tensors, original / SECOND)
    message = refused(original, "different values")
    assert NORM in message and FIRST in message and SECOND in message


# Tensors


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("model.layers.1.mlp.down_proj.weight", "model.language_model.layers.1.mlp.down_proj.weight"),
        ("model.layers.0.input_layernorm.weight", "model.language_model.layers.0.input_layernorm.weight"),
        (
            "model.vision_tower.vision_encoder.blocks.2.attn.q_norm.weight",
            "model.temporal_tower.layers.2.self_attn.q_norm.weight",
        ),
    ],
)
def test_a_missing_key_is_named_in_both_worlds(original, key, target):
    change_tensors(original, lambda tensors: tensors.pop(key))
    message = refused(original, "1 missing")
    assert key in message and target in message


@pytest.mark.parametrize(
    "key",
    [
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate_up_proj.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "model.vision_tower.vision_encoder.pos_embed",
        "model.visual_model.maskmem_tpos_enc",
    ],
)
def test_a_missing_key_that_tells_a_size_is_named(original, key):
    change_tensors(original, lambda tensors: tensors.pop(key))
    refused(original, f"^The checkpoint has no {key}")


def test_a_missing_layer(original):
    def drop_first_layer(tensors):
        for key in [key for key in tensors if key.startswith("model.layers.0.")]:
            del tensors[key]

    change_tensors(original, drop_first_layer)
    refused(original, "model.layers.1 but not model.layers.0")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.something_else.weight", "checkpoint of the original"),
        (f"{GROUNDING}no_obj_embed", "SAM 2"),
        ("model.layers.0.self_attn.qkv_proj.lora_A.weight", "LoRA is not merged"),
        ("base_model.model.model.norm.weight", "LoRA is not merged"),
        ("model.layers.0.self_attn.q_proj.weight", "Phi-3"),
    ],
)
def test_an_unknown_key(original, key, hint):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(3)}))
    message = refused(original, "1 unknown")
    assert key in message and FIRST in message and hint in message


def test_many_problems_are_counted_not_listed(original):
    change_tensors(original, lambda tensors: tensors.update({f"model.x{i}": torch.ones(1) for i in range(50)}))
    assert "and 42 more" in refused(original, "50 unknown")


def test_a_key_that_is_given_twice_under_two_names(original):
    key = f"{GROUNDING}memory_encoder.fuser.layers.0.gamma"
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(256)}))
    refused(original, "given more than once: .*memory_fuser.layers.0.scale")


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (NORM, (63,)),
        ("model.layers.1.mlp.down_proj.weight", (64, 127)),
        ("model.vision_tower.vision_encoder.blocks.3.attn.qkv.weight", (288, 96, 1)),
        ("model.layers.1.self_attn.qkv_proj.weight", ()),
    ],
)
def test_a_wrong_shape(original, key, shape):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(shape)}))
    message = refused(original, "has shape")
    assert key in message and FIRST in message and str(tuple(shape)) in message


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("model.embed_tokens.weight", (320,), "2 dimensions"),
        ("model.vision_tower.vision_encoder.patch_embed.proj.weight", (96, 3, 2, 14, 14), "patches of one frame"),
        ("model.vision_tower.vision_encoder.pos_embed", (1, 1000, 96), "temporal_config.image_size"),
        ("model.layers.0.mlp.gate_up_proj.weight", (0, 64), "2 dimensions"),
    ],
)
def test_an_impossible_size(original, key, shape, expected):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(shape)}))
    assert key in refused(original, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(original, value):
    key = "model.vision_tower.vision_encoder.blocks.1.mlp.fc1.weight"

    def spoil(tensors):
        tensors[key] = tensors[key].clone()
        tensors[key][3, 4] = value

    change_tensors(original, spoil)
    message = refused(original, "NaN or infinite")
    assert key in message and FIRST in message


def test_values_that_do_not_fit_into_half_precision(original):
    change_tensors(original, lambda tensors: tensors.update({NORM: torch.full((64,), 1e6)}))
    assert NORM in refused(original, "bfloat16", dtype="float16")


def test_quantised_weights(original):
    change_tensors(original, lambda tensors: tensors.update({NORM: torch.ones(64, dtype=torch.int8)}))
    assert NORM in refused(original, "quantised")


# Parts


def test_a_part_that_is_nowhere(original, monkeypatch):
    def without(text):
        return lambda tensors: [tensors.pop(key) for key in list(tensors) if text in key]

    for name in (FIRST, SECOND):
        change_tensors(original, without("visual_model"), name)
    refused(original, "give SAM 2's own file with --sam2")
    for name in (FIRST, SECOND):
        change_tensors(original, without("vision_tower"), name)
    refused(original, "--internvideo2")
    shutil.rmtree(original / "clip")
    monkeypatch.setattr(original_parts, "snapshot_download", _raiser(ConnectionError("no network")))
    refused(original, "no network.*--clip")
    refused(original, "not/there.*--clip", clip="not/there")


def _raiser(error: BaseException):
    def fail(*_, **__):
        raise error

    return fail


def test_part_files_that_are_not_what_they_should_be(original, tmp_path):
    refused(original, "absent.pt is not a file", sam2=tmp_path / "absent.pt")
    torch.save({"model": {"weight": torch.ones(2)}}, tmp_path / "other.pt")
    refused(original, "checkpoint has no model.visual_model", sam2=tmp_path / "other.pt")
    refused(original, "checkpoint has no model.vision_tower", internvideo2=tmp_path / "other.pt")


@pytest.mark.parametrize(
    "change", [{"image_mean": [0.5, 0.5, 0.5]}, {"size": {"shortest_edge": 224}}, {"resample": 2}]
)
def test_a_clip_that_wants_other_pixels(original, change):
    edit_json(original / "clip" / "preprocessor_config.json", **change)
    refused(original, next(iter(change)))


# Configuration


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text_config.hidden_size", 128, "hidden_size is 128 .*model.embed_tokens.weight says 64"),
        ("text_config.vocab_size", 32064, "vocab_size is 32064 .*tokenizer says 320"),
        ("seg_token_id", 5, "seg_token_id is 5 .*tokenizer says 319"),
        ("temporal_config.num_frames", 8, "num_frames is 8 .*pos_embed says 4"),
        ("spatial_config.image_size", 224, "image_size is 224 .*position_embedding.weight says 336"),
        ("grounding_config.num_maskmem", 9, "num_maskmem is 9 .*maskmem_tpos_enc says 7"),
        (
            "grounding_config.vision_config.backbone_config.blocks_per_stage",
            [2, 2, 1, 1],
            r"blocks_per_stage is \[2, 2, 1, 1\] .*says \[1, 2, 2, 1\]",
        ),
    ],
)
def test_a_config_that_contradicts_the_checkpoint(original, field, value, expected):
    refused(original, expected, config=with_field(field, value))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text_config.num_attention_heads", 5, "text_config.num_attention_heads"),
        ("text_config.num_key_value_heads", 2, "num_key_value_heads"),
        ("temporal_config.num_attention_heads", 7, "temporal_config.num_attention_heads"),
        ("spatial_config.num_attention_heads", 0, "spatial_config.num_attention_heads"),
        ("temporal_config.image_size", 100, "temporal_config.image_size"),
        ("num_tower_frames", 6, "num_tower_frames"),
        ("spatial_pool_size", 25, "spatial_pool_size"),
        ("temporal_feature_layer", -6, "temporal_feature_layer"),
        ("grounding_config.image_size", 250, "grounding_config.image_size"),
        ("grounding_config.memory_attention_num_attention_heads", 3, "memory_attention_num_attention_heads"),
        (
            "grounding_config.mask_decoder_config",
            {"num_attention_heads": 3},
            "mask_decoder_config.num_attention_heads",
        ),
        ("grounding_config.vision_config.backbone_config.global_attention_blocks", [23], "global_attention_blocks"),
        (
            "grounding_config.vision_config.backbone_config.num_attention_heads_per_stage",
            [3, 2, 4, 8],
            "num_attention_heads_per_stage",
        ),
        ("grounding_config.vision_config.backbone_config.window_size_per_stage", [8, 4], "give that many"),
        ("grounding_config.vision_config.backbone_config.window_size_per_stage", [7, 4, 14, 7], "start with the 8"),
        ("model_type", "VideoGPT+", "must be a VideoGlammConfig"),
        ("grounding_confg", {}, "grounding_confg"),
        ("temporal_config", [], "temporal_config"),
        ("grounding_config.vision_config", 3, "grounding_config.vision_config"),
        ("temporal_config.image_size", "big", "no whole number"),
        ("temporal_feature_layer", "x", "cannot be used"),
        ("temporal_config.hidden_act", "nonsense", "nonsense"),
    ],
)
def test_values_that_do_not_fit(original, field, value, expected):
    refused(original, expected, config=with_field(field, value))


def with_field(field: str, value: object) -> dict:
    config = tiny_config()
    *parents, name = field.split(".")
    place = config
    for parent in parents:
        place = place.setdefault(parent, {})
    place[name] = value
    return config


def test_published_values_that_cannot_be_right(original):
    message = refused(original, "grounding_config.vision_config.backbone_config.global_attention_blocks", config={})
    assert "--config" in message and "temporal_config.num_attention_heads = 16" in message


@pytest.mark.parametrize(
    "change", [{"rope_scaling": 7}, {"rope_scaling": {"type": "spiral"}}, {"rms_norm_eps": "small"}]
)
def test_nonsense_in_the_originals_config(original, change):
    edit_json(original / "config.json", **change)
    config = tiny_config()
    del config["text_config"]
    refused(original, "config.json", config=config)


# Vocabulary


def test_seg_token_elsewhere(original):
    edit_json(original / "config.json", seg_token_idx=32011)
    refused(original, "token 32011, its tokenizer says 319")


@pytest.mark.parametrize("key", ["model.embed_tokens.weight", "lm_head.weight"])
def test_fewer_rows_than_tokens(original, key):
    name = json.loads((original / "pytorch_model.bin.index.json").read_text())["weight_map"][key]
    change_tensors(original, lambda tensors: tensors.update({key: tensors[key][:319].clone()}), name)
    assert key in refused(original, "319 rows for the 320 tokens")


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer_config.json"])
def test_a_missing_tokenizer(original, name):
    (original / name).unlink()
    refused(original, "lacks its tokenizer")


def test_a_damaged_vocabulary(original):
    replace(original / "tokenizer.model", (original / "tokenizer.model").read_bytes()[:1000])
    refused(original, "tokenizer")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"legacy": True}, "legacy"),
        ({"tokenizer_class": "GPT2Tokenizer"}, "GPT2Tokenizer"),
        ({"added_tokens_decoder": None}, "added_tokens_decoder"),
        (
            {"added_tokens_decoder": {"319": {"content": "[SEG]"}, "317": {"no": "content"}}},
            "malformed|cannot be loaded",
        ),
    ],
)
def test_a_tokenizer_of_another_kind(original, changes, expected):
    edit_json(original / "tokenizer_config.json", **changes)
    refused(original, expected)


def test_added_tokens_that_contradict_each_other(original):
    edit_json(original / "added_tokens.json", **{"[SEG]": 318})
    assert "added_tokens.json says 318" in refused(original, r"\[SEG\]")


def test_ids_with_gaps(original):
    settings = json.loads((original / "tokenizer_config.json").read_text())
    decoder = settings["added_tokens_decoder"]
    decoder["400"] = decoder.pop("319")
    edit_json(original / "tokenizer_config.json", added_tokens_decoder=decoder)
    edit_json(original / "added_tokens.json", **{"[SEG]": 400})
    refused(original, "should have id 400|without gaps")


def test_placeholders_that_are_there_already(original):
    settings = json.loads((original / "tokenizer_config.json").read_text())
    decoder = settings["added_tokens_decoder"]
    decoder["320"] = {**decoder["314"], "content": "<image>"}
    edit_json(original / "tokenizer_config.json", added_tokens_decoder=decoder)
    for name in (FIRST, SECOND):
        change_tensors(
            original, lambda t: t.update({k: torch.ones(321, 64) for k in t if "embed_t" in k or "lm_h" in k}), name
        )
    refused(original, "<image>")


@pytest.mark.parametrize("ids", ["end", [2, "end"], {"a": 1}])
def test_end_tokens_that_are_no_ids(original, ids):
    (original / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    refused(original, "eos_token_id")


# Output


def test_outputs_that_cannot_be_written(original, tmp_path):
    (tmp_path / "file").touch()
    for output, expected in (
        (tmp_path / "file", "is a file"),
        (tmp_path / "file" / "below", "cannot be written"),
        (original, "not empty"),
    ):
        with pytest.raises(OutputError, match=expected):
            convert_videoglamm(original, output, config=TINY_CONFIG, progress=False)
    assert (tmp_path / "file").read_bytes() == b""


@pytest.mark.parametrize("where", ["the checkpoint", "above it", "the clip folder", "the current folder"])
def test_overwriting_what_is_needed(original, tmp_path, monkeypatch, where):
    folders = {"the checkpoint": original, "above it": tmp_path, "the clip folder": tmp_path / "clip"}
    shutil.move(original / "clip", tmp_path / "clip")
    (tmp_path / "work" / "here").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "work" / "here")
    output = folders.get(where, tmp_path / "work")
    with pytest.raises(OutputError, match="cannot be replaced"):
        convert_videoglamm(
            original, output, clip=tmp_path / "clip", config=TINY_CONFIG, overwrite=True, progress=False
        )
    assert (original / FIRST).exists() and (tmp_path / "clip" / "config.json").exists()


def test_a_disk_that_is_too_small(original, monkeypatch):
    usage = shutil.disk_usage(original)._replace(free=10**6)
    monkeypatch.setattr(checkpoint_writer.shutil, "disk_usage", lambda _: usage)
    refused(original, "0.1 GB, but .* has 0.0 GB left", OutputError)


def test_a_disk_that_fills_up_meanwhile(original, monkeypatch):
    monkeypatch.setattr(checkpoint_writer.os, "fsync", _raiser(OSError(28, "No space left on device")))
    refused(original, "No space left on device", OutputError)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data(), container=st.sampled_from(["zip", "legacy", "safetensors"]))
def test_no_damage_escapes_as_another_error(tmp_path, data, container):
    """Cut or changed bytes anywhere: the file is read, or refused with the one error that says so."""
    path = tmp_path / ("model.safetensors" if container == "safetensors" else "model.bin")
    tensors = {"a": torch.arange(12.0).reshape(3, 4), "b": torch.ones(2, dtype=torch.bfloat16)}
    if container == "safetensors":
        save_file(tensors, path)
    else:
        torch.save(tensors, path, _use_new_zipfile_serialization=container == "zip")
    contents = bytearray(path.read_bytes())
    position = data.draw(st.integers(0, len(contents) - 1))
    if data.draw(st.booleans()):
        del contents[position:]
    else:
        contents[position] ^= data.draw(st.integers(1, 255))
    path.write_bytes(contents)
    reader = TensorReader()
    try:
        for stored in read_files([path]).values():
            reader.read(stored)
    except CheckpointError as error:
        assert path.name in str(error)


# Adapters


def adapter(original: Path, expected: str, *paths: Path, **options) -> str:
    return refused(original, expected, adapters=paths or [original.parent / "adapter"], **options)


def test_adapters_that_are_not_there_or_incomplete(original, tmp_path):
    adapter(original, "absent does not exist", tmp_path / "absent")
    (tmp_path / "adapter").mkdir()
    adapter(original, "no model weights")
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"r": 8, "lora_alpha": 16}')
    adapter(original, "lacks adapter_model.safetensors")
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"r": "eight"}')
    adapter(original, "no number for r")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "latest").write_text("../../etc")
    adapter(original, "DeepSpeed folder without ../../etc", tmp_path / "state")
    write_deepspeed(tmp_path / "zero3", {"model.norm.weight": torch.empty(0)})
    adapter(original, r"ZeRO-3 state.*zero_to_fp32.py", tmp_path / "zero3")
    write_deepspeed(tmp_path / "objects", {NORM: torch.ones(64), "payload": _Payload(tmp_path / "executed")})
    adapter(original, r"unsafe.*zero_to_fp32.py", tmp_path / "objects")
    assert not (tmp_path / "executed").exists()


def test_half_an_adapter_or_two(original, tmp_path):
    lora = lora_tensors("V:", language_tensors())
    name = "base_model.model.model.layers.1.self_attn.qkv_proj.lora_{}.weight"
    torch.save({k: t for k, t in lora.items() if k != name.format("B")}, tmp_path / "half.bin")
    adapter(original, "only one half of the LoRA of model.layers.1", tmp_path / "half.bin")
    torch.save(lora | {name.format("A.other"): lora[name.format("A")]}, tmp_path / "two.bin")
    adapter(original, "several adapters of model.layers.1", tmp_path / "two.bin")
    torch.save(lora | {name.format("A"): torch.ones(4, 64)}, tmp_path / "ranks.bin")
    adapter(original, r"\(4, 64\) and \(192, 8\), no matrices of rank", tmp_path / "ranks.bin")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"peft_type": "IA3"}, "type IA3"), ({"use_dora": True}, "use_dora; merge"), ({"r": 16}, "matrices of rank 16")],
)
def test_adapters_of_other_kinds(original, tmp_path, settings, expected):
    write_videogpt_plus(tmp_path / "adapter", **settings)
    adapter(original, expected)


def test_an_adapter_of_another_base(original, tmp_path):
    """Another width, another depth, another architecture."""
    write_videogpt_plus(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.bin"
    lora = torch.load(file)
    key = "base_model.model.model.layers.0.self_attn.qkv_proj.lora_{}.weight"
    torch.save(lora | {key.format("A"): torch.ones(8, 96), key.format("B"): torch.ones(288, 8)}, file)
    message = adapter(original, r"trained on another base: .*\(288, 96\), which is \(192, 64\)")
    assert "microsoft/Phi-3-mini-4k-instruct" in message and FIRST in message
    for replaced in (".layers.7.", ".layers.0.self_attn.q_"):
        other = {
            k.replace(".layers.0.self_attn.qkv_" if "q_" in replaced else ".layers.0.", replaced): t
            for k, t in lora.items()
        }
        torch.save(other, file)
        adapter(original, "changes 1 weights that the base does not have")
    torch.save(lora | {"base_model.model.lm_head.weight": torch.ones(320, 96)}, file)
    adapter(original, r"lm_head.weight has shape \(320, 96\), the base's \(320, 64\)")


def test_projectors_of_another_tower(original, tmp_path):
    write_videogpt_plus(tmp_path / "adapter")
    key = "base_model.model.model.mm_projector.0.weight"
    file = tmp_path / "adapter" / "non_lora_trainables.bin"
    for shape, expected in (((64, 1408), "another base"), ((64, 96, 1), "another base")):
        torch.save({key: torch.ones(shape)}, file)
        adapter(original, expected)
    # Over a language model alone, there is no projector to compare with, but a tower.
    write_language_model(tmp_path / "phi3")
    write_internvideo2(tmp_path / "iv2.pt")
    write_sam2(tmp_path / "sam2.pt")
    torch.save({key: torch.ones(64, 1408)}, file)
    files = {"internvideo2": tmp_path / "iv2.pt", "sam2": tmp_path / "sam2.pt", "clip": original / "clip"}
    message = refused(
        tmp_path / "phi3",
        "trained for a temporal tower",
        adapters=[tmp_path / "adapter"],
        untrained_parts=True,
        **files,
    )
    assert "width 1408" in message and "--internvideo2" in message and "have 96 and 64" in message


@pytest.mark.parametrize("name", ["../../outside", "/etc/outside", "archive/../../outside", "archive\\..\\outside"])
@pytest.mark.parametrize("place", ["shard", "sam2", "adapter"])
def test_an_archive_with_entries_that_point_outside(original, tmp_path, place, name):
    file = tmp_path / "evil.pt"
    torch.save(torch.load(original / FIRST), file)
    with zipfile.ZipFile(file, "a") as archive:
        archive.writestr(name, b"x")
    options = {"sam2": {"sam2": file}, "adapter": {"adapters": [file]}}.get(place, {})
    if place == "shard":
        replace(original / FIRST, file.read_bytes())
    refused(original, "unsafe: .*outside the archive", **options)
    assert not list(tmp_path.rglob("outside"))


def test_a_malicious_adapter_runs_nothing(original, tmp_path):
    trap = tmp_path / "executed"
    write_videogpt_plus(tmp_path / "adapter")
    torch.save({NORM: torch.ones(64), "payload": _Payload(trap)}, tmp_path / "adapter" / "non_lora_trainables.bin")
    adapter(original, "unsafe.*source you trust")
    assert not trap.exists()


def test_a_seg_token_of_another_checkpoint(original):
    edit_json(original / "config.json", seg_token_idx=32011)
    refused(original, r"\[SEG\] is token 32011, its tokenizer says 319")


# Being stopped


@pytest.mark.parametrize(
    ("moment", "error"),
    [
        ("convert.converted_tensors", MemoryError()),
        ("convert.write_safetensors", KeyboardInterrupt()),
        ("convert.keep_original_files", OSError(28, "No space left on device")),
        ("convert.VideoGlammProcessor.save_pretrained", KeyboardInterrupt()),
        ("convert.VideoGlammConfig.save_pretrained", OSError(5, "I/O")),
        ("convert.require_verified", MemoryError()),
    ],
)
def test_stopped_at_any_moment_nothing_is_left(original, monkeypatch, moment, error):
    place = original.parent / "place"
    with monkeypatch.context() as patch:
        patch.setattr(f"videoglamm_hf.conversion.{moment}", _raiser(error))
        with pytest.raises((type(error), OutputError)):
            convert_videoglamm(original, place / "out", config=TINY_CONFIG, progress=False)
    assert not place.exists() or not list(place.iterdir())


def test_what_was_written_is_read_again_before_it_appears(original, monkeypatch):
    """A disk that flips a bit: the folder never appears."""
    write = checkpoint_writer.write_safetensors

    def flipping(folder, *arguments):
        (file,) = write(folder, *arguments)
        contents = bytearray(file.read_bytes())
        contents[-4:] = b"\x00\x00\x80\x7f"  # infinity
        file.write_bytes(contents)
        return [file]

    monkeypatch.setattr("videoglamm_hf.conversion.convert.write_safetensors", flipping)
    refused(original, "values: .* holds NaN or infinite values")
