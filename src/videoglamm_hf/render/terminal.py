"""Answers in a terminal."""

import itertools
import unicodedata
from collections.abc import Sequence

from ..errors import InputError
from .colors import Color


def colored_answer(text: str, spans: Sequence[tuple[int, int]], colors: Sequence[Color]) -> str:
    """An answer for a terminal, each phrase in bold and in the colour of its object (ANSI, 24 bits).

    Where spans overlap, the later one counts. Escape characters in the text are made visible, so that a text
    cannot control the terminal.

    Args:
        text: the answer.
        spans: (start, end) of each phrase, in characters of `text`, end not included.
        colors: one colour (r, g, b) per span.

    Raises:
        InputError: a span lies outside the text, or the numbers of spans and colours differ.
    """
    if len(spans) != len(colors):
        raise InputError(f"there are {len(colors)} colours for {len(spans)} spans")
    owners = [-1] * len(text)
    for number, (start, end) in enumerate(spans):
        if not 0 <= start <= end <= len(text):
            raise InputError(f"span {number} ({start}, {end}) lies outside the text of {len(text)} characters")
        owners[start:end] = [number] * (end - start)
    safe = "".join(_visible(character) for character in text)
    pieces = []
    for owner, group in itertools.groupby(range(len(text)), key=owners.__getitem__):
        piece = "".join(safe[i] for i in group)
        if owner >= 0:
            red, green, blue = colors[owner]
            piece = f"\x1b[1;38;2;{red};{green};{blue}m{piece}\x1b[0m"
        pieces.append(piece)
    return "".join(pieces)


def _visible(character: str) -> str:
    """The character, or a stand-in of the same length for one that controls a terminal."""
    if character in "\n\t" or unicodedata.category(character) != "Cc":
        return character
    return chr(0x2400 + ord(character)) if ord(character) < 0x20 else "\ufffd"
