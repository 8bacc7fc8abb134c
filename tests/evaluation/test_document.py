"""Every snippet and command of docs/evaluation.md runs."""

import re
import shlex
import shutil
from pathlib import Path

import pytest

import videoglamm_hf.evaluation
from tests.evaluation.shapes_folders import (
    clips,
    write_gcg,
    write_hc_stvg,
    write_mevis,
    write_own,
    write_reasonvos,
    write_ref_youtube_vos,
    write_refcoco,
    write_revos,
    write_vidstg,
)
from videoglamm_hf import cli
from videoglamm_hf.evaluation.choices import BENCHMARKS
from videoglamm_hf.toy import TINY_MODEL

TEXT = (Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text()
COMMANDS = re.findall(r"^    videoglamm (.*)$", TEXT, re.MULTILINE)


def test_python_snippets_run_in_order():
    namespace: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(snippet, "evaluation.md", "exec"), namespace)
    assert namespace["mean"] == pytest.approx(18 / 22) and namespace["f"].shape == (4,)
    assert namespace["scores"] == {"miou": pytest.approx(18 / 22), "matches": [[0, 0]], "truths": 1}
    assert {"tiou", "viou", "gt_viou"} <= namespace["moment"].keys()


@pytest.fixture(scope="module")
def places(benchmarks, tmp_path_factory) -> dict[str, Path]:
    """What the document calls the folders that a reader has."""
    root, samples = tmp_path_factory.mktemp("places"), clips(1)
    written = {
        "mevis/valid_u": write_mevis(root / "mevis", samples),
        "ref_youtube_vos": write_ref_youtube_vos(root / "ref_youtube_vos", samples),
        "revos": write_revos(root / "revos", samples),
        "reasonvos": write_reasonvos(root / "reasonvos", samples),
        "my_data": write_own(root / "own", samples),
        "vidstg": write_vidstg(root / "vidstg", samples),
        "hc_stvg": write_hc_stvg(root / "hc_stvg", samples),
        "gcg": write_gcg(root / "gcg", samples),
        "mevis_masks": root / "mevis_masks",
    }
    written |= {name: write_refcoco(root / name, samples) for name in ("refcoco", "refcoco+", "refcocog")}
    given = ["evaluate", "mevis", "--data", str(written["mevis/valid_u"]), "--output", str(root / "run")]
    assert cli.main([*given, "--device", "cpu", "-q"]) == 0
    shutil.copytree(root / "run" / "predictions", root / "mevis_masks")
    ref_davis = benchmarks / "ref_davis"
    return written | {
        "ref_davis": ref_davis,
        "ref_davis_logits": ref_davis / "logits",
        "mevis_run": root / "run",
        "other_run": root / "run",
        "MODEL": TINY_MODEL,
    }


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(places, tmp_path, monkeypatch, command, capsys):
    words = shlex.split(command)
    for name, place in places.items():
        if name in words and words[words.index(name) - 1] != "--output":
            (tmp_path / name).parent.mkdir(exist_ok=True)
            (tmp_path / name).symlink_to(place)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("videoglamm_hf.evaluation.captions._lacking", lambda: "Java")
    fast = ["--max-new-tokens", "4", "--device", "cpu"] if words[0] == "evaluate" else []
    # A whole Ref-DAVIS17 of small videos would take a minute.
    fast += ["--limit", "1"] if words[1] == "ref-davis17" and fast else []
    assert cli.main([*words, *fast]) == 0, capsys.readouterr().err


def test_every_benchmark_and_every_function_is_described():
    assert {command.split()[1] for command in COMMANDS if not command.startswith("compare")} == set(BENCHMARKS)
    for name in (*BENCHMARKS, *videoglamm_hf.evaluation.__all__):
        assert re.search(rf"^\| `{re.escape(name)}` \|", TEXT, re.MULTILINE), name
