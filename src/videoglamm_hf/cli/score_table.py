"""Scores on the screen."""

from collections.abc import Iterable

from ..evaluation.scores import Scores
from .screen import say
from .wording import counted

_MOST_NAMES = 5  # of what scored 0
_FIRST = ("J&F", "J", "F")


def show_scores(scores: Scores) -> None:
    """Prints the figures in percent, and what a person should know of them."""
    for line in _problems(scores):
        say(f"warning: {line}")
    for line in _table(scores):
        print(line)


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
    """The figures in percent: a row for each kind of question or annotator, the last one of all."""
    inner = {name: value for name, value in scores.figures.items() if isinstance(value, dict)}
    whole = {name: value for name, value in scores.figures.items() if isinstance(value, float)}
    rows = inner.get("annotators", inner) | {"mean": inner.get("mean_of_annotators", whole)}
    names = [name for name in _FIRST if name in rows["mean"]] or list(rows["mean"])
    columns = {name: max(8, len(name) + 2) for name in names}
    width = max(map(len, rows))
    yield f"{'':{width}}" + "".join(f"{name:>{column}}" for name, column in columns.items())
    for row, figures in rows.items():
        shown = (
            f"{100 * figures[name]:{column}.2f}" if name in figures else " " * column
            for name, column in columns.items()
        )
        yield f"{row:{width}}" + "".join(shown)
    for name, value in whole.items():
        if name not in names:
            yield f"{name}: {100 * value:.2f}"
