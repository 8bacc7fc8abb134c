"""Pages made of files outside docs/: links to them lead to a page of the site, so that it is whole by itself."""

import os
import re
from pathlib import Path

ROOT = Path(__file__).parents[2]
# Files that have a place of their own.
PLACES = {
    "README.md": "index.md",
    "MODEL_CARD.md": "model_card.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "CITATION.cff": "citation.md",
    "benchmarks/RESULTS.md": "benchmarks.md",
}
PICTURES = {".gif", ".png", ".webp"}
_LANGUAGES = {".py": "python", ".json": "json", ".yaml": "yaml", ".yml": "yaml", ".cff": "yaml", ".jsonl": "json"}
_FENCES = re.compile(r"(^```.*?^```[^\n]*$|^(?: {4}|\t)[^\n]*$|`[^`\n]+`)", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"(\]\()([^)\s#]+)((?:#[^)\s]*)?\))")


def page_of(file: str) -> str:
    """Where the page of a file of the repository is, both as paths with slashes."""
    if Path(file).suffix in PICTURES:
        return f"files/{file}"
    return PLACES.get(file, f"files/{file.removesuffix('.md')}.md")


def links_of(text: str) -> list[str]:
    """Targets of a page's links, anchors and addresses elsewhere left out."""
    prose = _FENCES.sub(lambda code: "" if code[0].startswith("```") else code[0], text)
    return [target for _, target, _ in _LINK.findall(prose) if ":" not in target]


def resolved(target: str, folder: str) -> str | None:
    """The file of the repository that a link of a file in `folder` means; of a folder its README.md."""
    path = os.path.normpath(os.path.join(folder, target)).replace(os.sep, "/")
    if (ROOT / path).is_dir():
        path = f"{path}/README.md"
    return path if (ROOT / path).is_file() else None


def with_site_links(text: str, folder: str, page: str) -> str:
    """A text whose links are of the repository, with links of the site.

    Args:
        text: Markdown.
        folder: Folder of the repository that its links start from.
        page: The page of the site that the text becomes, from the site's root.
    """

    def link(match: re.Match[str]) -> str:
        before, target, after = match.groups()
        file = None if ":" in target else resolved(target, folder)
        if file is None:
            return match[0]
        place = file.removeprefix("docs/") if file.startswith("docs/") else page_of(file)
        return f"{before}{os.path.relpath(place, os.path.dirname(page) or '.').replace(os.sep, '/')}{after}"

    parts = _FENCES.split(text)
    # What was split at is code, at odd places.
    return "".join(part if i % 2 else _LINK.sub(link, part) for i, part in enumerate(parts))


def page_from(file: str) -> str:
    """Markdown of the page of a file of the repository."""
    text = (ROOT / file).read_text(encoding="utf-8")
    if file == "CITATION.cff":
        return f"# Citation\n\n{_CITATION}\n```yaml\n{text}```\n"
    if not file.endswith(".md"):
        language = _LANGUAGES.get(Path(file).suffix, "")
        return f"# {file}\n\n````{language}\n{text}````\n"
    text = re.sub(r"\A---\n.*?\n---\n", "", text, flags=re.DOTALL)
    return with_site_links(text, os.path.dirname(file), page_of(file))


_CITATION = "Please cite the paper whose model this package implements; the file `CITATION.cff` at the root says:\n"
