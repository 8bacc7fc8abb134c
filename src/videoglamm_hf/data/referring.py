"""What all referring datasets share: one sample per expression, asked about by a template.

Their `meta_expressions.json` is that of Refer-YouTube-VOS (Seo et al., "URVOS", ECCV 2020):

    {"videos": {"<video>": {"frames": ["00000", ...], "expressions": {"0": {"exp": "a man", ...}, ...}}}}
"""

import os
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

from ..errors import InputError
from .annotations import inner_name, load_json, member, typed

QUESTIONS = (
    "Can you segment {expression} in this video?",
    "Please segment {expression} in this video.",
    "Where is {expression} in this video? Answer with a mask.",
    "Which object is this: {expression}? Please give its mask.",
    "Find {expression} in this video and give a mask for every frame.",
)
# For expressions that are sentences of their own, such as "Which car will win?".
SENTENCE_QUESTIONS = (
    "{expression} Please answer with a mask.",
    "{expression} Answer with a segmentation mask for every frame.",
    "{expression} Please segment it in this video.",
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
        about: Everything the file says about the video.
    """

    video: str
    number: str
    text: str
    frames: tuple[str, ...]
    entry: dict[str, Any]
    where: str
    about: dict[str, Any] = field(default_factory=dict)


def read_expressions(
    path: Path, *, words: str = "exp", frames_of: Callable[[str], Sequence[str]] | None = None
) -> list[Expression]:
    """All expressions of a `meta_expressions.json`, in the order of the file.

    Args:
        path: The file.
        words: The member of an expression that holds its words.
        frames_of: Gives the names of a video's frames where the file's `frames` are not what is read.

    Raises:
        InputError: the file cannot be read, or lacks something; the message names file and field.
    """
    expressions = []
    for video, about in member(load_json(path), "videos", dict, f"{path}: ").items():
        place = f"{path}: videos.{video}"
        about = typed(about, dict, place)
        inner_name(video, place)
        # Sorted, as the datasets' own loaders do, for masks are listed in that order.
        listed = frames_of(video) if frames_of else member(about, "frames", list, f"{place}.")
        names = sorted(inner_name(name, f"{place}.frames") for name in listed)
        if not names:
            raise InputError(f"{place}.frames: is empty; a video needs at least one frame")
        if len(set(names)) < len(names):
            twice = next(name for name, following in pairwise(names) if name == following)
            raise InputError(f"{place}.frames: {twice!r:.80} is there twice")
        frames = tuple(names)
        for number, entry in member(about, "expressions", dict, f"{place}.").items():
            where = f"{place}.expressions.{number}"
            entry = typed(entry, dict, where)
            text = single_line(member(entry, words, str, f"{where}."), f"{where}.{words}")
            expressions.append(Expression(video, number, text, frames, entry, where, about))
    return expressions


def single_line(text: str, where: str) -> str:
    """The words of an expression, single-spaced, without a full stop.

    Raises:
        InputError: there are none; the message names them as `where`.
    """
    text = " ".join(text.split()).rstrip(".").rstrip()
    if not text:
        raise InputError(f"{where}: is empty; an expression needs words")
    return text


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


def question_about(expression: Expression, seed: int, index: int, is_sentence: bool | None = None) -> str:
    """The template that asks about an expression.

    Args:
        expression: What is asked about.
        seed, index: Pick the wording, see [`pick`].
        is_sentence: Whether the expression is a sentence of its own; None if a question mark tells.
    """
    if is_sentence is None:
        is_sentence = expression.text.endswith("?")
    return pick(SENTENCE_QUESTIONS if is_sentence else QUESTIONS, seed, index)


def split_folder(root: str | os.PathLike[str], *parts: str) -> Path:
    """A folder of a dataset.

    Raises:
        InputError: it does not exist.
    """
    folder = Path(root, *parts)
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder; check the path and the layout of the dataset")
    return folder
