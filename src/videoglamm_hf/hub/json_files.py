"""JSON files of a model as they may be published: without paths of the machine they come from."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..conversion.checkpoint_reader import read_json
from ..errors import CheckpointError

# Where a model or tokenizer was loaded from; nothing reads these again.
_SOURCES = ("_name_or_path", "name_or_path")
_LOCAL_PATH = re.compile(r"(/|~/|\.{1,2}/|[A-Za-z]:[\\/]|file:)\S")
# Folders of one person or one machine, in running text.
_PATH_IN_TEXT = re.compile(r"(?<![\w.:/])(?:/home/|/Users/|/root/|/tmp/|/mnt/|[A-Za-z]:\\Users\\)[\w.~-]+")
_TOKEN = re.compile(r"\bhf_[A-Za-z0-9]{20,}")


def is_local_path(value: str) -> bool:
    """Whether a string is a path, not an id on the Hub.

    >>> is_local_path("/data/model"), is_local_path("user/model")
    (True, False)
    """
    return _LOCAL_PATH.match(value) is not None


def published_json(path: Path, **changes: Any) -> bytes:
    """A JSON object file as it may be published.

    Args:
        path: The file.
        changes: Values to set.

    Returns:
        The file's own bytes if nothing has to change.

    Raises:
        CheckpointError: If it is no JSON object, or another of its values is a local path.
    """
    value = read_json(path)
    try:
        cleaned = {**_without_sources(value), **changes}
        strings = list(_strings(cleaned))
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply to be a file of a model.") from error
    for place, text in strings:
        if is_local_path(text):
            raise CheckpointError(
                f"{path.name} names the local path {text!r} ({place}), which means nothing on another machine; "
                "remove it or write the Hub id."
            )
    return path.read_bytes() if cleaned == value else (json.dumps(cleaned, indent=2, sort_keys=True) + "\n").encode()


def check_text(name: str, text: str) -> None:
    """Refuses text that must not be published.

    Raises:
        CheckpointError: If it holds an access token, or a path inside somebody's own folders.
    """
    if _TOKEN.search(text):
        raise CheckpointError(f"{name} holds what looks like an access token; remove it, and revoke the token.")
    found = _PATH_IN_TEXT.search(text)
    if found:
        raise CheckpointError(f"{name} names the local path {found.group()!r}; remove it before publishing.")


def _without_sources(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sources(item) for key, item in value.items() if key not in _SOURCES}
    return value


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value with its place, templates and other texts of several lines left out."""
    if isinstance(value, str) and "\n" not in value:
        yield place, value
    elif isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            yield from _strings(item, f"{place}.{key}" if place else str(key))
