"""A stand-in for the Hub, and folders to push to it."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.hub.stand_in import StandIn


@contextmanager
def logged_in() -> Iterator[StandIn]:
    """The Hub that this process pushes to, logged in, with retries that do not wait."""
    with StandIn() as server, pytest.MonkeyPatch.context() as patch:
        patch.setattr("huggingface_hub.constants.ENDPOINT", server.url)
        template = server.url + "/{repo_id}/resolve/{revision}/{filename}"
        patch.setattr("huggingface_hub.constants.HUGGINGFACE_CO_URL_TEMPLATE", template)
        patch.setattr("huggingface_hub.constants.HF_HUB_DISABLE_XET", True)
        patch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
        patch.setenv("HF_TOKEN", "hf_for_the_stand_in")
        patch.setattr("time.sleep", lambda seconds: None)
        yield server


@pytest.fixture
def hub() -> Iterator[StandIn]:
    with logged_in() as server:
        yield server


@pytest.fixture
def folder(light_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny model."""
    return Path(shutil.copytree(light_tiny, tmp_path / "model"))
