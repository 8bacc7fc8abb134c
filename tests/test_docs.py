"""What the documents say of the code is so: every file named is there, and every file is named."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "src" / "videoglamm_hf"
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text()
ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()


def test_the_code_map_names_every_room_and_every_file_that_travels():
    flat = {path.name for path in PACKAGE.glob("*.py")} - {"__init__.py", "__main__.py"}
    rooms = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    places = CONTRIBUTING.partition("## Where things are")[2]
    mapped = re.findall(r"^\| ((?:`[\w/.]+`(?:, )?)+) \|", places, re.MULTILINE)
    named = [name for row in mapped for name in re.findall(r"`([\w/.]+)`", row)]
    assert sorted(named) == sorted(flat | {f"{room}/" for room in rooms})


def test_the_site_build_is_described():
    """Every file of it, and no other."""
    section = CONTRIBUTING.partition("## Documentation")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| ((?:`\w+\.py`(?:, )?)+) \|", section, re.MULTILINE)
    named = [name for row in rows for name in re.findall(r"`(\w+\.py)`", row)]
    assert sorted(named) == sorted(path.name for path in (ROOT / "docs" / "site_build").glob("*.py"))


def test_versions_are_the_same_everywhere():
    (version,) = re.findall(r'^__version__ = "(.*)"$', (PACKAGE / "__init__.py").read_text(), re.MULTILINE)
    assert f'\nversion = "{version}"\n' in (ROOT / "pyproject.toml").read_text()
    assert f"\nversion: {version}\n" in (ROOT / "CITATION.cff").read_text()


def test_the_changelog_keeps_its_form():
    titles = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert titles[0] == "Unreleased"
    assert all(re.fullmatch(r"\d+\.\d+\.\d+ - \d{4}-\d\d-\d\d", title) for title in titles[1:])


DRAWN = re.findall(r'\["([\w.]+)[^"]*<br>([\w.]+\.py)"\]', ARCHITECTURE)


@pytest.mark.parametrize("name, file", DRAWN)
def test_the_drawing_shows_what_is_in_the_code(name, file):
    code = (PACKAGE / file).read_text()
    for part in name.split("."):
        assert re.search(rf"(?:class|def) {part}\b|self\.{part} = ", code), part


def test_every_box_of_the_drawing_is_looked_at():
    assert len(DRAWN) == ARCHITECTURE.count("<br>") > 15


def test_every_file_named_is_there():
    texts = [ARCHITECTURE, CONTRIBUTING, (ROOT / "README.md").read_text()]
    links = {link for text in texts for link in re.findall(r"\]\(([^)#:]+)\)", text)}
    assert links
    for link in links:
        assert (ROOT / link).exists() or (ROOT / "docs" / link).exists(), link
    for file in re.findall(r"`((?:\w+/)?\w+\.py)`", ARCHITECTURE):
        assert (PACKAGE / file).exists(), file
