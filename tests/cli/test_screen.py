"""What the command line shows beside results, and how it words them."""

import io
import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.tiny_checkpoint import frames
from videoglamm_hf import __version__, cli
from videoglamm_hf.cli import asking
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy.shapes_world import demo_clip


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def on_a_terminal(monkeypatch):
    """Runs a command, its output and errors on a person's terminal."""
    monkeypatch.delenv("NO_COLOR", raising=False)
    monkeypatch.setenv("TERM", "xterm")

    def run(*arguments: str) -> tuple[str, str]:
        streams = Terminal(), Terminal()
        with monkeypatch.context() as patched:
            patched.setattr(sys, "stdout", streams[0])
            patched.setattr(sys, "stderr", streams[1])
            assert cli.main([*arguments]) == 0
        return streams[0].getvalue(), streams[1].getvalue()

    return run


@pytest.fixture
def segment(tmp_path) -> list[str]:
    """About shapes, which the small model that ships names."""
    write_mp4(tmp_path / "shapes.mp4", demo_clip()["video"], fps=4)
    question = "Please segment the brown star."
    return ["segment", str(tmp_path / "shapes.mp4"), question, "--output", str(tmp_path / "out"), "--overwrite"]


def test_version_and_module():
    for program in (
        [sys.executable, "-m", "videoglamm_hf"],
        [sys.executable, "-c", "from videoglamm_hf.cli import main; main()"],
    ):
        found = subprocess.run([*program, "--version"], capture_output=True, text=True)
        assert found.returncode == 0 and found.stdout == f"videoglamm {__version__}\n"


def test_bars_and_colours_are_for_terminals(segment, on_a_terminal, monkeypatch):
    out, err = on_a_terminal(*segment)
    assert "\x1b[1;38;2;" in out and "segmenting" in err and "writing overlay.mp4" in err
    # A bar at a time: none is drawn on a line below another one.
    assert "\x1b[A" not in err and "\n\n" not in err
    monkeypatch.setenv("NO_COLOR", "1")
    assert "\x1b[" not in on_a_terminal(*segment)[0]


def test_a_file_gets_words_only(segment, capsys):
    assert cli.main(segment) == 0
    printed = capsys.readouterr()
    assert "\x1b" not in printed.out + printed.err and "%|" not in printed.err and "\r" not in printed.err
    assert "1 object in " in printed.out


def test_quiet_prints_the_answer_alone(segment, on_a_terminal):
    out, err = on_a_terminal(*segment, "--quiet")
    assert out.count("\n") == 1 and "star" in out and err == ""


def test_answers_that_are_not_whole_are_told_in_a_sentence(segment, capsys):
    assert cli.main([*segment, "--max-new-tokens", "1", "--quiet"]) == 0
    printed = capsys.readouterr()
    assert printed.err.count("\n") == 1 and "cut at max_new_tokens" in printed.err and "no objects" in printed.err
    assert cli.main([*segment, "--max-new-tokens", "1"]) == 0
    assert "no objects in " in capsys.readouterr().out
    document = json.loads((Path(segment[4]) / "answer.json").read_text())
    assert document["finish_reason"] == "length" and document["objects"] == [] and "no objects" in document["note"]
    assert cli.main(["check-answer", str(Path(segment[4]) / "answer.json")]) == 0


def test_options_reach_what_takes_them(segment, monkeypatch):
    given = {}

    def ask(model, processor, clip, question, **options):
        given.update(options, frames=clip.numbers)
        return asked(model, processor, clip, question, **options)

    asked = asking.ask
    monkeypatch.setattr("videoglamm_hf.cli.segment.ask", ask)
    options = ["--mode", "anchored", "--num-anchors", "2", "--prompt-frame", "1", "--max-objects-per-batch", "1"]
    assert cli.main([*segment, *options, *["--num-frames", "3", "--start-time", "0.5", "--end-time", "1.5"]]) == 0
    assert given["tracking"] == {
        "mask_mode": "anchored",
        "num_anchors": 2,
        "prompt_frame": 1,
        "max_objects_per_batch": 1,
    }
    assert given["frames"] == [2, 4, 6]


@pytest.mark.parametrize(
    "model, words",
    [("nowhere/", "no folder"), ("./some/where", "no folder"), ("a/b/c", "no folder"), ("file.txt", "is a file")],
)
def test_a_model_that_is_not_there_is_named(segment, tmp_path, monkeypatch, capsys, model, words):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "file.txt").write_text("?")
    assert cli.main([*segment, "--model", model]) == 1
    message = capsys.readouterr().err
    assert model.rstrip("/") in message and words in message and "convert" in message


def test_an_empty_question_is_refused_before_anything_is_read(tmp_path, capsys):
    write_mp4(tmp_path / "clip.mp4", frames(2, 32, 48), fps=1)
    assert cli.main(["segment", str(tmp_path / "clip.mp4"), " "]) == 1
    assert "question has no text" in capsys.readouterr().err
