"""Every block of code of the README and of the site's pages runs, here or in the test of its page."""

import copy
import re
import shlex
from collections.abc import Callable
from pathlib import Path
from typing import Any
from unittest import mock

import numpy as np
import pytest
import tomllib

from tests.conftest import TINY_CONFIG
from tests.documents import PAGES, ROOT, Block, anchors, blocks
from tests.tiny_checkpoint import frames
from videoglamm_hf import cli
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle as encode_mask
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy.shapes_world import demo_clip

pytestmark = pytest.mark.usefixtures("without_warnings")

# Pages with a test of their own, which knows the folders that they name.
ELSEWHERE = {
    "evaluation.md": ["tests/evaluation/test_document.py"],
    "make_data.md": ["tests/making/test_commands.py"],
    "own_data.md": ["tests/exchange/test_document.py", "tests/calibration/test_document.py"],
    "own_footage.md": ["tests/test_own_footage.py"],
}
# Pages that say that they go on from another.
GO_ON_FROM = dict.fromkeys(
    ("app.md", "batch.md", "long_video.md", "correct.md", "compile_and_export.md", "tune.md"), "ask.md"
)
# What is not here, and what stands in for it.
IN_PLACE_OF: dict[str, dict[str, str]] = {
    "push.md": {'"someone/my-videoglamm"': '"videoglamm-hf/"'},
    "serve.md": {
        '("127.0.0.1", 8000)': '("127.0.0.1", 0)',
        "server.serve_forever()": "threading.Thread(target=server.serve_forever, daemon=True).start()",
        '"http://127.0.0.1:8000/?question="': 'f"http://127.0.0.1:{server.server_port}/?question="',
        "max_new_tokens=256": "max_new_tokens=4",
    },
}
# Lines of blocks that are no commands of ours, by how they begin.
OTHER_PROGRAMS = ("make ", "pip install ", "python ")
RUN_HERE = [
    page
    for page in PAGES
    if page not in ELSEWHERE and any(block.language == "python" or block.commands for block in blocks(page))
]


@pytest.fixture
def as_in_the_documents(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, original_tiny: Path, light_tiny: Path
) -> Path:
    """A folder with the files that the documents name."""
    (tmp_path / "VideoGLaMM").symlink_to(original_tiny)
    (tmp_path / "videoglamm-hf").symlink_to(light_tiny)
    write_mp4(tmp_path / "bikes.mp4", frames(30, 72, 96), fps=10)
    write_mp4(tmp_path / "shapes.mp4", demo_clip()["video"], fps=4)
    (tmp_path / "clips").mkdir()
    write_mp4(tmp_path / "clips" / "bikes.mp4", frames(10, 72, 96), fps=10)
    mask = encode_mask(np.eye(72, 96, dtype=bool))
    answer = {"role": "assistant", "content": [{"type": "text", "text": "It is <p> the rider </p> [SEG]."}]}
    question = {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Can you segment the rider?"}]}
    sample = {"messages": [question, answer], "video": "bikes.mp4", "masks": [[mask, mask]], "mask_frames": [0, 20]}
    write_jsonl(tmp_path / "train.jsonl", [{**sample, "video": str(tmp_path / "bikes.mp4")}])
    monkeypatch.chdir(tmp_path)
    return tmp_path


def run_python(block: Block, namespace: dict[str, Any]) -> None:
    text = block.text
    for given, instead in IN_PLACE_OF.get(block.page, {}).items():
        text = text.replace(given, instead)
    # Lines of errors are those of the page.
    exec(compile("\n" * block.line + text, str(PAGES[block.page]), "exec"), namespace)


def run_command(command: str, folder: Path) -> int:
    program, *arguments = shlex.split(command)
    assert program == "videoglamm"
    if arguments[0] == "convert":
        # The tiny checkpoint's sizes that no shape tells; the page's is the published one.
        (folder / "videoglamm-hf").unlink()
        arguments += ["--config", str(TINY_CONFIG)]
    elif arguments[0] == "segment":
        arguments += ["--max-new-tokens", "4"]
    # It would serve for ever; tests/app starts it.
    with mock.patch("videoglamm_hf.cli.app.start"):
        return cli.main(arguments)


@pytest.fixture(scope="module")
def left_by() -> dict[str, dict[str, Any]]:
    """What pages that others go on from have left, by their names."""
    return {}


@pytest.fixture
def namespace_for(left_by: dict[str, dict[str, Any]], as_in_the_documents: Path) -> Callable[[str], dict[str, Any]]:
    def namespace(page: str) -> dict[str, Any]:
        before = GO_ON_FROM.get(page)
        if before is None:
            return {}
        if before not in left_by:
            left_by[before] = {}
            for block in blocks(before):
                if block.language == "python":
                    run_python(block, left_by[before])
        # Training changes a model.
        return left_by[before] | {"model": copy.deepcopy(left_by[before]["model"])}

    return namespace


@pytest.mark.parametrize("page", RUN_HERE)
def test_a_page_runs_from_top_to_bottom(page, as_in_the_documents, namespace_for, left_by, capsys):
    namespace = namespace_for(page)
    for block in blocks(page):
        if block.language == "python":
            run_python(block, namespace)
        for command in block.commands:
            assert run_command(command, as_in_the_documents) == 0, (command, capsys.readouterr().err)
    if page == "ask.md":
        assert namespace["answer"].masks.shape[1:] == (3, 72, 96)
        left_by.setdefault(page, namespace)
    if page == "start.md":
        told = re.findall(r"^\| `([\w.]+)` \|", PAGES[page].read_text(), re.MULTILINE)
        written = {path.name for path in Path("described").iterdir() if not path.name.startswith(".")}
        assert set(told) == written
    if page == "serve.md":
        namespace["server"].shutdown()
        assert namespace["answer"].keys() >= {"text", "masks", "phrases"}


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_found(page):
    text = PAGES[page].read_text()
    found = blocks(page)
    assert sum(block.language == "python" for block in found) == len(re.findall("^```python", text, re.MULTILINE))
    assert sum(len(block.commands) for block in found) == len(re.findall(r"^    videoglamm ", text, re.MULTILINE))


def test_the_chosen_pages_have_code():
    assert {"README.md", "start.md", "ask.md", "convert.md", "tune.md", "coming_from/sam2.md"} <= set(RUN_HERE)


@pytest.mark.parametrize("page", [name for name in ELSEWHERE if name in PAGES])
def test_a_page_that_is_run_elsewhere_is_named_there(page):
    for place in ELSEWHERE[page]:
        texts = [
            path.read_text() for path in ([ROOT / place] if place.endswith(".py") else (ROOT / place).rglob("*.py"))
        ]
        assert any(page in text for text in texts), place


@pytest.mark.parametrize("page", PAGES)
def test_every_block_is_of_a_kind_that_is_looked_at(page):
    """What is neither run nor data nor printed by a command would be read by nobody."""
    makefile = (ROOT / "Makefile").read_text()
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    printed = 0
    for block in blocks(page):
        if block.language in ("python", "json", "mermaid"):
            continue
        assert block.language in ("", "bash", "console"), f"{page}:{block.line} is {block.language}"
        for line in filter(None, block.text.splitlines()):
            if line.startswith("videoglamm "):
                continue
            if not line.startswith(OTHER_PROGRAMS):
                assert page in ELSEWHERE or line.startswith((" ", "#")), f"{page}:{block.line}: {line}"
                printed += 1
                continue
            program, target = line.split()[:2]
            if program == "make":
                assert re.search(rf"^{target}:", makefile, re.MULTILINE), line
            if program == "python":
                assert (ROOT / target).is_file(), line
            for extra in re.findall(r"videoglamm-hf\[(\w+)\]", line):
                assert extra in extras, line
    assert printed == 0 or page in ELSEWHERE or page == "CONTRIBUTING.md"


@pytest.mark.parametrize("page", PAGES)
def test_make_targets_exist(page):
    makefile = (ROOT / "Makefile").read_text()
    for target in re.findall(r"`make ([\w-]+)", PAGES[page].read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("page", PAGES)
def test_links_inside_the_repository_lead_somewhere(page):
    """On GitHub, where pages are read as they lie; those of the site are checked as it is built."""
    folder = PAGES[page].parent
    prose = re.sub(r"^```.*?^```|`[^`\n]+`", "", PAGES[page].read_text(), flags=re.MULTILINE | re.DOTALL)
    for target, anchor in re.findall(r"\]\(([^)\s#]*)#?([^)\s]*)\)", prose):
        if ":" in target:
            continue
        place = (folder / target).resolve() if target else PAGES[page]
        assert place.exists(), target
        others = [name for name, path in PAGES.items() if path == place]
        # Of the page that is made, and of data formats, whose heading holds a dot.
        assert not anchor or not others or anchor in anchors(others[0]), f"{target}#{anchor}"


@pytest.mark.parametrize("page, given", [(page, text) for page, rules in IN_PLACE_OF.items() for text in rules])
def test_what_is_replaced_is_there(page, given):
    assert any(given in block.text for block in blocks(page))
