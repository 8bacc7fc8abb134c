"""Every snippet of the README runs, and those of the page about speed."""

import re
import shlex
from pathlib import Path

import numpy as np
import pytest

from tests.conftest import TINY_CONFIG
from tests.tiny_checkpoint import frames
from videoglamm_hf import cli
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle as encode_mask
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy.shapes_world import demo_clip

pytestmark = pytest.mark.usefixtures("without_warnings")
README = (Path(__file__).parent.parent / "README.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", README, re.DOTALL)
COMMANDS = re.findall(r"^    (videoglamm .*)$", README, re.MULTILINE)
MAKE_TARGETS = set(re.findall(r"(?:`|^    )make (\w+)", README, re.MULTILINE))


@pytest.fixture
def as_in_the_readme(tmp_path, monkeypatch, original_tiny, converted_tiny):
    """A folder with the files the README names."""
    (tmp_path / "VideoGLaMM").symlink_to(original_tiny)
    (tmp_path / "videoglamm-hf").symlink_to(converted_tiny)
    write_mp4(tmp_path / "bikes.mp4", frames(30, 72, 96), fps=10)
    write_mp4(tmp_path / "shapes.mp4", demo_clip()["video"], fps=4)
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips" / "bikes.mp4", frames(10, 72, 96), fps=10)
    mask = encode_mask(np.eye(72, 96, dtype=bool))
    answer = {"role": "assistant", "content": [{"type": "text", "text": "It is <p> the rider </p> [SEG]."}]}
    question = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Can you segment the rider?"}]}
    sample = {"messages": [question, answer], "video": "bikes.mp4", "masks": [[mask, mask]], "mask_frames": [0, 20]}
    write_jsonl(tmp_path / "train.jsonl", [{**sample, "video": str(tmp_path / "bikes.mp4")}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_snippets_run_in_order(as_in_the_readme, capsys):
    assert PYTHON
    namespace: dict = {}
    for snippet in PYTHON:
        exec(compile(snippet, "README.md", "exec"), namespace)
    assert namespace["answer"].masks.shape[1:] == (3, 72, 96)


def test_snippets_about_speed_run_in_order(as_in_the_readme):
    page = (Path(__file__).parent.parent / "docs" / "speed.md").read_text()
    namespace: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", page, re.DOTALL):
        exec(compile(snippet, "speed.md", "exec"), namespace)
    assert namespace["output"].sequences.shape[0] == 1


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(as_in_the_readme, command, capsys):
    program, *arguments = shlex.split(command)
    assert program == "videoglamm"
    if arguments[0] == "convert":
        # The tiny checkpoint's sizes that no shape tells; the README's is the published one.
        (as_in_the_readme / "videoglamm-hf").unlink()
        arguments += ["--config", str(TINY_CONFIG)]
    elif arguments[0] == "segment":
        arguments += ["--max-new-tokens", "4"]
    assert cli.main(arguments) == 0, capsys.readouterr().err


def test_make_targets_exist():
    makefile = (Path(__file__).parent.parent / "Makefile").read_text()
    assert all(re.search(rf"^{target}:", makefile, re.MULTILINE) for target in MAKE_TARGETS)
