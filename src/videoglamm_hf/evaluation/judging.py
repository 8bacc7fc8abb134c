"""Captions judged by a language model behind an endpoint of OpenAI's form: the idea of CLAIR (Chan et al., 2023).

The words of the question are ours, so figures are not those of papers, and bear the name `judge`.
"""

import hashlib
import json
import math
import re
import time
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from tqdm.auto import tqdm

from ..errors import InputError
from ..output_files import explained_writes, replacing_file
from .chat_endpoint import NoReply, chat

_TRIES = 3
_PAUSE = 2.0  # seconds before the second try, twice as many before the third
_MOST_SILENT = 3  # captions in a row without any reply, before the others are not asked about
_NUMBER = r"([+-]?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)"
_SCORE = re.compile(rf'"score"\s*:\s*"?{_NUMBER}"?\s*[,}}]')
_BARE = re.compile(rf"\s*{_NUMBER}\s*(?:/\s*100|%)?\s*\.?\s*")
_QUESTION = """How likely do these two captions describe the same video, from 0 (surely not) to 100 (surely)?
Judge what they say, not their style. Answer with JSON alone: {{"score": NUMBER, "reason": "TEXT"}}

True caption: {true}
Caption to judge: {said}"""


class _NoReply(Exception):
    """Why there is no reply, and whether there never will be one."""

    def __init__(self, reason: str, final: bool = False) -> None:
        super().__init__(reason)
        self.final = final


@dataclass(frozen=True)
class Judge:
    """Who judges.

    Attributes:
        endpoint: Base URL, as in `https://host/v1`; `/chat/completions` is added.
        model: Its name there.
        kept: Folder of replies, each a file as soon as it is there; what was asked before is not asked again. None
            keeps none.

    Raises:
        InputError: The endpoint is no http(s) URL.
    """

    endpoint: str
    model: str
    kept: Path | None = None

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise InputError(f"the judge {self.endpoint!r:.200} is no http(s) URL")

    def scores(
        self, captions: Mapping[str, tuple[str, str]], *, progress: bool = False
    ) -> tuple[dict[str, float], dict[str, str]]:
        """How alike captions are, 0 to 1, and why some have no score.

        A judge that refuses, or does not reply to three captions in a row, is not asked about the others.

        Args:
            captions: What was said and the true caption, without tags, by the sample's name.
            progress: Whether to show a bar.

        Returns:
            Scores by name, and reasons by the other names.

        Raises:
            OutputError: A reply cannot be kept.
        """
        found: dict[str, float] = {}
        problems: dict[str, str] = {}
        over, silent = "", 0
        for name, (said, true) in tqdm(captions.items(), "judging", unit="caption", leave=False, disable=not progress):
            question = _QUESTION.format(true=true, said=said)
            try:
                value = score_of(self._kept(question) or "")
                if value is None:
                    if over:
                        raise _NoReply(over)
                    value = self._asked(question)
                found[name], silent = value, 0
            except _NoReply as problem:
                problems[name] = str(problem)
                silent = silent + 1 if isinstance(problem.__cause__, OSError) else 0
                if problem.final or silent == _MOST_SILENT:
                    over = str(problem)
        return found, problems

    def _asked(self, question: str) -> float:
        """The score of a reply that has one, which is kept."""
        problem = _NoReply("")
        for number in range(_TRIES):
            if number:
                time.sleep(_PAUSE * number)
            try:
                reply = self._reply(question)
            except _NoReply as error:
                problem = error
                if error.final:
                    break
                continue
            value = score_of(reply)
            if value is not None:
                self._keep(question, reply)
                return value
            problem = _NoReply(f"the judge replied without a score from 0 to 100: {reply!r:.200}")
        raise problem

    def _reply(self, question: str) -> str:
        """What the endpoint says."""
        try:
            return chat(self.endpoint, self.model, [{"role": "user", "content": question}], "the judge", 0)[0]
        except NoReply as error:
            raise _NoReply(str(error), error.status in (400, 401, 403, 404)) from error.__cause__

    def _kept(self, question: str) -> str | None:
        if self.kept is not None:
            with suppress(OSError, ValueError, KeyError, TypeError):
                return str(json.loads(self._file(question).read_bytes())["reply"])
        return None

    def _keep(self, question: str, reply: str) -> None:
        if self.kept is not None:
            path = self._file(question)
            with explained_writes(path):
                path.parent.mkdir(parents=True, exist_ok=True)
                with replacing_file(path) as aside:
                    aside.write_text(json.dumps({"question": question, "reply": reply}) + "\n", encoding="utf-8")

    def _file(self, question: str) -> Path:
        key = json.dumps([self.endpoint, self.model, question])
        return self.kept / f"{hashlib.sha256(key.encode()).hexdigest()[:32]}.json"


def score_of(reply: str) -> float | None:
    """The score in a reply, 0 to 1: `"score"` of JSON anywhere in it, or a number that is all of it.

    >>> score_of('Well: {"score": 1e2, "reason": "alike"}'), score_of("85"), score_of("7 of 10")
    (1.0, 0.85, None)
    """
    found = _SCORE.search(reply) or _BARE.fullmatch(reply)
    value = float(found[1]) if found else math.nan
    return value / 100 if 0 <= value <= 100 else None
