"""The page of a calibration: figures, the reliability diagram, and what leaving the unsure out would do."""

import base64
import io
import os
from importlib.resources import files
from pathlib import Path

from jinja2 import Environment, StrictUndefined

from ..output_files import explained_writes, replacing_file
from .calibrating import CalibrationResult
from .diagram import reliability_diagram
from .measuring import THRESHOLDS
from .table import HEADERS, figure_rows

# Questions that could not be answered which the page names.
_FAILED = 200


def write_calibration_report(path: str | os.PathLike[str], found: CalibrationResult) -> None:
    """Writes one HTML file that needs no other; one that is there is replaced.

    Raises:
        OutputError: The file cannot be written.
    """
    measured = found.calibration.measured
    picture = io.BytesIO()
    reliability_diagram(measured).save(picture, format="PNG")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(files(__package__).joinpath("report.html.jinja").read_text(encoding="utf-8"))
    page = template.render(
        measured=measured,
        iou=found.calibration.iou,
        notes=found.notes,
        headers=HEADERS,
        rows=figure_rows(measured),
        diagram=base64.b64encode(picture.getvalue()).decode(),
        thresholds=THRESHOLDS,
        objects=[(mode, measured[mode]["objects"]) for mode in found.calibration.mask_modes],
        failed=list(found.failed.items())[:_FAILED],
    )
    path = Path(path)
    with explained_writes(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        with replacing_file(path) as aside:
            aside.write_text(page, encoding="utf-8", errors="backslashreplace")
