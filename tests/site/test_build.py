"""The documentation site builds without a warning, has an entry for every public name, and needs no network."""

import argparse
import inspect
import pkgutil
import re
from importlib import import_module
from pathlib import Path

import pytest
from PIL import Image

import videoglamm_hf
from tests.documents import PAGES, ROOT, blocks
from videoglamm_hf import errors
from videoglamm_hf.cli.arguments import COMMANDS


def test_it_builds_without_a_warning(built):
    folder, printed = built
    assert not re.search("warning", printed, re.IGNORECASE), printed
    for page in PAGES:
        if not page[0].isupper():
            assert (folder / page).with_suffix(".html").is_file(), page


def exported() -> list[str]:
    """Classes and functions that packages say they export."""
    packages = [found.name for found in pkgutil.walk_packages(videoglamm_hf.__path__, "videoglamm_hf.") if found.ispkg]
    names = []
    for package in ("videoglamm_hf", *packages):
        module = import_module(package)
        names += [f"{package}.{name}" for name in getattr(module, "__all__", ()) if callable(getattr(module, name))]
    return names


def test_every_public_name_has_an_entry(built, referenced):
    names = exported()
    assert len(names) > 80
    missing = [name for name in names if name not in referenced]
    assert not missing, missing
    for name in names:
        page, _, anchor = referenced[name].partition("#")
        assert f'id="{anchor}"' in (built[0] / page).read_text(), name


def test_every_name_that_a_page_imports_has_an_entry(referenced):
    texts = [block.text for page in PAGES for block in blocks(page) if block.language == "python"]
    texts += [path.read_text() for path in (ROOT / "examples" / "notebooks").glob("*.py")]
    pattern = re.compile(r"^from (videoglamm_hf\S*) import (.*)$", re.MULTILINE)
    imports = {found for text in texts for found in pattern.findall(text)}
    assert len(imports) > 15
    for module, names in imports:
        for name in re.findall(r"\w+", names):
            found = getattr(import_module(module), name)
            if inspect.isclass(found) or inspect.isfunction(found):
                assert f"{module}.{name}" in referenced, f"{module}.{name}"


@pytest.mark.parametrize("name", [name for name, found in vars(errors).items() if inspect.isclass(found)])
def test_every_error_is_in_the_index(name, referenced):
    page = PAGES["errors.md"].read_text()
    section = re.search(rf"^## {name}\n(.*?)(?=^## |\Z)", page, re.MULTILINE | re.DOTALL)
    assert section, f"docs/errors.md says nothing of {name}"
    assert "**Cause**" in section[1] and "**Fix**" in section[1]
    for base in vars(errors)[name].__bases__:
        if base.__module__ == "builtins" and base is not Exception:
            assert f"`{base.__name__}`" in section[1], f"{name} is a {base.__name__}"
    assert any(path.rpartition(".")[2] == name for path in referenced)


def test_the_index_has_no_error_that_is_none():
    titles = re.findall(r"^## (\w+)$", PAGES["errors.md"].read_text(), re.MULTILINE)
    assert set(titles) == {name for name, found in vars(errors).items() if inspect.isclass(found)}


def test_messages_of_the_index_are_those_of_the_code():
    code = "".join(path.read_text() for path in (ROOT / "src").rglob("*.py"))
    rows = re.findall(r"^\| `([^`]+)` \| (\w+) \|", PAGES["errors.md"].read_text(), re.MULTILINE)
    assert len(rows) > 10
    for message, name in rows:
        assert message in code, message
        assert hasattr(errors, name), name


def test_every_command_and_option_is_listed(built):
    page = (built[0] / "cli.html").read_text()
    for declare in COMMANDS:
        name, parser = declare.__name__.replace("_", "-"), argparse.ArgumentParser()
        declare(parser)
        section = re.search(rf'<h2 id="{name}">(.*?)(?=<h2|</article>)', page, re.DOTALL)[1]
        for option in parser._option_string_actions.keys() - {"-h", "--help"}:
            assert f"<code>{option}</code>" in section, f"{name} {option}"


def test_nothing_is_loaded_from_elsewhere(built):
    pages = list(built[0].rglob("*.html"))
    assert len(pages) > 50
    for path in pages:
        text = path.read_text()
        assert "unpkg.com" not in text and 'class="mermaid"' not in text, path
        loaded = re.findall(r"<(?:script|img|iframe|source|video)\b[^>]*\bsrc=\"?([^\s\">]+)", text)
        loaded += re.findall(r"<link\b[^>]*rel=\"?(?:stylesheet|preconnect|icon)\"?[^>]*>", text)
        assert not [place for place in loaded if re.search(r"(?:^|[\"=])(?:https?:)?//", place)], path
    for path in built[0].rglob("*.css"):
        assert not re.findall(r"url\([\"']?(?:https?:)?//", path.read_text()), path


def test_search_works_from_a_disk(built):
    folder = built[0]
    assert (folder / "search" / "search_index.js").is_file()
    page = (folder / "coming_from" / "sam2.html").read_text()
    assert "../assets/javascripts/iframe-worker.js" in page
    assert (folder / "assets" / "javascripts" / "iframe-worker.js").is_file()


def test_links_lead_to_pages_and_anchors(built):
    """Also those that the build does not look at: of HTML, of pictures, of files outside docs/."""
    folder = built[0]
    texts = {path: path.read_text() for path in folder.rglob("*.html")}
    ids = {path: set(re.findall(r"\bid=\"?([^\s\">]+)", text)) for path, text in texts.items()}
    for path, text in texts.items():
        if path.name == "404.html":
            continue
        article = re.search(r"<article.*?</article>", text, re.DOTALL)[0]
        for target in re.findall(r"(?:href|src)=\"([^\"]+)\"", article):
            if re.match(r"[a-z]+:", target):
                continue
            file, _, anchor = target.partition("#")
            place = (path.parent / file).resolve() if file else path
            assert place.exists(), f"{path.relative_to(folder)}: {target}"
            known = not anchor or place.suffix != ".html" or anchor in ids[place]
            assert known, f"{path.relative_to(folder)}: {target}"


def test_the_gallery_shows_what_was_answered(built):
    page = (built[0] / "gallery.html").read_text()
    pictures = re.findall(r'src="(assets/gallery/[^"]+)"', page)
    assert len(pictures) >= 5 and all((built[0] / picture).stat().st_size > 2000 for picture in pictures)
    assert "<figcaption><b>Where is the green triangle?</b><br>" in page


def test_the_notebooks_are_pages(built):
    scripts = sorted((ROOT / "examples" / "notebooks").glob("*.py"))
    assert len(scripts) == 3
    for script in scripts:
        page = (built[0] / "notebooks" / f"{script.stem}.html").read_text()
        assert f"{script.stem}.ipynb" in page
        assert (built[0] / "files" / "examples" / "notebooks" / f"{script.stem}.ipynb").is_file()


def test_the_picture_of_the_readme_is_small_and_moves():
    path = Path(ROOT, "docs", "assets", "answer.webp")
    with Image.open(path) as picture:
        assert picture.n_frames > 4
    assert path.stat().st_size < 300_000 and "docs/assets/answer.webp" in PAGES["README.md"].read_text()
