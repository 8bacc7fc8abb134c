"""Sentences and masks to samples."""

import os
import shutil
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from ..data.gcg import QUESTIONS
from ..data.grounded_captions import caption_messages
from ..data.jsonl import write_jsonl
from ..data.masks import united
from ..data.output_names import safe_name
from ..data.referring import pick
from ..exchange.media import open_media, place_media
from ..output_files import explained_writes
from .gathered import GatheredVideo


def placed(video: GatheredVideo, output: Path, copy: bool) -> str:
    """Where a video's file or folder of pictures lies below `output`; it is put there whole or not at all.

    Raises:
        MediaError: It cannot be read.
        OutputError: It cannot be written.
    """
    media = open_media(video.media)
    name = safe_name(video.name) + ("" if media.file is None else media.file.suffix)
    target = output / "media" / name
    if not target.exists():
        aside = output / ".placing"
        with explained_writes(aside):
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir()
        place, _ = place_media(media, aside, video.name, copy)
        with explained_writes(target):
            target.parent.mkdir(exist_ok=True)
            os.replace(place, target)
            aside.rmdir()
    return str(target)


def write_records(made: Iterable[tuple[GatheredVideo, dict[str, Any], str]], path: Path) -> tuple[Path, int, int]:
    """Writes a sample for each video, with its sentence and its file.

    Returns:
        The file, and how many samples and objects are in it.

    Raises:
        OutputError: It cannot be written.
    """
    objects = 0

    def samples() -> Iterator[dict[str, Any]]:
        nonlocal objects
        for number, (video, sentence, media) in enumerate(made):
            sample = _sample(video, sentence, media, number)
            objects += len(sample["masks"])
            yield sample

    count = write_jsonl(path, samples())
    return path, count, objects


def _sample(video: GatheredVideo, sentence: dict[str, Any], media: str, number: int) -> dict[str, Any]:
    masks, labels = [], []
    for ids in sentence["objects"]:
        own = [video.objects[i] for i in ids]
        tracks = [one.masks or [None] * len(video.frames) for one in own]
        masks.append(united(tracks, [f"{video.name}: {one.label}" for one in own], video.size))
        labels.append(", ".join(dict.fromkeys(one.label for one in own)))
    return {
        "id": video.name,
        "video": media,
        "messages": caption_messages("video", pick(QUESTIONS, 0, number), sentence["text"]),
        "masks": masks,
        "mask_frames": video.frames,
        "labels": labels,
    }
