"""What all referring datasets share: one sample per expression, asked about by a template.

Their `meta_expressions.json` is that of Refer-YouTube-VOS (Seo et al., "URVOS", ECCV 2020):

    {"videos": {"<video>": {"frames": ["00000", ...], "expressions": {"0": {"exp": "a man", ...}, ...}}}}
"""

import os
import random
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from .annotations import load_json, member, typed

QUESTIONS = (
    "Can you segment {expression} in this video?",
    "Please segment {expression} in this video.",
    "Where is {expression} in this video? Answer with a mask.",
    "Which object is this: {expression}? Please give its mask.",
    "Find {expression} in this video and give a mask for every frame.",
)
ANSWER = "It is [SEG]."


@dataclass(frozen=True)
class Expression:
    """One expression about one video.

    Attributes:
        video: Name of the video, as its folders are called.
        number: Its key among the expressions of the video.
        text: The words, single-spaced, without a full stop.
        frames: Names of the video's frames without suffix, in order.
        entry: Everything the file says about it.
        where: What messages call it.
    """

    video: str
    number: str
    text: str
    frames: tuple[str, ...]
    entry: dict[str, Any]
    where: str


def read_expressions(path: Path) -> list[Expression]:
    """All expressions of a `meta_expressions.json`, in the order of the file.

    Raises:
        InputError: the file cannot be read, or lacks something; the message names file and field.
    """
    expressions = []
    for video, about in member(load_json(path), "videos", dict, f"{path}: ").items():
        place = f"{path}: videos.{video}"
        about = typed(about, dict, place)
        # Sorted, as the datasets' own loaders do, for masks are listed in that order.
        names = sorted(typed(name, str, f"{place}.frames") for name in member(about, "frames", list, f"{place}."))
        if not names:
            raise InputError(f"{place}.frames: is empty; a video needs at least one frame")
        if len(set(names)) < len(names):
            twice = next(name for name, following in pairwise(names) if name == following)
            raise InputError(f"{place}.frames: {twice!r:.80} is there twice")
        frames = tuple(names)
        for number, entry in member(about, "expressions", dict, f"{place}.").items():
            where = f"{place}.expressions.{number}"
            entry = typed(entry, dict, where)
            text = " ".join(member(entry, "exp", str, f"{where}.").split()).rstrip(".").rstrip()
            if not text:
                raise InputError(f"{where}.exp: is empty; an expression needs words")
            expressions.append(Expression(video, number, text, frames, entry, where))
    return expressions


def pick(templates: Sequence[str], seed: int, index: int) -> str:
    """One of several texts: always the same one for a seed and a sample, on every machine."""
    return random.Random(f"{seed}-{index}").choice(templates)


def referring_sample(
    expression: Expression, video: list[str], track: list[dict[str, Any] | None] | None, question: str, answer: str
) -> dict[str, Any]:
    """The sample of one expression.

    Args:
        expression: What is asked about.
        video: Paths of the frames.
        track: One mask per frame; None if the answer names nothing.
        question: A template with a place for `{expression}`.
        answer: What the assistant says.
    """
    asked = question.replace("{expression}", expression.text)
    return {
        "id": f"{expression.video}/{expression.number}",
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": asked}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
        "video": video,
        "masks": [] if track is None else [track],
        "mask_frames": list(range(len(video))),
    }


def split_folder(root: str | os.PathLike[str], *parts: str) -> Path:
    """A folder of a dataset.

    Raises:
        InputError: it does not exist.
    """
    folder = Path(root, *parts)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path and the layout of the dataset")
    return folder
