"""What is wrong with the objects of one sample, though its record is whole."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ..data.rle import decode_rle
from .finding import NOTE, WARNING, Finding
from .records import NamedObject, Record

# Fewer pixels than this, of the pixel decoder's input, teach nothing.
LEAST_PIXELS = 20
# Two masks that overlap by less are two things; by more, one.
ONE_THING = 0.5
# Overlap of two objects of which one is all but inside the other.
INSIDE = 0.95


@dataclass(frozen=True)
class ObjectFacts:
    """What the masks of an object tell.

    Attributes:
        areas: Pixels in each mask frame, in the video's own size.
        size: `(height, width)` of the masks; None if there are none.
    """

    areas: tuple[int, ...]
    size: tuple[int, int] | None

    @property
    def seen(self) -> tuple[int, ...]:
        """Places among the mask frames at which the object shows."""
        return tuple(place for place, area in enumerate(self.areas) if area)


def facts_of(named: NamedObject) -> ObjectFacts:
    """What its masks tell; they are decoded one at a time."""
    sizes = [tuple(mask["size"]) for mask in named.track if mask is not None]
    areas = tuple(0 if mask is None else int(decode_rle(mask).sum()) for mask in named.track)
    return ObjectFacts(areas, sizes[0] if sizes else None)


def object_findings(record: Record, facts: Sequence[ObjectFacts], side: int) -> Iterator[Finding]:
    """Objects that never appear or are too small, phrases that name several things, and no phrase at all.

    Args:
        record: The sample.
        facts: Of each of its objects.
        side: Side of the pixel decoder's square.
    """
    for number, (named, own) in enumerate(zip(record.objects, facts, strict=True)):
        called = f"object {number + 1} ({named.phrase!r})" if named.phrase else f"object {number + 1}"
        if not named.phrase:
            yield Finding(
                WARNING,
                "object without a phrase",
                record.name,
                f"{called}: no <p> phrase </p> stands before its [SEG]",
                "the model learns to name what it segments from these marks; without them the answer names no object",
                "write `It is <p> the dog </p> [SEG].`",
            )
        if not own.seen:
            yield Finding(
                WARNING,
                "object never appears",
                record.name,
                f"{called} has no pixel in any of {len(own.areas)} mask frames",
                "it teaches the model to answer [SEG] where there is nothing to see",
                "leave the object out, or add frames in which it shows; if it is meant to be absent, answer without "
                "[SEG]",
            )
            continue
        small = [area for area in own.areas if area and _at_input(area, own.size, side) < LEAST_PIXELS]
        if small:
            least = _at_input(min(small), own.size, side)
            yield Finding(
                WARNING,
                "mask of a few pixels",
                record.name,
                f"{called}: {len(small)} of {len(own.seen)} masks have fewer than {LEAST_PIXELS} pixels where the "
                f"model sees the frame at {side} x {side} (the smallest: {least:.0f})",
                "masks are decoded at a quarter of that; such an object is noise to learn from",
                "crop the video around it, or leave these frames out",
            )
    yield from _phrase_findings(record, facts)


def _phrase_findings(record: Record, facts: Sequence[ObjectFacts]) -> Iterator[Finding]:
    """One phrase for several things, and several phrases for one in the same conversation."""
    shown = [(number, named) for number, named in enumerate(record.objects) if facts[number].seen and named.phrase]
    for place, (first, one) in enumerate(shown):
        for second, other in shown[place + 1 :]:
            alike = " ".join(one.phrase.lower().split()) == " ".join(other.phrase.lower().split())
            together = one.conversation == other.conversation
            if not alike and not together:
                continue
            overlap = _overlap(one.track, other.track)
            if alike and overlap is not None and overlap < ONE_THING:
                yield Finding(
                    WARNING,
                    "one phrase for two objects",
                    record.name,
                    f"{one.phrase!r} names object {first + 1} and object {second + 1}, whose masks overlap by "
                    f"{overlap:.2f}",
                    "one question has two right answers, and the model learns neither",
                    "tell them apart in words (`the left dog`, `the brown dog`), or unite their masks and name them "
                    "together (`the dogs`)",
                )
            elif not alike and together and overlap is not None and overlap > INSIDE:
                yield Finding(
                    NOTE,
                    "two phrases for one object",
                    record.name,
                    f"{one.phrase!r} and {other.phrase!r} have the same masks (overlap {overlap:.2f})",
                    "an answer that names a thing twice is learnt as such",
                    "leave one of them out, unless both are meant",
                )


def _at_input(area: int, size: tuple[int, int] | None, side: int) -> float:
    """Pixels of the pixel decoder's square that a mask covers."""
    return area * side * side / (size[0] * size[1])


def _overlap(first: Sequence[Any], second: Sequence[Any]) -> float | None:
    """IoU of two tracks over the frames in which either shows; None if they were not of one size."""
    common = total = 0
    for one, other in zip(first, second, strict=False):
        masks = [None if mask is None else decode_rle(mask).astype(bool) for mask in (one, other)]
        there = [mask for mask in masks if mask is not None]
        if not there or len({mask.shape for mask in there}) > 1:
            continue
        a, b = (np.zeros_like(there[0]) if mask is None else mask for mask in masks)
        common, total = common + int((a & b).sum()), total + int((a | b).sum())
    return common / total if total else None
