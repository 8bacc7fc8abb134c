"""Frames for a writer that can see: each object in a box with its number."""

import base64
import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..data.clips import read_training_clip
from ..exchange.annotated_video import box_of
from ..frame_sampling import FrameSampling, spread
from ..render.colors import object_color
from .gathered import GatheredVideo

_LONG_SIDE = 768  # pixels; larger frames are made smaller
_QUALITY = 85
_BLACK, _WHITE = (0, 0, 0), (255, 255, 255)


def pictures_of(video: GatheredVideo, shown: list[int], count: int) -> list[str]:
    """Some of the annotated frames, evenly spread, as data URLs of JPEGs.

    Args:
        video: Its objects have masks.
        shown: Positions of the objects to draw; their numbers are positions from 1.
        count: How many frames at most.

    Raises:
        MediaError: The video cannot be read.
    """
    places = spread(0, len(video.frames) - 1, count)
    numbers = [video.frames[place] for place in places]
    clip = read_training_clip({"video": video.media}, numbers, num_tower_frames=0, sampling=FrameSampling())
    assert clip is not None
    frames = np.asarray(clip.frames(range(len(numbers))))
    return [_url(_drawn(frame, video, shown, place)) for frame, place in zip(frames, places, strict=True)]


def _drawn(frame: np.ndarray, video: GatheredVideo, shown: list[int], place: int) -> Image.Image:
    """A frame `[H, W, 3]` with the boxes of what is seen in it."""
    scale = min(1.0, _LONG_SIDE / max(frame.shape[:2]))
    picture = Image.fromarray(frame)
    picture = picture.resize([max(1, round(side * scale)) for side in picture.size])
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(max(12, max(picture.size) // 40))
    for i in shown:
        mask = (video.objects[i].masks or [None] * len(video.frames))[place]
        if mask is None:
            continue
        left, top, width, height = (value * scale for value in box_of(mask))
        color = object_color(i)
        draw.rectangle((left, top, left + width, top + height), outline=color, width=2)
        label = draw.textbbox((left + 2, top + 1), str(i + 1), font=font)
        draw.rectangle((left, top, label[2] + 2, label[3] + 1), fill=color)
        draw.text((left + 2, top + 1), str(i + 1), fill=_BLACK if sum(color) > 382 else _WHITE, font=font)
    return picture


def _url(picture: Image.Image) -> str:
    buffer = io.BytesIO()
    picture.save(buffer, "JPEG", quality=_QUALITY, subsampling=0)  # thin lines keep their colours
    return f"data:image/jpeg;base64,{base64.b64encode(buffer.getvalue()).decode('ascii')}"
