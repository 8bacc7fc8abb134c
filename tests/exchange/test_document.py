"""Every snippet and command of docs/own_data.md about masks in and out runs, and every format is described."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.exchange.made_data import made, write_data, write_pictures, write_video
from videoglamm_hf import cli
from videoglamm_hf.exchange import export_data
from videoglamm_hf.exchange.choices import EXPORT_FORMATS, FRAMES_FROM, OBJECTS

TEXT = (Path(__file__).parent.parent.parent / "docs" / "own_data.md").read_text()
COMMANDS = re.findall(r"^    videoglamm ((?:import-data|export-data|check-data) .*)$", TEXT, re.MULTILINE)


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with what the document names."""
    monkeypatch.chdir(tmp_path)
    write_video(tmp_path / "clip.mp4", count=10)
    for folder, names in (("masks", ("00000", "00005")), ("renamed", ("a", "b"))):
        (tmp_path / folder).mkdir()
        for name in names:
            Image.fromarray(np.eye(32, 48, dtype=bool)).save(tmp_path / folder / f"{name}.png")
    videos = [made(name, write_pictures(tmp_path / "frames" / name)) for name in ("one", "two")]
    export_data(write_data(tmp_path / "own", videos), tmp_path / "coco", format="coco")
    (tmp_path / "phrases.csv").write_text("label,phrase\nthing 0,the blob\n")
    document = {
        **{"format": "videoglamm-answer-2", "version": "0", "model": None, "text": "", "raw_text": "", "note": None},
        **{"finish_reason": "stop", "phrases": [], "objects": [], "frame_indices": [3], "timestamps": [0.1]},
        **{"size": {"height": 32, "width": 48}, "pixel_aspect": 1.0, "fps": 5.0, "num_frames": 10},
        "settings": {"question": "?", "video": "clip.mp4"},
    }
    (tmp_path / "answer.json").write_text(json.dumps(document))
    return tmp_path


def test_python_snippets_run_in_order(places, capsys):
    namespace: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        if "videoglamm_hf.exchange" in snippet:
            exec(compile(snippet, "own_data.md", "exec"), namespace)
    assert namespace["report"].files == ["labels.xml", "tasks.json"]
    assert capsys.readouterr().out.startswith("2 6 24\n")


def test_commands_run_in_order(places, capsys):
    assert len(COMMANDS) >= 7
    for command in COMMANDS:
        assert cli.main(shlex.split(command)) == 0, (command, capsys.readouterr().err)
        if "masks --video" in command:
            # What is printed is what the document shows, on one line.
            shown = " ".join(re.search(r"^    - (masks: (?:.*\n)+?)\n", TEXT, re.MULTILINE)[1].split())
            assert shown in capsys.readouterr().err


def test_every_format_and_choice_is_described():
    for name in EXPORT_FORMATS:
        assert re.search(rf"^\| `{name}` \|", TEXT, re.MULTILINE), name
    for choice in (*FRAMES_FROM[1:], *OBJECTS[1:]):
        assert re.search(rf"--(?:frames-from|objects) {choice}\b", TEXT), choice
