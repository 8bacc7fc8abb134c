"""`videoglamm score`: scores what was predicted for a benchmark."""

import argparse
import json
from pathlib import Path

from ..errors import InputError, OutputError
from ..evaluation.evaluate import add_intervals, read_benchmark
from ..evaluation.run_folder import settings_of
from ..evaluation.scores import check_any_scored
from ..output_files import explained_writes
from .benchmark_options import chosen_options
from .score_table import show_scores
from .screen import say, shows_progress

SCORES = "scores.json"


def run(arguments: argparse.Namespace) -> None:
    """Writes the scores and prints the figures."""
    output = Path(arguments.output)
    _check_output(output)
    options = chosen_options(arguments, output.with_suffix(".judged"))
    benchmark = read_benchmark(arguments.benchmark, arguments.data, options)
    if benchmark.score is None:
        raise InputError(f"{arguments.data}: has no {benchmark.truth}; give a split that is published with the truth")
    folder = Path(arguments.predictions)
    scores = benchmark.score(folder, benchmark.items, progress=shows_progress(arguments.quiet))
    scores.benchmark = benchmark.name
    scores.settings |= {name: value for name, value in benchmark.settings.items() if name == "split"}
    check_any_scored(scores, folder, benchmark.predictions)
    add_intervals(scores, benchmark.items)
    scores.write(output)
    show_scores(scores)
    say(f"written to {output}", arguments.quiet)


def _check_output(output: Path) -> None:
    """Refuses to replace what is not a file of scores, and makes the folder that is to hold it."""
    if output.name == SCORES and settings_of(output.parent) is not None:
        raise OutputError(
            f"{output} belongs to the run in that folder, which `videoglamm evaluate` scores; give another"
        )
    if not output.exists():
        with explained_writes(output):
            output.parent.mkdir(parents=True, exist_ok=True)
        return
    try:
        found = json.loads(output.read_bytes())
    except (OSError, ValueError, RecursionError):
        found = None
    if not isinstance(found, dict) or not {"benchmark", "figures", "per_expression"} <= found.keys():
        raise OutputError(f"{output} exists and was not written by `videoglamm score`; give another --output.")
