"""Two evaluations of the same questions, question by question."""

import json
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..output_files import explained_writes, replacing_file
from .intervals import figure_intervals, paired_interval
from .report import page_of
from .run_folder import settings_of
from .scores import Scores

MOST_MOVED = 24


@dataclass(frozen=True)
class Difference:
    """How much one figure differs.

    Attributes:
        figure: Its name.
        first, second: The figure of the questions that both have, as each run weighs and counts them.
        interval: 95 % interval of the second less the first, by drawing videos again; None for a figure that is
            neither a mean over questions nor a ratio of sums, such as METEOR of a set.
    """

    figure: str
    first: float
    second: float
    interval: tuple[float, float] | None

    @property
    def value(self) -> float:
        return self.second - self.first


@dataclass(frozen=True)
class Comparison:
    """What two evaluations have in common, and where they differ.

    Attributes:
        names: The two folders.
        benchmark: What both were asked.
        differences: Of every figure of all questions that both have.
        moved: The questions that moved most, by the first figure: name, question, and both sides' figure and answer.
        shared: How many questions both have.
        alone: How many only the first and only the second has.
        same_questions: Whether both were asked in the same words.
        settings: What they were made with, where that differs: both values by name.
        pictures: Some questions to look at: question, both answers, and the animation, for the page.
    """

    names: tuple[str, str]
    benchmark: str
    differences: list[Difference]
    moved: list[dict[str, Any]]
    shared: int
    alone: tuple[int, int]
    same_questions: bool
    settings: dict[str, tuple[Any, Any]]
    pictures: Sequence[dict[str, Any]] = ()


@dataclass(frozen=True)
class _Side:
    """One run's scores, see [`Scores`]."""

    benchmark: str
    samples: dict[str, dict[str, float]]
    figures: dict[str, float]
    intervals: dict[str, Any]
    ratios: dict[str, list[str]]
    weights: dict[str, float]
    videos: dict[str, str]
    answers: dict[str, str]

    def parts(self, figure: str, names: Sequence[str]) -> tuple[list[float], list[float]]:
        """Of every question what is added up above and below the line of a figure; zeros where it has none."""
        above, below = [], []
        for name in names:
            sample = self.samples[name]
            if figure in self.ratios:
                pair = [sample.get(part, 0.0) for part in self.ratios[figure]]
            else:
                weight = self.weights.get(name, 1.0) if figure in sample else 0.0
                pair = [weight * sample.get(figure, 0.0), weight]
            above.append(pair[0]), below.append(pair[1])
        return above, below


def compare_runs(first: str | os.PathLike[str], second: str | os.PathLike[str]) -> Comparison:
    """Pairs the questions of two evaluations by their names.

    Args:
        first, second: Folders of evaluations, or of one each that `videoglamm evaluate` scored.

    Raises:
        InputError: One has no scores, they are of different benchmarks, or have no question in common.
    """
    first, second = Path(first), Path(second)
    sides = [_read(folder) for folder in (first, second)]
    if sides[0].benchmark != sides[1].benchmark:
        found = " and ".join(side.benchmark for side in sides)
        raise InputError(f"{first} and {second} are of different benchmarks ({found}); compare two of the same")
    shared = [name for name in sides[0].samples if name in sides[1].samples]
    if not shared:
        raise InputError(f"{first} and {second} have no question in common")
    alone = tuple(len(side.samples) - len(shared) for side in sides)
    settings = [settings_of(folder) or {} for folder in (first, second)]
    words = [found.pop("questions", None) for found in settings]
    return Comparison(
        (str(first), str(second)),
        sides[0].benchmark,
        _differences(sides, shared, not any(alone)),
        _moved(sides, shared),
        len(shared),
        alone,
        words[0] == words[1],
        {
            name: (settings[0].get(name), settings[1].get(name))
            for name in settings[0] | settings[1]
            if settings[0].get(name) != settings[1].get(name)
        },
    )


def _differences(sides: Sequence[_Side], shared: Sequence[str], complete: bool) -> list[Difference]:
    videos = [sides[0].videos.get(name, name) for name in shared]
    found = []
    for figure in sides[0].intervals:
        if figure not in sides[1].intervals:
            continue
        parts = [side.parts(figure, shared) for side in sides]
        if all(sum(below) for _, below in parts):
            values = [sum(above) / sum(below) for above, below in parts]
            found.append(Difference(figure, *values, paired_interval(*parts, videos)))
    if complete:
        known = {difference.figure for difference in found}
        found += [
            Difference(name, value, sides[1].figures[name], None)
            for name, value in sides[0].figures.items()
            if name in sides[1].figures and name not in known
        ]
    return found


def _moved(sides: Sequence[_Side], shared: Sequence[str]) -> list[dict[str, Any]]:
    """The questions whose first figure changed most."""
    names = dict.fromkeys(figure for side in sides for figure in side.intervals if figure not in side.ratios)
    samples = [side.samples for side in sides]
    for main in names:
        pairs = {
            name: [own[name][main] for own in samples] for name in shared if all(main in o[name] for o in samples)
        }
        if pairs:
            break
    else:
        return []
    most = sorted(pairs, key=lambda name: (-abs(pairs[name][1] - pairs[name][0]), name))[:MOST_MOVED]
    return [
        {
            "name": name,
            "change": pairs[name][1] - pairs[name][0],
            "figures": pairs[name],
            "answers": [side.answers.get(name, "") for side in sides],
        }
        for name in most
        if pairs[name][1] != pairs[name][0]
    ]


def write_comparison(path: Path, comparison: Comparison) -> None:
    """Writes one HTML file that needs no other.

    Raises:
        OutputError: It cannot be written.
    """
    page = page_of("comparison.html.jinja", comparison=comparison)
    with explained_writes(path), replacing_file(path) as aside:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")


def _read(folder: Path) -> _Side:
    path = folder / "scores.json"
    try:
        found = json.loads(path.read_bytes(), parse_constant=_no_number)
        scores = Scores(
            str(found["benchmark"]),
            dict(found["figures"]),
            dict(found["per_expression"]),
            per_sample=dict(found.get("per_sample", {})),
        )
        maps = {name: dict(found.get(name, {})) for name in ("intervals", "ratios", "weights", "videos", "answers")}
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path}: no scores that can be read ({error!r:.200}); run `videoglamm evaluate`") from error
    try:
        samples = {name: _numbers(own) for name, own in scores.samples().items()}
        weights, ratios = _numbers(maps.pop("weights")), maps.pop("ratios")
        for above, below in ratios.values():
            [own.get(above, 0.0) + own.get(below, 0.0) for own in samples.values()]
        figures, videos = scores.whole_figures(), {name: str(maps["videos"].get(name, name)) for name in samples}
        maps["videos"] = videos
        if not maps["intervals"]:  # scores of something else: which of its figures are means is not said
            maps["intervals"] = figure_intervals(samples, videos, ratios, figures, weights)
        return _Side(scores.benchmark, samples, figures, ratios=ratios, weights=weights, **maps)
    except (ValueError, TypeError, AttributeError) as error:
        raise InputError(f"{path}: scores are not as they were written: {error}; run `videoglamm evaluate`") from error


def _numbers(values: dict[str, Any]) -> dict[str, float]:
    found = {name: float(value) for name, value in values.items()}
    if not all(map(math.isfinite, found.values())):
        raise ValueError("a figure is no finite number")
    return found


def _no_number(name: str) -> float:
    raise ValueError(f"{name} is no number")
