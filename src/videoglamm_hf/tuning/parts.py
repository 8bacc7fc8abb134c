"""Training data in two parts by video, as files of their own with the paths of their media whole."""

import hashlib
import json
import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..checking.records import data_files
from ..data.jsonl import JsonlDataset
from ..data.sample import kind_of
from ..errors import InputError
from ..output_files import explained_writes, replacing_file

# Share of the videos that is held out where data come in one part.
HELD_OUT = 0.2


@dataclass(frozen=True)
class Parts:
    """Samples to learn from and to measure by.

    Attributes:
        train, validation: Samples whose media are named from anywhere.
        corrections: How many of the training part are corrections.
    """

    train: list[dict[str, Any]]
    validation: list[dict[str, Any]]
    corrections: int

    @property
    def digest(self) -> str:
        """16 hexadecimal digits that tell these samples from others."""
        text = json.dumps([self.train, self.validation], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def write(self, folder: Path) -> tuple[Path, Path]:
        """Writes `train.jsonl` and `validation.jsonl`.

        Raises:
            OutputError: They cannot be written.
        """
        files = []
        for name, samples in (("train", self.train), ("validation", self.validation)):
            path = folder / f"{name}.jsonl"
            with explained_writes(path), replacing_file(path) as aside:
                aside.write_text("".join(json.dumps(sample) + "\n" for sample in samples), encoding="utf-8")
            files.append(path)
        return files[0], files[1]


def read_parts(data: Path, seed: int, edits: Sequence[Path] = ()) -> Parts:
    """The two parts; what comes in one is split by video, and a video that was corrected is never held out.

    Args:
        data: A JSONL file or a folder, as [`check_data`] takes it.
        seed: Of the split, which depends on the media's names and this alone.
        edits: Further JSONL files for the training part: corrections.

    Raises:
        InputError: There is only one video to hold out, a part or a correction is missing, or a correction is of a
            video of the validation part that was given.
    """
    corrections = [sample for path in edits for sample in _corrections(path)]
    corrected = {_media(sample) for sample in corrections} - {()}
    parts = {part: _samples(path) for part, path in data_files(data).items()}
    if "samples" in parts:
        parts = _split(parts["samples"], corrected, seed, str(data))
    for part in ("train", "validation"):
        if not parts.get(part):
            raise InputError(f"{data}: has no {part}.jsonl; give both parts, or samples.jsonl alone, which is split")
    for sample in parts["validation"]:
        if _media(sample) in corrected:
            raise InputError(
                f"{sample[kind_of(sample)]} is of the validation part, and corrections of it would be trained on; "
                "leave one of them out"
            )
    return Parts(parts["train"] + corrections, parts["validation"], len(corrections))


def _corrections(path: Path) -> list[dict[str, Any]]:
    samples = _samples(path)
    if not samples:
        raise InputError(f"{path}: holds no samples; leave it out")
    return samples


def _samples(path: Path) -> list[dict[str, Any]]:
    """The samples of a file, whose media are named from anywhere."""
    return list(JsonlDataset(os.path.abspath(path)))


def _media(sample: dict[str, Any]) -> tuple[str, ...]:
    """What a sample is about, whatever leads to it; nothing for words alone."""
    media = sample.get(kind_of(sample) or "") or ()
    return tuple(os.path.realpath(own) for own in ([media] if isinstance(media, str) else media))


def _split(
    samples: list[dict[str, Any]], corrected: set[tuple[str, ...]], seed: int, name: str
) -> dict[str, list[dict[str, Any]]]:
    """Some of the videos held out, with everything that is said of them."""
    media = [_media(sample) for sample in samples]
    videos = sorted(set(media) - {()}, key=lambda own: (os.path.basename(own[-1]), own))
    free = [own for own in videos if own not in corrected]
    if len(videos) < 2 or not free:
        found = f"{len(videos)} video{'s' * (len(videos) != 1)}, {len(free)} without corrections"
        raise InputError(f"{name}: has {found}; at least two are needed, for one is held out to measure by")
    held = set(random.Random(seed).sample(free, min(len(free), max(1, round(HELD_OUT * len(videos))))))
    return {
        "train": [sample for sample, own in zip(samples, media, strict=True) if own not in held],
        "validation": [sample for sample, own in zip(samples, media, strict=True) if own in held],
    }
