"""The folder of one evaluation: one finished file per question, so that a run that was ended goes on."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.output_names import safe_name
from ..errors import InputError, MediaError, OutputError
from ..file_locks import locked
from ..output_files import clear_leftovers, explained_writes, replacing_file
from .benchmark import Item
from .logit_files import read_logits
from .prediction import Prediction, read_prediction

_RUN = "run.json"
_FORMAT = "videoglamm-evaluation-1"


class RunFolder:
    """An evaluation's folder.

        run.json              benchmark, model and settings
        samples/NAME.json     an answer (see [`Prediction`]); NAME.npy beside it logits of masks if they are needed
        failed/NAME.json      why one could not be answered; tried again by the next run
        predictions/          the same as the benchmark takes it, once all are answered
        scores.json, report.html, submission.zip

    Files appear when they are complete, so that whatever ended a run, nothing is half-written.

    Args:
        path: The folder; made if it does not exist.
        settings: What every answer in it depends on.
        with_logits: Whether an answer needs logits beside it to be complete.

    Raises:
        InputError: it holds answers of another benchmark, model or of other settings; both are named.
        OutputError: it is not empty and no evaluation's, or cannot be written.
    """

    def __init__(self, path: str | os.PathLike[str], settings: dict[str, Any], *, with_logits: bool = False) -> None:
        self.path = Path(path)
        self._endings = (".json", ".npy") if with_logits else (".json",)
        # As they are read again.
        self.settings = json.loads(json.dumps(settings))
        if settings_of(self.path) is None:
            self._start()
        # Again, for another process may have started it meanwhile.
        _check_same(self.path, settings_of(self.path) or {}, self.settings)

    @property
    def predictions(self) -> Path:
        return self.path / "predictions"

    def write(self, item: Item, prediction: Prediction, logits: np.ndarray | None = None) -> None:
        """Notes an answer; with it the question is done.

        Args:
            logits: float `[T, h, w]` of its first object, if they are needed.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._sample(item)
        if logits is not None:
            with explained_writes(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing_file(path.with_name(f"{safe_name(item.name)}.npy")) as aside, aside.open("wb") as file:
                    np.save(file, logits, allow_pickle=False)
        prediction.write(path)
        with contextlib.suppress(OSError):
            self._failure(item).unlink(missing_ok=True)

    def fail(self, item: Item, reason: str) -> None:
        """Notes that a question could not be answered, and why.

        Raises:
            OutputError: it cannot be written.
        """
        path = self._failure(item)
        with explained_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path) as aside:
                aside.write_text(json.dumps({"name": item.name, "reason": reason}) + "\n", encoding="utf-8")

    def unanswered(self, items: Sequence[Item]) -> list[Item]:
        """The items without an answer, those that failed among them."""
        done = set(self._names("samples"))
        names = {item.name: safe_name(item.name) for item in items}
        return [item for item in items if not all(names[item.name] + end in done for end in self._endings)]

    def failures(self, items: Iterable[Item]) -> dict[str, str]:
        """Why items could not be answered, by their names."""
        there = set(self._names("failed"))
        reasons = {}
        for item in items:
            path = self._failure(item)
            if path.name in there and not self._sample(item).exists():
                with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
                    reasons[item.name] = str(json.loads(path.read_bytes())["reason"])
        return reasons

    def read(self, item: Item) -> Prediction | None:
        """An answer; None if there is none.

        Raises:
            MediaError: the file is not as it was written.
        """
        path = self._sample(item)
        try:
            return read_prediction(path) if path.exists() else None
        except MediaError as error:
            raise MediaError(f"{error}; delete it, and run again to answer it anew") from error

    def logits(self, item: Item) -> np.ndarray | None:
        """Logits of an answer, float `[T, h, w]`; None if there are none.

        Raises:
            MediaError: the file is not as it was written.
        """
        path = self._sample(item).with_name(f"{safe_name(item.name)}.npy")
        try:
            return read_logits(path) if path.exists() else None
        except MediaError as error:
            raise MediaError(f"{error}; delete it, and run again to answer it anew") from error

    @contextlib.contextmanager
    def scoring(self) -> Iterator[bool]:
        """Holds what only one process may do at a time; false if another one is at it.

        Raises:
            OutputError: Nothing can be written in the folder.
        """
        with contextlib.ExitStack() as stack:
            with explained_writes(self.path):
                alone = stack.enter_context(locked(self.path / ".scoring.lock"))
            yield alone

    def tidy(self) -> None:
        """Removes what killed runs left of the folder of predictions.

        Raises:
            OutputError: Another process writes it.
        """
        clear_leftovers(self.predictions)
        for left in self.path.glob(".run.*"):
            with contextlib.suppress(OSError):
                left.unlink()

    def take_over(self, other: str | os.PathLike[str]) -> None:
        """Copies the answers of another part of the same evaluation.

        Raises:
            InputError: it is another evaluation.
            OutputError: a file cannot be written.
        """
        other = Path(other)
        found = settings_of(other)
        if found is None:
            raise InputError(f"{other}: is no folder of an evaluation (it has no {_RUN})")
        _check_same(other, found, self.settings)
        there = set(self._names("samples"))
        # Logits before the file that says that an answer is complete.
        for path in sorted((other / "samples").glob("*.*"), key=lambda path: path.suffix != ".npy"):
            if path.name not in there and not path.name.startswith("."):
                place = self.path / "samples" / path.name
                with explained_writes(place):
                    place.parent.mkdir(parents=True, exist_ok=True)
                    with replacing_file(place) as aside:
                        shutil.copyfile(path, aside)

    def _start(self) -> None:
        with explained_writes(self.path):
            self.path.mkdir(parents=True, exist_ok=True)
            entries = [entry.name for entry in self.path.iterdir() if not entry.name.startswith(".")]
            others = [] if _RUN in entries else entries
            if others:
                raise OutputError(f"{self.path}: holds {others[0]} and is no evaluation's folder; give another one")
            aside = self.path / f".run.{os.getpid()}"
            aside.write_text(json.dumps({"format": _FORMAT, **self.settings}, indent=1) + "\n", encoding="utf-8")
            try:
                # Whole or not at all, and never in place of another process's.
                os.link(aside, self.path / _RUN)
            except FileExistsError:
                pass
            except OSError:  # a file system without links
                os.replace(aside, self.path / _RUN)
            aside.unlink(missing_ok=True)

    def _names(self, folder: str) -> list[str]:
        try:
            return os.listdir(self.path / folder)
        except FileNotFoundError:
            return []
        except NotADirectoryError as error:
            raise InputError(f"{self.path / folder} is a file where answers belong; move it away") from error

    def _sample(self, item: Item) -> Path:
        return self.path / "samples" / f"{safe_name(item.name)}.json"

    def _failure(self, item: Item) -> Path:
        return self.path / "failed" / f"{safe_name(item.name)}.json"


def settings_of(folder: Path) -> dict[str, Any] | None:
    """The settings of an evaluation's folder; None if it is none.

    Raises:
        InputError: it has a run.json that cannot be read.
    """
    path = folder / _RUN
    try:
        found = json.loads(path.read_bytes())
        if found.pop("format") != _FORMAT:
            raise ValueError("it is of another format")
    except (FileNotFoundError, NotADirectoryError):
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise InputError(f"{path}: cannot be read ({error}); give another --output") from error
    return found


def _check_same(folder: Path, found: dict[str, Any], wanted: dict[str, Any]) -> None:
    for name in wanted | found:
        if found.get(name) != wanted.get(name):
            raise InputError(
                f"{folder}: holds an evaluation with {name} {found.get(name)!r:.200}, and this one has "
                f"{wanted.get(name)!r:.200}; give another --output, or the same settings"
            )
