"""A checkpoint to change, and what the unchanged one becomes."""

import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoProcessor

from tests.conversion.checkpoints import link_weights


@pytest.fixture
def original(original_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to change; weight files are links, so replace them, do not write to them."""
    copy = tmp_path / "original"
    shutil.copytree(original_tiny, copy, copy_function=link_weights)
    return copy


@pytest.fixture(scope="module")
def reference(converted_tiny: Path) -> dict[str, torch.Tensor]:
    return load_file(converted_tiny / "model.safetensors")


@pytest.fixture(scope="module")
def processor(converted_tiny: Path):
    return AutoProcessor.from_pretrained(converted_tiny)
