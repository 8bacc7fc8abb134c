"""Pages of the documentation taken apart: what in them is code."""

import re
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
# Pages, by the name that tests and readers call them.
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))} | {
    name: ROOT / name for name in ("README.md", "CONTRIBUTING.md", "MODEL_CARD.md", "CHANGELOG.md")
}


@dataclass(frozen=True)
class Block:
    """A block of code.

    Attributes:
        page: Name of its page.
        line: Where it begins, from 1.
        language: Of a fence; "" of an indented block.
        text: What it holds.
    """

    page: str
    line: int
    language: str
    text: str

    @property
    def commands(self) -> list[str]:
        """Lines of `videoglamm` in a block that is indented or of a shell."""
        if self.language not in ("", "bash", "console"):
            return []
        return re.findall(r"^(?:\$ )?(videoglamm .*)$", self.text, re.MULTILINE)


_BLOCK = re.compile(r"^```(\w*)[^\n]*\n(.*?)^```|(?<=\n\n)((?:    [^\n]*\n|\n(?=    ))+)", re.MULTILINE | re.DOTALL)


def blocks(page: str) -> list[Block]:
    """Every block of code of a page, from top to bottom."""
    text = PAGES[page].read_text(encoding="utf-8")
    found = []
    for match in _BLOCK.finditer(text):
        language, fenced, indented = match.groups()
        code = fenced if indented is None else re.sub(r"^ {4}", "", indented, flags=re.MULTILINE)
        found.append(Block(page, text.count("\n", 0, match.start()) + 1, language or "", code))
    return found


def anchors(page: str) -> set[str]:
    """Anchors of a page's headings, as GitHub and the site make them."""
    text = re.sub(r"^```.*?^```", "", PAGES[page].read_text(encoding="utf-8"), flags=re.MULTILINE | re.DOTALL)
    titles = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    return {re.sub(r"\s+", "-", re.sub(r"[^\w\s-]", "", title.lower()).strip()) for title in titles}
