"""Folders that are no checkpoint, and files in them that are missing, damaged or something else."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from safetensors.torch import save_file

from tests.conversion.checkpoints import FIRST, NORM, SECOND, refused, replace
from videoglamm_hf import CheckpointError
from videoglamm_hf.conversion.checkpoint_reader import TensorReader, read_files


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


@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
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
