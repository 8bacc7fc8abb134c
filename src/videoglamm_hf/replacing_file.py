"""A file that appears complete or not at all."""

import contextlib
import os
import secrets
from collections.abc import Iterator
from pathlib import Path


@contextlib.contextmanager
def replacing_file(path: str | os.PathLike[str]) -> Iterator[Path]:
    """A name beside `path` to write to: what is written there replaces `path` when the block ends.

    Until then what was at `path` stays there; if the block fails, what was written vanishes.

    Raises:
        OSError: The file written cannot take its place.
    """
    path = Path(path)
    # Short, as a name next to a very long one could be too long.
    aside = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        yield aside
        os.replace(aside, path)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)
