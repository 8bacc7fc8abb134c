"""What is written appears whole or not at all, and nothing that somebody else wrote is ever deleted."""

import errno
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.common_suites.small_models import model_config
from tests.tiny_checkpoint import frames
from videoglamm_hf import OutputError, cli
from videoglamm_hf.data.output_names import safe_name
from videoglamm_hf.output_files import (
    check_output,
    clear_leftovers,
    explained_writes,
    replacing_file,
    replacing_folder,
)
from videoglamm_hf.output_marker import MARKER, own_files
from videoglamm_hf.render.video_encoding import write_mp4


def write(output: Path, kind: str = "answer", **files: str) -> None:
    """An output folder of `name__in__folders=content`."""
    with replacing_folder(output, kind) as folder:
        for name, content in files.items():
            path = folder / name.replace("__", "/")
            path.parent.mkdir(exist_ok=True)
            path.write_text(content)


def content(folder: Path) -> dict[str, str]:
    """Everything below a folder but markers."""
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != MARKER
    }


# Overwriting


def test_only_what_was_written_is_replaced(tmp_path):
    output, elsewhere = tmp_path / "out", tmp_path / "elsewhere"
    write(output, a="1", b="1", deep__c="1", deep__d="1")
    elsewhere.mkdir()
    (elsewhere / "kept").write_text("kept")
    (output / "notes").write_text("mine")
    (output / "deep" / "notes").write_text("mine too")
    (output / "empty").mkdir()
    (output / "link").symlink_to(elsewhere)
    check_output(output, overwrite=True, kind="answer")
    write(output, a="2", deep__c="2")
    assert content(output) == {"a": "2", "deep/c": "2", "notes": "mine", "deep/notes": "mine too"}
    assert (output / "empty").is_dir() and (output / "link").is_symlink()
    assert content(elsewhere) == {"kept": "kept"}
    assert sorted(path.name for path in tmp_path.iterdir()) == ["elsewhere", "out"]
    # And again: what was taken over has not become ours.
    write(output, a="3")
    assert content(output) == {"a": "3", "notes": "mine", "deep/notes": "mine too"}


@pytest.mark.parametrize("how", ["changed", "a file in its place", "a link in its place", "never ours"])
def test_what_is_not_ours_is_not_written_over(tmp_path, how):
    output = tmp_path / "out"
    write(output, a="1", b="1")
    name = "c" if how == "never ours" else "a"
    if how == "a link in its place":
        (output / "a").rename(tmp_path / "target")
        (output / "a").symlink_to(tmp_path / "target")
    elif how == "a file in its place":
        (output / "a").unlink()
        (output / "a").mkdir()
        (output / "a" / "mine").write_text("1")
    else:
        (output / name).write_text("mine and longer")
    before = content(output)
    with pytest.raises(OutputError, match=rf"out.{name}.* was not written by videoglamm, or was changed"):
        write(output, a="2", c="2")
    assert content(output) == before
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


@pytest.mark.parametrize("kind", ["a model", "a dataset", "frames", "a broken marker"])
def test_folders_of_another_kind_are_left_alone(tmp_path, kind):
    output = tmp_path / "out"
    if kind == "a model":
        write(output, kind="model", config="{}")
    else:
        output.mkdir()
        (output / {"a dataset": "train.jsonl", "frames": "0.png"}.get(kind, MARKER)).write_text("[")
    before = content(output)
    with pytest.raises(OutputError, match="Delete it yourself, or give another --output"):
        check_output(output, overwrite=True, kind="answer")
    assert content(output) == before


def by_another_name(path: Path, how: str, monkeypatch: pytest.MonkeyPatch) -> Path:
    if how == "link":
        link = path.with_name("link")
        link.symlink_to(path, target_is_directory=True)
        return link
    if how == "dots":
        return path / ".." / path.name / "." / ".." / path.name
    if how == "relative":
        monkeypatch.chdir(path.parent)
        return Path(path.name)
    return path


@pytest.mark.parametrize("how", ["same", "link", "dots", "relative"])
@pytest.mark.parametrize("where", ["inside", "deep inside", "equal"])
def test_an_output_that_holds_the_input_is_refused(tmp_path, monkeypatch, where, how):
    output = tmp_path / "out"
    write(output, a="1")
    (output / "deep").mkdir()
    needed = {"inside": output / "clip.mp4", "deep inside": output / "deep" / "clip.mp4", "equal": output}[where]
    if where != "equal":
        needed.write_text("video")
    for given, read in ((by_another_name(output, how, monkeypatch), needed), (output, needed)):
        with pytest.raises(OutputError, match=r"is or holds .* Give another --output"):
            check_output(given, overwrite=True, inputs=[read], kind="answer")


def test_an_input_that_is_a_link_is_checked_at_both_ends(tmp_path):
    output = tmp_path / "out"
    write(output, a="1")
    (tmp_path / "video").write_text("video")
    (output / "inner").write_text("video")
    (output / "link").symlink_to(tmp_path / "video")
    (tmp_path / "link").symlink_to(output / "inner")
    for needed in (output / "link", tmp_path / "link"):
        with pytest.raises(OutputError, match="is or holds"):
            check_output(output, overwrite=True, inputs=[needed], kind="answer")


def test_letter_case_hides_no_input(tmp_path, monkeypatch):
    """As on file systems where `Out` and `out` are one folder."""
    write(tmp_path / "out", a="1")
    (tmp_path / "OUT").symlink_to("out")  # stands for the same folder by its other name
    monkeypatch.setattr(Path, "resolve", lambda self, strict=False: self.absolute())
    with pytest.raises(OutputError, match="is or holds"):
        check_output(tmp_path / "out", overwrite=True, inputs=[tmp_path / "OUT" / "a"], kind="answer")


@pytest.mark.parametrize("where", ["inside", "equal", "the model", "the folder of videos"])
def test_segment_never_deletes_its_input(tmp_path, light_tiny, capsys, where):
    output = tmp_path / "out"
    write(output, old="1")
    write_mp4(output / "clip.mp4", frames(2, 24, 32), fps=1)
    video, model = output / "clip.mp4", light_tiny
    if where == "equal":
        output, video = video, video
    elif where == "the model":
        video, output = output / "clip.mp4", light_tiny
    elif where == "the folder of videos":
        video = output
    before = {
        path: path.read_bytes() for path in (*output.rglob("*"), tmp_path / "out" / "clip.mp4") if path.is_file()
    }
    arguments = ["segment", str(video), "?!", "--model", str(model), "--output", str(output), "--overwrite"]
    assert cli.main(arguments) == 1
    assert "give " in capsys.readouterr().err.lower()
    assert all(path.read_bytes() == data for path, data in before.items())


# Several processes, and killed ones

HOLD = """
import sys
from pathlib import Path
from videoglamm_hf.output_files import replacing_folder, replacing_file
which = {"folder": replacing_folder, "file": replacing_file}[sys.argv[1]]
with which(Path(sys.argv[2])) as aside:
    ((aside / "a") if sys.argv[1] == "folder" else aside).write_text("theirs")
    print("ready", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_process():
    """Starts a process that writes an output and waits."""
    started = []

    def start(which: str, output: Path) -> subprocess.Popen:
        process = subprocess.Popen(
            [sys.executable, "-c", HOLD, which, str(output)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        started.append(process)
        assert process.stdout.readline() == "ready\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def test_two_processes_do_not_write_one_folder(tmp_path, other_process):
    output = tmp_path / "out"
    other = other_process("folder", output)
    for attempt in (lambda: check_output(output, overwrite=True), lambda: write(output, a="ours")):
        with pytest.raises(OutputError, match=r"Another process is writing .*out; wait for it"):
            attempt()
    other.communicate("")
    assert content(output) == {"a": "theirs"}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    with pytest.raises(OutputError, match="meanwhile"), replacing_folder(output, overwrite=False):
        pass
    assert content(output) == {"a": "theirs"}


def test_what_a_killed_process_left_is_removed(tmp_path, other_process, caplog):
    output = tmp_path / "out"
    write(output, b="before")
    other = other_process("folder", output)
    other.kill()
    other.wait()
    (tmp_path / ".out.0123abcd.incomplete").mkdir()  # killed before its first file
    (tmp_path / ".out.mine.incomplete").mkdir()  # not ours, by its name
    (tmp_path / ".out.89abcdef.incomplete").mkdir()  # nor this, by its content
    (tmp_path / ".out.89abcdef.incomplete" / "thesis.txt").write_text("mine")
    clear_leftovers(output)
    names = sorted(path.name for path in tmp_path.iterdir())
    assert names == [".out.89abcdef.incomplete", ".out.mine.incomplete", "out"]
    assert content(output) == {"b": "before"} and "interrupted run" in caplog.text


@pytest.mark.parametrize("moment", ["between", "after"])
def test_a_run_killed_while_it_replaced_loses_nothing(tmp_path, moment):
    output, old = tmp_path / "out", tmp_path / ".out.0123abcd.replaced"
    write(output, a="1", b="1")
    (output / "mine").write_text("mine")
    output.rename(old)
    if moment == "after":
        write(output, a="2")
    clear_leftovers(output)
    assert content(output) == {"mine": "mine", **({"a": "2"} if moment == "after" else {"a": "1", "b": "1"})}
    assert [path.name for path in tmp_path.iterdir()] == ["out"]


def test_files_of_killed_processes_are_written_over_and_two_do_not_mix(tmp_path, other_process):
    path = tmp_path / ("n" * 255)
    killed = other_process("file", path)
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 1
    other = other_process("file", path)
    with replacing_file(path) as aside:
        aside.write_text("ours")
    assert path.read_text() == "ours"
    other.communicate("")
    assert path.read_text() == "theirs" and len(list(tmp_path.iterdir())) == 1


# Names


@pytest.mark.parametrize(
    "name", ["n" * 255, "é" * 127, "new\nline", "-rf", os.fsdecode(b"caf\xe9"), "a*b?[c]", "..x "]
)
def test_any_name_is_written_and_tidied_up(tmp_path, name):
    output = tmp_path / name
    write(output, a="1")
    (tmp_path / ".other.0123abcd.replaced").mkdir()
    with pytest.raises(RuntimeError), replacing_folder(output) as folder:
        assert len(os.fsencode(folder.name)) <= 255
        raise RuntimeError
    write(output, a="2")
    check_output(output, overwrite=True, kind="answer")
    assert content(output) == {"a": "2"} and len(list(tmp_path.iterdir())) == 2


def test_names_made_of_names_are_good_everywhere_and_stay_apart():
    names = [
        "clip",
        "a b.mp4",
        "日本.mp4",
        "what?",
        "what*",
        "a:b",
        "x\n",
        "x\r",
        "-rf",
        ".x",
        "con",
        "NUL.mp4",
        "x.",
        "x ",
    ]
    names += [
        "n" * 255,
        "n" * 254,
        "é" * 127,
        os.fsdecode(b"caf\xe9"),
        os.fsdecode(b"caf\xe8"),
        "",
        "..",
        '<>"|\\/',
    ]
    made = [safe_name(name) for name in names]
    assert made[:3] == names[:3] and len({name.lower() for name in made}) == len(made)
    for name in made:
        name.encode()
        assert 0 < len(name.encode()) <= 130 and not set(name) & set('<>:"/\\|?*\n\r') and name[0] not in "-."
        assert name[-1] not in ". " and name.lower() not in ("con", "nul.mp4")


def test_segment_answers_about_any_name(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    stem = os.fsdecode(b'-what"is:this?\xe9\n\x1b[31m') + "日" * 70
    write_mp4(tmp_path / "clip.mp4", frames(2, 24, 32), fps=1)
    (tmp_path / "clip.mp4").rename(tmp_path / f"{stem}.mp4")
    arguments = ["segment", f"./{stem}.mp4", "What is there?", "--max-new-tokens", "2", "--device", "cpu"]
    assert cli.main(arguments) == 0, capsys.readouterr().err
    (answer,) = (path for path in tmp_path.iterdir() if path.is_dir())
    assert answer.name == f"{safe_name(stem)}_answer"
    document = json.loads((answer / "answer.json").read_text(encoding="utf-8"))
    assert document["settings"]["video"] == f"./{stem}.mp4"
    assert "\x1b[31m" not in capsys.readouterr().err
    # And the same again, to the same folder.
    assert cli.main(arguments) == 1
    assert "--overwrite" in capsys.readouterr().err


# Full disks

FULL = """
import resource, sys
from pathlib import Path
import numpy as np
from videoglamm_hf.errors import VideoGlammError
from videoglamm_hf.output_files import replacing_folder, explained_writes
from videoglamm_hf.render.video_encoding import write_mp4
noise = np.random.default_rng(0).integers(0, 256, (6, 96, 128, 3), np.uint8)
folder = Path(sys.argv[1])
for limit in map(int, sys.argv[2:]):
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, resource.RLIM_INFINITY))
    try:
        write_mp4(folder / "x.mp4", noise, fps=2)
    except VideoGlammError as error:
        print(type(error).__name__, error)
    else:
        print("whole")
    print(sorted(path.name for path in folder.iterdir()))
"""


def test_a_video_that_does_not_fit_leaves_nothing(tmp_path):
    """At every moment of writing: the first frame, the last one, the index at the end."""
    write_mp4(tmp_path / "x.mp4", frames(2, 24, 32), fps=1)
    before = (tmp_path / "x.mp4").read_bytes()
    limits = ["0", "100", "20000", "60000", "66000", "69000"]
    done = subprocess.run(
        [sys.executable, "-c", FULL, str(tmp_path), *limits, str(10**8)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert all(line == "['x.mp4']" for line in lines[1::2])
    refusals = lines[:-2:2]
    assert lines[-2] == "whole" and (tmp_path / "x.mp4").read_bytes() != before
    assert all("x.mp4: cannot be written: File too large" in line for line in refusals if line != "whole")
    assert sum(line != "whole" for line in refusals) >= 4


@pytest.mark.parametrize("where", ["answer.json", MARKER])
def test_a_full_disk_is_told_and_leaves_the_old_answer(tmp_path, monkeypatch, where):
    output = tmp_path / "out"
    write(output, a="1")
    write_text = Path.write_text

    def full(self, *args, **kwargs):
        if self.name == where:
            raise OSError(errno.ENOSPC, "No space left on device")
        return write_text(self, *args, **kwargs)

    monkeypatch.setattr(Path, "write_text", full)
    told = pytest.raises(OutputError, match=r"out.* cannot be written: No space left on device.*free space")
    with told, replacing_folder(output, "answer") as folder, explained_writes(output):
        (folder / "answer.json").write_text("{}")
    assert content(output) == {"a": "1"} and [path.name for path in tmp_path.iterdir()] == ["out"]


def test_an_answer_that_cannot_be_printed_is_an_error(tmp_path):
    if not Path("/dev/full").exists():
        pytest.skip("there is no /dev/full")
    model_config().save_pretrained(tmp_path)
    with open("/dev/full", "w") as full:
        command = [sys.executable, "-m", "videoglamm_hf", "memory", str(tmp_path), "--frames", "1", "--objects", "0"]
        done = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True)
    assert done.returncode == 1 and "cannot be printed: No space left" in done.stderr
    assert "Traceback" not in done.stderr and "Exception ignored" not in done.stderr


def test_the_marker_survives_a_copy(tmp_path, monkeypatch):
    """A copy has other times, and is ours by its content; what was changed is not, nor what is too large to read."""
    monkeypatch.setattr("videoglamm_hf.output_marker._LARGEST_READ", 4)
    write(tmp_path / "out", a="1", b="1", large="12345")
    output = tmp_path / "copy"
    shutil.copytree(tmp_path / "out", output)
    (output / "b").write_text("2")
    for name in ("a", "b", "large"):
        os.utime(output / name, (1, 1))
    assert sorted(map(str, own_files(output))) == [MARKER, "a"]
    write(output, a="3")
    assert content(output) == {"a": "3", "b": "2", "large": "12345"}


def test_markers_of_before_are_read(tmp_path):
    """They say no content, so that a file is ours by its size and time."""
    write(tmp_path / "out", a="1", b="1")
    marker = tmp_path / "out" / MARKER
    found = json.loads(marker.read_text())
    found["files"] = {name: noted[:2] for name, noted in found["files"].items()}
    marker.write_text(json.dumps(found))
    os.utime(tmp_path / "out" / "b", (1, 1))
    assert sorted(map(str, own_files(tmp_path / "out"))) == [MARKER, "a"]
