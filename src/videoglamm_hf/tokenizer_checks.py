"""Whether the ids of a tokenizer's file can be ids: the library that reads it makes room for the largest of them."""

import json
import os
from pathlib import Path
from typing import Any

from .errors import CheckpointError

MAX_TOKEN_ID = 2**24


def check_token_ids(folder: Any, subfolder: str = "") -> None:
    """Raises CheckpointError if `tokenizer.json` of a local folder names a token beyond any vocabulary.

    Everything else about the file is left to the library that reads it.
    """
    if not isinstance(folder, (str, os.PathLike)):
        return
    path = Path(os.fsdecode(os.fspath(folder)), subfolder, "tokenizer.json")
    if not path.is_file():
        return
    try:
        content = json.loads(path.read_bytes())
        model, added = content.get("model"), content.get("added_tokens")
    except (ValueError, RecursionError, AttributeError):
        return
    vocabulary = model.get("vocab") if isinstance(model, dict) else None
    known = vocabulary.items() if isinstance(vocabulary, dict) else ()
    added = added if isinstance(added, list) else ()
    extra = ((one.get("content"), one.get("id")) for one in added if isinstance(one, dict))
    for token, number in (*known, *extra):
        if isinstance(number, (int, float)) and not 0 <= number <= MAX_TOKEN_ID:
            raise CheckpointError(
                f"{path}: token {token!r:.40} has the id {number!r:.40}, and ids go from 0 to {MAX_TOKEN_ID}; the "
                "file is damaged, so download or convert it again."
            )
