"""Names of output folders made from names of videos, which every file system takes."""

import hashlib
import os
import re

_LONGEST = 120  # bytes, so that endings fit
# What Windows and FAT forbid, what only terminals read, and bytes that are no text.
_FORBIDDEN = re.compile(r'[<>:"/\\|?*\x00-\x1f\x7f\ud800-\udfff]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.IGNORECASE)


def safe_name(name: str) -> str:
    """A name that is good everywhere: the name itself, or one like it with a hash, so that two names stay two.

    >>> safe_name("a b.mp4"), safe_name("what?.mp4")
    ('a b.mp4', 'what_.mp4-b5b411')
    """
    safe = _FORBIDDEN.sub("_", name).rstrip(". ")
    if safe.startswith(("-", ".")):
        safe = f"_{safe[1:]}"
    if _DEVICES.fullmatch(safe):
        safe = f"_{safe}"
    while len(os.fsencode(safe)) > _LONGEST:
        safe = safe[:-1]
    safe = safe or "_"
    return safe if safe == name else f"{safe}-{hashlib.sha256(_bytes(name)).hexdigest()[:6]}"


def _bytes(name: str) -> bytes:
    """What a name is on disk; also of one that no disk takes, with half a character in it."""
    try:
        return os.fsencode(name)
    except UnicodeEncodeError:
        return name.encode("utf-8", "surrogatepass")
