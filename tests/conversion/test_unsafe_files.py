"""Files that would run code or write elsewhere when they are read."""

import json
import pickle
import zipfile

import pytest
import torch

from tests.conversion.checkpoints import FIRST, NORM, Payload, refused, replace
from tests.original_layouts import write_videogpt_plus


@pytest.mark.parametrize("name", ["../secret.bin", "/etc/passwd", "a/b.bin"])
def test_an_index_that_points_outside(original, name):
    replace(original / "pytorch_model.bin.index.json", json.dumps({"weight_map": {NORM: name}}).encode())
    refused(original, "outside its folder")


@pytest.mark.parametrize("container", ["zip", "legacy", "protocol 2", "protocol 4"])
@pytest.mark.parametrize("place", ["shard", "clip", "sam2", "internvideo2"])
def test_a_malicious_pickle_runs_nothing(original, tmp_path, place, container):
    trap, file = tmp_path / "executed", tmp_path / "evil.pt"
    contents = {NORM: torch.ones(64), "payload": Payload(trap)}
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


def test_a_malicious_adapter_runs_nothing(original, tmp_path):
    trap = tmp_path / "executed"
    write_videogpt_plus(tmp_path / "adapter")
    torch.save({NORM: torch.ones(64), "payload": Payload(trap)}, tmp_path / "adapter" / "non_lora_trainables.bin")
    refused(original, "unsafe.*source you trust", adapters=[tmp_path / "adapter"])
    assert not trap.exists()


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
