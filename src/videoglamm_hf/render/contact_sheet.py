"""One picture of a whole video."""

import math
from collections.abc import Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from ..errors import InputError
from .arrays import check_frame, check_masks, resized, resized_masks
from .colors import BACKGROUND, MUTED, TEXT, Color, object_colors
from .legend import legend_strip
from .overlay import overlay_masks
from .text import drawable, wrapped

_SHEET_WIDTH = 1600
_SHEET_ASPECT = 1.6
_MAX_TILE_SIDE = 960


def contact_sheet(
    frames: Sequence[np.ndarray] | np.ndarray,
    masks: np.ndarray,
    labels: Sequence[str],
    *,
    timestamps: Sequence[float] | None = None,
    numbers: Sequence[int] | None = None,
    max_tiles: int = 8,
    title: str | None = None,
) -> Image.Image:
    """One picture of a whole video: frames evenly spread over it, with masks, times, title and legend.

    Args:
        frames: T >= 1 frames, uint8 [H, W, 3], of one size.
        masks: bool [N, T, H, W].
        labels: N phrases.
        timestamps: T times in seconds, shown on the tiles; if None, the numbers of the frames are.
        numbers: T numbers of the frames; if None, they are counted from 0.
        max_tiles: the most frames to show, at least 1.
        title: text above the frames, such as question and answer; its first line stands out.

    Returns:
        An RGB image.

    Raises:
        InputError: shapes or numbers do not fit together.
    """
    if len(frames) == 0 or max_tiles < 1:
        raise InputError("a contact sheet needs at least one frame and one tile")
    for position, frame in enumerate(frames):
        check_frame(frame)
        if frame.shape != frames[0].shape:
            raise InputError(f"frame {position} has shape {list(frame.shape)}, the first {list(frames[0].shape)}")
    height, width = frames[0].shape[:2]
    check_masks(masks, (len(labels), len(frames), height, width))
    if timestamps is not None and len(timestamps) != len(frames):
        raise InputError(f"there are {len(timestamps)} timestamps for {len(frames)} frames")

    if numbers is not None and len(numbers) != len(frames):
        raise InputError(f"there are {len(numbers)} numbers for {len(frames)} frames")

    positions = np.linspace(0, len(frames) - 1, min(max_tiles, len(frames))).round().astype(int)
    margin, gap = _SHEET_WIDTH // 40, _SHEET_WIDTH // 100
    columns = _columns(len(positions), width / height)
    scale = min((_SHEET_WIDTH - 2 * margin - gap * (columns - 1)) / columns / width, _MAX_TILE_SIDE / height)
    scale = min(scale, _MAX_TILE_SIDE / width)
    tile = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = math.ceil(len(positions) / columns)
    grid = (columns * tile[0] + (columns - 1) * gap, rows * tile[1] + (rows - 1) * gap)
    inner = max(grid[0], _SHEET_WIDTH // 2)  # a single narrow frame still leaves room for text

    colors = object_colors(len(labels))
    parts = [_title(inner, title)] if title and title.strip() else []
    parts.append(Image.new("RGB", (inner, grid[1]), BACKGROUND))
    for number, position in enumerate(positions):
        picture = overlay_masks(
            resized(frames[position], tile), resized_masks(masks[:, position], tile), colors=colors
        )
        number_shown = position if numbers is None else numbers[position]
        stamp = f"frame {number_shown}" if timestamps is None else _clock(timestamps[position])
        row, column = divmod(number, columns)
        corner = ((inner - grid[0]) // 2 + column * (tile[0] + gap), row * (tile[1] + gap))
        parts[-1].paste(_stamped(picture, stamp), corner)
    if labels:
        parts.append(Image.fromarray(legend_strip(inner, labels, colors, 26, inset=0)))

    heights = [part.height for part in parts]
    size = (inner + 2 * margin, sum(heights) + (len(parts) - 1) * 2 * gap + 2 * margin)
    sheet = Image.new("RGB", size, BACKGROUND)
    top = margin
    for part in parts:
        sheet.paste(part, (margin, top))
        top += part.height + 2 * gap
    return sheet


def _title(width: int, title: str) -> Image.Image:
    """The title in wrapped lines, its first line larger and brighter."""
    lines: list[tuple[str, ImageFont.FreeTypeFont, Color]] = []
    for number, paragraph in enumerate(title.strip().splitlines()):
        font, color = ImageFont.load_default(26 if number else 34), MUTED if number else TEXT
        lines += [(line, font, color) for line in wrapped(drawable(paragraph), font, width)]
    heights = [round(1.45 * font.size) for _, font, _ in lines]
    image = Image.new("RGB", (width, sum(heights)), BACKGROUND)
    draw = ImageDraw.Draw(image)
    top = 0
    for (line, font, color), height in zip(lines, heights, strict=True):
        draw.text((0, top + height // 2), line, font=font, fill=color, anchor="lm")
        top += height
    return image


def _stamped(picture: np.ndarray, stamp: str) -> Image.Image:
    """A picture with a small dark plate in its lower left corner that says `stamp`, if there is room."""
    image = Image.fromarray(picture)
    font = ImageFont.load_default(max(12, min(24, image.width // 18)))
    pad = round(font.size / 3)
    width, height = math.ceil(font.getlength(stamp)) + 2 * pad, font.size + pad
    if width + 2 * pad <= image.width and height + 2 * pad <= image.height:
        left, top = pad, image.height - pad - height
        plate = Image.new("L", (width, height), 0)
        ImageDraw.Draw(plate).rounded_rectangle((0, 0, width - 1, height - 1), radius=pad, fill=170)
        image.paste(Image.new("RGB", (width, height), (0, 0, 0)), (left, top), plate)
        middle = (left + width // 2, top + height // 2)
        ImageDraw.Draw(image).text(middle, stamp, font=font, fill=(255, 255, 255), anchor="mm")
    return image


def _columns(count: int, aspect: float) -> int:
    """How many tiles of this aspect (width / height) per row make a sheet of a good shape without holes."""

    def ugliness(columns: int) -> float:
        rows = math.ceil(count / columns)
        holes = columns * rows - count
        return abs(math.log(columns * aspect / rows / _SHEET_ASPECT)) + holes / columns

    return min(range(1, count + 1), key=ugliness)


def _clock(seconds: float) -> str:
    """A time as minutes and seconds ("0:03.2"), from an hour on with hours ("1:00:03.2")."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    clock = f"{minutes % 60:02d}:{rest / 10:04.1f}" if minutes >= 60 else f"{minutes}:{rest / 10:04.1f}"
    return f"{minutes // 60}:{clock}" if minutes >= 60 else clock
