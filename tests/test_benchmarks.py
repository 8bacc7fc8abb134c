"""Benchmarks that need more than a test may take still run at a tiny size."""

import json
import subprocess
import sys
from pathlib import Path

BENCHMARKS = Path(__file__).parent.parent / "benchmarks"


def test_conversion(tmp_path):
    command = [sys.executable, BENCHMARKS / "conversion.py", "--tiny", "--folder", tmp_path, "--shard-gb", "0.01"]
    done = subprocess.run([*command, "--json", tmp_path / "seen.json"], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    seen = json.loads((tmp_path / "seen.json").read_text())
    assert seen["files"] > 2 and 0 < seen["peak / bound"] < 1 and seen["converting / copying"] > 0
    assert [path.name for path in tmp_path.iterdir()] == ["seen.json"]
