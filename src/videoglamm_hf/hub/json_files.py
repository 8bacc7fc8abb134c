"""JSON files of a model as they may be published: without paths of the machine they come from."""

import json
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..conversion.checkpoint_reader import read_json
from ..errors import CheckpointError

# Where a model or tokenizer was loaded from; nothing reads these again.
_SOURCES = ("_name_or_path", "name_or_path")
_LOCAL_PATH = re.compile(r"(/|~/|\.{1,2}/|[A-Za-z]:[\\/]|\\\\|file:)\S")
# Folders of one person or one machine, in running text: where homes, disks and clusters keep their files.
_ROOTS = (
    "home|Users|root|tmp|mnt|media|data|work|workspace|workdir|scratch|content|srv|opt|var|private|Volumes|gpfs|lustre"
    "|nfs|fsx|net|projects?|storage|cluster|shared?|raid|ssd|hdd|disk|nvme|efs|dbfs|kaggle"
)
_PATH_IN_TEXT = re.compile(
    rf"(?<![\w.:/~-])(?:/(?:{_ROOTS})\d*/|file:///?|[A-Za-z]:\\{{1,2}}(?:{_ROOTS})\\{{1,2}})[\w.~-]+"
    r"|(?<![\w/])~/[\w.~-]+/"
)
# Of the Hub, GitHub, GitLab, OpenAI and the like, Slack, Amazon and Google; keys of ssh and the like.
_TOKEN = re.compile(
    r"\bhf_[A-Za-z0-9]{20,}|\bgh[opsru]_[A-Za-z0-9]{30,}|\bgithub_pat_\w{20,}|\bglpat-[\w-]{20,}|\bsk-[\w-]{20,}"
    r"|\bxox[abprs]-[\w-]{10,}|\bAKIA[A-Z0-9]{16}\b|\bAIza[\w-]{35}|-----BEGIN [A-Z ]*PRIVATE KEY-----"
)


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
        check_values(path.name, cleaned)
    except RecursionError as error:
        raise CheckpointError(f"{path} is nested too deeply to be a file of a model.") from error
    return path.read_bytes() if cleaned == value else (json.dumps(cleaned, indent=2, sort_keys=True) + "\n").encode()


def check_text(name: str, text: str, own_paths: Iterable[Path] = ()) -> None:
    """Refuses text that must not be published.

    Args:
        name: What messages call it.
        text: The text.
        own_paths: Folders of this machine that it must not name, wherever they are.

    Raises:
        CheckpointError: If it holds an access token, or a path inside somebody's own folders.
    """
    check_tokens(name, text)
    match = _PATH_IN_TEXT.search(text)
    found = match and match.group()
    # The root and the like are in every text.
    own = (str(path) for path in own_paths if len(path.parts) > 2)
    found = found or next((path for path in own if path in text), None)
    if found:
        raise CheckpointError(f"{name} names the local path {found!r}; remove it before publishing.")


def check_tokens(name: str, text: str) -> None:
    """Raises CheckpointError if a text holds an access token or a private key."""
    if _TOKEN.search(text):
        raise CheckpointError(f"{name} holds what looks like an access token; remove it, and revoke the token.")


def check_values(name: str, value: Any) -> None:
    """Raises CheckpointError if a string in a JSON value is a local path."""
    for place, text in _strings(value):
        if is_local_path(text):
            raise CheckpointError(
                f"{name} names the local path {text!r} ({place}), which means nothing on another machine; remove it "
                "or write the Hub id."
            )


def _without_sources(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _without_sources(item) for key, item in value.items() if key not in _SOURCES}
    return value


def _strings(value: Any, place: str = "") -> Iterator[tuple[str, str]]:
    """Every string in a JSON value, keys included, with its place; texts of several lines, as templates, left out."""
    if isinstance(value, str) and "\n" not in value:
        yield place, value
    elif isinstance(value, (dict, list)):
        items = value.items() if isinstance(value, dict) else enumerate(value)
        for key, item in items:
            if isinstance(key, str):
                yield f"a key of {place or 'the object'}", key
            yield from _strings(item, f"{place}.{key}" if place else str(key))
