"""The lines of a JSONL file and the files they name, before anything of them is a training sample."""

import json
import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from ..limits import lift, limit
from ..media_files import is_url, short_name, without_file_scheme
from ..messages import VISUALS, Problem

MAX_LINE_BYTES = limit(
    "VIDEOGLAMM_MAX_LINE_BYTES", 2**28
)  # hours of masks; keeps a file that is no JSONL from filling the memory


def lines_of(file: BinaryIO) -> Iterator[tuple[int, int, bytes | None]]:
    """Offset, number from 1 and bytes of each line that is not blank; None for one that is too long."""
    offset, number = file.tell(), 0
    while line := file.readline(MAX_LINE_BYTES):
        number += 1
        size, part = len(line), line
        while len(part) == MAX_LINE_BYTES and not part.endswith(b"\n"):
            part = file.readline(MAX_LINE_BYTES)
            size += len(part)
        if size > len(line):
            yield offset, number, None
        elif line.strip():
            yield offset, number, line
        offset += size


def parse_line(line: bytes | None) -> tuple[Any, Problem | None]:
    """What a line holds, and why it cannot be read, if so."""
    if line is None:
        advice = f"write one sample per line, or {lift('VIDEOGLAMM_MAX_LINE_BYTES')}"
        return None, ("line", f"is longer than {MAX_LINE_BYTES} bytes; {advice}")
    try:
        return json.loads(line.decode("utf-8"), parse_constant=_refuse), None
    except UnicodeDecodeError as error:
        return None, ("line", f"is not UTF-8 text at byte {error.start + 1}")
    except json.JSONDecodeError as error:
        return None, ("line", f"is not JSON: {error.msg} at character {error.pos + 1}")
    except (ValueError, RecursionError) as error:
        return None, ("line", f"is not JSON: {error}")


def located(path: str, folder: Path) -> str:
    """Where a path of a line leads: URLs and absolute paths as they are, others from the file's folder."""
    return path if is_url(path) else str(folder / without_file_scheme(path))


def media_paths(sample: dict[str, Any]) -> list[tuple[str, str]]:
    """Field and path of each file a sample names."""
    found = []
    for kind in VISUALS:
        media = sample.get(kind)
        if isinstance(media, list):
            found += [(f"{kind}[{i}]", path) for i, path in enumerate(media)]
        elif media is not None:
            found.append((kind, media))
    return [(field, path) for field, path in found if not is_url(path)]


def missing_media(sample: dict[str, Any]) -> Iterator[Problem]:
    """Files of a sample that do not exist."""
    for field, path in media_paths(sample):
        if not os.path.exists(path):
            yield field, f"{short_name(path)}: no such file or folder; paths start from the folder of the JSONL file"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")
