"""The script of the original's users, and the options of `videoglamm convert`."""

import subprocess
import sys

from safetensors.torch import load_file

from tests.conversion.checkpoints import same
from tests.tiny_checkpoint import FIXTURES, TINY_CONFIG
from videoglamm_hf import cli
from videoglamm_hf.cli import convert as convert_command

SCRIPT = FIXTURES.parents[2] / "conversion" / "convert_videoglamm_to_hf.py"


def test_the_command_line_script(original_tiny, tmp_path, reference):
    command = [sys.executable, SCRIPT, "--checkpoint", original_tiny, "--output", tmp_path / "out"]
    done = subprocess.run([*command, "--config", TINY_CONFIG], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert same(load_file(tmp_path / "out" / "model.safetensors"), reference)
    assert "532 tensors made of 534" in done.stdout and "26 tensors left out" in done.stdout
    # Bars are for terminals.
    assert "532/532" not in done.stderr


def test_options_reach_the_converter(monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(
        convert_command, "convert_videoglamm", lambda *paths, **options: seen.update(options, paths=paths)
    )
    line = "--checkpoint a --output b --clip c --internvideo2 d --sam2 e --config f --dtype float16 --overwrite"
    line += " --adapter g --adapter h --lora-alpha 32 --untrained-parts"
    assert cli.main(["convert", *line.split()]) == 0
    assert seen == {
        "progress": True,
        "paths": ("a", "b"),
        "adapters": ["g", "h"],
        "lora_alpha": 32.0,
        "untrained_parts": True,
        "clip": "c",
        "internvideo2": "d",
        "sam2": "e",
        "config": "f",
        "dtype": "float16",
        "overwrite": True,
    }
    monkeypatch.undo()
    assert cli.main(["convert", "--checkpoint", "/no/where", "--output", "/no/where/else"]) == 1
    assert capsys.readouterr().err.startswith("error: /no/where does not exist")
