"""The schema of answer.json as a table."""

import json
from collections.abc import Iterator
from typing import Any

from repository_files import ROOT

SCHEMA = ROOT / "src" / "videoglamm_hf" / "cli" / "answer.schema.json"


def table() -> str:
    """Markdown: every field with its type and meaning, and the schema itself to unfold."""
    text = SCHEMA.read_text(encoding="utf-8")
    rows = [f"| `{path}` | {kind} | {meaning} |" for path, kind, meaning in _fields(json.loads(text), "")]
    unfolded = "\n".join(f"    {line}" for line in f"```json\n{text.rstrip()}\n```".splitlines())
    return "\n".join(["| field | type | |", "|---|---|---|", *rows, "", '??? note "The JSON schema"', "", unfolded])


def _fields(schema: dict[str, Any], before: str) -> Iterator[tuple[str, str, str]]:
    needed = schema.get("required", ())
    for name, field in schema.get("properties", {}).items():
        path = f"{before}{name}"
        optional = "" if name in needed or name == "settings" else " May be missing."
        # Markup of answers is text here.
        meaning = field.get("description", "").replace("<", "&lt;").replace("|", "\\|")
        yield path, _kind(field), (meaning + optional).strip()
        inner = field.get("items", field)
        if inner.get("type") == "object":
            yield from _fields(inner, path + ("[]." if field is not inner else "."))


def _kind(field: dict[str, Any]) -> str:
    if "const" in field:
        return f"`{json.dumps(field['const'])}`"
    if "enum" in field:
        return ", ".join(f"`{json.dumps(value)}`" for value in field["enum"])
    kinds = field.get("type", "any")
    return ", ".join(kinds) if isinstance(kinds, list) else kinds
