"""Masks from boxes, by the pixel decoder of a model."""

from typing import Any

import torch

from ..data.clips import read_training_clip
from ..data.rle import encode_rle
from .gathered import Box, GatheredObject, GatheredVideo

Track = list[dict[str, Any] | None]


def masks_of(video: GatheredVideo, model: Any, processor: Any) -> list[Track]:
    """For each object a mask in each of the video's frames, None where it is not seen.

    An object with one box in a frame at most is followed through all frames, from all of its boxes. One with several
    boxes in a frame is several things under one name: they are taken frame by frame, and where there is no box there
    is no mask.

    Raises:
        InputError, MediaError: The video or a box cannot be used.
    """
    videos = processor.video_processor
    sample = {"video": video.media}
    clip = read_training_clip(sample, video.frames, num_tower_frames=0, sampling=videos.sampling)
    assert clip is not None
    frames = videos.grounding_frames(clip).to(model.device)
    session = model.edit(grounding_frames=[frames], original_sizes=[clip.size])
    return [own.masks if own.masks is not None else _track(own, session, video.size) for own in video.objects]


def _track(own: GatheredObject, session: Any, size: tuple[int, int]) -> Track:
    boxes = [[b for box in at if (b := _inside(box, size)) is not None] for at in own.boxes or ()]
    prompted = [frame for frame, at in enumerate(boxes) if at]
    if not prompted:
        return [None] * len(boxes)
    if max(map(len, boxes)) > 1:
        return [_joined(session, frame, at) for frame, at in enumerate(boxes)]
    first, *others = prompted
    number = session.add(first, box=boxes[first][0], propagate=False)
    for frame in others:
        session.box(number, frame, boxes[frame][0], propagate=False)
    session.propagate()
    masks = session.masks[-1].numpy()
    session.remove(number)
    return [encode_rle(mask) if mask.any() else None for mask in masks]


def _joined(session: Any, frame: int, boxes: list[Box]) -> dict[str, Any] | None:
    """What several boxes of one frame hold."""
    found = []
    for box in boxes:
        number = session.add(frame, box=box, propagate=False)
        found.append(session.frame(frame)[-1])
        session.remove(number)
    mask = torch.stack(found).any(0).numpy() if found else None
    return encode_rle(mask) if mask is not None and mask.any() else None


def _inside(box: Box, size: tuple[int, int]) -> Box | None:
    """A box within a picture of (height, width); None if nothing of it is."""
    left, top, right, bottom = (min(max(v, 0.0), float(s)) for v, s in zip(box, (size[1], size[0]) * 2, strict=True))
    return [left, top, right, bottom] if left < right and top < bottom else None
