"""Annotated videos to training samples and back."""

import os
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from ..data.jsonl import JsonlDataset
from ..data.masks import mask_size
from ..data.phrases import phrases_of
from ..data.sample import conversations_of, kind_of
from ..errors import InputError, VideoGlammError
from .annotated_video import AnnotatedObject, AnnotatedVideo, visible
from .media import open_media

QUESTION = "Can you segment {phrase}?"
ANSWER = "It is <p> {phrase} </p> [SEG]."
_FILES = ("samples.jsonl", "train.jsonl", "validation.jsonl")


def to_sample(video: AnnotatedVideo, media: str | os.PathLike[str]) -> dict[str, Any]:
    """A sample with a conversation for each object, all of which have phrases.

    Args:
        video: What is annotated.
        media: Path of its file or folder.
    """
    return {
        "id": video.name,
        "video": os.fspath(media),
        "messages": [conversation(own.phrase) for own in video.objects],
        "masks": [[[own.masks.get(frame) for frame in video.frames]] for own in video.objects],
        "mask_frames": list(video.frames),
        "labels": [own.label for own in video.objects],
    }


def conversation(phrase: str, question: str = QUESTION) -> list[dict[str, Any]]:
    """A question about one object, with a place for `{phrase}`, and the answer that segments it."""
    asked, answered = (text.replace("{phrase}", phrase) for text in (question, ANSWER))
    return [
        {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked}]},
        {"role": "assistant", "content": [{"type": "text", "text": answered}]},
    ]


def data_file(data: Path) -> Path:
    """The JSONL file of a folder, or the file itself.

    Raises:
        InputError: there is none.
    """
    if not data.is_dir():
        return data
    found = next((data / name for name in _FILES if (data / name).is_file()), None)
    if found is None:
        raise InputError(
            f"{data}: holds no samples.jsonl; give a folder that `videoglamm import-data` wrote, or a file"
        )
    return found


def read_samples(path: Path) -> Iterator[AnnotatedVideo]:
    """The videos of a JSONL file, objects called by their labels, or by the phrases of sentences.

    Raises:
        InputError, MediaError: a sample is malformed, its video is missing, or it has no video.
    """
    names: set[str] = set()
    for number, sample in enumerate(JsonlDataset(path), 1):
        where = f"{path.name}: sample {number}"
        try:
            yield _video(sample, where, names)
        except VideoGlammError as error:
            raise type(error)(str(error) if str(error).startswith(where) else f"{where}: {error}") from error


def _video(sample: dict[str, Any], where: str, names: set[str]) -> AnnotatedVideo:
    kind = kind_of(sample)
    source = sample.get(kind or "")
    if source is None:
        raise InputError(f"{where}: has neither video nor image, so there are no frames; take it out")
    media = open_media(source)
    frames = [int(frame) for frame in sample.get("mask_frames") or []]
    objects: list[AnnotatedObject] = []
    labels = sample.get("labels")
    for messages, tracks in conversations_of(sample):
        for phrase, track in zip(_phrases(messages, len(tracks)), tracks, strict=True):
            masks = {}
            for frame, mask in zip(frames, track, strict=True):
                if mask is not None and mask_size(mask) != tuple(media.size):
                    height, width = media.size
                    raise InputError(f"a mask is {mask['size']}, but the video is {[height, width]}, [height, width]")
                if mask is not None and visible(mask) is not None:
                    masks[frame] = {"size": mask["size"], "counts": mask["counts"]}
            objects.append(AnnotatedObject(phrase, masks, phrase))
    if frames and frames[-1] >= media.count:
        raise InputError(f"mask_frames: {frames[-1]}, but the video has {media.count} frames, numbered from 0")
    if (
        isinstance(labels, list)
        and len(labels) == len(objects)
        and all(isinstance(one, str) and one for one in labels)
    ):
        for own, label in zip(objects, labels, strict=True):
            own.label = label
    stated = sample.get("id")
    first = source if isinstance(source, str) else Path(source[0]).parent.name
    name = stated if isinstance(stated, str) and stated.strip() else Path(first).stem
    return AnnotatedVideo(unique_name(name, names), media, frames, objects)


def unique_name(name: str, names: set[str]) -> str:
    """The name, with a number if it is taken already; it is taken from then on."""
    found, number = name, 2
    while found in names:
        found, number = f"{name}-{number}", number + 1
    names.add(found)
    return found


def _phrases(messages: list[dict[str, Any]], count: int) -> list[str]:
    """What each [SEG] of a conversation is called: by the phrase before it, or by its number."""
    phrases = phrases_of(messages)[:count]
    phrases += [""] * (count - len(phrases))
    return [phrase or f"object {i + 1}" for i, phrase in enumerate(phrases)]
