"""Writes the GPU part of RESULTS.md from the files in `results/gpu`: the newest run beside the one before.

python benchmarks/gpu_results.py [FILE]     FILE: a run that lies elsewhere, taken as the newest
"""

import argparse
import json
from pathlib import Path
from typing import Any

from gpu_figures import FIGURES, Figure
from results_file import RESULTS, replace_section

FOLDER = RESULTS.parent / "results" / "gpu"
OPEN = "open"
NOT_SHOWN = ("outcome", "why", "took seconds")


def newest_two(path: Path | None = None, folder: Path = FOLDER) -> list[dict[str, Any]]:
    """The newest run, and the one before it in front; `path` is taken as the newest."""
    others = [other for other in folder.glob("*.json") if path is None or other.resolve() != path.resolve()]
    runs = sorted((json.loads(other.read_text()) for other in others), key=lambda found: found["date"])
    if path is not None:
        runs.append(json.loads(path.read_text()))
    return runs[-2:]


def lines(runs: list[dict[str, Any]]) -> list[str]:
    """Tables of figures and tests, a column for each run; where there is only one, what is new is open."""
    while len(runs) < 2:
        runs = [*runs, {}]
    text = [f"Device: {title(run)}." for run in runs if run]
    if not runs[1]:
        text.append("New: nothing was measured since; every row marked open is to come.")
    text += ["", "| what | old | new | goal |", "|---|---|---|---|"]
    text += [
        f"| {figure.name} | {' | '.join(shown(figure, run) for run in runs)} | {figure.goal or '-'} |"
        for figure in FIGURES
    ]
    text += ["", "| test, against the CPU in float32 | old | new |", "|---|---|---|"]
    names = dict.fromkeys(name for run in runs for name in run.get("tests", {}))
    text += [f"| `{name}` | {' | '.join(outcome(name, run) for run in runs)} |" for name in names]
    return text


def title(run: dict[str, Any]) -> str:
    return f"{run['device']}, {run['date']}, torch {run['torch']}, transformers {run['transformers']}, {run['model']}"


def shown(figure: Figure, run: dict[str, Any]) -> str:
    """A cell of the table of figures."""
    entry = run.get("figures", {}).get(figure.name)
    if entry is None:
        return OPEN
    for name in ("failed", "not run"):
        if name in entry:
            return _cell(f"{name}: {entry[name]}")
    return _cell(", ".join(_with_unit(key, entry[key]) for key in figure.shown if key in entry))


def outcome(name: str, run: dict[str, Any]) -> str:
    """A cell of the table of tests."""
    entry = run.get("tests", {}).get(name)
    if entry is None:
        return OPEN
    ending = entry["outcome"] + (f": {entry['why']}" if "why" in entry else "")
    return _cell(", ".join([ending, *(f"{key} {value}" for key, value in entry.items() if key not in NOT_SHOWN)]))


def _with_unit(key: str, value: Any) -> str:
    if key == "ms":
        return f"{value:,} ms"
    if key == "seconds":
        return f"{value:,} s"
    if key == "speed-up":
        return f"{value}x"
    if key == "floor / time":
        return f"{100 * value:.3g} % of the floor"
    if key == "second / first":
        return f"{100 * value:.3g} %"
    if key == "start / reading":
        return f"{value}"
    if " of a " in key or " GiB" in key:
        unit, _, of = key.partition(" of a ") if " of a " in key else ("GiB", "", key.removesuffix(" GiB"))
        return f"{of} {value} {unit}"
    return f"{key} {value}"


def _cell(text: str) -> str:
    return text.replace("|", "/").replace("\n", " ")


def write(path: Path | None = None) -> None:
    replace_section("gpu", lines(newest_two(path)))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("file", nargs="?", type=Path, help="JSON of a run")
    write(parser.parse_args().file)


if __name__ == "__main__":
    main()
