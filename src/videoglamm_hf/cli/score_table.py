"""Scores on the screen."""

from collections.abc import Collection, Iterable

from ..evaluation.scores import Scores
from .screen import say
from .wording import counted

_MOST_NAMES = 5  # of what scored 0
_FIRST = ("J&F", "J", "F")


def show_scores(scores: Scores, unanswered: Collection[str] = ()) -> None:
    """Prints the figures in percent, and what a person should know of them.

    Args:
        scores: The scores.
        unanswered: Names of the questions that a model could not answer.
    """
    for line in _problems(scores, unanswered):
        say(f"warning: {line}")
    for line in _table(scores):
        print(line)


def _problems(scores: Scores, unanswered: Collection[str]) -> Iterable[str]:
    """What a person should know of the figures."""
    if scores.settings.get("limit") is not None:
        yield f"these are figures of {scores.settings['videos']} videos (--limit {scores.settings['limit']})"
    blank = [name for name in scores.missing if name in scores.answers]
    if blank:
        yield f"{counted(len(blank), 'answer')} without a mask, scored 0: {_listed(blank)}"
    missing = [name for name in scores.missing if name not in scores.answers]
    if missing:
        yield f"{counted(len(missing), 'prediction')} missing, scored 0: {_listed(missing)}"
    # Of what a model answered, a frame without a file is one in which it sees nothing.
    if scores.missing_frames and not scores.answers:
        number = counted(sum(scores.missing_frames.values()), "frame")
        yield f"{number} without a file, taken as empty: {_listed(list(scores.missing_frames))}"
    for what, is_so in (("question", True), ("prediction", False)):
        names = [name for name in scores.failed if (name in unanswered) == is_so]
        if names:
            problem = "could not be answered" if is_so else "could not be read or used"
            yield f"{counted(len(names), what)} {problem}, scored 0: {_listed(names)}"
            yield scores.failed[names[0]]
    lacking = scores.settings.get("not_judged")
    if lacking:
        yield f"{counted(len(lacking), 'caption')} without a score of the judge: {_listed(list(lacking))}"
        yield next(iter(lacking.values()))


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
