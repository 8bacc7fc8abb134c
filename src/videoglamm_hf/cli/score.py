"""`videoglamm score`: scores what was predicted for a benchmark."""

import argparse
import json
from collections.abc import Iterable
from pathlib import Path

from ..errors import OutputError
from ..evaluation.mevis import score_mevis
from ..evaluation.ref_davis import score_ref_davis
from ..evaluation.scores import Scores
from ..output_files import explained_writes
from .screen import say, shows_progress
from .wording import counted

_SCORERS = {"mevis": score_mevis, "ref-davis17": score_ref_davis}
_MOST_NAMES = 5  # of what scored 0, on the screen


def run(arguments: argparse.Namespace) -> None:
    """Writes the scores and prints the figures."""
    output = Path(arguments.output)
    _check_output(output)
    scorer = _SCORERS[arguments.benchmark]
    scores = scorer(arguments.data, arguments.predictions, progress=shows_progress(arguments.quiet))
    scores.write(output)
    for line in _problems(scores):
        say(f"warning: {line}")
    for line in _table(scores):
        print(line)
    say(f"written to {output}", arguments.quiet)


def _check_output(output: Path) -> None:
    """Refuses to replace what is not a file of scores, and makes the folder that is to hold it."""
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


def _problems(scores: Scores) -> Iterable[str]:
    """What a person should know of the figures."""
    if scores.missing:
        yield f"{counted(len(scores.missing), 'prediction')} missing, scored 0: {_listed(scores.missing)}"
    if scores.missing_frames:
        number = counted(sum(scores.missing_frames.values()), "frame")
        yield f"{number} without a file, taken as empty: {_listed(list(scores.missing_frames))}"
    if scores.failed:
        number = counted(len(scores.failed), "prediction")
        yield f"{number} could not be read, scored 0: {_listed(list(scores.failed))}"
        yield next(iter(scores.failed.values()))


def _listed(names: list[str]) -> str:
    rest = len(names) - _MOST_NAMES
    return ", ".join(names[:_MOST_NAMES]) + (f" and {rest} more" if rest > 0 else "")


def _table(scores: Scores) -> Iterable[str]:
    """The figures in percent."""
    rows = scores.figures.get("annotators", {}) | {"mean": scores.figures.get("mean_of_annotators", scores.figures)}
    width = max(map(len, rows))
    yield f"{'':{width}}     J&F       J       F"
    for name, figures in rows.items():
        yield f"{name:{width}}" + "".join(f"{100 * figures[key]:8.2f}" for key in ("J&F", "J", "F"))
