"""docs/own_footage.md: the whole loop, run from top to bottom."""

import os
import re
import shlex
import shutil
from pathlib import Path

import pytest

from tests.videos import real_video
from videoglamm_hf import cli

TEXT = (Path(__file__).parent.parent / "docs" / "own_footage.md").read_text()


def test_the_whole_loop(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    shutil.copy(real_video("bikes.mp4"), "bikes.mp4")
    # Figures of captions take seconds to start, and are not looked at here.
    monkeypatch.setenv("PATH", "")
    namespace: dict = {}
    ran = {"python": 0, "command": 0}
    for snippet, command in re.findall(r"```python\n(.*?)```|^    (videoglamm .*?)$", TEXT, re.DOTALL | re.MULTILINE):
        if snippet:
            exec(compile(snippet, "own_footage.md", "exec"), namespace)
            ran["python"] += 1
            for clip in Path("videos").glob("*"):
                # As if it had been recorded long ago: `watch` does not wait for more of it.
                os.utime(clip, (1e9, 1e9))
        else:
            assert cli.main(shlex.split(command)[1:]) == 0, (command, capsys.readouterr().err)
            ran["command"] += 1
    assert ran == {
        "python": TEXT.count("```python"),
        "command": len(re.findall("^    videoglamm ", TEXT, re.MULTILINE)),
    }
    assert namespace["live"].labels and namespace["corrected"].masks.shape == namespace["masks"].shape
    for made in (
        "data/preview",
        "check.html",
        "tuned/comparison.html",
        "measured/report.html",
        "bikes_for_cvat",
        "seen",
    ):
        assert (tmp_path / made).exists(), made
    assert "PeftModel.from_pretrained" in capsys.readouterr().out


@pytest.mark.parametrize("name", ["own_data.md", "evaluation.md", "../benchmarks/RESULTS.md"])
def test_what_is_linked_is_there(name):
    assert f"]({name})" in TEXT and (Path(__file__).parent.parent / "docs" / name).is_file()
