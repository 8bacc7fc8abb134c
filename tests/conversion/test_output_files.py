"""Shards of the output, one tensor at a time; folders that appear complete or not at all."""

import functools
import json
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file
from transformers import AutoModelForImageTextToText

from tests.conversion.checkpoints import quiet, raiser, same
from tests.tiny_checkpoint import TINY_CONFIG, write_weights
from videoglamm_hf import OutputError
from videoglamm_hf.conversion import checkpoint_reader, convert, convert_videoglamm
from videoglamm_hf.conversion.checkpoint_reader import find_weights
from videoglamm_hf.conversion.checkpoint_writer import write_safetensors
from videoglamm_hf.output_files import replacing_folder


def test_output_shards_load_like_one_file(original_tiny, tmp_path, reference, monkeypatch):
    small = functools.partial(write_safetensors, max_shard_bytes=15 * 10**6)
    monkeypatch.setattr(convert, "write_safetensors", small)
    output = convert_videoglamm(original_tiny, tmp_path / "out", config=TINY_CONFIG, progress=False)
    index = json.loads((output / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-0000{i}-of-0000{len(files)}.safetensors" for i in range(1, len(files) + 1)]
    assert len(files) > 2 and not (output / "model.safetensors").exists()
    assert all((output / file).stat().st_size < 16 * 10**6 for file in files)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in reference.values())
    for name, file in index["weight_map"].items():
        with safe_open(output / file, "pt") as opened:
            assert torch.equal(opened.get_tensor(name), reference[name])
    assert same(AutoModelForImageTextToText.from_pretrained(output).state_dict(), reference)


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    shapes_, alive = {f"t{i}": (64, 64) for i in range(20)}, []

    def tensors():
        for name, shape in shapes_.items():
            assert sum(reference() is not None for reference in alive) <= 1
            tensor = torch.rand(shape)
            alive.append(weakref.ref(tensor))
            yield name, tensor

    files = write_safetensors(tmp_path, shapes_, torch.float32, tensors(), max_shard_bytes=5 * 64 * 64 * 4)
    assert len(files) == 4 and len(find_weights(tmp_path)) == 20


@pytest.mark.parametrize("container", ["bin", "safetensors"])
def test_a_mapped_file_is_opened_anew_after_a_while(tmp_path, monkeypatch, container):
    tensors = {f"t{i}": torch.full((1000,), float(i)) for i in range(10)}
    write_weights(tmp_path, tensors, container=container)
    stored, opened = find_weights(tmp_path), []
    monkeypatch.setattr(checkpoint_reader, "_BYTES_PER_OPENING", 3 * 4000)
    open_, reader = checkpoint_reader._open, checkpoint_reader.TensorReader()
    monkeypatch.setattr(checkpoint_reader, "_open", lambda path: opened.append(path) or open_(path))
    assert same({name: reader.read(place).clone() for name, place in stored.items()}, tensors)
    assert len(opened) == 4


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 3, "b": 2, "c": 4, "d": 1}, [["a", "b"], ["c", "d"]]),
        ({"a": 3, "b": 2, "c": 9, "d": 1}, [["a", "b"], ["c"], ["d"]]),
        ({"a": 1}, [["a"]]),
    ],
)
def test_shards_keep_order_and_limits(tmp_path, sizes, expected):
    shapes_ = {name: (size,) for name, size in sizes.items()}
    tensors = {name: torch.rand(shape) for name, shape in shapes_.items()}
    files = write_safetensors(tmp_path, shapes_, torch.float32, iter(tensors.items()), max_shard_bytes=5 * 4)
    found = [load_file(file) for file in files]
    assert [list(shard) for shard in found] == expected
    assert same({name: tensor for shard in found for name, tensor in shard.items()}, tensors)


def test_overwrite_replaces_only_when_complete(original, tmp_path, reference, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious.txt").write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        quiet(original, output)
    with pytest.raises(OutputError, match="was not written by videoglamm"):
        quiet(original, output, overwrite=True)
    assert [path.name for path in output.iterdir()] == ["precious.txt"]
    (output / "precious.txt").unlink()
    quiet(original, output)
    (output / "precious.txt").write_text("old")
    # Interrupted while writing: the old folder is untouched and nothing else is left.
    before = sorted(path.name for path in tmp_path.iterdir())
    for failure in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        with monkeypatch.context() as patch:
            patch.setattr("videoglamm_hf.conversion.checkpoint_writer.os.fsync", raiser(failure))
            with pytest.raises((KeyboardInterrupt, OutputError)):
                quiet(original, output, overwrite=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        assert (output / "precious.txt").read_text() == "old"
    assert same(quiet(original, output, overwrite=True), reference)
    assert (output / "precious.txt").read_text() == "old"
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def test_a_failing_swap_puts_the_old_folder_back(tmp_path, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "old").touch()
    rename = Path.rename
    monkeypatch.setattr(
        Path,
        "rename",
        lambda self, to: raiser(OSError(5, "I/O"))() if "incomplete" in self.name else rename(self, to),
    )
    with pytest.raises(OutputError, match="I/O"), replacing_folder(output) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (output / "old").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from videoglamm_hf.conversion import convert
from videoglamm_hf import output_files, VideoGlammProcessor

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(tensors):
    for number, pair in enumerate(tensors):
        if number == 100:
            kill()
        yield pair

def killed(moment, output):
    if moment == "weights":
        convert.tqdm = lambda tensors, **_: dying(tensors)
    elif moment == "config":
        VideoGlammProcessor.save_pretrained = kill
    else:  # the old folder is moved away, the new one not yet in its place
        rename = Path.rename
        Path.rename = lambda self, to: kill() if "incomplete" in self.name else rename(self, to)
    convert.convert_videoglamm(sys.argv[1], output, config=sys.argv[3], overwrite=True)

for moment in ("weights", "config", "swap"):
    child = os.fork()
    if child == 0:
        killed(moment, Path(sys.argv[2]) / moment / "out")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
"""


def test_killed_runs_leave_no_output_and_do_not_hinder_the_next(original_tiny, tmp_path, reference):
    with replacing_folder(tmp_path / "swap" / "out", "model") as folder:
        (folder / "old").touch()
    command = [sys.executable, "-c", KILLED, original_tiny, tmp_path, TINY_CONFIG]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for moment in ("weights", "config", "swap"):
        place = tmp_path / moment
        assert not (place / "out").exists() and list(place.glob(".out.*"))
        # Only what is whole has a configuration.
        assert bool(list(place.glob(".out.*/config.json"))) is (moment == "swap")
    assert list((tmp_path / "swap").glob(".out.*.replaced/old"))
    # The next run puts back what was moved away, and removes the rest.
    with pytest.raises(OutputError, match="--overwrite"):
        quiet(original_tiny, tmp_path / "swap" / "out")
    assert (tmp_path / "swap" / "out" / "old").exists()
    for moment, overwrite in (("weights", False), ("swap", True)):
        assert same(quiet(original_tiny, tmp_path / moment / "out", overwrite=overwrite), reference)
        assert [path.name for path in (tmp_path / moment).iterdir()] == ["out"]
        assert not (tmp_path / moment / "out" / "old").exists()
