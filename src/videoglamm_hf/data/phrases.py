"""What the objects of a conversation are called."""

import re
from collections.abc import Sequence
from typing import Any

from ..messages import SEG_TOKEN, parts_of

_NAMED = re.compile(r"<p>(.*?)</p>|" + re.escape(SEG_TOKEN), re.DOTALL)


def phrases_of(messages: Sequence[dict[str, Any]]) -> list[str]:
    """What each [SEG] of the assistant's turns is called: the phrase that stands before it, "" where there is none."""
    found: list[str] = []
    for message in messages:
        if message["role"] != "assistant":
            continue
        phrase = ""
        for match in _NAMED.finditer("".join(part.get("text", "") for part in parts_of(message["content"]))):
            if match[0] == SEG_TOKEN:
                found.append(phrase)
                phrase = ""
            elif words := " ".join((match[1] or "").split()):
                phrase = words
    return found
