"""Docstrings as this package writes them, for the reader of docstrings that makes the reference."""

import re
from typing import Any

from griffe import Extension, Object

# `rank, alpha: ...` with the lines that belong to it.
_SEVERAL = re.compile(r"^( +)(\w+(?:, \w+)+)((?: \([^)]*\))?: .*(?:\n\1 +.*)*)", re.MULTILINE)
_LONG = 120


class DocstringLinks(Extension):
    """Takes the brackets from around [`Name`], no link here; an example becomes a section with code, and what is
    said of several arguments is said of each."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            # `[Name](package.Name)` leads to the entry of that name.
            text = re.sub(r"\]\((videoglamm_hf[\w.]*)\)", r"][\1]", obj.docstring.value)
            text = re.sub(r"\[(`[^`\]]+`)\](?![\[(])", r"\1", text)
            text = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
            obj.docstring.value = _SEVERAL.sub(_one_by_one, text)


def _one_by_one(several: re.Match[str]) -> str:
    indent, names, rest = several.groups()
    first, *others = names.split(", ")
    # What is short is said again.
    again = rest if len(rest) < _LONG else f": See `{first}`."
    return "\n".join([f"{indent}{first}{rest}", *(f"{indent}{name}{again}" for name in others)])
