"""The marker of an output folder: which files of it are ours, so that nothing else is ever deleted."""

from __future__ import annotations

import hashlib
import json
import os
import stat
from pathlib import Path

MARKER = ".videoglamm-output.json"
_FORMAT = "videoglamm-output-1"
_CLOCK = 2 * 10**9  # nanoseconds; some file systems keep times no finer
_LARGEST_READ = 16 * 2**20  # bytes; of larger files the content is not noted, as reading them takes long


def write_marker(folder: Path, kind: str) -> None:
    """Notes every file of a folder as ours, by its size, time and content, for whoever replaces the folder one day.

    Args:
        folder: A folder that holds nothing but what was just written.
        kind: What it is, as messages call it: `"answer"`, `"model"`.
    """
    files = {path.as_posix(): [*_facts(folder / path), _digest(folder / path)] for path in _files(folder)}
    text = json.dumps({"format": _FORMAT, "kind": kind, "files": files}, indent=1)
    (folder / MARKER).write_text(text + "\n", encoding="utf-8")


def kind_of_output(folder: Path) -> str | None:
    """What a folder is by its marker; None if it has none that can be read."""
    return _read(folder)[0]


def own_files(folder: Path) -> list[Path]:
    """The files of a folder, relative to it, that we wrote and nobody has changed since; the marker last."""
    kind, files = _read(folder)
    own = [path for path in _files(folder) if _unchanged(files.get(path.as_posix()), folder / path)]
    return own if kind is None else [*own, Path(MARKER)]


def other_files(folder: Path) -> list[Path]:
    """The files and links of a folder, relative to it, that are not ours, or were changed after we wrote them."""
    own = set(own_files(folder))
    return [path for path in _files(folder) if path not in own]


def _read(folder: Path) -> tuple[str | None, dict[str, list[int]]]:
    try:
        marker = json.loads((folder / MARKER).read_text(encoding="utf-8"))
        if marker["format"] == _FORMAT and isinstance(marker["files"], dict):
            return str(marker["kind"]), marker["files"]
    except (OSError, ValueError, KeyError, TypeError, RecursionError):
        pass
    return None, {}


def _files(folder: Path) -> list[Path]:
    """Everything below a folder but folders and its marker, links not followed; in order."""
    found = []
    for place, folders, names in os.walk(folder):
        links = [name for name in folders if os.path.islink(os.path.join(place, name))]
        found += [Path(place, name).relative_to(folder) for name in (*names, *links)]
    return sorted(path for path in found if path != Path(MARKER))


def _facts(path: Path) -> list[int]:
    status = path.lstat()
    return [status.st_size, status.st_mtime_ns]


def _digest(path: Path) -> str | None:
    """A hash of what is in a file; None of a link, and of a large file."""
    status = path.lstat()
    if not stat.S_ISREG(status.st_mode) or status.st_size > _LARGEST_READ:
        return None
    return hashlib.sha256(path.read_bytes()).hexdigest()[:32]


def _unchanged(noted: object, path: Path) -> bool:
    """Whether a file is as it was noted: of the same size, and the same time or, as of a copy, content."""
    if not (isinstance(noted, list) and len(noted) in (2, 3) and stat.S_ISREG(path.lstat().st_mode)):
        return False
    size, time = _facts(path)
    if noted[0] != size:
        return False
    if isinstance(noted[1], int) and abs(noted[1] - time) <= _CLOCK:
        return True
    try:
        return len(noted) == 3 and noted[2] is not None and noted[2] == _digest(path)
    except OSError:
        return False
