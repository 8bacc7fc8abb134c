"""Training data in two parts by video, as files of their own with the paths of their media whole."""

import json
import os
import random
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from ..checking.records import data_files
from ..data.jsonl_lines import lines_of, located, parse_line
from ..data.sample import kind_of
from ..errors import InputError
from ..output_files import explained_writes, replacing_file

# Share of the videos that is held out where data come in one part.
HELD_OUT = 0.2


def write_parts(data: Path, folder: Path, seed: int, extra: Sequence[Path] = ()) -> tuple[Path, Path]:
    """Writes `train.jsonl` and `validation.jsonl`; what comes in one part is split by video.

    Args:
        data: A JSONL file or a folder, as [`check_data`] takes it.
        folder: Where they go.
        seed: Of the split, which depends on the media's names and this alone.
        extra: Further JSONL files for the training part, such as corrections.

    Returns:
        The two files.

    Raises:
        InputError: There is only one video, so that none can be held out.
        OutputError: They cannot be written.
    """
    parts = {part: list(_samples(path)) for part, path in data_files(data).items()}
    if "samples" in parts:
        parts = _split(parts["samples"], seed, str(data))
    for part in ("train", "validation"):
        if not parts.get(part):
            raise InputError(f"{data}: has no {part}.jsonl; give both parts, or samples.jsonl alone, which is split")
    parts["train"] += [sample for path in extra for sample in _samples(path)]
    files = []
    for part in ("train", "validation"):
        path = folder / f"{part}.jsonl"
        with explained_writes(path), replacing_file(path) as aside:
            aside.write_text("".join(json.dumps(sample) + "\n" for sample in parts[part]), encoding="utf-8")
        files.append(path)
    return files[0], files[1]


def _samples(path: Path) -> Iterable[dict[str, Any]]:
    """The samples of a file, whose media are named from anywhere."""
    if not path.is_file():
        raise InputError(f"{path}: no such file; give a JSONL file of samples")
    with path.open("rb") as file:
        for _, number, line in lines_of(file):
            sample, problem = parse_line(line)
            if problem is not None or not isinstance(sample, dict):
                raise InputError(f"{path}:{number}: {problem[1] if problem else 'is no sample'}")
            kind = kind_of(sample)
            if kind is not None:
                media, folder = sample[kind], path.parent.resolve()
                here = [located(own, folder) for own in media] if isinstance(media, list) else located(media, folder)
                sample = {**sample, kind: here}
            yield sample


def _split(samples: list[dict[str, Any]], seed: int, name: str) -> dict[str, list[dict[str, Any]]]:
    """Some of the videos held out, with everything that is said of them."""
    media = [json.dumps(sample.get(kind_of(sample) or "")) for sample in samples]
    videos = sorted({own for own in media if own != "null"}, key=lambda own: (os.path.basename(own), own))
    if len(videos) < 2:
        raise InputError(
            f"{name}: has {len(videos)} video; at least two are needed, for one is held out to measure by"
        )
    held = set(random.Random(seed).sample(videos, max(1, round(HELD_OUT * len(videos)))))
    return {
        "train": [sample for sample, own in zip(samples, media, strict=True) if own not in held],
        "validation": [sample for sample, own in zip(samples, media, strict=True) if own in held],
    }
