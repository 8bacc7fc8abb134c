"""How large things may be before they are refused: bounds on what a file declares, which the environment can lift."""

from __future__ import annotations

import os

from .errors import InputError


def limit(name: str, default: int) -> int:
    """A bound: what the environment variable `name` says, else `default`.

    Raises:
        InputError: The variable is no whole number above 0.
    """
    text = os.environ.get(name)
    if text is None:
        return default
    if not (text.isascii() and text.isdecimal() and int(text)):
        raise InputError(f"the environment variable {name} is {text!r}; it must be a whole number above 0")
    return int(text)


def lift(name: str) -> str:
    """What to do about a bound where what it forbids is meant, as a part of a message."""
    return f"set the environment variable {name} higher"
