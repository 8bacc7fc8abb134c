"""The samples of a folder or file of training data, as far as checking looks at them."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.jsonl_lines import lines_of, located, parse_line
from ..data.phrases import phrases_of
from ..data.sample import conversations_of, kind_of, sample_problems
from ..errors import InputError
from ..media_files import is_url

# The files of a folder, and what each is for.
TRAIN, VALIDATION, SAMPLES = "train.jsonl", "validation.jsonl", "samples.jsonl"


@dataclass(frozen=True)
class NamedObject:
    """An object of a sample.

    Attributes:
        phrase: What it is called; "" where no phrase precedes its [SEG].
        conversation: Which conversation names it, from 0.
        track: Its masks, one per mask frame, COCO-RLE or None.
    """

    phrase: str
    conversation: int
    track: list[Any]


@dataclass(frozen=True)
class Record:
    """A sample without problems.

    Attributes:
        name: As in `"train.jsonl:17"`.
        kind: `"video"`, `"image"`, or None for text only.
        media: Paths or URLs of the video, picture, or frames.
        mask_frames: Numbers of the frames with masks.
        objects: What its answers name.
    """

    name: str
    kind: str | None
    media: tuple[str, ...]
    mask_frames: tuple[int, ...]
    objects: tuple[NamedObject, ...]

    @property
    def is_file(self) -> bool:
        """Whether the visual is one local file or folder of frames."""
        return len(self.media) == 1 and self.is_here

    @property
    def is_here(self) -> bool:
        """Whether there is a visual, on this machine."""
        return bool(self.media) and not any(is_url(own) for own in self.media)


def data_files(path: Path) -> dict[str, Path]:
    """The JSONL files of training data by what they are for: `train`, `validation`, or `samples` for all there is.

    Raises:
        InputError: There are none.
    """
    if os.path.isfile(path):
        return {"samples": path}
    if not os.path.isdir(path):
        raise InputError(f"{path}: no such file or folder; give a JSONL file, or a folder that import-data wrote")
    found = {name.removesuffix(".jsonl"): path / name for name in (TRAIN, VALIDATION) if os.path.isfile(path / name)}
    if not found and os.path.isfile(path / SAMPLES):
        found = {"samples": path / SAMPLES}
    if not found:
        raise InputError(f"{path}: holds neither {SAMPLES} nor {TRAIN}; give a folder that import-data wrote")
    return found


def records_of(path: Path) -> Iterator[Record]:
    """The samples of a file that have no problems of their own; others are for [`validate_jsonl`] to tell."""
    with path.open("rb") as file:
        for _, number, line in lines_of(file):
            sample, problem = parse_line(line)
            if problem is None and next(sample_problems(sample), None) is None:
                yield _record(sample, f"{path.name}:{number}", path.parent)


def _record(sample: dict[str, Any], name: str, folder: Path) -> Record:
    kind = kind_of(sample)
    media = [] if kind is None else sample[kind]
    media = [media] if isinstance(media, str) else media
    objects = []
    for number, (messages, tracks) in enumerate(conversations_of(sample)):
        phrases = phrases_of(messages)
        for place, track in enumerate(tracks):
            phrase = phrases[place] if place < len(phrases) else ""
            objects.append(NamedObject(phrase, number, list(track)))
    return Record(
        name,
        kind,
        tuple(located(own, folder) for own in media),
        tuple(sample.get("mask_frames") or ()),
        tuple(objects),
    )
