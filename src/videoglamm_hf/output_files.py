"""Output files and folders that appear only when complete, and are never half-written or lost.

What is replaced was written by this package: an output folder carries a marker that lists its files
(output_marker.py), and whatever else lies in it stays.
"""

from __future__ import annotations

import contextlib
import hashlib
import logging
import os
import re
import secrets
import shutil
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError
from .file_locks import LocksUnsupported, lock_file, locked
from .output_marker import MARKER, kind_of_output, other_files, own_files, write_marker

logger = logging.getLogger(__name__)

_LONGEST_NAME = 255 - 40  # bytes of a name, so that the endings of temporary names fit


def check_output(output: Path, *, overwrite: bool, inputs: Iterable[Path] = (), kind: str = "folder") -> None:
    """Refuses an output folder that must not be written; removes what killed runs left of it.

    Args:
        output: The folder.
        overwrite: Whether a folder with contents may be replaced, if we wrote it.
        inputs: Files and folders that are read; replacing a folder that holds one would lose it.
        kind: What is to be written, see [`replacing_folder`].

    Raises:
        OutputError: If it is a file, is not empty without `overwrite`, holds something that is needed or something
            that we did not write in place of what is to be written, or another process is writing it.
    """
    clear_leftovers(output)
    with explained_writes(output):
        if not output.exists():
            return
        if not output.is_dir():
            raise OutputError(f"{output} is a file; give a folder as --output.")
        if not any(output.iterdir()):
            return
        if not overwrite:
            raise OutputError(
                f"{output} exists and is not empty; give another --output, or --overwrite to replace it."
            )
        for needed in (*inputs, Path.cwd()):
            if _holds(output, needed):
                raise OutputError(f"{output} cannot be replaced: it is or holds {needed}. Give another --output.")
        _check_ours(output, kind)


@contextmanager
def replacing_folder(output: Path, kind: str = "folder", *, overwrite: bool = True) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its place when the block ends, and vanishes if it fails.

    What was at `output` stays there until the new folder is complete. Then what we wrote of it is removed; anything
    else in it is taken over into the new folder.

    Args:
        output: The folder.
        kind: What it is, for its marker: an `"answer"` never replaces a `"model"`.
        overwrite: Whether a folder that has contents by now may be replaced.

    Raises:
        OutputError: If nothing can be written there, another process is writing it, or something that is not ours
            has the name of a file that is to be written.
    """
    output = output.resolve()
    with explained_writes(output):
        output.parent.mkdir(parents=True, exist_ok=True)
    with _exclusively(output):
        if not overwrite and output.exists() and any(output.iterdir()):
            raise OutputError(f"{output} has been written by another process meanwhile; give another --output.")
        token = secrets.token_hex(4)
        folder, old = (_beside(output, f".{token}.{end}") for end in ("incomplete", "replaced"))
        try:
            with explained_writes(output):
                folder.mkdir()
                write_marker(folder, kind)
            yield folder
            with explained_writes(output):
                write_marker(folder, kind)
                _check_room(output, folder)
                _swap(folder, output, old)
        except BaseException:
            shutil.rmtree(folder, ignore_errors=True)
            raise
        with contextlib.suppress(OSError):
            _retire(old, output)


def clear_leftovers(output: Path) -> None:
    """Removes what killed runs left beside `output`, and puts back what one had moved away.

    Raises:
        OutputError: If another process is writing `output` right now.
    """
    output = output.resolve()
    if not _leftovers(output):
        return
    with _exclusively(output):
        for left in _leftovers(output):
            with contextlib.suppress(OSError):
                if left.name.endswith(".replaced"):
                    if output.exists():
                        _retire(left, output)
                    else:
                        left.rename(output)
                elif (left / MARKER).is_file():
                    shutil.rmtree(left)
                else:
                    left.rmdir()  # killed before anything was written
            if not left.exists():
                logger.warning("%s: tidied up what an interrupted run left behind", output)


def _leftovers(output: Path) -> list[Path]:
    """Temporary folders of killed runs, or of one that is at work."""
    pattern = re.compile(rf"{re.escape(_beside(output, '').name)}\.[0-9a-f]{{8}}\.(incomplete|replaced)")
    try:
        return sorted(path for path in output.parent.iterdir() if pattern.fullmatch(path.name) and path.is_dir())
    except OSError:
        return []


def _beside(output: Path, ending: str) -> Path:
    """A hidden name beside `output` that tells whose it is; of a very long name its beginning and a hash."""
    name = output.name
    if len(os.fsencode(name)) > _LONGEST_NAME:
        digest = hashlib.sha256(os.fsencode(name)).hexdigest()[:16]
        while len(os.fsencode(name)) > _LONGEST_NAME - len(digest) - 1:
            name = name[:-1]
        name = f"{name}~{digest}"
    return output.with_name(f".{name}{ending}")


@contextmanager
def _exclusively(output: Path) -> Iterator[None]:
    with contextlib.ExitStack() as stack:
        with explained_writes(output):
            if not stack.enter_context(locked(_beside(output, ".lock"))):
                raise OutputError(f"Another process is writing {output}; wait for it, or give another --output.")
        yield


def _holds(folder: Path, path: Path) -> bool:
    """Whether a folder is or holds what is at a path, by any name: links, `..` and letter case make no difference."""
    status = folder.stat()
    for place in (path.absolute(), path.resolve()):
        for above in (place, *place.parents):
            with contextlib.suppress(OSError):
                if os.path.samestat(above.stat(), status):
                    return True
    return False


def _check_ours(output: Path, kind: str) -> None:
    found = kind_of_output(output)
    if found is None:
        raise OutputError(
            f"{output} was not written by videoglamm, or not by this version (it has no {MARKER}), so it is not "
            "replaced. Delete it yourself, or give another --output."
        )
    if found != kind:
        raise OutputError(
            f"{output} holds another kind of output ({found}, not {kind}), so it is not replaced. Delete it yourself, "
            "or give another --output."
        )


def _check_room(output: Path, folder: Path) -> None:
    """Refuses to put a file in place of one that is not ours."""
    if not output.is_dir():
        if os.path.lexists(output):
            raise OutputError(f"{output} is a file where a folder is to be written; move it away.")
        return
    for path in other_files(output):
        if os.path.lexists(folder / path) or any((folder / above).is_file() for above in path.parents):
            raise OutputError(
                f"{output / path} was not written by videoglamm, or was changed since, so it is not replaced. Move it "
                "away, or give another --output."
            )


def _swap(folder: Path, output: Path, old: Path) -> None:
    try:
        if output.exists():
            output.rename(old)
        folder.rename(output)
    except BaseException:
        if old.exists() and not output.exists():
            old.rename(output)
        raise


def _retire(old: Path, output: Path) -> None:
    """Deletes our files of a folder that was replaced, and takes the others over."""
    if not old.is_dir():
        return
    own = own_files(old)
    for path in own:
        (old / path).unlink()
    for above in sorted({above for path in own for above in path.parents}, key=lambda p: -len(p.parts)):
        with contextlib.suppress(OSError):  # something else is in it
            (old / above).rmdir()
    if old.is_dir():
        _take_over(old, output)


def _take_over(source: Path, target: Path) -> None:
    for entry in source.iterdir():
        place = target / entry.name
        if not os.path.lexists(place):
            entry.rename(place)
        elif entry.is_dir() and not entry.is_symlink() and place.is_dir():
            _take_over(entry, place)
    with contextlib.suppress(OSError):
        source.rmdir()


@contextmanager
def explained_writes(path: Path) -> Iterator[None]:
    """Turns an operating system's complaint about writing `path` into one for people."""
    try:
        yield
    except OutputError:
        raise
    except OSError as error:
        raise OutputError(
            f"{path} cannot be written: {error.strerror or error}. Check the path, its permissions and the free space."
        ) from error


@contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to: what is written there replaces `path` when the block ends.

    Until then what was at `path` stays there; if the block fails, what was written vanishes. What a killed process
    left is written over by the next one. Of several processes each writes its own, and the last one's stays.

    Raises:
        OSError: The file written cannot take its place.
    """
    path = Path(path)
    # Short, as a name next to a very long one could be too long.
    digest = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    aside = path.with_name(f".{digest}.part")
    descriptor = None
    with contextlib.suppress(LocksUnsupported):
        descriptor = lock_file(aside)
    if descriptor is None:
        aside = path.with_name(f".{digest}.{secrets.token_hex(8)}.part")
    try:
        if descriptor is not None:
            os.ftruncate(descriptor, 0)
        yield aside
        os.replace(aside, path)
    except BaseException:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
        raise
    finally:  # last: once the lock is free, a file of this name may be another's
        if descriptor is not None:
            os.close(descriptor)
