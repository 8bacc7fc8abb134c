"""The notebooks: pairs of a script and what Jupyter opens, and the pages made of them.

python docs/site_build/notebooks.py     # after a script was changed: writes the pairs, run, with what they print
"""

import base64
from pathlib import Path
from typing import Any

import jupytext
import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parents[2] / "examples" / "notebooks"
_MOST_LINES = 30


def scripts() -> list[Path]:
    """The script of every notebook."""
    return sorted(FOLDER.glob("*.py"))


def executed(script: Path, folder: Path) -> Any:
    """A script's notebook with what it prints, run in `folder`. A cell that fails raises."""
    notebook = jupytext.read(script)
    NotebookClient(
        notebook, timeout=300, kernel_name="python3", resources={"metadata": {"path": str(folder)}}
    ).execute()
    return notebook


def write_pair(script: Path) -> None:
    """Runs a script's notebook and writes it beside it, without what differs from run to run."""
    notebook = executed(script, script.parent)
    for i, cell in enumerate(notebook.cells):
        cell["id"] = f"cell{i}"
        cell.metadata.clear()
        if cell.cell_type == "code":
            cell.execution_count = None
            # Bars, and what libraries say on the side.
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if "image/jpeg" in output.get("data", {}):
                    output.data.pop("image/png", None)  # the same once more
                if "execution_count" in output:
                    output["execution_count"] = None
    notebook.metadata = {"kernelspec": notebook.metadata["kernelspec"], "jupytext": {"formats": "ipynb,py:percent"}}
    nbformat.write(notebook, script.with_suffix(".ipynb"))


def page(path: Path) -> tuple[str, dict[str, bytes]]:
    """Markdown of a notebook, and its pictures by name."""
    parts, pictures = [], {}
    for cell in nbformat.read(path, as_version=4).cells:
        if cell.cell_type == "markdown":
            parts.append(cell.source)
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/jpeg" in data:
                name = f"{path.stem}{len(pictures)}.jpg"
                pictures[name] = base64.b64decode(data["image/jpeg"])
                parts.append(f"![What the cell shows]({name})")
            elif text := (output.get("text") or data.get("text/plain")):
                lines = text.rstrip("\n").splitlines()[:_MOST_LINES]
                parts.append("```text\n" + "\n".join(lines) + "\n```")
    head, _, rest = "\n\n".join(parts).partition("\n")
    link = f"A notebook: [{path.name}](../files/examples/notebooks/{path.name})"
    return f"{head}\n\n{link}.\n{rest}\n", pictures


if __name__ == "__main__":
    for script in scripts():
        write_pair(script)
        print(script.with_suffix(".ipynb"))
