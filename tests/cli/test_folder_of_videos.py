"""One question about many videos: what counts as one, going on after a stop, several processes."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from PIL import Image

from tests.tiny_checkpoint import frames
from videoglamm_hf import cli
from videoglamm_hf.cli.video_folders import find_videos
from videoglamm_hf.output_marker import MARKER
from videoglamm_hf.render.video_encoding import write_mp4

FILES = [MARKER, "answer.json", "overlay.mp4", "preview.html", "preview.png"]
DIES = Path(__file__).parent / "segment_and_die.py"


def write_frames(folder: Path) -> None:
    folder.mkdir()
    for i, frame in enumerate(frames(2, 24, 32)):
        Image.fromarray(frame).save(folder / f"{i}.png")


@pytest.fixture
def videos(tmp_path) -> Path:
    """Five videos, two of one name, one of them frames, and a note."""
    folder = tmp_path / "videos"
    folder.mkdir()
    for name in ("a.mp4", "a.mkv", "b.mp4", "c.mov"):
        write_mp4(folder / "new.mp4", frames(2, 24, 32), fps=1)
        (folder / "new.mp4").rename(folder / name)
    write_frames(folder / "d")
    (folder / "notes.txt").write_text("five videos")
    return folder


@pytest.fixture
def command(videos, light_tiny, tmp_path) -> list[str]:
    model = ["--model", str(light_tiny), "--max-new-tokens", "2", "--device", "cpu"]
    return ["segment", str(videos), "What is it?", *model, "--output", str(tmp_path / "answers")]


def answers(folder: Path) -> dict[str, int]:
    """When each finished answer was written."""
    found = {path.name: path for path in folder.iterdir() if not path.name.startswith(".")}
    assert all(sorted(p.name for p in path.iterdir()) == FILES for path in found.values())
    return {name: (path / "answer.json").stat().st_mtime_ns for name, path in found.items()}


def test_what_counts_as_a_video(videos, tmp_path):
    names = ["a.mkv", "a.mp4", "b.mp4", "c.mov", "d"]
    assert [path.name for path in find_videos(videos)] == names
    (videos / ".hidden.mp4").write_bytes(b"")
    (videos / "empty").mkdir()
    assert [path.name for path in find_videos(videos)] == names
    # Frames are one video, whatever else lies there; nothing is nothing.
    (videos / "d" / "thumbnails").mkdir()
    assert find_videos(videos / "d") == [] == find_videos(videos / "empty")


@pytest.mark.parametrize("name", ["z.gif", "z.png", "z.apng", "z.webp"])
def test_animated_pictures_are_videos_and_still_ones_are_not(videos, tmp_path, name):
    names = [path.name for path in find_videos(videos)]
    pictures = [Image.fromarray(frame) for frame in frames(2, 24, 32)]
    kind = "PNG" if name.endswith("png") else None
    pictures[0].save(videos / "cover.png")
    pictures[0].save(videos / "still.gif")
    (videos / "broken.gif").write_text("GIF89a")
    pictures[0].save(videos / "pages.tiff", save_all=True, append_images=pictures[1:])
    assert [path.name for path in find_videos(videos)] == names
    pictures[0].save(videos / name, kind, save_all=True, append_images=pictures[1:], duration=500)
    assert [path.name for path in find_videos(videos)] == [*names, name]
    # Without a video file, and as a folder that is none of frames.
    (tmp_path / "more" / "inner").mkdir(parents=True)
    for folder in (tmp_path / "more", tmp_path / "more" / "inner"):
        (folder / name).write_bytes((videos / name).read_bytes())
    assert [path.name for path in find_videos(tmp_path / "more")] == [name]


def test_every_video_is_answered_once(videos, command, tmp_path, capsys):
    """A broken one is named at the end; running again tries what is missing."""
    good = (videos / "b.mp4").read_bytes()
    (videos / "b.mp4").write_text("broken")
    assert cli.main(command) == 1
    printed = capsys.readouterr()
    assert "1 of 5 videos" in printed.err and "b.mp4: " in printed.err and "a.mkv: " in printed.out
    first = answers(tmp_path / "answers")
    assert sorted(first) == ["a.mkv", "a.mp4", "c.mov", "d"]
    for name in first:
        settings = json.loads((tmp_path / "answers" / name / "answer.json").read_text())["settings"]
        assert settings["video"] == str(videos / name) and settings["question"] == "What is it?"

    (videos / "b.mp4").write_bytes(good)
    assert cli.main(command) == 0
    second = answers(tmp_path / "answers")
    assert sorted(second) == sorted([*first, "b.mp4"])
    assert all(second[name] == written for name, written in first.items())

    other = ["What else?" if argument == "What is it?" else argument for argument in command]
    assert cli.main(other) == 1
    assert "another question" in capsys.readouterr().err
    assert cli.main([*command, "--fps", "2"]) == 1
    assert "another fps" in capsys.readouterr().err
    assert cli.main([*other, "--overwrite"]) == 0
    third = answers(tmp_path / "answers")
    assert sorted(third) == sorted(second) and all(third[name] != second[name] for name in second)


def test_one_video_takes_one_process(videos, command, monkeypatch, capsys):
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert cli.main([command[0], str(videos / "d"), *command[2:]]) == 1
    assert "one video" in capsys.readouterr().err


def launch(script: list[str], arguments: list[str]) -> subprocess.CompletedProcess:
    """Two processes with a port that torchrun finds free."""
    program = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    return subprocess.run([*program, *script, *arguments], capture_output=True, text=True, timeout=300)


@pytest.mark.skipif(not torch.distributed.is_available(), reason="needs torch.distributed")
def test_a_killed_process_loses_and_repeats_nothing(videos, command, tmp_path):
    killed = launch([str(DIES)], command)
    assert killed.returncode != 0 and "SIGKILL" in killed.stderr
    first = answers(tmp_path / "answers")
    # The second of two processes takes a.mp4 and c.mov, and dies while it writes the latter.
    assert "a.mp4" in first and "c.mov" not in first
    assert any(path.name.startswith(".c.mov.") for path in (tmp_path / "answers").iterdir())

    (videos / "b.mp4").unlink(missing_ok=True)
    (videos / "b.mp4").write_text("broken")
    again = launch(["-m", "videoglamm_hf"], command)
    second = answers(tmp_path / "answers")
    assert all(second[name] == written for name, written in first.items())
    missing = {"a.mkv", "a.mp4", "b.mp4", "c.mov", "d"} - set(second)
    # One that was answered before it broke stays answered.
    assert missing == {"b.mp4"} - set(first), again.stderr
    assert (again.returncode != 0) == bool(missing)
    assert all(f"{name}: " in again.stderr for name in missing)
    assert not [path for path in (tmp_path / "answers").iterdir() if path.name.startswith(".")]
