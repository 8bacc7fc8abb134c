"""Words that fit their numbers."""

from collections.abc import Sequence
from typing import Any


def counted(number: int, noun: str, several: str | None = None) -> str:
    """A number and its noun, and how it is written of several if not with an s.

    >>> counted(0, "object"), counted(1, "object"), counted(2, "object")
    ('no objects', '1 object', '2 objects')
    """
    return f"{number or 'no'} {noun if number == 1 else several or noun + 's'}"


def percent(share: float) -> str:
    """A probability for people, never quite certain.

    >>> percent(0.934), percent(0.9999), percent(0.0001)
    ('93 %', '99 %', '1 %')
    """
    return f"{min(99, max(1, round(100 * share)))} %"


def with_sureness(labels: Sequence[str], probabilities: Any) -> list[str]:
    """What objects are called for people, with how sure their masks are where that is known.

    Args:
        labels: What they are called.
        probabilities: float `[N]`, or None.
    """
    if probabilities is None:
        return list(labels)
    return [f"{label} ({percent(own)})" for label, own in zip(labels, probabilities.tolist(), strict=True)]
