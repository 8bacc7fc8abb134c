"""What scoring a benchmark finds, as it is written to scores.json."""

import json
import math
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, field
from importlib.metadata import version
from pathlib import Path
from typing import Any

from .. import __version__
from ..errors import InputError
from ..output_files import explained_writes, replacing_file
from .video_masks import BOUNDARY_TOLERANCE

_LIBRARIES = ("numpy", "scipy", "pillow", "pycocotools")


@dataclass
class Scores:
    """Figures of one set of predictions.

    Attributes:
        benchmark: Its name.
        figures: As its own code names them.
        per_expression: J and F of every expression, by `VIDEO_EXPRESSION`.
        missing: Names of what has no prediction at all, and is scored 0.
        missing_frames: How many frames have no file, and count as empty, by the name of what lacks them.
        failed: Why a question could not be answered, or a prediction not be scored, and is scored 0, by its name.
        per_sample: Figures of every sample beside or in place of J and F, by its name.
        answers: What was answered, by the name of the sample.
        ratios: Numerator and denominator among the figures of samples, of figures that are ratios of sums.
        weights: What a sample counts in the figures, by its name; empty if all count the same.
        intervals: `[low, high]` of figures, see [`figure_intervals`].
        videos: Which video every sample is about, by its name; intervals are over videos.
        expected: How many predictions were looked for.
        settings: What the figures depend on.
    """

    benchmark: str
    figures: dict[str, Any] = field(default_factory=dict)
    per_expression: dict[str, list[float]] = field(default_factory=dict)
    missing: list[str] = field(default_factory=list)
    missing_frames: dict[str, int] = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    per_sample: dict[str, dict[str, Any]] = field(default_factory=dict)
    answers: dict[str, str] = field(default_factory=dict)
    ratios: dict[str, list[str]] = field(default_factory=dict)
    weights: dict[str, float] = field(default_factory=dict)
    intervals: dict[str, list[float]] = field(default_factory=dict)
    videos: dict[str, str] = field(default_factory=dict)
    expected: int = 0
    settings: dict[str, Any] = field(
        default_factory=lambda: {"boundary_tolerance": BOUNDARY_TOLERANCE, "frames_without_file": "empty"}
    )

    @property
    def main_figure(self) -> str:
        """The figure of samples by which they are ranked: the first one."""
        return next((name for figures in self.samples().values() for name in figures), "J&F")

    def samples(self) -> dict[str, dict[str, float]]:
        """All figures of every sample, by its name."""
        pairs = {name: {"J&F": (j + f) / 2, "J": j, "F": f} for name, (j, f) in self.per_expression.items()}
        names = pairs | self.per_sample
        return {name: pairs.get(name, {}) | self.per_sample.get(name, {}) for name in names}

    def whole_figures(self) -> dict[str, float]:
        """Figures of all questions together, without those of their kinds."""
        own = self.figures.get("mean_of_annotators", self.figures)
        return {name: value for name, value in own.items() if isinstance(value, float)}

    def write(self, path: Path) -> None:
        """Writes scores.json, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        versions = {"videoglamm_hf": __version__} | {name: version(name) for name in _LIBRARIES}
        text = json.dumps(asdict(self) | {"versions": versions}, indent=1, allow_nan=False)
        with explained_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path) as aside:
                aside.write_text(text + "\n", encoding="utf-8")


def mean_region_and_boundary(pairs: Iterable[Sequence[float]]) -> dict[str, float]:
    """`J`, `F` and `J&F` of pairs of J and F."""
    values = list(pairs)
    j, f = (math.fsum(side) / len(values) for side in zip(*values, strict=True))
    return {"J": j, "F": f, "J&F": (j + f) / 2}


def check_any_scored(scores: Scores, folder: Path, expected: str) -> None:
    """Refuses scores of a folder in which there was nothing: it is the wrong one.

    Raises:
        InputError: All predictions are missing or failed.
    """
    if len({*scores.missing, *scores.failed}) >= scores.expected:
        reason = next(iter(scores.failed.values()), f"predictions are expected as {expected}")
        raise InputError(f"{folder}: holds no prediction that can be scored; {reason}")
