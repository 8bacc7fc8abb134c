"""The reliability diagram: of answers that were said to be right with some probability, how many are."""

from typing import Any

from PIL import Image, ImageDraw, ImageFont

from ..render.colors import BACKGROUND, MUTED, TEXT
from ..render.text import drawable
from .table import parts_of, share_of

_SIDE, _HISTOGRAM, _MARGIN, _TITLE = 360, 70, 56, 64
_COLUMNS = 2
_GRID = (70, 70, 78)
# Bins with fewer are drawn, but not joined: their share is chance.
_FEW = 5
# Before and after, told apart by shape, too.
_BEFORE, _AFTER = (240, 160, 70), (90, 200, 250)


def reliability_diagram(measured: dict[str, Any]) -> Image.Image:
    """One picture of everything measured: a panel each, the shares that are right over what was said of them.

    On the diagonal is what is right as often as it says. Below each panel is how many there are in each tenth.

    Args:
        measured: `Calibration.measured`.

    Returns:
        An RGB image.
    """
    panels = list(parts_of(measured))
    width, height = _SIDE + 2 * _MARGIN, _SIDE + _HISTOGRAM + _MARGIN + _TITLE + 24
    rows = -(-len(panels) // _COLUMNS)
    picture = Image.new("RGB", (_COLUMNS * width, max(rows, 1) * height + 40), BACKGROUND)
    draw = ImageDraw.Draw(picture)
    font = ImageFont.load_default(18)
    draw.rectangle((_MARGIN, 16, _MARGIN + 14, 30), outline=_BEFORE, width=3)
    draw.text((_MARGIN + 22, 23), "before: the model's own score", font=font, fill=TEXT, anchor="lm")
    draw.ellipse((_MARGIN + 330, 16, _MARGIN + 344, 30), fill=_AFTER)
    words = "after: calibrated, of videos not seen by the fit"
    draw.text((_MARGIN + 352, 23), words, font=font, fill=TEXT, anchor="lm")
    for number, (name, own) in enumerate(panels):
        row, column = divmod(number, _COLUMNS)
        _panel(draw, (column * width + _MARGIN, 40 + row * height + _TITLE), name, own)
    return picture


def _panel(draw: ImageDraw.ImageDraw, corner: tuple[int, int], name: str, own: dict[str, Any]) -> None:
    left, top = corner
    bottom, right = top + _SIDE, left + _SIDE
    title, small = ImageFont.load_default(20), ImageFont.load_default(14)
    draw.text((left, top - 44), drawable(name), font=title, fill=TEXT, anchor="lm")
    errors = [f"{own[side]['calibration_error']:.3f}" for side in ("before", "after")]
    words = f"calibration error {errors[0]}, then {errors[1]}; {share_of(name, own)}"
    draw.text((left, top - 20), words, font=small, fill=MUTED, anchor="lm")
    for tenth in range(0, 11, 2):
        x, y = left + _SIDE * tenth / 10, bottom - _SIDE * tenth / 10
        draw.line((x, top, x, bottom), fill=_GRID)
        draw.line((left, y, right, y), fill=_GRID)
        draw.text((left - 8, y), f"{tenth * 10} %", font=small, fill=MUTED, anchor="rm")
        draw.text((x, bottom + _HISTOGRAM + 14), f"{tenth * 10} %", font=small, fill=MUTED, anchor="mm")
    draw.line((left, bottom, right, top), fill=MUTED, width=2)
    most = max((b["count"] for side in ("before", "after") for b in own[side]["bins"] if b), default=1)
    for side, color, round_dots in (("before", _BEFORE, False), ("after", _AFTER, True)):
        bins = [b for b in own[side]["bins"] if b]
        dots = [(left + _SIDE * b["predicted"], bottom - _SIDE * b["observed"]) for b in bins]
        joined = [dot for dot, b in zip(dots, bins, strict=True) if b["count"] >= _FEW]
        if len(joined) > 1:
            draw.line(joined, fill=color, width=2)
        for (x, y), b in zip(dots, bins, strict=True):
            # The more there are in a bin, the larger its dot.
            r = 3 + 6 * (b["count"] / most) ** 0.5
            box = (x - r, y - r, x + r, y + r)
            if round_dots:
                draw.ellipse(box, fill=color)
            else:
                draw.rectangle(box, fill=BACKGROUND, outline=color, width=2)
        base = bottom + _HISTOGRAM
        for tenth, b in enumerate(own[side]["bins"]):
            if b:
                x = left + _SIDE * (tenth + (0.52 if round_dots else 0.1)) / 10
                tall = max(1.0, (_HISTOGRAM - 14) * b["count"] / most)
                draw.rectangle((x, base - tall, x + _SIDE * 0.038, base), fill=color)
