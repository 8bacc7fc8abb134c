"""The page of an evaluation: figures with intervals, what explains failure, and samples to look at."""

import random
from collections.abc import Callable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any

import numpy as np
from jinja2 import Environment, StrictUndefined
from tqdm.auto import tqdm

from ..errors import VideoGlammError
from ..output_files import explained_writes, replacing_file
from ..player.page import asset, script_json
from .animations import animation
from .benchmark import Benchmark, Item
from .closer_look import closer_look
from .factors import FACTORS, factors_of, grouped
from .intervals import bootstrap_interval, weighted_mean
from .prediction import Prediction
from .scores import Scores

SHOWN = 24  # the worst, and as many by chance
_BARS = 20  # of the histogram
# Which of several objects in an answer is scored, by `objects` of the settings.
_COUNTED = {
    "last": "in every frame the last one that has a mask counts",
    "first": "the first one counts",
    "all": "all count together",
}


def write_report(
    path: Path,
    benchmark: Benchmark,
    items: Sequence[Item],
    scores: Scores,
    read: Callable[[Item], Prediction | None],
    *,
    progress: bool = False,
) -> None:
    """Writes one HTML file that needs no other.

    Args:
        path: The file; one that is there is replaced.
        benchmark: The benchmark.
        items: What was scored.
        scores: Its scores, with figures of every sample.
        read: Gives an item's prediction; None if there is none.
        progress: Whether to show a bar.

    Raises:
        OutputError: The file cannot be written.
    """
    figures, main = scores.samples(), scores.main_figure
    known = {item.name: figures[item.name][main] for item in items if main in figures.get(item.name, {})}
    ranked = sorted(known, key=lambda name: (known[name], name))
    worst = ranked[:SHOWN]
    chosen = random.Random(0).sample(sorted(known), min(SHOWN, len(known)))
    bar = tqdm(items, desc="writing report.html", unit="sample", leave=False, disable=not progress)
    rows = [_row(benchmark, item, figures, scores, read, item.name in {*worst, *chosen}) for item in bar]
    _count_others(rows)
    by_name = {row["name"]: row for row in rows}
    page = _template("report.html.jinja").render(
        scores=scores,
        main=main,
        figures=figure_rows(scores),
        histogram=_histogram(list(known.values())),
        groups=_groups(rows, known, scores.videos),
        worst=[by_name[name] for name in worst],
        chosen=[by_name[name] for name in chosen],
        rows=rows,
    )
    with explained_writes(path), replacing_file(path) as aside:
        aside.write_text(page, encoding="utf-8", errors="backslashreplace")


def figure_rows(scores: Scores) -> list[dict[str, Any]]:
    """Name, value and interval of every figure of all questions together."""
    whole = scores.whole_figures()
    return [{"name": name, "value": whole[name], "interval": scores.intervals.get(name)} for name in whole]


def page_of(template: str, **values: Any) -> str:
    """A page of this room, with values that are escaped."""
    return _template(template).render(**values)


def _template(name: str) -> Any:
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    environment.filters["percent"] = lambda value: f"{100 * value:.1f}"
    folder = files(__package__)
    style = folder.joinpath("report.css").read_text(encoding="utf-8")
    shared = {"style": style, "player_style": asset("player.css"), "player": asset("player.js")}
    return environment.from_string(folder.joinpath(name).read_text(encoding="utf-8"), globals=shared)


def _row(
    benchmark: Benchmark,
    item: Item,
    figures: Mapping[str, Mapping[str, float]],
    scores: Scores,
    read: Callable[[Item], Prediction | None],
    pictured: bool,
) -> dict[str, Any]:
    """What the page says of one sample."""
    row: dict[str, Any] = {
        "name": item.name,
        "video": item.video,
        "kind": item.kind,
        "question": item.question,
        "answer": "",
        "score": figures.get(item.name, {}).get(scores.main_figure),
        "problem": scores.failed.get(item.name, ""),
        "factors": {},
        "picture": None,
        "closer": None,
        "counted": "",
        "tracks": [],
    }
    try:
        prediction = read(item)
        sample = benchmark.sample(item.index)
        row["answer"] = prediction.text if prediction is not None else ""
        if item.name in scores.missing and not row["problem"]:
            row["problem"] = "no prediction" if prediction is None else "no mask in the answer"
        if prediction is not None and len(prediction.masks) > 1 and scores.settings.get("objects") in _COUNTED:
            row["counted"] = f"{len(prediction.masks)} objects; {_COUNTED[scores.settings['objects']]}"
        row["tracks"] = sample.get("masks") or []
        row["factors"] = factors_of(row["tracks"], 0)
        if pictured and (sample.get("image") is not None or sample.get("mask_frames")):
            row["picture"] = animation(sample, row["tracks"], [] if prediction is None else prediction.masks)
            row["closer"] = script_json(closer_look(sample, row["tracks"], prediction))
    except VideoGlammError as error:
        row["problem"] = row["problem"] or str(error)
    return row


def _count_others(rows: Sequence[dict[str, Any]]) -> None:
    """How many more objects the benchmark has in the video of each row; tracks are let go."""
    objects: dict[str, set[str]] = {}
    own: list[set[str]] = []
    for row in rows:
        tracks = {_key(track) for track in row.pop("tracks")}
        own.append(tracks)
        objects.setdefault(row["video"], set()).update(tracks)
    for row, tracks in zip(rows, own, strict=True):
        if row["factors"]:
            row["factors"]["others"] = float(len(objects[row["video"]] - tracks))


def _key(track: Sequence[Any]) -> str:
    return repr([mask if not isinstance(mask, np.ndarray) else mask.tobytes() for mask in track])


def _histogram(values: Sequence[float]) -> list[dict[str, Any]]:
    """Bars from 0 to 1: how many samples, and how high a bar is of the highest."""
    counts, edges = np.histogram(np.clip(values, 0, 1), bins=_BARS, range=(0, 1))
    highest = max(1, int(counts.max()))
    return [
        {"low": float(low), "high": float(high), "count": int(count), "share": count / highest}
        for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True)
    ]


def _groups(
    rows: Sequence[dict[str, Any]], known: Mapping[str, float], videos: Mapping[str, str]
) -> list[dict[str, Any]]:
    """The main figure by kind of question and by each factor that differs between samples."""
    scored = [row for row in rows if row["name"] in known]
    found = []
    kinds = dict.fromkeys(row["kind"] for row in scored)
    if len(kinds) > 1:
        bins = [(kind or "-", [row for row in scored if row["kind"] == kind]) for kind in kinds]
        found.append({"label": "kind of question", "bins": [_bin(*pair, known, videos) for pair in bins]})
    for factor, label in FACTORS.items():
        own = [row for row in scored if factor in row["factors"]]
        ranges = grouped([row["factors"][factor] for row in own]) if own else []
        if len(ranges) < 2:
            continue
        bins = []
        for low, high in ranges:
            name = f"{low:.3g}" if low == high else f"{low:.3g} to {high:.3g}"
            bins.append((name, [row for row in own if low <= row["factors"][factor] <= high]))
        found.append({"label": label, "bins": [_bin(*pair, known, videos) for pair in bins]})
    return found


def _bin(
    label: str, rows: Sequence[dict[str, Any]], known: Mapping[str, float], videos: Mapping[str, str]
) -> dict[str, Any]:
    values, groups = [known[row["name"]] for row in rows], [videos[row["name"]] for row in rows]
    low, high = bootstrap_interval(values, groups)
    return {"label": label, "count": len(rows), "mean": weighted_mean(values), "low": low, "high": high}
