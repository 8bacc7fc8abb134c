"""The run on a GPU, without one: what it notes, what it skips by name, what it writes into RESULTS.md."""

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent
BENCHMARKS = ROOT / "benchmarks"
sys.path.insert(0, str(BENCHMARKS))

import gpu  # noqa: E402
import gpu_figures  # noqa: E402
import gpu_results  # noqa: E402
import gpu_tests  # noqa: E402
import results_file  # noqa: E402
from floors import Floors  # noqa: E402
from gpu_figures import FIGURES, Figure  # noqa: E402
from gpu_record import Record  # noqa: E402
from gpu_run import header  # noqa: E402

ABOUT = {"device": "a GPU", "date": "2026-12-01", "torch": "2", "transformers": "5", "model": "full size"}
WANTED = (
    "the floors",
    "spatial tower",
    "both towers and projectors",
    "both towers and projectors, compile_vision",
    "prefill",
    "a token, dynamic cache",
    "a token, static cache, compiled",
    "a token, default",
    "image encoder, 16 frames",
    "image encoder, 16 frames, compile_vision",
    "masks, 2 objects, 16 frames, encoder included",
    "masks, 2 objects, 16 frames, encoder included, compile_vision",
    "whole answer",
    "whole answer, compile_vision",
    "tracking, 1 object,",
    "tracking, 8 objects,",
    "tracking, 16 objects,",
    "tracked masks, bfloat16 and float32",
    "second question / first, video",
    "second question / first, framewise",
    "batch of four",
    "start: loading and first token",
    "NF4: weights and peak",
    "LoRA step, activations kept",
    "LoRA step, gradient checkpointing",
)


def test_every_figure_that_is_wanted_has_a_name():
    names = [figure.name for figure in FIGURES]
    assert len(set(names)) == len(names) == len(set(WANTED))
    for wanted in WANTED:
        assert sum(name.startswith(wanted) for name in names) >= 1, wanted


def read(path):
    return json.loads(path.read_text())


def test_a_record_is_whole_after_every_step(tmp_path):
    path = tmp_path / "folder" / "run.json"
    record = Record(path, "figures", ABOUT)
    assert read(path) == {**ABOUT, "figures": {}}

    def without_memory():
        assert list(read(path)["figures"]) == ["first"]
        raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB\nand more")

    record.measure("first", lambda: {"ms": 3.0})
    record.measure("second", without_memory)
    record.measure("third", lambda: {"ms": 4.0})
    figures = read(path)["figures"]
    assert figures["second"]["failed"] == "OutOfMemoryError: CUDA out of memory. Tried to allocate 2 GiB"
    assert [figures[name]["ms"] for name in ("first", "third")] == [3.0, 4.0]
    assert [other.name for other in path.parent.iterdir()] == ["run.json"]


def test_when_time_is_over_nothing_is_begun(tmp_path):
    record = Record(tmp_path / "run.json", "figures", ABOUT, limit=-1)
    record.measure("late", lambda: pytest.fail("begun"))
    assert read(tmp_path / "run.json")["figures"] == {"late": {"not run": "-1 seconds were over"}}


def test_a_half_leaves_the_other_alone_if_it_is_of_the_same_device(tmp_path):
    path = tmp_path / "run.json"
    Record(path, "tests", ABOUT).put("test_x", {"outcome": "passed"})
    Record(path, "figures", ABOUT).put("prefill", {"ms": 1})
    assert read(path) == {**ABOUT, "tests": {"test_x": {"outcome": "passed"}}, "figures": {"prefill": {"ms": 1}}}
    Record(path, "figures", ABOUT, keep=True).put("token", {"ms": 2})
    assert read(path)["figures"] == {"prefill": {"ms": 1}, "token": {"ms": 2}}
    Record(path, "figures", {**ABOUT, "device": "another GPU"}, keep=True)
    assert "tests" not in read(path)


def test_the_section_of_the_results_is_replaced(tmp_path):
    old = json.loads((gpu_results.FOLDER / "2026-11-h100.json").read_text())
    new = ABOUT | {
        "figures": {
            "prefill": {"ms": 55.5, "floor / time": 0.68},
            "whole answer": {"failed": "OutOfMemoryError: a | b"},
            "batch of four, against four calls": {"not run": "215 seconds were over"},
        },
        "tests": {"test_caches.py::test_x[static]": {"outcome": "passed", "least IoU": 0.99, "took seconds": 1.0}},
    }
    (tmp_path / "runs").mkdir()
    for name, run in (("2026-11-h100.json", old), ("older.json", old | {"date": "2026-10"})):
        (tmp_path / "runs" / name).write_text(json.dumps(run))
    (tmp_path / "new.json").write_text(json.dumps(new))
    assert [run["date"] for run in gpu_results.newest_two(folder=tmp_path / "runs")] == ["2026-10", "2026-11"]
    runs = gpu_results.newest_two(tmp_path / "new.json", folder=tmp_path / "runs")
    assert [run["date"] for run in runs] == ["2026-11", "2026-12-01"]
    results = tmp_path / "RESULTS.md"
    results.write_text("before\n<!-- gpu figures -->\nnothing\n<!-- end of gpu figures -->\nafter\n")
    results_file.replace_section("gpu", gpu_results.lines(runs), results)
    text = results.read_text()
    assert text.startswith("before\n<!--") and text.endswith("-->\nafter\n") and "nothing\n" not in text
    assert "NVIDIA H100 80GB HBM3, 2026-11, torch 2.11.0+cu130" in text and "a GPU, 2026-12-01" in text
    assert "| prefill | 110.7 ms, 34 % of the floor | 55.5 ms, 68 % of the floor | >= 60 % |" in text
    assert "| 2,130 ms, peak 12.26 GiB | failed: OutOfMemoryError: a / b |" in text
    assert "| open | not run: 215 seconds were over | >= 2.5x |" in text
    assert "| `test_caches.py::test_x[static]` | open | passed, least IoU 0.99 |" in text


def test_what_is_in_the_results_is_what_the_files_say():
    section = (BENCHMARKS / "RESULTS.md").read_text().partition("<!-- gpu figures -->\n")[2]
    assert section.partition("\n<!-- end of gpu figures -->")[0] == "\n".join(
        gpu_results.lines(gpu_results.newest_two())
    )


def test_without_a_gpu_figures_are_skipped_by_name(monkeypatch, capsys, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_figures.py", "--json", str(tmp_path / "run.json")])
    gpu_figures.main()
    printed = capsys.readouterr().out.splitlines()
    assert printed == [f"skipped, needs a CUDA device: {figure.name}" for figure in FIGURES]
    assert list(tmp_path.iterdir()) == []


def test_tiny_figures_are_measured_and_one_that_fails_is_noted(monkeypatch, tmp_path):
    def fails(bench):
        raise RuntimeError("no kernel")

    monkeypatch.setattr(gpu_figures, "measured_floors", lambda dtype: Floors(1e11, 1e10))
    cheap = ("floors", "spatial tower", "tracking, 1 object,")
    some = [figure for figure in FIGURES if any(name in figure.name for name in cheap)]
    some.insert(1, Figure("fails", fails))
    gpu_figures.run(Record(tmp_path / "run.json", "figures", header(tiny=True)), True, some)
    figures = read(tmp_path / "run.json")["figures"]
    assert list(figures) == [figure.name for figure in some]
    assert figures["fails"]["failed"] == "RuntimeError: no kernel"
    assert figures["spatial tower"]["ms"] > 0 and figures["spatial tower"]["floor / time"] > 0
    assert figures[some[3].name]["speed-up"] > 0 and figures[some[3].name]["differing mask pixels"] < 1e-3


@pytest.mark.slow
def test_all_tiny_figures_are_measured(tmp_path):
    command = [sys.executable, BENCHMARKS / "gpu.py", "--tiny", "--json", tmp_path / "run.json"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    figures = read(tmp_path / "run.json")["figures"]
    assert list(figures) == [figure.name for figure in FIGURES]
    assert {name: entry for name, entry in figures.items() if "failed" in entry or "not run" in entry} == {}


@pytest.fixture
def some_tests(monkeypatch, tmp_path):
    # Of another test's folder.
    monkeypatch.delitem(sys.modules, "test_some", raising=False)
    (tmp_path / "gpu").mkdir()
    (tmp_path / "gpu" / "test_some.py").write_text(
        "import pytest\n"
        "pytestmark = pytest.mark.gpu\n"
        "def test_right(record_property):\n    record_property('least IoU', 0.98)\n"
        "def test_wrong():\n    assert 1 == 2, 'not so'\n"
        "def test_left_out():\n    pytest.skip('nothing installed')\n"
    )
    return tmp_path / "gpu"


def test_tests_are_noted_by_name_and_outcome(monkeypatch, some_tests, tmp_path):
    monkeypatch.setenv("VIDEOGLAMM_GPU_TESTS_ON_CPU", "1")
    monkeypatch.setattr(sys, "argv", ["gpu_tests.py", str(some_tests), "--tiny", "--json", str(tmp_path / "run.json")])
    with pytest.raises(SystemExit) as ended:
        gpu_tests.main()
    # One of them failed.
    assert ended.value.code == 1
    tests = read(tmp_path / "run.json")["tests"]
    right, wrong, left_out = (tests[f"test_some.py::test_{name}"] for name in ("right", "wrong", "left_out"))
    assert right["outcome"] == "passed" and right["least IoU"] == 0.98
    assert wrong["outcome"] == "failed" and "not so" in wrong["why"]
    assert left_out["outcome"] == "skipped" and left_out["why"] == "nothing installed"


def test_without_a_gpu_tests_are_skipped_by_name(monkeypatch, capsys, some_tests, tmp_path):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(sys, "argv", ["gpu_tests.py", str(some_tests), "--json", str(tmp_path / "run.json")])
    with pytest.raises(SystemExit) as ended:
        gpu_tests.main()
    assert ended.value.code == 0
    names = [f"skipped, needs a CUDA device: test_some.py::test_{name}" for name in ("right", "wrong", "left_out")]
    assert capsys.readouterr().out.splitlines() == names
    assert not (tmp_path / "run.json").exists()


def test_all_tests_of_a_gpu_are_in_their_room():
    marks = re.compile(r"mark\.gpu\b")
    own = {ROOT / "tests" / "gpu" / "conftest.py", Path(__file__)}
    assert [
        path for path in (ROOT / "tests").rglob("*.py") if path not in own and marks.search(path.read_text())
    ] == []


def test_a_half_that_takes_too_long_is_ended(monkeypatch, tmp_path):
    monkeypatch.setattr(gpu, "HERE", tmp_path)
    stubborn = "import signal, time\nsignal.signal(signal.SIGINT, signal.SIG_IGN)\ntime.sleep(60)\n"
    (tmp_path / "gpu_figures.py").write_text(stubborn)
    (tmp_path / "gpu_tests.py").write_text("import sys\nsys.exit(len(sys.argv) - 1)\n")
    assert not gpu.run_half("figures", [], limits=(0.3, 0.4))
    assert gpu.run_half("tests", []) and not gpu.run_half("tests", ["--tiny"])


@pytest.mark.parametrize("options, halves", [([], ["tests", "figures"]), (["--half", "tests"], ["tests"])])
def test_without_a_gpu_nothing_is_written(monkeypatch, tmp_path, options, halves):
    ran = []
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(gpu, "run_half", lambda half, told: ran.append((half, told)) or True)
    monkeypatch.setattr(gpu_results, "write", lambda path: pytest.fail("RESULTS.md is written"))
    monkeypatch.setattr(sys, "argv", ["gpu.py", *options, "--json", str(tmp_path / "run.json")])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 0
    assert [half for half, _ in ran] == halves and not any("--json" in told for _, told in ran)


def test_with_a_gpu_results_are_written_even_if_a_half_fails(monkeypatch, tmp_path):
    written = []
    (tmp_path / "run.json").write_text("{}")
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(gpu, "run_half", lambda half, told: half == "figures" and str(tmp_path / "run.json") in told)
    monkeypatch.setattr(gpu_results, "write", written.append)
    monkeypatch.setattr(sys, "argv", ["gpu.py", "--json", str(tmp_path / "run.json")])
    with pytest.raises(SystemExit) as ended:
        gpu.main()
    assert ended.value.code == 1 and written == [tmp_path / "run.json"]
