"""What of JSON Schema our own schema uses, checked without a library."""

from __future__ import annotations

import math
import operator
from collections.abc import Callable, Iterator
from typing import Any

from ..messages import Problem

_TYPES: dict[str, Callable[[Any], bool]] = {
    "object": lambda value: isinstance(value, dict),
    "array": lambda value: isinstance(value, list),
    "string": lambda value: isinstance(value, str),
    "integer": lambda value: isinstance(value, int) and not isinstance(value, bool),
    "number": lambda value: _is_number(value),
    "null": lambda value: value is None,
}
_BOUNDS = {
    "minimum": (operator.ge, "at least"),
    "maximum": (operator.le, "at most"),
    "exclusiveMinimum": (operator.gt, "more than"),
}
# Every keyword that a schema may use here; the last ones are for people.
KEYWORDS = {"type", "const", "enum", "required", "properties", "additionalProperties", "items", *_BOUNDS} | {
    "$schema",
    "title",
    "description",
}


def schema_problems(value: Any, schema: dict[str, Any], where: str = "") -> Iterator[Problem]:
    """Everything in a JSON value that its schema does not allow: where, and what is wrong.

    Args:
        value: What `json.loads` gave.
        schema: A schema of [`KEYWORDS`] alone.
        where: What places begin with.
    """
    kinds = schema.get("type", [])
    kinds = [kinds] if isinstance(kinds, str) else kinds
    if kinds and not any(_TYPES[kind](value) for kind in kinds):
        yield where, f"must be {' or '.join(kinds)}, not {_shown(value)}"
        return
    allowed = [schema["const"]] if "const" in schema else schema.get("enum")
    if allowed is not None and not any(value == one and type(value) is type(one) for one in allowed):
        yield where, f"must be {' or '.join(map(repr, allowed))}, not {_shown(value)}"
    if isinstance(value, dict):
        yield from _fields(value, schema, where)
    elif isinstance(value, list):
        for i, item in enumerate(value if "items" in schema else []):
            yield from schema_problems(item, schema["items"], f"{where}[{i}]")
    elif _is_number(value):
        for name, (fits, words) in _BOUNDS.items():
            if name in schema and not fits(value, schema[name]):
                yield where, f"must be {words} {schema[name]}, not {_shown(value)}"


def _fields(value: dict[str, Any], schema: dict[str, Any], where: str) -> Iterator[Problem]:
    known, dot = schema.get("properties", {}), "." if where else ""
    for name in schema.get("required", ()):
        if name not in value:
            yield f"{where}{dot}{name}", "is missing"
    for name, own in value.items():
        if name in known:
            yield from schema_problems(own, known[name], f"{where}{dot}{name}")
        elif not schema.get("additionalProperties", True):
            yield f"{where}{dot}{name:.40}", "is no field of this format"


def _shown(value: Any) -> str:
    """A value as messages repeat it; what holds others only by its kind, for it may be large or deep."""
    return "an object" if isinstance(value, dict) else "an array" if isinstance(value, list) else f"{value!r:.40}"


def _is_number(value: Any) -> bool:
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return False
    return isinstance(value, int) or math.isfinite(value)
