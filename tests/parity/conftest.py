"""The tiny model as the original computed with it: every patch of the published frames."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoProcessor

from tests.conftest import load_model


@pytest.fixture(scope="session")
def model(converted_tiny: Path) -> torch.nn.Module:
    return load_model(converted_tiny)


@pytest.fixture(scope="session")
def processor(converted_tiny: Path):
    return AutoProcessor.from_pretrained(converted_tiny)


@pytest.fixture
def fresh_model(converted_tiny: Path) -> Callable[..., torch.nn.Module]:
    return lambda **kwargs: load_model(converted_tiny, **kwargs)
