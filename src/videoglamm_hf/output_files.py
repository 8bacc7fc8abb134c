"""Output files and folders that appear only when complete, and are never half-written or lost."""

import contextlib
import glob
import os
import secrets
import shutil
import uuid
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path

from .errors import OutputError


def check_output(output: Path, *, overwrite: bool, inputs: Iterable[Path] = ()) -> None:
    """Refuses an output folder that must not be written.

    Args:
        output: The folder.
        overwrite: Whether a folder with contents may be replaced.
        inputs: Files and folders that are read; replacing a folder that holds one would lose it.

    Raises:
        OutputError: If it is a file, is not empty without `overwrite`, or holds something that is needed.
    """
    with explained_writes(output):
        if not output.exists():
            return
        if not output.is_dir():
            raise OutputError(f"{output} is a file; give a folder as --output.")
        if not any(output.iterdir()):
            return
    if not overwrite:
        raise OutputError(f"{output} exists and is not empty; give another --output, or --overwrite to replace it.")
    for needed in (*inputs, Path.cwd()):
        needed = needed.resolve()
        if output.resolve() in (needed, *needed.parents):
            raise OutputError(f"{output} cannot be replaced: it is or holds {needed}. Give another --output.")


@contextmanager
def replacing_folder(output: Path) -> Iterator[Path]:
    """A temporary folder beside `output` that takes its place when the block ends, and vanishes if it fails.

    What was at `output` stays there until the new folder is complete, and is removed afterwards.

    Raises:
        OutputError: If nothing can be written there.
    """
    output = output.resolve()
    token = uuid.uuid4().hex[:8]
    folder = output.parent / f".{output.name}.{token}.incomplete"
    old = output.parent / f".{output.name}.{token}.replaced"
    try:
        with explained_writes(output):
            output.parent.mkdir(parents=True, exist_ok=True)
            folder.mkdir()
        yield folder
        with explained_writes(output):
            _swap(folder, output, old)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    shutil.rmtree(old, ignore_errors=True)


def leftovers(output: Path) -> list[Path]:
    """Temporary folders that killed runs left beside `output`."""
    output = output.resolve()
    name = glob.escape(output.name)
    return sorted(path for end in ("incomplete", "replaced") for path in output.parent.glob(f".{name}.*.{end}"))


def _swap(folder: Path, output: Path, old: Path) -> None:
    try:
        if output.exists():
            output.rename(old)
        folder.rename(output)
    except BaseException:
        if old.exists() and not output.exists():
            old.rename(output)
        raise


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

    Until then what was at `path` stays there; if the block fails, what was written vanishes.

    Raises:
        OSError: The file written cannot take its place.
    """
    path = Path(path)
    # Short, as a name next to a very long one could be too long.
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
