"""Figures of a calibration as rows of text, for a terminal, a page and RESULTS.md."""

from collections.abc import Iterator
from typing import Any

HEADERS = (
    *("what", "true", "calibration error before", "after"),
    *("Brier score before", "after", "ranking before", "after"),
)


def parts_of(measured: dict[str, Any]) -> Iterator[tuple[str, dict[str, Any]]]:
    """A name and the figures of everything that was measured: objects and sentences of each mask mode."""
    for mode, own in measured.items():
        if isinstance(own, dict):
            yield from ((f"{noun}, {mode}", own[noun]) for noun in ("objects", "sentences") if noun in own)


def share_of(name: str, own: dict[str, Any]) -> str:
    """How many are right, or of sentences how many are about something that is there."""
    return f"{own['right']} of {own['count']} {'there' if name.startswith('sentences') else 'right'}"


def figure_rows(measured: dict[str, Any]) -> list[tuple[str, ...]]:
    """A row of `HEADERS` for each of [`parts_of`]."""
    rows = []
    for name, own in parts_of(measured):
        cells = [name, share_of(name, own)]
        for figure in ("calibration_error", "brier_score", "ranking"):
            cells += [_number(own[side][figure]) for side in ("before", "after")]
        rows.append(tuple(cells))
    return rows


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"
