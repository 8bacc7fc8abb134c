"""Two evaluations of the same questions, question by question."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..output_files import explained_writes, replacing_file
from .intervals import bootstrap_interval, weighted_mean
from .report import page_of
from .run_folder import settings_of

MOST_MOVED = 24


@dataclass(frozen=True)
class Difference:
    """How much one figure differs.

    Attributes:
        figure: Its name.
        first, second: Means over the questions that both have.
        interval: 95 % interval of the second less the first, by drawing videos again.
    """

    figure: str
    first: float
    second: float
    interval: tuple[float, float]

    @property
    def value(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """What two evaluations have in common, and where they differ.

    Attributes:
        names: The two folders.
        benchmark: What both were asked.
        differences: Of every figure of single questions.
        moved: The questions that moved most, by the first figure: name, question, and both sides' figure and answer.
        shared: How many questions both have.
        alone: How many only the first and only the second has.
        settings: What they were made with, where that differs: both values by name.
    """

    names: tuple[str, str]
    benchmark: str
    differences: list[Difference]
    moved: list[dict[str, Any]]
    shared: int
    alone: tuple[int, int]
    settings: dict[str, tuple[Any, Any]]


def compare_runs(first: Path, second: Path) -> Comparison:
    """Pairs the questions of two evaluations by their names.

    Args:
        first, second: Folders of evaluations, or of one each that `videoglamm evaluate` scored.

    Raises:
        InputError: One has no scores, they are of different benchmarks, or have no question in common.
    """
    sides = [_read(folder) for folder in (first, second)]
    if sides[0]["benchmark"] != sides[1]["benchmark"]:
        found = " and ".join(side["benchmark"] for side in sides)
        raise InputError(f"{first} and {second} are of different benchmarks ({found}); compare two of the same")
    samples = [_samples(side) for side in sides]
    shared = [name for name in samples[0] if name in samples[1]]
    if not shared:
        raise InputError(f"{first} and {second} have no question in common")
    videos = [sides[0]["videos"].get(name, name) for name in shared]
    figures = [name for name in samples[0][shared[0]] if name in samples[1][shared[0]]]
    differences = []
    for figure in figures:
        pairs = [(samples[0][name].get(figure, 0.0), samples[1][name].get(figure, 0.0)) for name in shared]
        means = [weighted_mean([pair[side] for pair in pairs]) for side in range(2)]
        differences.append(Difference(figure, *means, bootstrap_interval([b - a for a, b in pairs], videos)))
    main = figures[0]
    change = {name: samples[1][name].get(main, 0.0) - samples[0][name].get(main, 0.0) for name in shared}
    most = sorted(shared, key=lambda name: (-abs(change[name]), name))[:MOST_MOVED]
    settings = [settings_of(folder) or {} for folder in (first, second)]
    return Comparison(
        (str(first), str(second)),
        sides[0]["benchmark"],
        differences,
        [
            {
                "name": name,
                "change": change[name],
                "figures": [own[name].get(main, 0.0) for own in samples],
                "answers": [side["answers"].get(name, "") for side in sides],
            }
            for name in most
            if change[name]
        ],
        len(shared),
        (len(samples[0]) - len(shared), len(samples[1]) - len(shared)),
        {
            name: (settings[0].get(name), settings[1].get(name))
            for name in settings[0] | settings[1]
            if settings[0].get(name) != settings[1].get(name)
        },
    )


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes one HTML file that needs no other.

    Raises:
        OutputError: It cannot be written.
    """
    page = page_of("comparison.html.jinja", comparison=comparison)
    with explained_writes(path), replacing_file(path) as aside:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _read(folder: Path) -> dict[str, Any]:
    path = folder / "scores.json"
    try:
        found = json.loads(path.read_bytes())
        kept = {
            "benchmark": str(found["benchmark"]),
            "per_expression": dict(found["per_expression"]),
            "per_sample": dict(found.get("per_sample", {})),
            "videos": dict(found.get("videos", {})),
            "answers": dict(found.get("answers", {})),
            "parts": {part for pair in dict(found.get("ratios", {})).values() for part in pair},
        }
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no scores that can be read ({error!r:.200}); run `videoglamm evaluate`") from error
    return kept


def _samples(side: dict[str, Any]) -> dict[str, dict[str, float]]:
    found: dict[str, dict[str, float]] = {}
    try:
        for name, (j, f) in side["per_expression"].items():
            found[name] = {"J&F": (j + f) / 2, "J": float(j), "F": float(f)}
        for name, own in side["per_sample"].items():
            found.setdefault(name, {}).update(
                {key: float(value) for key, value in own.items() if key not in side["parts"]}
            )
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"scores of {side['benchmark']} are not as they were written: {error}") from error
    return found
