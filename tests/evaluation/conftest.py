"""Benchmark folders by formula, and what the official code says of predictions for them."""

import json
from pathlib import Path

import pytest

from tests.fixtures.golden_eval import make_inputs

EXPECTED = json.loads((Path(make_inputs.__file__).parent / "expected_A.json").read_text())


@pytest.fixture(scope="session")
def benchmarks(tmp_path_factory) -> Path:
    """`mevis/` and `ref_davis/`, not to be changed."""
    folder = tmp_path_factory.mktemp("benchmarks")
    make_inputs.write(folder, "A")
    return folder
