"""Outputs that cannot be written, and runs that are stopped: nothing is left, nothing is spoilt."""

import shutil

import pytest

from tests.conversion.checkpoints import FIRST, raiser, refused
from tests.tiny_checkpoint import TINY_CONFIG
from videoglamm_hf import OutputError
from videoglamm_hf.conversion import checkpoint_writer, convert_videoglamm


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
    monkeypatch.setattr(checkpoint_writer.os, "fsync", raiser(OSError(28, "No space left on device")))
    refused(original, "No space left on device", OutputError)


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
        patch.setattr(f"videoglamm_hf.conversion.{moment}", raiser(error))
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
