"""One request to a language model behind an endpoint of OpenAI's form."""

import contextlib
import json
import os
import urllib.error
import urllib.request
from collections.abc import Sequence
from http.client import HTTPException
from typing import Any

KEY = "OPENAI_API_KEY"  # of the environment; keys stand in no file
_SECONDS = 60
_LONGEST_REASON = 500  # bytes of what an endpoint says of a refusal


class NoReply(Exception):
    """Why there is no reply.

    Attributes:
        status: What the endpoint answered instead, as an HTTP status; None if nothing came.
    """

    def __init__(self, reason: str, status: int | None = None) -> None:
        super().__init__(reason)
        self.status = status


def chat(
    endpoint: str, model: str, messages: Sequence[dict[str, Any]], who: str, temperature: float | None = None
) -> tuple[str, dict[str, Any]]:
    """What a model replies to a conversation.

    Args:
        endpoint: Base URL; `/chat/completions` is added.
        model: Its name there.
        messages: The conversation.
        who: What messages call the model.
        temperature: Of sampling; None for what the endpoint takes.

    Returns:
        The text, and what the endpoint says of tokens (`usage`), empty if nothing.

    Raises:
        NoReply: There is none.
    """
    body: dict[str, Any] = {"model": model, "messages": list(messages)}
    if temperature is not None:
        body["temperature"] = temperature
    headers = {"Content-Type": "application/json"}
    if os.environ.get(KEY):
        headers["Authorization"] = f"Bearer {os.environ[KEY]}"
    url = f"{endpoint.rstrip('/')}/chat/completions"
    request = urllib.request.Request(url, json.dumps(body).encode(), headers)
    why = ""
    try:
        with urllib.request.urlopen(request, timeout=_SECONDS) as response:
            document = json.loads(response.read())
        reply = document["choices"][0]["message"]["content"]
    except urllib.error.HTTPError as error:
        with contextlib.suppress(OSError):
            why = " ".join(error.read(_LONGEST_REASON).decode(errors="replace").split())
        raise NoReply(f"{who} at {url} gives no reply ({error}{why and f': {why!r}'})", error.code) from error
    except (OSError, ValueError, KeyError, TypeError, IndexError, HTTPException) as error:
        raise NoReply(f"{who} at {url} gives no reply ({type(error).__name__}: {error})") from error
    if not isinstance(reply, str):
        raise NoReply(f"{who} at {url} replied without text")
    usage = document.get("usage")
    return reply, usage if isinstance(usage, dict) else {}
