"""Picture files and animations, read with Pillow."""

from __future__ import annotations

import logging
import math
import os
import struct
import warnings
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import MediaError
from .frame_arrays import MAX_PIXELS, check_pixels
from .limits import lift, limit
from .media_files import media_errors, short_name

logger = logging.getLogger(__name__)

MAX_ANIMATION_BYTES = limit(
    "VIDEOGLAMM_MAX_ANIMATION_BYTES", 2**32
)  # of all frames of a GIF or the like, which are all decoded

# Formats Pillow reads itself: no external program, none that is really a video or a document.
_PICTURE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
_LIFT = f"make it smaller, or {lift('VIDEOGLAMM_MAX_PIXELS')} (or PIL.Image.MAX_IMAGE_PIXELS)"
_ORIENTATION = 0x0112
_ANIMATION_SUFFIXES = (".apng", ".avif", ".gif", ".png", ".webp")
if "VIDEOGLAMM_MAX_PIXELS" in os.environ and Image.MAX_IMAGE_PIXELS:
    # Pillow's own bound, twice this number, is lower than ours: whoever lifts ours means both.
    Image.MAX_IMAGE_PIXELS = max(Image.MAX_IMAGE_PIXELS, MAX_PIXELS // 2)


def open_picture(path: Path, name: str) -> Image.Image | None:
    """The picture or animation in a file, not decoded yet; None if it is not one."""
    if size := _webp_size(path):
        # Pillow below 13 makes room for the frames of such a file before it looks how large they are.
        check_pixels(name, *size)
        if Image.MAX_IMAGE_PIXELS and math.prod(size) > 2 * Image.MAX_IMAGE_PIXELS:
            raise MediaError(f"{name}: the picture has too many pixels: {math.prod(size)}; {_LIFT}")
    Image.init()
    formats = [f for f in _PICTURE_FORMATS if f in Image.OPEN]
    try:
        picture = Image.open(path, formats=formats)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name}: the picture has too many pixels: {error}; {_LIFT}") from error
    try:
        check_pixels(name, picture.width, picture.height)
    except MediaError:
        picture.close()
        raise
    return picture


def _webp_size(path: Path) -> tuple[int, int] | None:
    """(width, height) that a WebP file declares; None if it is none.

    Source: RFC 9649, sections 2.5 to 2.7, and RFC 6386, section 9.1.
    """
    with path.open("rb") as file:
        head = file.read(30)
    if head[:4] != b"RIFF" or head[8:12] != b"WEBP" or len(head) < 30:
        return None
    if head[12:16] == b"VP8X":
        return 1 + int.from_bytes(head[24:27], "little"), 1 + int.from_bytes(head[27:30], "little")
    if head[12:16] == b"VP8L":
        sides = int.from_bytes(head[21:25], "little")
        return 1 + (sides & 0x3FFF), 1 + (sides >> 14 & 0x3FFF)
    if head[12:16] == b"VP8 ":
        return int.from_bytes(head[26:28], "little") & 0x3FFF, int.from_bytes(head[28:30], "little") & 0x3FFF
    return None


def is_animation(path: Path) -> bool:
    """Whether a file is a picture of several frames that play (a TIFF's are pages); False if it cannot be opened."""
    if path.suffix.lower() not in _ANIMATION_SUFFIXES:
        return False
    name = short_name(str(path))
    try:
        with media_errors(name), warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)
            picture = open_picture(path, name)
            if picture is None:
                return False
            with picture:
                return getattr(picture, "is_animated", False)
    except MediaError:
        return False


def rgb(picture: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3] of the current frame, transparency laid on white."""
    if picture.mode.startswith("I"):  # 16 bits per pixel: Pillow's own conversion clips at 255
        grey = np.clip(np.asarray(picture), 0, 2**16 - 1) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture if picture.mode == "RGB" else picture.convert("RGB"))


def upright(picture: Image.Image) -> Image.Image:
    """A picture turned and mirrored as its EXIF orientation says; itself, not a copy, if it stands upright already."""
    return ImageOps.exif_transpose(picture) if picture.getexif().get(_ORIENTATION, 1) != 1 else picture


def animation_times(picture: Image.Image, name: str) -> tuple[list[float], float]:
    """When each frame that can be decoded appears, and when the last one leaves the screen, in seconds."""
    count = getattr(picture, "n_frames", 1)
    if count > 1 and count * picture.width * picture.height * 3 > MAX_ANIMATION_BYTES:
        raise MediaError(
            f"{name}: an animation of {count} frames of {picture.width}x{picture.height} is too large; "
            f"convert it to mp4, or {lift('VIDEOGLAMM_MAX_ANIMATION_BYTES')}"
        )
    # Only decoding tells how long each frame stays, so all are decoded once before any is kept.
    starts: list[float] = []  # milliseconds, as are the delays
    elapsed = 0.0
    for position in range(count):
        try:
            picture.seek(position)
            picture.load()
        except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:
            if not starts:
                raise
            logger.warning("%s: frames after the first %d cannot be decoded: %s", name, position, error)
            break
        starts.append(elapsed)
        delay = picture.info.get("duration") or 0
        elapsed += delay if 10 < delay < math.inf else 100  # as browsers play "no delay"; damage may say NaN
    return [start / 1000 for start in starts], elapsed / 1000
