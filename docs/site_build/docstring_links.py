"""Docstrings as this package writes them, for the reader of docstrings that makes the reference."""

import re
from typing import Any

from griffe import Extension, Object


class DocstringLinks(Extension):
    """Takes the brackets from around [`Name`], which is no link here; an example becomes a section with code."""

    def on_instance(self, *, obj: Object, **_: Any) -> None:
        if obj.docstring is not None:
            text = re.sub(r"\[(`[^`\]]+`)\](?![\[(])", r"\1", obj.docstring.value)
            obj.docstring.value = re.sub(r"^Example:$", "Examples:", text, flags=re.MULTILINE)
