"""How a sentence names an object: a template for its label, a table, or what a person types."""

import csv
import sys
from collections.abc import Callable
from pathlib import Path

from ..errors import InputError
from ..messages import SEG_TOKEN
from .choices import DEFAULT_PHRASE

_MARKUP = ("<p>", "</p>", SEG_TOKEN)
_ARTICLES = ("the ", "a ", "an ")
_LONGEST = 1000  # characters


class Phrases:
    """Phrases of objects.

    Args:
        template: Has a place for `{label}`. The default one leaves labels alone that begin with an article, as those
            of answers do.
        table: CSV file with the columns `label` and `phrase`, and, if wanted, `video`: only there it is called so.
        ask: What to ask a person with, given a label and what is proposed; None to ask nobody.

    Raises:
        InputError: the template has no place, or the table cannot be read.
    """

    def __init__(
        self,
        template: str = DEFAULT_PHRASE,
        table: str | Path | None = None,
        ask: Callable[[str, str], str] | None = None,
    ) -> None:
        if "{label}" not in template:
            raise InputError(
                f"the phrase {template!r:.80} has no place for {{label}}; write for example 'the {{label}}'"
            )
        self._template, self._ask = template, ask
        self._table = _read(Path(table)) if table is not None else {}
        self._asked: dict[str, str] = {}

    def of(self, label: str, video: str) -> str:
        """The phrase of an object by its label.

        Raises:
            InputError: the phrase is empty or holds markup.
        """
        found = self._table.get((video, label)) or self._table.get((None, label))
        if found is None:
            has_article = self._template == DEFAULT_PHRASE and label.lower().startswith(_ARTICLES)
            found = label if has_article else self._template.replace("{label}", label)
            if self._ask is not None:
                if label not in self._asked:
                    self._asked[label] = self._ask(label, found).strip() or found
                found = self._asked[label]
        return checked_phrase(found, f"the phrase of {label!r:.80}")


def ask_on_terminal(label: str, proposed: str) -> str:
    """Asks the person at the terminal how to name a label.

    Raises:
        InputError: nobody is there.
    """
    if not sys.stdin.isatty():
        raise InputError("phrases can be asked for only on a terminal; give --phrase or --phrases instead")
    print(f"How does one ask for {label!r}? [{proposed}] ", end="", file=sys.stderr, flush=True)
    return sys.stdin.readline()


def checked_phrase(phrase: str, where: str) -> str:
    """A phrase on one line, that a sentence can hold.

    Raises:
        InputError: it is empty, too long, or holds markup or what is no text.
    """
    phrase = " ".join(phrase.split())
    if not phrase or len(phrase) > _LONGEST or not phrase.isprintable():
        raise InputError(f"{where}: must be 1 to {_LONGEST} printable characters, not {phrase!r:.80}")
    if any(mark in phrase for mark in _MARKUP):
        raise InputError(f"{where}: {phrase!r:.80} holds {' or '.join(_MARKUP)}, which mark phrases; leave them out")
    return phrase


def _read(path: Path) -> dict[tuple[str | None, str], str]:
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            if not {"label", "phrase"} <= set(rows.fieldnames or ()):
                raise InputError(f"{path}:1: must name its columns: label,phrase or video,label,phrase")
            table: dict[tuple[str | None, str], str] = {}
            for row in rows:
                where = f"{path}:{rows.line_num}"
                key = (row.get("video") or None, row["label"] or "")
                if not key[1] or not row["phrase"]:
                    raise InputError(f"{where}: needs a label and a phrase")
                if key in table:
                    raise InputError(f"{where}: {key[1]!r:.80} is there twice; remove one")
                table[key] = checked_phrase(row["phrase"], where)
            return table
    except InputError:
        raise
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: cannot be read as CSV: {error}; save it as UTF-8 with commas") from error
