"""The drawing of a page as a picture: a page that is opened from a disk cannot fetch what draws it.

    npm pack mermaid@11 && tar xzf mermaid-*.tgz package/dist/mermaid.min.js
    python docs/site_build/drawing.py package/dist/mermaid.min.js

redraws docs/assets/architecture.svg with Chromium, when docs/architecture.md has changed; building the site says so.
"""

import hashlib
import html
import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path

DOCS = Path(__file__).parents[1]
FENCE = re.compile(r"```mermaid\n(.*?)```", re.DOTALL)
_SETTINGS = {
    "startOnLoad": False,
    "htmlLabels": False,
    "theme": "neutral",
    "fontFamily": "system-ui, sans-serif",
    # What is on an arrow is broken at 200 pixels, whatever its size.
    "themeVariables": {"fontSize": "11px"},
    "flowchart": {
        "htmlLabels": False,
        "useMaxWidth": False,
        "wrappingWidth": 600,
        "nodeSpacing": 30,
        "rankSpacing": 35,
    },
}


def digest(source: str) -> str:
    """What a picture says of the text that it was drawn from."""
    return hashlib.sha256(source.encode()).hexdigest()[:16]


def is_of(picture: Path, source: str) -> bool:
    """Whether a picture was drawn from a text."""
    return picture.is_file() and f"<!-- of {digest(source)} -->" in picture.read_text(encoding="utf-8")


def draw(mermaid: Path, source: str) -> str:
    """SVG of a drawing, by Mermaid in Chromium."""
    page = f"""<pre id="drawn"></pre><script src="{mermaid.resolve().as_uri()}"></script><script>
    mermaid.initialize({json.dumps(_SETTINGS)});
    const place = document.getElementById("drawn");
    mermaid.render("drawing", {json.dumps(source)}).then(made => place.textContent = made.svg);
    </script>"""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "page.html")
        path.write_text(page, encoding="utf-8")
        command = [
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--virtual-time-budget=8000",
            "--dump-dom",
        ]
        shown = subprocess.run([*command, path.as_uri()], capture_output=True, text=True, check=True).stdout
    svg = html.unescape(re.search(r'<pre id="drawn">(.*?)</pre>', shown, re.DOTALL)[1])
    # On a white ground, so that it can be read on a dark page, too.
    ground = '<rect x="0" y="0" width="100%" height="100%" fill="#fff"></rect>'
    return re.sub(r"(<svg[^>]*>)", rf"\1<!-- of {digest(source)} -->{ground}", svg, count=1) + "\n"


if __name__ == "__main__":
    source = FENCE.search((DOCS / "architecture.md").read_text(encoding="utf-8"))[1]
    (DOCS / "assets" / "architecture.svg").write_text(draw(Path(sys.argv[1]), source), encoding="utf-8")
