"""What MkDocs calls while it builds: pages that are made, not written."""

import functools
import hashlib
import html
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import command_page
import drawing
import reference_pages
import repository_files
import schema_page
from gallery_kinds import KINDS as TITLES
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.exceptions import PluginError
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from mkdocs.utils import get_relative_url

import notebooks

_SHIM = "https://unpkg.com/iframe-worker/shim"


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Adds the pages that are made of docstrings, of the command line's parser, and of files outside docs/."""
    made = {"cli.md": command_page.page(), **reference_pages.pages()}
    made |= _outside(files)
    for script in notebooks.scripts():
        path = script.with_suffix(".ipynb")
        made[f"notebooks/{script.stem}.md"], pictures = notebooks.page(path)
        made |= {f"notebooks/{name}": picture for name, picture in pictures.items()}
        made[f"files/examples/notebooks/{path.name}"] = path
    made |= {f"assets/gallery/{path.name}": path for path in _gallery().glob("*.webp")}
    for place, content in made.items():
        given = {"abs_src_path": str(content)} if isinstance(content, Path) else {"content": content}
        files.append(File.generated(config, place, **given))
    return files


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Adds to the navigation what cannot be listed: the pages of the reference."""
    reference = next(part["Reference"] for part in config.nav if "Reference" in part)
    rooms = sorted(reference_pages.pages())
    reference.insert(1, {"Packages": [page for page in rooms if page != "reference/index.md"]})
    return config


def on_page_markdown(markdown: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Links that leave docs/ lead to pages of the site; drawings are pictures."""
    place = page.file.src_uri
    markdown = re.sub(r"<!-- (gallery|schema)(?: (\w+))? -->", lambda mark: _made(mark[1], mark[2]), markdown)
    markdown = drawing.FENCE.sub(lambda fence: _drawn(fence[1], place), markdown)
    if page.file.generated_by is not None:
        return markdown
    folder = "docs/" + place.rpartition("/")[0]
    return repository_files.with_site_links(markdown, folder, place)


def on_post_page(output: str, page: Page, config: MkDocsConfig) -> str:
    """Searching from a disk takes a script, which the theme would load from elsewhere."""
    return output.replace(_SHIM, get_relative_url("assets/javascripts/iframe-worker.js", page.url))


def on_post_template(output: str, template_name: str, config: MkDocsConfig) -> str:
    """The same of the page that says that there is none: it may be shown in any folder."""
    return output.replace(_SHIM, "/assets/javascripts/iframe-worker.js")


def _made(what: str, part: str | None) -> str:
    """What stands in a page where a comment asks for it."""
    if what == "schema":
        return schema_page.table()
    entries = json.loads((_gallery() / "gallery.json").read_text(encoding="utf-8"))
    if part == "sheet":
        return "![Frames of the clip, with masks, times, question and answer](assets/gallery/sheet.webp)"
    if part == "modes":
        return _figures([entry for entry in entries if entry["kind"] == "mode"])
    kinds = list(dict.fromkeys(entry["kind"] for entry in entries if entry["kind"] != "mode"))
    return "\n\n".join(
        f"## {TITLES[kind]}\n\n{_figures([entry for entry in entries if entry['kind'] == kind])}" for kind in kinds
    )


def _figures(entries: list[dict[str, str]]) -> str:
    """HTML of pictures side by side, each with what was asked and answered."""
    shown = []
    for entry in entries:
        question, answer = html.escape(entry["question"]), html.escape(entry["answer"])
        picture = f'<img src="assets/gallery/{entry["file"]}" alt="{question} {answer}" loading="lazy">'
        shown.append(f"<figure>{picture}<figcaption><b>{question}</b><br>{answer}</figcaption></figure>")
    return '<div class="gallery">\n' + "\n".join(shown) + "\n</div>"


@functools.cache
def _gallery() -> Path:
    """The folder of the pictures, which are made again when the code or the model changes."""
    if given := os.environ.get("VIDEOGLAMM_DOCS_GALLERY"):
        return Path(given)
    package = repository_files.ROOT / "src" / "videoglamm_hf"
    script = Path(__file__).with_name("gallery.py")
    sources = [script, *sorted(package.rglob("*.py")), *sorted((package / "toy" / "model").glob("*.safetensors"))]
    told = hashlib.sha256()
    for source in sources:
        told.update(source.read_bytes())
    folder = repository_files.ROOT / ".cache" / f"gallery-{told.hexdigest()[:16]}"
    if not (folder / "gallery.json").is_file():
        for former in folder.parent.glob("gallery-*"):
            shutil.rmtree(former)
        # In a process of its own: building needs no torch otherwise.
        subprocess.run([sys.executable, str(script), str(folder)], check=True)
    return folder


def _drawn(source: str, place: str) -> str:
    name = Path(place).stem
    if not drawing.is_of(drawing.DOCS / "assets" / f"{name}.svg", source):
        raise PluginError(
            f"docs/assets/{name}.svg is not of the drawing in docs/{place}: see docs/site_build/drawing.py"
        )
    return f'[![The drawing of this page](assets/{name}.svg)](assets/{name}.svg){{ title="In full size" }}'


def _outside(files: Files) -> dict[str, str | Path]:
    """Pages of files outside docs/: those with a place of their own, and all that is linked; pictures as they are."""
    texts = [
        (file.content_string, "docs/" + file.src_uri.rpartition("/")[0])
        for file in files.documentation_pages()
        if file.generated_by is None
    ]
    made: dict[str, str | Path] = {}
    waiting = set(repository_files.PLACES)
    for text, folder in texts:
        waiting |= _named(text, folder)
    while waiting:
        file = waiting.pop()
        place = repository_files.page_of(file)
        if place in made or not (repository_files.ROOT / file).is_file():
            continue
        if Path(file).suffix in repository_files.PICTURES:
            made[place] = repository_files.ROOT / file
            continue
        made[place] = repository_files.page_from(file)
        if file.endswith(".md"):
            text = (repository_files.ROOT / file).read_text(encoding="utf-8")
            waiting |= _named(text, file.rpartition("/")[0])
    return made


def _named(text: str, folder: str) -> set[str]:
    found = (repository_files.resolved(link, folder) for link in repository_files.links_of(text))
    return {file for file in found if file is not None and not re.match("docs/", file)}
