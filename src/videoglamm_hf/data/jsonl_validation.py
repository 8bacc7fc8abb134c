"""Checking a whole JSONL file: every problem of every line, and of the videos they name."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from ..errors import VideoGlammError
from ..media_files import media_errors
from ..messages import Problem
from .jsonl_lines import lines_of, located, missing_media, parse_line
from .sample import kind_of, mismatches, sample_problems


@dataclass(frozen=True)
class _Media:
    """What opening a video or image told: its size (height, width), its frames if known; or what was wrong."""

    size: tuple[int, int] | None = None
    total: int | None = None
    error: str | None = None


def validate_jsonl(path: str | os.PathLike[str]) -> list[str]:
    """Everything that keeps a JSONL file from being trained on.

    Checks the lines as [`JsonlDataset`] does, and opens every video and image once to compare its size and number of
    frames with the masks; that decodes one frame of each. What is to be downloaded is not opened.

    Args:
        path: the file.

    Returns:
        One text per problem, as in `train.jsonl:17: masks[1][3].counts: ...`; empty if there is none. Whatever is in
        the file, nothing is raised.
    """
    path = Path(path)
    problems = []
    seen: dict[str, _Media] = {}
    samples = 0
    if not os.path.isfile(path):
        return [f"{path}: no such file; check the path"]
    try:
        with path.open("rb") as file:
            for _, number, line in lines_of(file):
                samples += 1
                problems += [f"{path}:{number}: {field}: {text}" for field, text in _problems(line, path.parent, seen)]
    except OSError as error:
        return [*problems, f"{path}: cannot be read: {error.strerror or error}; check the path"]
    return problems if samples else [f"{path}: holds no samples; write one per line"]


def _problems(line: bytes | None, folder: Path, seen: dict[str, _Media]) -> Iterator[Problem]:
    sample, problem = parse_line(line)
    problems = [problem] if problem else list(sample_problems(sample))
    yield from problems
    if problems:
        return
    kind = kind_of(sample)
    if kind is None:
        return
    media = sample[kind]
    media = [located(p, folder) for p in media] if isinstance(media, list) else located(media, folder)
    missing = list(missing_media({kind: media}))
    yield from missing
    first = media[0] if isinstance(media, list) else media
    if missing or first.lower().startswith(("http://", "https://")):
        return
    key = f"{kind} {first}"
    if key not in seen:
        seen[key] = _opened(first, is_image=kind == "image" or isinstance(media, list))
    found = seen[key]
    if found.error is not None:
        yield kind, found.error
    else:
        yield from mismatches(sample, len(media) if isinstance(media, list) else found.total, found.size)


def _opened(name: str, is_image: bool) -> _Media:
    # Imported here, for samples without files need neither Pillow nor PyAV.
    from ..clip_sources import open_clip, read_image

    try:
        with media_errors(name):
            if is_image:
                return _Media(read_image(name).shape[:2], 1)
            with open_clip(name) as clip:
                return _Media(clip.size, len(clip))
    except VideoGlammError as error:
        return _Media(error=str(error))
