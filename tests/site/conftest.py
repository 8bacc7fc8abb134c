"""The site, built once with a gallery of one picture."""

import os
import subprocess
import sys
import zlib
from pathlib import Path

import pytest

from tests.documents import ROOT


@pytest.fixture(scope="session")
def built(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """The folder of the site, and what building it printed."""
    if "VIDEOGLAMM_REQUIRE_SUITES" not in os.environ:
        pytest.importorskip("mkdocs", reason="needs the extra docs")
    folder = tmp_path_factory.mktemp("site")
    pictures = _gallery(folder / "gallery")
    environment = os.environ | {"NO_MKDOCS_2_WARNING": "1", "VIDEOGLAMM_DOCS_GALLERY": str(pictures)}
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder / "site")]
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return folder / "site", done.stdout + done.stderr


def _gallery(folder: Path) -> Path:
    sys.path.insert(0, str(ROOT / "docs" / "site_build"))
    try:
        import gallery
    finally:
        sys.path.pop(0)
    gallery.write_gallery(folder, kinds=("referring",), clips=1)
    return folder


@pytest.fixture(scope="session")
def referenced(built: tuple[Path, str]) -> dict[str, str]:
    """Every name with an entry in the reference, and where it is."""
    data = (built[0] / "objects.inv").read_bytes()
    lines = zlib.decompress(data[data.index(b"zlib.\n") + len(b"zlib.\n") :]).decode().splitlines()
    entries = [line.split(" ") for line in lines]
    return {name: place.replace("$", name) for name, _, _, place, *_ in entries}
