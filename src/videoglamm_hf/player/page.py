"""A page of its own for one answer: one HTML file that needs no other, no server and no network."""

import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, StrictUndefined


def player_page(document: dict[str, Any]) -> str:
    """HTML that shows an answer, see [`player_document`]; its pictures must be `data:` URLs to be whole."""
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    template = environment.from_string(asset("page.html.jinja"))
    return template.render(
        title=document["title"], style=asset("player.css"), script=asset("player.js"), answer=script_json(document)
    )


def asset(name: str) -> str:
    """A file of this package, as text."""
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def script_json(value: Any) -> str:
    """JSON that can stand in a `<script>` of a page: nothing in it ends the script."""
    written = json.dumps(value, ensure_ascii=True, allow_nan=False)
    return written.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")
