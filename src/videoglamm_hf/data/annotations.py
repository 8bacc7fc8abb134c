"""Reading annotation files that others wrote: JSON members, frames, masks as pictures; errors say where."""

from __future__ import annotations

import contextlib
import json
import operator
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

from ..errors import InputError, MediaError
from ..media_files import local_file, media_errors, short_name

if TYPE_CHECKING:
    from PIL import Image

_T = TypeVar("_T")
_LONGEST_NAME = 250  # bytes, so that a suffix fits
_JSON_NAMES = {dict: "an object", list: "a list", str: "text", int: "a whole number"}


def load_json(path: Path, kind: type[_T] | tuple[type[_T], ...] = dict) -> _T:
    """The object in a JSON file; or the list if `kind` is `list`, or either if it is both.

    Raises:
        InputError: the file cannot be read, is not JSON, names something twice, or holds something else; the message
            names it.
    """
    try:
        value = json.loads(path.read_bytes(), object_pairs_hook=_without_duplicates)
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path and the layout of the folder") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; check the path") from error
    except _DuplicateError as error:
        raise InputError(f"{path}: {error}; of two of one name one would be lost, so rename or remove one") from error
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: not JSON: {error}; copy or download it again") from error
    if not isinstance(value, kind):
        kinds = kind if isinstance(kind, tuple) else (kind,)
        expected = " or ".join(_JSON_NAMES[one].split()[-1] for one in kinds)
        raise InputError(f"{path}: must hold a JSON {expected}, not {type(value).__name__}")
    return value


class _DuplicateError(ValueError):
    """A JSON object that has two members of one name."""


def _without_duplicates(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    if len(members) != len(pairs):
        seen: set[str] = set()
        twice = next(name for name, _ in pairs if name in seen or seen.add(name))
        raise _DuplicateError(f"an object has {twice!r:.80} twice")
    return members


def member(parent: dict[str, Any], key: str, kind: type[_T], where: str) -> _T:
    """A member of a JSON object, of the type it must have.

    Raises:
        InputError: it is missing or of another type; the message names it as `where` and the key.
    """
    if key not in parent:
        raise InputError(f"{where}{key}: missing")
    return typed(parent[key], kind, f"{where}{key}")


def typed(value: Any, kind: type[_T], where: str) -> _T:
    """A value of the type it must have; True and False are no numbers."""
    if not isinstance(value, kind) or isinstance(value, bool):
        raise InputError(f"{where}: must be {_JSON_NAMES[kind]}, not {type(value).__name__}")
    return value


def inner_name(name: Any, where: str) -> str:
    """The name of a file or folder that annotations give, which must stay inside the dataset's folder.

    Raises:
        InputError: it is no text, absolute, empty, climbs with `..`, or is none that a file can have; the message
            names it as `where`.
    """
    parts = typed(name, str, where).replace("\\", "/").split("/")
    if "" in parts or not set(parts).isdisjoint({".", ".."}) or "\0" in name or ":" in parts[0]:
        raise InputError(f"{where}: {name!r:.80} leads out of the dataset's folder; only names inside it are read")
    try:
        longest = max(len(os.fsencode(part)) for part in parts)
    except UnicodeEncodeError as error:
        raise InputError(
            f"{where}: {name!r:.80} holds half a character, which no file's name can; rename it"
        ) from error
    if longest > _LONGEST_NAME:
        raise InputError(f"{where}: {name!r:.80} is longer than the name of any file ({longest} bytes); rename it")
    return name


def existing_frames(folder: Path, names: Sequence[str]) -> list[str]:
    """Paths of frames.

    Raises:
        MediaError: one of them does not exist.
    """
    paths = [os.path.join(folder, name) for name in names]
    for path in paths:
        if not os.path.exists(path):
            raise MediaError(f"{short_name(path)}: no such frame; check the dataset's folder, or download it again")
    return paths


@contextlib.contextmanager
def opened_annotation(path: Path, modes: Sequence[str], expected: str) -> Iterator[Image.Image]:
    """An annotation picture, not decoded yet; what goes wrong while it is decoded is a MediaError, too.

    Args:
        path: the file.
        modes: Pillow's modes that it may have.
        expected: what messages say of a picture of another mode.

    Raises:
        MediaError: the file is missing, damaged, no picture, or of another mode.
    """
    # Imported here, for most annotations are no pictures.
    from ..picture_files import open_picture

    name = short_name(str(path))
    with local_file(str(path)) as file, media_errors(name):
        picture = open_picture(file, name)
        if picture is None:
            raise MediaError(f"{name}: not a picture; {expected}")
        with picture:
            if picture.mode not in modes:
                raise MediaError(f"{name}: a picture of mode {picture.mode}; {expected}")
            yield picture


def read_object_ids(path: Path) -> np.ndarray:
    """An annotation picture whose pixels are numbers of objects, 0 for background.

    Returns:
        uint8 [H, W]: the indices of a palette picture, or the values of a grey one.

    Raises:
        MediaError: the file is missing, damaged, or neither of these.
    """
    expected = "annotations are PNG files with a palette, whose indices are the numbers of objects"
    with opened_annotation(path, ("P", "L"), expected) as picture:
        return np.array(picture)


def read_mask_picture(path: Path) -> np.ndarray:
    """An annotation picture of one object: whatever is not black.

    Returns:
        bool [H, W].

    Raises:
        MediaError: the file is missing, damaged, or not of one channel of 8 bits or 1.
    """
    expected = "masks are PNG files in black and white, of one channel of 8 bits or 1, or with a palette"
    with opened_annotation(path, ("1", "L", "P"), expected) as picture:
        return np.asarray(picture if picture.mode != "P" else picture.convert("L")).astype(bool)


def picture_size(path: str) -> tuple[int, int]:
    """(height, width) of a picture, which is not decoded.

    Raises:
        MediaError: the file is missing or no picture.
    """
    from ..picture_files import open_picture

    name = short_name(path)
    with local_file(path) as file, media_errors(name):
        picture = open_picture(file, name)
        if picture is None:
            raise MediaError(f"{name}: not a picture; download it again")
        with picture:
            return picture.height, picture.width


def checked_index(index: int, length: int) -> int:
    """A position in range(length) from an index that may count from the end.

    Raises:
        TypeError: the index is not a whole number.
        IndexError: there is no such sample.
    """
    try:
        index = operator.index(index)
    except TypeError:
        raise TypeError(
            f"a sample is taken by one whole number, not {index!r:.80}; take several as "
            "[dataset[i] for i in ...] or with torch.utils.data.Subset"
        ) from None
    if not -length <= index < length:
        raise IndexError(f"there is no sample {index}; the dataset has {length}")
    return index % length
