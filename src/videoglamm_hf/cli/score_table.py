"""Scores on the screen."""

from collections.abc import Iterable

from ..evaluation.scores import Scores
from .screen import say
from .wording import counted

_MOST_NAMES = 5  # of what scored 0


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
    """The figures in percent."""
    rows = scores.figures.get("annotators", {}) | {"mean": scores.figures.get("mean_of_annotators", scores.figures)}
    width = max(map(len, rows))
    yield f"{'':{width}}     J&F       J       F"
    for name, figures in rows.items():
        yield f"{name:{width}}" + "".join(f"{100 * figures[key]:8.2f}" for key in ("J&F", "J", "F"))
