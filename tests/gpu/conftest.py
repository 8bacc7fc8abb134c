"""Tests that need a CUDA device: the small trained model there, against the same model on a CPU in float32.

Without one they are skipped; with `VIDEOGLAMM_GPU_TESTS_ON_CPU=1` the CPU stands in for it, where that makes sense, so
that the tests themselves can be tried: `VIDEOGLAMM_GPU_TESTS_ON_CPU=1 pytest tests/gpu`.
"""

import os
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModel, AutoProcessor

from tests.gpu.answers import KINDS, Answers, agreement, answered, clips
from videoglamm_hf.toy import TINY_MODEL

HERE = Path(__file__).parent
CPU_STANDS_IN = os.environ.get("VIDEOGLAMM_GPU_TESTS_ON_CPU") == "1"


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each test here is marked. What compiles takes longest and comes last, should time run out."""
    items.sort(key=lambda item: item.path == HERE / "test_compiled.py")
    for item in items:
        if HERE in item.path.parents:
            item.add_marker(pytest.mark.gpu)
            if not (torch.cuda.is_available() or CPU_STANDS_IN):
                item.add_marker(pytest.mark.skip(reason="needs a CUDA device"))


@pytest.fixture(scope="session")
def device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


@pytest.fixture
def cuda(device: torch.device) -> torch.device:
    """For what a CPU cannot stand in for."""
    if device.type != "cuda":
        pytest.skip("needs a CUDA device: a CPU cannot stand in")
    return device


@pytest.fixture(scope="session")
def words() -> Any:
    """The processor of the small trained model."""
    return AutoProcessor.from_pretrained(TINY_MODEL)


@pytest.fixture(scope="session")
def trained(device: torch.device) -> Callable[..., torch.nn.Module]:
    """Loads the small trained model, in float32 unless told otherwise, onto the device."""

    def load(**options: Any) -> torch.nn.Module:
        return AutoModel.from_pretrained(TINY_MODEL, **{"dtype": torch.float32} | options).to(device).eval()

    return load


@pytest.fixture(scope="session")
def on_device(trained: Callable[..., torch.nn.Module]) -> torch.nn.Module:
    """The small trained model in float32 on the device; for tests that leave it as it is."""
    return trained()


@pytest.fixture(scope="session")
def reference() -> torch.nn.Module:
    """The small trained model on the CPU in float32."""
    return AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32).eval()


@pytest.fixture(scope="session")
def expected(reference: torch.nn.Module, words: Any) -> Callable[..., Answers]:
    """What the reference answers to all questions with some options; each asked once."""

    @cache
    def ask(**options: Any) -> Answers:
        return answered(reference, words, clips(), **options)

    return ask


@pytest.fixture
def agrees(
    expected: Callable[..., Answers], words: Any, record_property: Callable[[str, object], None]
) -> Callable[..., None]:
    """`agrees(model, least, median, **options)`: asks all questions, and compares words and IoU of masks with the
    reference's answers under the same options, `own` ones left out. `first` asks so many questions only."""

    def check(
        model: Any,
        least: float,
        median: float,
        own: dict[str, Any] | None = None,
        first: int = len(KINDS),
        **options: Any,
    ) -> None:
        found = answered(model, words, clips()[:first], **options, **(own or {}))
        wanted = expected(**options).first(first)
        ious = agreement(found, wanted)
        record_property("least IoU", round(float(ious.min()), 4))
        record_property("median IoU", round(float(ious.median()), 4))
        assert found.texts == wanted.texts
        assert ious.min() >= least and ious.median() >= median

    return check
