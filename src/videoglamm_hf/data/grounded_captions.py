"""Captions of which some spans name what is grounded."""

from collections.abc import Sequence
from typing import Any

from ..errors import InputError
from ..messages import SEG_TOKEN

Span = tuple[int, int]


def trimmed_spans(spans: Sequence[Span], caption: str) -> list[Span | None]:
    """Spans without overlaps: one that reaches into a later one ends where that begins; None for what is left empty.

    Args:
        spans: (first, after the last) characters of the caption.
        caption: the text.
    """
    order = sorted(range(len(spans)), key=lambda i: (spans[i][0], spans[i][1]))
    trimmed: list[Span | None] = [None] * len(spans)
    for place, i in enumerate(order):
        start, end = spans[i]
        if place + 1 < len(order):
            end = min(end, spans[order[place + 1]][0])
        text = caption[start:end]
        start += len(text) - len(text.lstrip())
        end -= len(text) - len(text.rstrip())
        trimmed[i] = (start, end) if start < end else None
    return trimmed


def tagged(caption: str, spans: Sequence[Span]) -> str:
    """A caption with `<p> words </p> [SEG]` in place of each span, which do not overlap and are in order."""
    parts, last = [], 0
    for start, end in spans:
        parts += [caption[last:start], f"<p> {caption[start:end]} </p> {SEG_TOKEN}"]
        last = end
    return "".join([*parts, caption[last:]])


def checked_caption(caption: str, where: str) -> str:
    """The caption itself.

    Raises:
        InputError: it has no words, or [SEG].
    """
    if SEG_TOKEN in caption or not caption.strip():
        raise InputError(f"{where}: must have words, and no {SEG_TOKEN}; annotations say where those belong")
    return caption


def caption_messages(kind: str, question: str, answer: str) -> list[dict[str, Any]]:
    """The conversation of a caption about a visual of a kind, `"video"` or `"image"`."""
    return [
        {"role": "user", "content": [{"type": kind}, {"type": "text", "text": question}]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]
