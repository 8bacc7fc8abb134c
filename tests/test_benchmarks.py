"""Benchmarks that need more than a test may take still run at a tiny size."""

import json
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_conversion(tmp_path):
    command = [sys.executable, BENCHMARKS / "conversion.py", "--tiny", "--folder", tmp_path, "--shard-gb", "0.01"]
    done = subprocess.run([*command, "--json", tmp_path / "seen.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["files"] > 2 and 0 < seen["peak / bound"] < 1 and seen["converting / copying"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]


def test_scoring(tmp_path):
    command = [sys.executable, BENCHMARKS / "scoring.py", "--expressions", "5", "--frames", "2", "--height", "40"]
    done = subprocess.run([*command, "--json", tmp_path / "seen.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["largest difference"] < 1e-12 and seen["ours / official"] > 0


def test_decoders(tmp_path):
    pytest.importorskip("decord", reason="decord has no wheel for this platform")
    command = [sys.executable, BENCHMARKS / "decoders.py", "--seconds", "8", "--runs", "1"]
    done = subprocess.run([*command, "--json", tmp_path / "seen.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    rows = {name: row for name, row in seen.items() if isinstance(row, dict)}
    assert {name: row["frames"] for name, row in rows.items() if row.get("same frames")} == {
        "8 frames": 8,
        "32 frames": 32,
        "100 frames": 100,
        "one frame a second": 8,
        "every frame of 20 seconds": 100,
    }
    assert all(row["av / decord"] > 0 for row in rows.values())
