"""A stand-in for the Hub, and folders to push to it."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.hub.stand_in import StandIn


@pytest.fixture
def hub(monkeypatch) -> Iterator[StandIn]:
    """The Hub that this process pushes to, logged in, with retries that do not wait."""
    with StandIn() as server:
        monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        monkeypatch.setenv("HF_TOKEN", "hf_for_the_stand_in")
        monkeypatch.setattr("time.sleep", lambda seconds: None)
        yield server


@pytest.fixture
def folder(converted_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model."""
    return Path(shutil.copytree(converted_tiny, tmp_path / "model"))
