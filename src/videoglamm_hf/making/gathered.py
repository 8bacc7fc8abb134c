"""What is known of one video before a sentence is written: its frames, its objects, and what is said about them."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

from ..data.masks import mask_size
from ..errors import InputError
from ..exchange.annotated_video import check_object_count
from ..exchange.media import open_media

Box = list[float]


@dataclass
class GatheredObject:
    """One object.

    Attributes:
        label: What the data set calls it.
        masks: COCO RLE for each of the video's frames, None where it is not seen; None if there are only boxes.
        boxes: For each frame the boxes `[x0, y0, x1, y1]` in pixels, none, one or several; None if there are masks.
    """

    label: str
    masks: list[dict[str, Any] | None] | None = None
    boxes: list[list[Box]] | None = None


@dataclass
class GatheredVideo:
    """One video.

    Attributes:
        name: Tells it from the others.
        media: Path of its file, or paths of its pictures.
        frames: Numbers of the annotated frames, from 0, increasing.
        objects: What is in them.
        said: What the data set says, and about which of the objects, by position; about none where that is unknown.
        size: (height, width).
    """

    name: str
    media: str | list[str]
    frames: list[int]
    objects: list[GatheredObject]
    said: list[tuple[list[int], str]] = field(default_factory=list)
    size: tuple[int, int] = (0, 0)

    @property
    def needs_masks(self) -> bool:
        """Whether an object has boxes only."""
        return any(own.masks is None for own in self.objects)

    def to_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_json(cls, document: dict[str, Any], where: str) -> GatheredVideo:
        """What [`to_json`] gave.

        Raises:
            InputError: It is not that; the message names it as `where`.
        """
        try:
            objects = [GatheredObject(**own) for own in document["objects"]]
            said = [(list(ids), text) for ids, text in document["said"]]
            return cls(**{**document, "objects": objects, "said": said, "size": tuple(document["size"])})
        except (KeyError, TypeError, ValueError) as error:
            raise InputError(f"{where}: is not as it was written ({error}); delete it, and run again") from error


def visible(video: GatheredVideo) -> list[int]:
    """Positions of the objects that are seen, or, as long as nobody knows, have boxes."""
    return [i for i, own in enumerate(video.objects) if any(own.masks if own.masks is not None else own.boxes or ())]


def checked(video: GatheredVideo, boxes_in: Sequence[int] | None = None) -> GatheredVideo:
    """A video whose frames are there and fit what is annotated; boxes come out in pixels of its frames.

    Args:
        video: What a reader found.
        boxes_in: (height, width) of the picture that its boxes are given in; None for its own.

    Raises:
        InputError: What is annotated does not fit the video.
        MediaError: The video cannot be read.
    """
    check_object_count(len(video.objects), video.name)
    media = open_media(video.media)
    if video.frames and video.frames[-1] >= media.count:
        raise InputError(f"frame {video.frames[-1]} is annotated, but the video has {media.count}, numbered from 0")
    height, width = media.size
    for own in video.objects:
        for mask in own.masks or ():
            if mask is not None and mask_size(mask) != (height, width):
                raise InputError(f"a mask of {own.label!r:.80} is {mask['size']}, the video {[height, width]}")
    if boxes_in is not None and tuple(boxes_in) != (height, width):
        scale = (width / boxes_in[1], height / boxes_in[0]) * 2
        for own in video.objects:
            if own.boxes is not None:
                own.boxes = [[[v * s for v, s in zip(b, scale, strict=True)] for b in at] for at in own.boxes]
    video.size = (height, width)
    media_paths = [video.media] if isinstance(video.media, str) else video.media
    absolute = [os.path.abspath(path) for path in media_paths]
    video.media = absolute[0] if isinstance(video.media, str) else absolute
    return video
