"""Shapes of single frames to objects of a video."""

from collections.abc import Hashable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..data.masks import united
from ..errors import InputError
from ..media_files import short_name
from .annotated_video import AnnotatedObject, AnnotatedVideo, check_object_count, visible
from .frame_numbers import frame_numbers
from .media import Media, check_size
from .reading import Reading


@dataclass
class Shape:
    """What is drawn on one frame.

    Attributes:
        frame: Which of the annotated frames, as a position among them.
        label: What it is called.
        track: What it has in common with the shapes of the same object; None if nothing says.
        mask: Checked RLE; None for a box that is not to be a mask.
        where: What messages call its record.
    """

    frame: int
    label: str
    track: Hashable | None
    mask: dict[str, Any] | None
    where: str


def gather(
    name: str,
    media: Media,
    keys: Sequence[str | int],
    shapes: Sequence[Shape],
    reading: Reading,
    where: str,
    *,
    first: int | None = None,
    step: int | None = None,
) -> AnnotatedVideo:
    """The objects of a video: shapes of one track are one object, or of one label where there are no tracks.

    Args:
        name: Of the video.
        media: Its frames.
        keys: What the annotations call the annotated frames.
        shapes: What is drawn on them.
        reading: What a person has said, and where to note.
        where: What messages call the video.
        first, step: As in [`frame_numbers`].

    Raises:
        InputError: a frame is not in the video, a mask has another size, one track has two labels, or nothing tells
            which shapes are one object.
    """
    if reading.video is None:
        place = media.file or (media.pictures or (where,))[0]
        reading.note(f"{where}: the video is {short_name(str(place if media.file else Path(place).parent))}")
    numbers = frame_numbers(keys, media, reading, where, first=first, step=step)
    boxes = [shape for shape in shapes if shape.mask is None]
    shapes = [shape for shape in shapes if shape.mask is not None]
    if boxes and not shapes:
        raise InputError(
            f"{boxes[0].where}: is a box, as all {len(boxes)} shapes of {where}, and a box is no mask; draw masks or "
            "polygons, or take boxes for masks with --boxes-as-masks"
        )
    if boxes:
        reading.note(
            f"{where}: left out {len(boxes)} box{'es' * (len(boxes) > 1)}, which --boxes-as-masks takes for masks"
        )
    objects: dict[Hashable, AnnotatedObject] = {}
    firsts: dict[Hashable, str] = {}
    parts: dict[tuple[Hashable, int], list[dict[str, Any]]] = {}
    for key, shape in zip(_identities(shapes, reading, where), shapes, strict=True):
        own = objects.setdefault(key, AnnotatedObject(shape.label))
        firsts.setdefault(key, shape.where)
        if len(objects) > 1:
            check_object_count(len(objects), where)
        if own.label != shape.label:
            raise InputError(
                f"{shape.where}: is {shape.label!r:.80}, but {firsts[key]} of the same object is {own.label!r:.80}; "
                "give both one label, or each a track of its own"
            )
        check_size(shape.mask["size"], media, shape.where)
        parts.setdefault((key, numbers[shape.frame]), []).append(shape.mask)
    for (key, number), masks in parts.items():
        mask = masks[0] if len(masks) == 1 else united([[one] for one in masks], [where] * len(masks))[0]
        if visible(mask) is not None:
            objects[key].masks[number] = {"size": mask["size"], "counts": mask["counts"]}
    return AnnotatedVideo(name, media, sorted(numbers), [objects[key] for key in _in_order(objects)])


def _identities(shapes: Sequence[Shape], reading: Reading, where: str) -> list[Hashable]:
    """What tells the object of each shape."""
    free = [shape for shape in shapes if shape.track is None]
    by_label = True
    if reading.objects == "shapes":
        by_label = False
    elif reading.objects == "auto" and free:
        seen: dict[tuple[int, str], str] = {}
        twice = None
        for shape in free:
            other = seen.setdefault((shape.frame, shape.label), shape.where)
            if twice is None and other != shape.where:
                twice = shape, other
        if twice is not None and len({shape.frame for shape in free}) > 1:
            shape, other = twice
            raise InputError(
                f"{shape.where}: is a second {shape.label!r:.80} of its frame, beside {other}, and no track tells "
                "which is which in other frames; give --objects labels to take all of one label as one object, or "
                "--objects shapes to take every shape as an object of its frame alone"
            )
        by_label = twice is None
    if free and len({shape.frame for shape in free}) > 1:
        kind = "label" if by_label else "shape"
        reading.note(f"{where}: nothing joins shapes over time, so there is one object for every {kind}")
    names: list[Hashable] = []
    for i, shape in enumerate(shapes):
        if shape.track is not None:
            names.append(("track", shape.track))
        else:
            names.append(("label", shape.label) if by_label else ("shape", i))
    return names


def _in_order(objects: dict[Hashable, AnnotatedObject]) -> list[Hashable]:
    """Objects by the numbers of their tracks, or as they came."""
    keys = list(objects)
    if all(isinstance(key[1], int) for key in keys):
        return sorted(keys, key=lambda key: key[1])
    return keys
