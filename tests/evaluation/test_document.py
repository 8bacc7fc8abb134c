"""Every snippet and command of docs/evaluation.md runs."""

import re
import shlex
from pathlib import Path

import pytest

import videoglamm_hf.evaluation
from videoglamm_hf import cli
from videoglamm_hf.evaluation.choices import BENCHMARKS

TEXT = (Path(__file__).parent.parent.parent / "docs" / "evaluation.md").read_text()
COMMANDS = re.findall(r"^    videoglamm (.*)$", TEXT, re.MULTILINE)


def test_python_snippets_run_in_order():
    namespace: dict = {}
    for snippet in re.findall(r"```python\n(.*?)```", TEXT, re.DOTALL):
        exec(compile(snippet, "evaluation.md", "exec"), namespace)
    assert namespace["mean"] == pytest.approx(18 / 22) and namespace["f"].shape == (4,)
    assert namespace["scores"] == {"miou": pytest.approx(18 / 22), "matches": [[0, 0]], "truths": 1}
    assert {"tiou", "viou", "gt_viou"} <= namespace["moment"].keys()


@pytest.mark.parametrize("command", COMMANDS)
def test_commands_run(benchmarks, tmp_path, monkeypatch, command, capsys):
    places = {
        "mevis": "mevis",
        "mevis_masks": "mevis/predictions",
        "ref_davis": "ref_davis",
        "ref_davis_logits": "ref_davis/logits",
    }
    for name, place in places.items():
        (tmp_path / name).symlink_to(benchmarks / place)
    monkeypatch.chdir(tmp_path)
    assert cli.main(shlex.split(command)) == 0, capsys.readouterr().err


def test_every_benchmark_and_every_function_is_described():
    assert {command.split()[1] for command in COMMANDS} == set(BENCHMARKS)
    for name in (*BENCHMARKS, *videoglamm_hf.evaluation.__all__):
        assert re.search(rf"^\| `{name}` \|", TEXT, re.MULTILINE), name
