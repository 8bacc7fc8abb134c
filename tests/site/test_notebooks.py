"""The notebooks run, and are what their scripts say."""

import os
from pathlib import Path

import pytest

from tests.documents import ROOT

if "VIDEOGLAMM_REQUIRE_SUITES" not in os.environ:
    pytest.importorskip("nbclient", reason="needs the extra docs")
    pytest.importorskip("jupytext", reason="needs the extra docs")

import jupytext
import nbformat
from nbclient import NotebookClient

SCRIPTS = sorted((ROOT / "examples" / "notebooks").glob("*.py"))


def cells(notebook) -> list[tuple[str, str]]:
    return [(cell.cell_type, cell.source) for cell in notebook.cells]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: path.stem)
def test_a_pair_is_the_same(script):
    stored = nbformat.read(script.with_suffix(".ipynb"), as_version=4)
    assert cells(stored) == cells(jupytext.read(script)), "run docs/site_build/notebooks.py"
    assert not any(output.output_type == "error" for cell in stored.cells for output in cell.get("outputs", ()))
    assert str(Path.home()) not in script.with_suffix(".ipynb").read_text()


def test_they_run(tmp_path, monkeypatch):
    """One after the other in one kernel, for importing takes longest; each begins without the names of the last."""
    monkeypatch.setenv("PATH", "")  # figures of captions run Java, take seconds to start, and are not looked at here
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setenv("JUPYTER_RUNTIME_DIR", str(tmp_path / "jupyter"))
    together = nbformat.v4.new_notebook()
    for script in SCRIPTS:
        together.cells += [nbformat.v4.new_code_cell("%reset -f"), *jupytext.read(script).cells]
    place = {"metadata": {"path": str(tmp_path)}}
    NotebookClient(together, timeout=300, kernel_name="python3", resources=place).execute()
    printed = "".join(output.get("text", "") for cell in together.cells for output in cell.get("outputs", ()))
    for words in ("There is a cyan star", "6 videos, 6 objects, 48 masks", "before, ", "J 0.818", "scores.json"):
        assert words in printed, words
