"""Runs hostile cases in a child process, so that one that hangs, eats memory or crashes is counted, not suffered.

A fuzzer makes its cases from a seed and a number, so a case can be made again from its recipe:
`python -m tests.fuzz NAME --seed SEED --first NUMBER --count 1`.
"""

import contextlib
import ctypes
import io
import json
import logging
import os
import random
import resource
import select
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

from videoglamm_hf.errors import VideoGlammError, is_out_of_memory

# answered: no error. refused: one of ours. theirs: transformers' own words, before any of our code was asked.
KINDS = ("answered", "refused", "theirs", "raw", "hang", "memory", "died")
BAD = ("raw", "hang", "memory", "died")
CASE_SECONDS = 60
EXTRA_BYTES = 6 * 2**30  # of address space, beyond what the process has when it starts
PACKAGE = "videoglamm_hf"
_END_WITH_PARENT = 1  # PR_SET_PDEATHSIG of Linux


class Fuzzer(Protocol):
    """Makes hostile cases; built once, before the child is forked."""

    def case(self, rng: random.Random, folder: Path) -> tuple[str, Callable[[], Any]]:
        """What a case is, in words, and what runs it; `folder` is its own, and empty."""


@dataclass
class Report:
    """What came of the cases of one fuzzer."""

    name: str
    seed: int
    kinds: Counter = field(default_factory=Counter)
    offences: list[str] = field(default_factory=list)

    @property
    def cases(self) -> int:
        return sum(self.kinds.values())

    def line(self) -> str:
        return f"| {self.name} | {self.seed} | {self.cases} | " + " | ".join(str(self.kinds[k]) for k in KINDS) + " |"


HEADER = "| fuzzer | seed | cases | " + " | ".join(KINDS) + " |\n|" + "---|" * (3 + len(KINDS))


def run(
    name: str,
    fuzzer: Fuzzer,
    seed: int,
    *,
    first: int = 0,
    count: int | None = None,
    minutes: float | None = None,
    told: Callable[[int, str, str, str], None] | None = None,
) -> Report:
    """Runs cases until there were `count` of them or the time is over; `told` hears of each as it ends."""
    report = Report(name, seed)
    end = time.monotonic() + (60 * minutes if minutes is not None else 1e9)
    number = first
    while (count is None or number < first + count) and time.monotonic() < end:
        with _Child(name, fuzzer, seed, number, None if count is None else first + count) as child:
            for found, kind, recipe, detail in child.outcomes(end):
                number = found + 1
                report.kinds[kind] += 1
                if kind in BAD:
                    report.offences.append(f"{name} --seed {seed} --first {found}: {kind}: {recipe}\n    {detail}")
                if told is not None:
                    told(found, kind, recipe, detail)
    return report


class _Child:
    """A forked process that runs cases from a number on and tells of each as a line of JSON."""

    def __init__(self, name: str, fuzzer: Fuzzer, seed: int, first: int, stop: int | None) -> None:
        self.arguments = (name, fuzzer, seed, first, stop)
        self.next, self.recipe, self.any = first, "?", False

    def __enter__(self) -> "_Child":
        self.read, write = os.pipe()
        sys.stdout.flush(), sys.stderr.flush()
        self.pid = os.fork()
        if self.pid == 0:
            os.close(self.read)
            try:
                _run_cases(write, *self.arguments)
            finally:
                os._exit(0)
        os.close(write)
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.pid, signal.SIGKILL)
        os.waitpid(self.pid, 0)
        os.close(self.read)

    def outcomes(self, end: float) -> Any:
        """`(number, kind, recipe, detail)` of each case, until all are done, one hangs or the process dies."""
        started, pending, begun = time.monotonic(), b"", False
        while time.monotonic() < end:
            ready, _, _ = select.select([self.read], [], [], 0.5)
            if not ready:
                if begun and time.monotonic() - started > CASE_SECONDS:
                    yield self.next, "hang", self.recipe, f"no answer in {CASE_SECONDS} s"
                    return
                continue
            data = os.read(self.read, 1 << 16)
            if not data:
                if not begun and not self.any:
                    raise RuntimeError("The child ends before its first case.")
                if begun:
                    yield self.next, "died", self.recipe, "the process ended"
                return
            *lines, pending = (pending + data).split(b"\n")
            for line in lines:
                message = json.loads(line)
                if "broken" in message:
                    raise RuntimeError(f"The fuzzer itself cannot make case {message['number']}:\n{message['broken']}")
                self.next, self.recipe, self.any = message["number"], message["recipe"], True
                started, begun = time.monotonic(), "kind" not in message
                if not begun:
                    yield self.next, message["kind"], self.recipe, message["detail"]


def _run_cases(pipe: int, name: str, fuzzer: Fuzzer, seed: int, first: int, stop: int | None) -> None:
    used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    resource.setrlimit(resource.RLIMIT_AS, (used + EXTRA_BYTES, used + EXTRA_BYTES))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    # A case that hangs ends with the parent, too.
    ctypes.CDLL(None).prctl(_END_WITH_PARENT, signal.SIGKILL)
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    os.dup2(os.open(os.devnull, os.O_WRONLY), 2)
    number = first
    while stop is None or number < stop:
        with tempfile.TemporaryDirectory(prefix="videoglamm-fuzz-", ignore_cleanup_errors=True) as folder:
            rng = random.Random(f"{name} {seed} {number}")
            try:
                recipe, action = fuzzer.case(rng, Path(folder))
            except Exception:
                _tell(pipe, {"number": number, "broken": traceback.format_exc()})
                return
            _tell(pipe, {"number": number, "recipe": recipe})
            kind, detail = judged(action)
            _tell(pipe, {"number": number, "recipe": recipe, "kind": kind, "detail": detail})
            shutil.rmtree(folder, ignore_errors=True)
        number += 1


def _tell(pipe: int, message: dict[str, Any]) -> None:
    data = json.dumps(message).encode() + b"\n"
    while data:
        data = data[os.write(pipe, data) :]


def judged(action: Callable[[], Any]) -> tuple[str, str]:
    """The kind of what a case comes to, and a few words of it."""
    try:
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            action()
    except VideoGlammError as error:
        return "refused", _words(error)
    except SystemExit as error:
        return ("refused" if error.code in (0, 1, 2) else "raw"), f"exit {error.code}"
    except Theirs as error:
        return "theirs", _words(error)
    except BaseException as error:
        if is_out_of_memory(error):
            return "memory", _words(error) + _place(error)
        return "raw", _words(error) + _place(error)
    return "answered", ""


class Theirs(Exception):
    """What transformers says, in words, of a folder before any of our code is asked."""


def of_theirs(action: Callable[[], Any]) -> Any:
    """What an Auto class gives; an error of transformers with no frame of ours is theirs."""
    try:
        return action()
    except Exception as error:
        frames = traceback.extract_tb(error.__traceback__)
        if any(f"{PACKAGE}{os.sep}" in frame.filename for frame in frames):
            raise
        raise Theirs(f"{type(error).__name__}: {error}") from error


def _words(error: BaseException) -> str:
    return f"{type(error).__name__}: {error}".replace("\n", " ")[:300]


def _place(error: BaseException) -> str:
    frames = traceback.extract_tb(error.__traceback__)
    own = [frame for frame in frames if f"{PACKAGE}{os.sep}" in frame.filename]
    places = [*own[-2:], frames[-1]]
    return " @ " + ", ".join(f"{Path(frame.filename).name}:{frame.lineno}" for frame in places)
