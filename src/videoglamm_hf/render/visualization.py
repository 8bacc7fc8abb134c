"""What a person looks at: masks over frames, legends, videos to write, contact sheets, coloured answers.

Design choices:

* Drawn by Pillow, with the font that it carries, so that pictures look the same everywhere.
* Object i has the same colour in every picture, legend and answer, however many objects there are.
* Small clips are enlarged before anything is drawn on them, so that contours and text stay crisp.
* Legends stand below the frame, never on it: nothing of the video is covered.
"""

from __future__ import annotations

import bisect
import colorsys
import itertools
import math
import unicodedata
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from scipy.ndimage import binary_erosion

from ..errors import InputError

Color = tuple[int, int, int]

# Okabe and Ito's colours, told apart with every kind of colour vision, the most different ones first.
_PALETTE: tuple[Color, ...] = (
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (204, 121, 167),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
)

_BACKGROUND: Color = (24, 25, 29)
_TEXT: Color = (238, 239, 242)
_MUTED: Color = (176, 179, 188)

_MIN_SHORT_SIDE = 240  # smaller videos are enlarged for a legible legend
_MAX_LONG_SIDE = 1920  # and no further than this

_SHEET_WIDTH = 1600
_SHEET_ASPECT = 1.6
_MAX_TILE_SIDE = 960


def object_colors(n: int) -> list[Color]:
    """Colours (r, g, b), 0 to 255, of objects 0 to n - 1. Object i always has the same one.

    Raises:
        InputError: n is negative.
    """
    if n < 0:
        raise InputError(f"the number of colours must not be negative, not {n}")
    colors = list(_PALETTE[:n])
    for i in range(len(_PALETTE), n):
        # Steps of the golden ratio never come near an earlier hue soon; lightness and saturation alternate.
        hue = (0.28 + 0.618034 * i) % 1
        red, green, blue = colorsys.hls_to_rgb(hue, (0.42, 0.72, 0.57)[i % 3], (0.9, 0.65)[i % 2])
        colors.append((round(255 * red), round(255 * green), round(255 * blue)))
    return colors


def overlay_masks(
    frame: np.ndarray,
    masks: np.ndarray,
    *,
    colors: Sequence[Color] | None = None,
    alpha: float = 0.5,
) -> np.ndarray:
    """Tint the masks over a frame and draw their contours (inside the masks). Later objects lie on top.

    Args:
        frame: uint8 [H, W, 3].
        masks: bool [N, H, W].
        colors: N colours (r, g, b); `object_colors(N)` if None.
        alpha: strength of the tint, 0 (only contours) to 1 (opaque).

    Returns:
        uint8 [H, W, 3], a new array, equal to `frame` outside the masks.

    Raises:
        InputError: shapes, types, number of colours or alpha do not fit.
    """
    _check_frame(frame)
    _check_masks(masks, ("N", *frame.shape[:2]))
    if not 0 <= alpha <= 1:
        raise InputError(f"alpha must be from 0 to 1, not {alpha}")
    table = np.array(_colors_for(len(masks), colors), np.float32).reshape(-1, 3)

    tints = np.zeros(frame.shape[:2], np.int32)  # 1 + the number of the topmost object, 0 where there is none
    contours = np.zeros(frame.shape[:2], bool)
    thickness = max(1, round(min(frame.shape[:2]) / 180))
    for number, mask in enumerate(masks, start=1):
        box = _box(mask, thickness + 1)
        if box is not None:
            part = mask[box]
            tints[box][part] = number
            contours[box][part] = ~_eroded(part, thickness)[part]

    result = frame.copy()
    weight = np.where(contours, np.float32(1), np.float32(alpha))
    covered = tints > 0
    if covered.any():
        share = weight[covered][:, None]
        mixed = frame[covered] * (1 - share) + table[tints[covered] - 1] * share
        result[covered] = np.rint(mixed)
    return result


def draw_legend(frame: np.ndarray, labels: Sequence[str], colors: Sequence[Color]) -> np.ndarray:
    """Add a strip below a frame that names the objects: a chip of the colour and the phrase for each.

    Args:
        frame: uint8 [H, W, 3].
        labels: one phrase per object; phrases that are too long for the width are cut with an ellipsis.
        colors: one colour (r, g, b) per object.

    Returns:
        uint8 [H + strip, W, 3]; the frame itself if there are no labels.

    Raises:
        InputError: the frame is not a picture, or the numbers of labels and colours differ.
    """
    _check_frame(frame)
    strip = _legend(frame.shape[1], labels, colors, _font_size(frame))
    return np.concatenate([frame, strip])


def render_video(
    frames: Iterable[np.ndarray],
    masks: np.ndarray,
    labels: Sequence[str],
) -> Iterator[np.ndarray]:
    """Frames with masks and a legend, one at a time, all of one size: what `write_mp4` takes.

    Videos with a short side below 240 pixels are enlarged.

    Args:
        frames: T frames, uint8 [H, W, 3].
        masks: bool [N, T, H, W].
        labels: N phrases.

    Returns:
        An iterator over T frames, uint8 [H', W', 3].

    Raises:
        InputError: shapes or numbers do not fit together; for a frame, when its turn comes.
    """
    _check_masks(masks, (len(labels), "T", "H", "W"))
    return _rendered(frames, masks, labels)


def contact_sheet(
    frames: Sequence[np.ndarray] | np.ndarray,
    masks: np.ndarray,
    labels: Sequence[str],
    *,
    timestamps: Sequence[float] | None = None,
    max_tiles: int = 8,
    title: str | None = None,
) -> Image.Image:
    """One picture of a whole video: frames evenly spread over it, with masks, times, title and legend.

    Args:
        frames: T >= 1 frames, uint8 [H, W, 3], of one size.
        masks: bool [N, T, H, W].
        labels: N phrases.
        timestamps: T times in seconds, shown on the tiles; if None, the numbers of the frames are.
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
        _check_frame(frame)
        if frame.shape != frames[0].shape:
            raise InputError(f"frame {position} has shape {list(frame.shape)}, the first {list(frames[0].shape)}")
    height, width = frames[0].shape[:2]
    _check_masks(masks, (len(labels), len(frames), height, width))
    if timestamps is not None and len(timestamps) != len(frames):
        raise InputError(f"there are {len(timestamps)} timestamps for {len(frames)} frames")

    positions = np.linspace(0, len(frames) - 1, min(max_tiles, len(frames))).round().astype(int)
    margin, gap = _SHEET_WIDTH // 40, _SHEET_WIDTH // 100
    columns = _columns(len(positions), width / height)
    scale = min((_SHEET_WIDTH - 2 * margin - gap * (columns - 1)) / columns / width, _MAX_TILE_SIDE / height)
    scale = min(scale, _MAX_TILE_SIDE / width)
    tile = (max(1, round(width * scale)), max(1, round(height * scale)))
    rows = math.ceil(len(positions) / columns)
    grid = (columns * tile[0] + (columns - 1) * gap, rows * tile[1] + (rows - 1) * gap)
    inner = max(grid[0], _SHEET_WIDTH // 2)  # a single narrow frame still leaves room for text

    colors = _colors_for(len(labels), None)
    parts = [_title(inner, title)] if title and title.strip() else []
    parts.append(Image.new("RGB", (inner, grid[1]), _BACKGROUND))
    for number, position in enumerate(positions):
        picture = overlay_masks(
            _resized(frames[position], tile), _resized_masks(masks[:, position], tile), colors=colors
        )
        stamp = f"frame {position}" if timestamps is None else _clock(timestamps[position])
        row, column = divmod(number, columns)
        corner = ((inner - grid[0]) // 2 + column * (tile[0] + gap), row * (tile[1] + gap))
        parts[-1].paste(_stamped(picture, stamp), corner)
    if labels:
        parts.append(Image.fromarray(_legend(inner, labels, colors, 26, inset=0)))

    heights = [part.height for part in parts]
    size = (inner + 2 * margin, sum(heights) + (len(parts) - 1) * 2 * gap + 2 * margin)
    sheet = Image.new("RGB", size, _BACKGROUND)
    top = margin
    for part in parts:
        sheet.paste(part, (margin, top))
        top += part.height + 2 * gap
    return sheet


def colored_answer(text: str, spans: Sequence[tuple[int, int]], colors: Sequence[Color]) -> str:
    """An answer for a terminal, each phrase in bold and in the colour of its object (ANSI, 24 bits).

    Where spans overlap, the later one counts. Escape characters in the text are made visible, so that a text
    cannot control the terminal.

    Args:
        text: the answer.
        spans: (start, end) of each phrase, in characters of `text`, end not included.
        colors: one colour (r, g, b) per span.

    Raises:
        InputError: a span lies outside the text, or the numbers of spans and colours differ.
    """
    if len(spans) != len(colors):
        raise InputError(f"there are {len(colors)} colours for {len(spans)} spans")
    owners = [-1] * len(text)
    for number, (start, end) in enumerate(spans):
        if not 0 <= start <= end <= len(text):
            raise InputError(f"span {number} ({start}, {end}) lies outside the text of {len(text)} characters")
        owners[start:end] = [number] * (end - start)
    safe = "".join(_visible(character) for character in text)
    pieces = []
    for owner, group in itertools.groupby(range(len(text)), key=owners.__getitem__):
        piece = "".join(safe[i] for i in group)
        if owner >= 0:
            red, green, blue = colors[owner]
            piece = f"\x1b[1;38;2;{red};{green};{blue}m{piece}\x1b[0m"
        pieces.append(piece)
    return "".join(pieces)


# Checks


def _check_frame(frame: np.ndarray) -> None:
    if not isinstance(frame, np.ndarray) or frame.dtype != np.uint8:
        raise InputError(f"a frame must be a uint8 array, not {getattr(frame, 'dtype', type(frame).__name__)}")
    if frame.ndim != 3 or frame.shape[2] != 3 or 0 in frame.shape:
        raise InputError(f"a frame must have shape [H, W, 3], not {list(frame.shape)}")


def _check_masks(masks: np.ndarray, expected: tuple[int | str, ...]) -> None:
    """Raise InputError unless masks are bool of this shape; letters stand for any length."""
    if not isinstance(masks, np.ndarray) or masks.dtype != np.bool_:
        raise InputError(f"masks must be a bool array, not {getattr(masks, 'dtype', type(masks).__name__)}")
    fits = masks.ndim == len(expected) and all(
        isinstance(side, str) or side == found for side, found in zip(expected, masks.shape, strict=False)
    )
    if not fits:
        wanted = ", ".join(map(str, expected))
        raise InputError(f"masks have shape {list(masks.shape)}; expected [{wanted}] to fit frames and labels")


def _colors_for(count: int, colors: Sequence[Color] | None) -> Sequence[Color]:
    if colors is None:
        return object_colors(count)
    if len(colors) != count:
        raise InputError(f"there are {len(colors)} colours for {count} objects")
    return colors


# Masks over frames


def _box(mask: np.ndarray, margin: int) -> tuple[slice, slice] | None:
    """The part of a mask [H, W] that holds all its pixels and `margin` more on each side; None if empty."""
    sides = []
    for axis in (1, 0):
        hits = np.flatnonzero(mask.any(axis=axis))
        if not hits.size:
            return None
        sides.append(slice(max(0, int(hits[0]) - margin), int(hits[-1]) + margin + 1))
    return sides[0], sides[1]


def _eroded(mask: np.ndarray, steps: int) -> np.ndarray:
    """The pixels of a mask [H, W] at least `steps` away from its edge; the edge of the frame is none."""
    if steps > 1:  # squares and crosses together come close to a disc
        mask = binary_erosion(mask, np.ones((3, 3)), steps // 2, border_value=1)
    return binary_erosion(mask, iterations=(steps + 1) // 2, border_value=1)


def _enlargement(height: int, width: int) -> int:
    factor = math.ceil(_MIN_SHORT_SIDE / min(height, width))
    return max(1, min(factor, _MAX_LONG_SIDE // max(height, width)))


def _resized(frame: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """A frame [H, W, 3] in another (width, height)."""
    return np.asarray(Image.fromarray(frame).resize(size, Image.Resampling.LANCZOS))


def _resized_masks(masks: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Masks [N, H, W] in another (width, height), smooth; what is there does not vanish."""
    if masks.shape[1:] == (size[1], size[0]):
        return masks
    resized = np.zeros((len(masks), size[1], size[0]), bool)
    for before, after in zip(masks, resized, strict=True):
        share = np.asarray(Image.fromarray(before.astype(np.float32)).resize(size, Image.Resampling.BILINEAR))
        after[...] = share >= min(0.5, share.max())
        after &= share > 0
    return resized


def _rendered(frames: Iterable[np.ndarray], masks: np.ndarray, labels: Sequence[str]) -> Iterator[np.ndarray]:
    colors = object_colors(len(labels))
    count, height, width = masks.shape[1:]
    factor = _enlargement(height, width) if height and width else 1
    size = (width * factor, height * factor)
    legend = None
    position = 0
    for frame in frames:
        _check_frame(frame)
        if frame.shape[:2] != (height, width) or position == count:
            raise InputError(
                f"frame {position} is {frame.shape[1]}x{frame.shape[0]}, but the masks are for "
                f"{count} frames of {width}x{height}"
            )
        picture = overlay_masks(_resized(frame, size), _resized_masks(masks[:, position], size), colors=colors)
        if legend is None:
            legend = _legend(size[0], labels, colors, _font_size(picture))
        yield np.concatenate([picture, legend])
        position += 1
    if position < count:
        raise InputError(f"there are only {position} frames, but masks for {count}")


# Text


def _font_size(frame: np.ndarray) -> int:
    return max(12, round(0.032 * min(frame.shape[:2])))


def _drawable(text: str) -> str:
    """One line of what Pillow's font can draw: blanks for other spaces, no accents, plain dashes."""
    drawn = []
    for character in unicodedata.normalize("NFKD", " ".join(text.split())):
        category = unicodedata.category(character)
        if category == "Pd":
            drawn.append("-")
        elif category[0] != "C" and category != "Mn":
            drawn.append(character)
    return "".join(drawn)


def _visible(character: str) -> str:
    """The character, or a stand-in of the same length for one that controls a terminal."""
    if character in "\n\t" or unicodedata.category(character) != "Cc":
        return character
    return chr(0x2400 + ord(character)) if ord(character) < 0x20 else "\ufffd"


def _elided(text: str, font: ImageFont.FreeTypeFont, width: float) -> str:
    """The text, or as much of its beginning as fits the width with an ellipsis."""
    if font.getlength(text) <= width:
        return text
    fitting = bisect.bisect_right(range(len(text)), width, key=lambda n: font.getlength(f"{text[:n].rstrip()}…"))
    return f"{text[: max(0, fitting - 1)].rstrip()}…"


def _wrapped(text: str, font: ImageFont.FreeTypeFont, width: float) -> list[str]:
    """Lines no wider than the width, broken between words; a longer word is elided."""
    lines: list[str] = []
    for word in text.split():
        word = _elided(word, font, width)
        if lines and font.getlength(f"{lines[-1]} {word}") <= width:
            lines[-1] = f"{lines[-1]} {word}"
        else:
            lines.append(word)
    return lines


def _clock(seconds: float) -> str:
    """A time as minutes and seconds ("0:03.2"), from an hour on with hours ("1:00:03.2")."""
    tenths = round(seconds * 10)
    minutes, rest = divmod(tenths, 600)
    clock = f"{minutes % 60:02d}:{rest / 10:04.1f}" if minutes >= 60 else f"{minutes}:{rest / 10:04.1f}"
    return f"{minutes // 60}:{clock}" if minutes >= 60 else clock


def _legend(
    width: int, labels: Sequence[str], colors: Sequence[Color], font_size: int, *, inset: int | None = None
) -> np.ndarray:
    """uint8 [strip, width, 3]: colour chips and phrases in rows, `inset` from the sides."""
    if len(labels) != len(colors):
        raise InputError(f"there are {len(colors)} colours for {len(labels)} labels")
    if not labels:
        return np.empty((0, width, 3), np.uint8)
    font = ImageFont.load_default(font_size)
    pad = font_size // 2 if inset is None else inset
    chip, between, row_height = round(0.9 * font_size), round(0.4 * font_size), round(1.7 * font_size)

    placed: list[tuple[int, int, str]] = []  # left, row, phrase
    left, row = pad, 0
    for label in labels:
        phrase = _elided(_drawable(label), font, max(1, width - 2 * pad - chip - between))
        taken = chip + between + math.ceil(font.getlength(phrase))
        if left > pad and left + taken > width - pad:
            left, row = pad, row + 1
        placed.append((left, row, phrase))
        left += taken + 2 * chip

    strip = Image.new("RGB", (width, (row + 1) * row_height + 2 * (pad // 2)), _BACKGROUND)
    draw = ImageDraw.Draw(strip)
    for (left, row, phrase), color in zip(placed, colors, strict=True):
        middle = pad // 2 + row * row_height + row_height // 2
        corners = (left, middle - chip // 2, left + chip - 1, middle - chip // 2 + chip - 1)
        draw.rounded_rectangle(corners, radius=chip // 4, fill=color)
        draw.text((left + chip + between, middle), phrase, font=font, fill=_TEXT, anchor="lm")
    return np.asarray(strip)


def _title(width: int, title: str) -> Image.Image:
    """The title in wrapped lines, its first line larger and brighter."""
    lines: list[tuple[str, ImageFont.FreeTypeFont, Color]] = []
    for number, paragraph in enumerate(title.strip().splitlines()):
        font, color = ImageFont.load_default(26 if number else 34), _MUTED if number else _TEXT
        lines += [(line, font, color) for line in _wrapped(_drawable(paragraph), font, width)]
    heights = [round(1.45 * font.size) for _, font, _ in lines]
    image = Image.new("RGB", (width, sum(heights)), _BACKGROUND)
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
