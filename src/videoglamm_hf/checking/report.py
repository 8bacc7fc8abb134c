"""The page of a data check: what was found, and samples to look at."""

import base64
import io
from collections import Counter
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from PIL import Image

from ..data.rle import decode_rle
from ..output_files import explained_writes, replacing_file
from ..render.colors import object_color
from ..render.overlay import overlay_masks
from .check import DataCheck, shown_frames
from .finding import LEVELS
from .records import Record

# Longest side of a picture on the page, in pixels.
_SIDE = 360


def write_check_report(path: Path, check: DataCheck) -> None:
    """Writes one HTML file that needs no other; one that is there is replaced.

    Raises:
        OutputError: The file cannot be written.
    """
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    by_record: dict[str, list[str]] = {}
    for finding in check.findings:
        by_record.setdefault(finding.record, []).append(finding.kind)
    page = template.render(
        check=check,
        levels=LEVELS,
        kinds=Counter(finding.kind for finding in check.findings).most_common(),
        pictures=[_picture(*shown, by_record) for shown in shown_frames(check)],
    )
    with replacing_file(path) as aside, explained_writes(path):
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _picture(record: Record, frame: np.ndarray, number: int, by_record: dict[str, list[str]]) -> dict[str, Any]:
    """A frame with the masks of its objects, as data for the page."""
    masks, objects = [], []
    place = record.mask_frames.index(number) if number in record.mask_frames else None
    for index, named in enumerate(record.objects):
        mask = None if place is None else named.track[place]
        pixels = np.zeros(frame.shape[:2], bool) if mask is None else decode_rle(mask).astype(bool)
        if pixels.shape == frame.shape[:2]:
            masks.append(pixels)
            color = "#{:02x}{:02x}{:02x}".format(*object_color(len(masks) - 1))
            phrase = named.phrase or f"object {index + 1}"
            objects.append({"phrase": phrase, "color": color, "there": bool(pixels.any())})
    picture = overlay_masks(frame, np.stack(masks)) if masks else frame
    image = Image.fromarray(picture)
    image.thumbnail((_SIDE, _SIDE))
    data = io.BytesIO()
    image.save(data, format="JPEG", quality=80)
    return {
        "name": record.name,
        "media": Path(record.media[0]).name if record.media else "",
        "frame": number,
        "data": base64.b64encode(data.getvalue()).decode(),
        "objects": objects,
        "kinds": by_record.get(record.name, []),
    }
