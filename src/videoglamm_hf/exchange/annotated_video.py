"""What is between two formats: the objects of one video and their masks, run-length encoded."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ..data.rle import encode_rle
from ..errors import InputError
from ..limits import lift, limit
from .media import Media

MAX_OBJECTS = limit("VIDEOGLAMM_MAX_OBJECTS", 1000)  # of one video; noise that is read as objects has far more


@dataclass
class AnnotatedObject:
    """One object.

    Attributes:
        label: What the annotations call it.
        masks: By number of the frame in the source, `{"size": [H, W], "counts": str}`; where it is annotated and has
            no mask it is not visible.
        phrase: How a sentence names it; None where nobody has said.
        score: How sure a model is of it, 0 to 1; None for what a person has drawn.
    """

    label: str
    masks: dict[int, dict[str, Any]] = field(default_factory=dict)
    phrase: str | None = None
    score: float | None = None


@dataclass
class AnnotatedVideo:
    """A video with its objects.

    Attributes:
        name: Tells it from the others.
        media: Its frames.
        frames: Numbers of the annotated frames in the source, from 0, increasing.
        objects: What is annotated.
        is_answer: Whether a model has made the masks.
    """

    name: str
    media: Media
    frames: list[int]
    objects: list[AnnotatedObject]
    is_answer: bool = False


def check_object_count(count: int, where: str) -> None:
    """Refuses more objects in one video than anybody has drawn.

    Raises:
        InputError: there are more than `MAX_OBJECTS`.
    """
    if count > MAX_OBJECTS:
        raise InputError(
            f"{where}: {count} objects, more than {MAX_OBJECTS} in one video. Colours of a smoothed or compressed "
            "picture, or shapes that no track joins, are often taken for objects; check the format, or "
            f"{lift('VIDEOGLAMM_MAX_OBJECTS')}"
        )


def rle_of(mask: np.ndarray) -> dict[str, Any] | None:
    """A bool mask [H, W] as RLE; None if nothing is in it."""
    return encode_rle(mask) if mask.any() else None


def visible(rle: dict[str, Any]) -> dict[str, Any] | None:
    """A checked mask; None if nothing is in it."""
    return rle if area_of(rle) else None


def area_of(rle: dict[str, Any]) -> int:
    """Pixels of a checked mask."""
    return int(coco.area({"size": rle["size"], "counts": rle["counts"].encode("ascii")}))


def box_of(rle: dict[str, Any]) -> list[float]:
    """`[left, top, width, height]` of a checked mask."""
    return coco.toBbox({"size": rle["size"], "counts": rle["counts"].encode("ascii")}).tolist()


def frames_overlap(video: AnnotatedVideo) -> int | None:
    """The first frame in which two objects share a pixel; None if there is none."""
    for frame in video.frames:
        rles = [
            {"size": own.masks[frame]["size"], "counts": own.masks[frame]["counts"].encode("ascii")}
            for own in video.objects
            if frame in own.masks
        ]
        if len(rles) > 1 and int(coco.area(coco.merge(rles))) < sum(int(coco.area(rle)) for rle in rles):
            return frame
    return None
