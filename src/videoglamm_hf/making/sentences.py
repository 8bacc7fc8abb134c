"""What a language model is asked to write, and what of its reply can be used."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from ..errors import InputError
from ..messages import SEG_TOKEN
from .gathered import GatheredVideo

_LONGEST = 2000  # characters of a sentence
_MOST_SAID = 40  # expressions that are shown
_NAMED = re.compile(r"<p>([^<>\[\]]*)</p> ?\[([0-9]{1,6}(?: ?, ?[0-9]{1,6})*)\]")
_TASK = """You write captions from which a model learns to name the objects of a video and to mark where they are.
Below is a list of the objects of one video, each with its number, and what is known about them.
Write one sentence in English that says what happens and names every object exactly once.
Mark a name and the number of its object like this: <p> the girl in red </p> [2]
If one name stands for several objects, give their numbers together: <p> two dogs </p> [1, 3]
Say only what follows from what is given. Reply with the sentence alone, on one line."""
_SEEN = "{count} frames of the video follow, in order. A box around each object bears its number."
_AGAIN = "This cannot be used: {problem}. Write the sentence again, as you were asked to."


@dataclass(frozen=True)
class Sentence:
    """A sentence whose names are marked.

    Attributes:
        text: With `<p> name </p> [SEG]` for each name.
        objects: For each [SEG] the positions of the objects that it stands for.
    """

    text: str
    objects: list[list[int]]


def question(video: GatheredVideo, shown: Sequence[int], pictures: int = 0) -> str:
    """What the writer is asked.

    Args:
        video: What is known.
        shown: Positions of the objects that are to be named; others are left out. Numbers are positions from 1.
        pictures: How many frames go with it.
    """
    lines = [_TASK, "", "Objects:", *(f"{i + 1}: {_plain(video.objects[i].label)}" for i in shown)]
    said = [(ids, text) for ids, text in video.said if set(ids) <= set(shown)][:_MOST_SAID]
    if said:
        lines += ["", "What is known:"]
        lines += [f"{', '.join(str(i + 1) for i in ids) or 'the video'}: {_plain(text)}" for ids, text in said]
    if pictures:
        lines += ["", _SEEN.format(count=pictures)]
    return "\n".join(lines)


def again(problem: str) -> str:
    """What is said to a reply that cannot be used."""
    return _AGAIN.format(problem=problem)


def parse(reply: str, shown: Sequence[int]) -> Sentence:
    """The sentence of a reply.

    Args:
        reply: What the writer said.
        shown: Positions of the objects that were to be named.

    Raises:
        InputError: It is not one line with every object named once, in the form that was asked for.
    """
    line = reply.strip()
    if not line or len(line) > _LONGEST or not line.isprintable():
        raise InputError(f"it must be one line of 1 to {_LONGEST} printable characters")
    objects: list[list[int]] = []
    parts: list[str] = []
    last = 0
    for match in _NAMED.finditer(line):
        name = " ".join(match[1].split())
        if not name:
            raise InputError("a name is empty")
        own = [int(number) - 1 for number in match[2].split(",")]
        for one in own:
            if one not in shown:
                raise InputError(f"there is no object {one + 1}")
            if any(one in earlier for earlier in objects) or own.count(one) > 1:
                raise InputError(f"object {one + 1} is named more than once")
        objects.append(sorted(own))
        parts += [line[last : match.start()], f"<p> {name} </p> {SEG_TOKEN}"]
        last = match.end()
    rest = [*parts[::2], line[last:]]
    if any(mark in part for part in rest for mark in "<>[]"):
        raise InputError("names must be marked as in <p> the girl in red </p> [2], and brackets serve nothing else")
    missing = [str(i + 1) for i in shown if not any(i in own for own in objects)]
    if missing:
        raise InputError(f"it does not name object {', '.join(missing)}")
    if not any(part.strip(" .,;") for part in rest):
        raise InputError("it says nothing about what it names")
    return Sentence("".join([*parts, line[last:]]), objects)


def _plain(text: str) -> str:
    """Words of a data set on one line, without our marks."""
    for mark in ("<p>", "</p>", SEG_TOKEN):
        text = text.replace(mark, " ")
    return " ".join(text.split())
