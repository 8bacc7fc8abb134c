"""Captions judged by a language model behind an endpoint of OpenAI's form: the idea of CLAIR (Chan et al., 2023).

The words of the question are ours, so figures are not those of papers, and bear the name `judge`.
"""

import json
import os
import re
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from tqdm.auto import tqdm

from ..errors import InputError, ResourceError

KEY = "OPENAI_API_KEY"  # of the environment; keys stand in no file
_TRIES = 3
_SECONDS = 60
_SCORE = re.compile(r'"score"\s*:\s*(\d+(?:\.\d+)?)')
_QUESTION = """How likely do these two captions describe the same video, from 0 (surely not) to 100 (surely)?
Judge what they say, not their style. Answer with JSON alone: {{"score": NUMBER, "reason": "TEXT"}}

True caption: {true}
Caption to judge: {said}"""


@dataclass(frozen=True)
class Judge:
    """Who judges.

    Attributes:
        endpoint: Base URL, as in `https://host/v1`; `/chat/completions` is added.
        model: Its name there.
    """

    endpoint: str
    model: str

    def scores(self, said: Sequence[str], true: Sequence[str], *, progress: bool = False) -> list[float]:
        """How alike captions are, 0 to 1 each.

        Args:
            said, true: Captions without tags, as many of both.
            progress: Whether to show a bar.

        Raises:
            InputError: The endpoint is no http(s) URL.
            ResourceError: It does not answer, refuses, or gives no score.
        """
        if not self.endpoint.startswith(("http://", "https://")):
            raise InputError(f"the judge {self.endpoint!r:.200} is no http(s) URL")
        pairs = tqdm(
            zip(said, true, strict=True), "judging", total=len(said), unit="caption", leave=False, disable=not progress
        )
        return [self._score(own, other) for own, other in pairs]

    def _score(self, said: str, true: str) -> float:
        question = _QUESTION.format(true=true, said=said)
        body = {"model": self.model, "temperature": 0, "messages": [{"role": "user", "content": question}]}
        headers = {"Content-Type": "application/json"}
        if os.environ.get(KEY):
            headers["Authorization"] = f"Bearer {os.environ[KEY]}"
        url = f"{self.endpoint.rstrip('/')}/chat/completions"
        reason = ""
        for _ in range(_TRIES):
            request = urllib.request.Request(url, json.dumps(body).encode(), headers)
            try:
                with urllib.request.urlopen(request, timeout=_SECONDS) as response:
                    written = json.loads(response.read())["choices"][0]["message"]["content"]
                found = _SCORE.search(written)
                if found and float(found[1]) <= 100:
                    return float(found[1]) / 100
                reason = f"it answered without a score from 0 to 100: {written!r:.200}"
            except (OSError, ValueError, KeyError, TypeError, IndexError) as error:
                reason = f"{type(error).__name__}: {error}"
                if isinstance(error, urllib.error.HTTPError) and error.code in (400, 401, 403, 404):
                    break
        raise ResourceError(f"the judge at {url} gives no score ({reason}); answers are kept, so score again")
