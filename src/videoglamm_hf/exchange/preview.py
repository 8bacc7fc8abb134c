"""A picture of what was brought in: whether masks lie on the frames that they were drawn on is seen at a glance."""

from pathlib import Path

import numpy as np

from ..cli.wording import counted
from ..clip_sources import open_clip
from ..data.rle import decode_rle
from ..output_files import explained_writes
from ..render.contact_sheet import contact_sheet
from .annotated_video import AnnotatedVideo

_TILES = 8
_MOST_OBJECTS = 12  # more cannot be told apart by colour


def write_preview(video: AnnotatedVideo, path: Path) -> None:
    """Writes a contact sheet of a video's annotated frames, with their numbers in the source.

    Raises:
        MediaError: a frame cannot be read.
        OutputError: the picture cannot be written.
    """
    positions = np.linspace(0, len(video.frames) - 1, min(_TILES, len(video.frames))).round().astype(int)
    numbers = [video.frames[position] for position in positions]
    media = video.media
    source = str(media.file) if media.pictures is None else [str(picture) for picture in media.pictures]
    with open_clip(source) as clip:
        frames = [clip.frames([number])[0] for number in numbers]
    shown = video.objects[:_MOST_OBJECTS]
    masks = np.zeros((len(shown), len(numbers), *media.size), bool)
    for i, own in enumerate(shown):
        for j, number in enumerate(numbers):
            if number in own.masks:
                masks[i, j] = decode_rle(own.masks[number])
    left_out = f", {len(shown)} of them shown" if len(shown) < len(video.objects) else ""
    found = f"{len(video.frames)} of {media.count} frames annotated, {counted(len(video.objects), 'object')}"
    title = f"{video.name}\n{found}{left_out}; numbers are frames of the source, from 0"
    sheet = contact_sheet(frames, masks, [own.phrase or own.label for own in shown], numbers=numbers, title=title)
    with explained_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sheet.save(path)
