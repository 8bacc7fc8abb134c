"""What docs/own_data.md says of calibration runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.calibration.shapes_data import write_data
from videoglamm_hf import cli
from videoglamm_hf.toy import TINY_MODEL

TEXT = (Path(__file__).parent.parent.parent / "docs" / "own_data.md").read_text()
SECTION = re.search(r"^## Sure or not\n(.*?)(?=^## |\Z)", TEXT, re.MULTILINE | re.DOTALL)[1]


@pytest.fixture
def places(tmp_path, monkeypatch):
    """A folder with what the document names."""
    monkeypatch.chdir(tmp_path)
    write_data(tmp_path / "data")
    (tmp_path / "data" / "referring5").rename(tmp_path / "data" / "clip")
    path = tmp_path / "data" / "validation.jsonl"
    path.write_text(path.read_text().replace("referring5/", "clip/"))
    shutil.copytree(TINY_MODEL, tmp_path / "model", ignore=shutil.ignore_patterns("calibration.json"))
    return tmp_path


def test_commands_and_snippet_run_in_order(places, capsys):
    commands = re.findall(r"^    videoglamm (.*)$", SECTION, re.MULTILINE)
    assert len(commands) == 3
    for command in commands:
        assert cli.main(shlex.split(command)) == 0, (command, capsys.readouterr().err)
    assert (places / "model" / "calibration.json").exists() and (places / "calibration.html").exists()
    namespace: dict = {}
    (snippet,) = re.findall(r"```python\n(.*?)```", SECTION, re.DOTALL)
    exec(compile(snippet, "own_data.md", "exec"), namespace)
    assert namespace["answer"].probabilities is not None and namespace["careful"].left_out is not None
