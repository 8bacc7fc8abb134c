"""The language model that writes sentences, behind an endpoint of OpenAI's form."""

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from transformers import logging

from ..errors import InputError
from ..evaluation.chat_endpoint import NoReply, chat
from .sentences import Sentence, again, parse

logger = logging.get_logger(__name__)

_TRIES = 3  # replies of which one must be usable
_PAUSES = (2.0, 8.0, 30.0)  # seconds before an endpoint that gives no reply is asked again
_HOPELESS = (401, 403, 404)  # statuses that no other question changes


class Unreachable(Exception):
    """Why no further question makes sense."""


@dataclass
class Written:
    """What came of one question.

    Attributes:
        sentence: What can be used; None if nothing can.
        replies: All replies, in order.
        problem: Why the last one cannot be used.
        tokens: Read and written, as the endpoint counts.
    """

    sentence: Sentence | None = None
    replies: list[str] = field(default_factory=list)
    problem: str = ""
    tokens: tuple[int, int] = (0, 0)


@dataclass(frozen=True)
class Writer:
    """Who writes.

    Attributes:
        endpoint: Base URL, as in `https://host/v1`; `/chat/completions` is added. The key is that of the environment
            variable `OPENAI_API_KEY`, if there is one.
        model: Its name there.

    Raises:
        InputError: The endpoint is no http(s) URL, or the model has no name.
    """

    endpoint: str
    model: str

    def __post_init__(self) -> None:
        if not self.endpoint.startswith(("http://", "https://")):
            raise InputError(f"the writer {self.endpoint!r:.200} is no http(s) URL")
        if not self.model:
            raise InputError("the writer needs the name of a model; give --writer-model")

    def write(self, question: str, shown: Sequence[int], pictures: Sequence[str] = ()) -> Written:
        """Asks until a reply can be used, three times at most; each time says what was wrong with the last.

        Args:
            question: What is asked.
            shown: Positions of the objects that are to be named.
            pictures: URLs of pictures that go with it.

        Raises:
            Unreachable: The endpoint refuses whatever it is asked.
        """
        found = Written()
        content: Any = question
        if pictures:
            seen = [{"type": "image_url", "image_url": {"url": url}} for url in pictures]
            content = [{"type": "text", "text": question}, *seen]
        messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
        for _ in range(_TRIES):
            try:
                reply, usage = self._reply(messages)
            except NoReply as error:
                found.problem = str(error)
                return found
            found.replies.append(reply)
            counts = (usage.get(name) for name in ("prompt_tokens", "completion_tokens"))
            read, written = (count if type(count) is int else 0 for count in counts)
            found.tokens = (found.tokens[0] + read, found.tokens[1] + written)
            try:
                found.sentence = parse(reply, shown)
                return found
            except InputError as error:
                found.problem = f"the reply cannot be used: {error}"
                messages += [
                    {"role": "assistant", "content": reply},
                    {"role": "user", "content": again(str(error))},
                ]
        return found

    def _reply(self, messages: Sequence[dict[str, Any]]) -> tuple[str, dict[str, Any]]:
        for pause in (*_PAUSES, None):
            try:
                return chat(self.endpoint, self.model, messages, "the writer")
            except NoReply as error:
                if error.status in _HOPELESS:
                    raise Unreachable(str(error)) from error
                # Other refusals of the client's are about this question.
                if pause is None or (error.status is not None and error.status < 500 and error.status != 429):
                    raise
                logger.warning(f"{error}; asked again in {pause:g} s")
            time.sleep(pause)
        raise AssertionError("unreachable")
