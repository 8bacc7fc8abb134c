"""What is wrong with data as a whole: its parts share videos, or some things are named far more often than others."""

import hashlib
import os
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import numpy as np

from .finding import ERROR, NOTE, WARNING, Finding
from .fingerprints import NEAR, near_pairs
from .records import Record

# How much of the same video's frames must be alike for two files to be the same.
_ALIKE = 0.75
# How many times as often as the rarest the commonest phrase may be named.
_TIMES = 10
# Bytes that tell two files of one size apart.
_COMPARED_BYTES = 2**20
_FEW = 20


def leak_findings(
    parts: Mapping[str, Sequence[Record]], hashes: Mapping[tuple[str, ...], np.ndarray]
) -> Iterator[Finding]:
    """Videos of the validation part that are in the training part too: the same file, or frames that look alike.

    Args:
        parts: The samples of `train` and `validation`.
        hashes: Fingerprints of the frames of each visual, by its media.
    """
    train = {record.media: record for record in parts.get("train", ()) if record.media}
    by_file = {_identity(media[0]): record for media, record in train.items() if record.is_file}
    told = set()
    for record in parts.get("validation", ()):
        if not record.media or record.media in told:
            continue
        told.add(record.media)
        same = by_file.get(_identity(record.media[0])) if record.is_file else train.get(record.media)
        if same is not None:
            yield Finding(
                ERROR,
                "leak: same video",
                record.name,
                f"{Path(record.media[0]).name} is the video of {same.name} too",
                "what is measured on it has been learnt by heart",
                "split by video (`videoglamm import-data ... --split 0.2` does)",
            )
            continue
        own = hashes.get(record.media)
        if own is None or not len(own):
            continue
        for media, other in train.items():
            count = near_pairs(own, hashes.get(media, np.array([], np.uint64)))
            if count and count >= _ALIKE * len(own):
                yield Finding(
                    WARNING,
                    "leak: frames look alike",
                    record.name,
                    f"{count} of {len(own)} frames of {Path(record.media[0]).name} look like those of "
                    f"{Path(media[0]).name} ({other.name}; at most {NEAR} of 64 bits differ)",
                    "cuts of one recording are the same video; what is measured on them has been learnt",
                    "put all parts of a recording on the same side; if the camera just stands still, this is no leak",
                )
                break


def balance_findings(records: Sequence[Record], name: str) -> Iterator[Finding]:
    """Too few samples, phrases named far more often than others, and no question without an object."""
    if not records:
        return
    videos = {record.media for record in records if record.media}
    if 0 < len(videos) < _FEW:
        yield Finding(
            NOTE,
            "few videos",
            name,
            f"{len(videos)} different videos",
            "with so few the model learns them by heart; watch the validation part",
            "gather more, or train a few layers only (`videoglamm tune` does)",
        )
    counts = Counter(" ".join(o.phrase.lower().split()) for record in records for o in record.objects if o.phrase)
    if len(counts) > 1:
        (most, often), (least, seldom) = counts.most_common(1)[0], min(counts.items(), key=lambda item: item[1])
        if often > _TIMES * seldom:
            yield Finding(
                WARNING,
                "imbalance of phrases",
                name,
                f"{most!r} is named {often} times, {least!r} {seldom} times ({len(counts)} phrases in all)",
                "the model answers with what it was asked most, whatever the question",
                "repeat samples of rare phrases, or leave some of the common ones out",
            )
    if all(record.objects for record in records) and len(records) > 1:
        yield Finding(
            NOTE,
            "nothing is ever absent",
            name,
            f"all {len(records)} samples name an object",
            "a model that never sees a No says Yes to everything",
            "add questions about things that are not there, answered without [SEG]",
        )


def _identity(path: str) -> str:
    """What tells a file or folder from others, whatever it is called: its real path, or size and first bytes."""
    real = os.path.realpath(path)
    try:
        if os.path.isdir(real):
            return real
        with open(real, "rb") as file:
            return f"{os.path.getsize(real)}:{hashlib.sha256(file.read(_COMPARED_BYTES)).hexdigest()}"
    except OSError:
        return real
