"""`videoglamm make-data`: what is printed, asked and refused; every command of docs/make_data.md runs."""

import io
import re
import shlex
import sys
from pathlib import Path

import pytest

from tests.making.data_sets import BUILDERS
from tests.making.endpoint import served, writes
from videoglamm_hf import cli
from videoglamm_hf.making.choices import SOURCES

TEXT = (Path(__file__).parent.parent.parent / "docs" / "make_data.md").read_text()
COMMANDS = re.findall(r"^    videoglamm (.*)$", TEXT, re.MULTILINE)
URL = "http://localhost:8000/v1"


@pytest.fixture
def places(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for source, folder in (("mevis", "mevis"), ("vidstg", "vidstg"), ("jsonl", "own")):
        BUILDERS[source](tmp_path / folder)
    return tmp_path


def words(text: str) -> str:
    return " ".join(text.split())


def test_the_document_runs_in_order(places, light_tiny, capsys):
    assert len(COMMANDS) == 4
    with served(writes) as (url, _):
        for i, command in enumerate(COMMANDS):
            given = [str(light_tiny) if part == "MODEL" else part for part in shlex.split(command.replace(URL, url))]
            assert cli.main(given) == 0, (command, capsys.readouterr().err)
            printed = capsys.readouterr().out
            if i == 0:
                # What is printed is what the document shows.
                assert words(printed) == words(re.search(r"^    (2 videos,(?:.*\n)+?)\n", TEXT, re.MULTILINE)[1])
        namespace: dict = {}
        for snippet in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
            exec(compile(snippet.replace(URL, url), "make_data.md", "exec"), namespace)
    assert namespace["report"].samples == 2


def test_every_source_is_described():
    for source in SOURCES:
        assert re.search(rf"^\| `{source}` \|", TEXT, re.MULTILINE), source


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def test_asking_first(places, capsys, monkeypatch):
    with served(writes) as (url, asked):
        command = ["make-data", "mevis", "--data", "mevis", "--output", "o", "--writer", url, "--writer-model", "m"]
        monkeypatch.setattr(sys, "stdin", io.StringIO("y\n"))
        assert cli.main(command) == 0
        assert capsys.readouterr().out.endswith("nothing was asked: --yes goes on\n") and asked == []
        monkeypatch.setattr(sys, "stdin", Terminal("no\n"))
        assert cli.main(command) == 0 and asked == []
        monkeypatch.setattr(sys, "stdin", Terminal("y\n"))
        assert cli.main(command) == 0 and len(asked) == 2
        captured = capsys.readouterr()
        assert captured.out.endswith("samples.jsonl: 2 samples with 4 objects\n")
        assert "tokens used: 20 read, 6 written" in captured.err
        # Nothing is left to ask about, so nobody is asked.
        monkeypatch.setattr(sys, "stdin", None)
        assert cli.main(command) == 0 and len(asked) == 2


def test_failures_are_listed(places, capsys):
    (places / "mevis" / "train" / "JPEGImages" / "v1" / "00001.jpg").unlink()
    with served(writes) as (url, _):
        command = f"make-data mevis --data mevis --output o --writer {url} --writer-model m --yes"
        assert cli.main(command.split()) == 1
    captured = capsys.readouterr()
    assert "o/samples.jsonl: 1 sample with 2 objects\n" in captured.out
    assert "nothing was made of v1: gathering: " in captured.err
    assert "error: nothing was made of 1 video of 2; o/failed says why, and the same command again" in captured.err


def test_half_a_writer(places, capsys):
    assert cli.main(["make-data", "mevis", "--data", "mevis", "--output", "o", "--writer", "http://localhost"]) == 1
    assert "give both --writer, a URL, and --writer-model" in capsys.readouterr().err
