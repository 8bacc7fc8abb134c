"""Where transformers' common test suites come from: its source distribution, fetched by pip into a cache.

Nothing of them is in this repository. The suite taken is the newest pinned one that is not newer than the installed
transformers; its hash is checked by pip. What an sdist holds of `tests/` are the files directly in it
(`test_modeling_common.py`, `test_processing_common.py`, ...), as setuptools adds `tests/test*.py` and nothing deeper.
So no release has `tests/generation` (`GenerationTesterMixin`), `tests/exporters` (`ExportTesterMixin`),
`tests/pipelines` or `tests/utils`: looked for in 4.16.2, 4.20.1, 4.30.2, 4.40.2, 4.45.2, 4.48.3, 4.50.3, 4.57.6 and
in the releases from 5.0 to 5.24. The flat files import the first two, so `stand_ins` takes their place. A folder
`tests` of a checkout of transformers serves in place of the cache; name it in `VIDEOGLAMM_TRANSFORMERS_TESTS`.
"""

import importlib
import os
import subprocess
import sys
import tarfile
import tempfile
from functools import cache
from pathlib import Path
from types import ModuleType

import pytest
import transformers
from packaging.version import Version

from tests.common_suites.stand_ins import stand_in_for_missing

# SHA-256 of the source distributions of transformers.
PINNED = {
    "5.17.0": "a153be279169b55b92d8000bf4af294aed684503d091cca7804da2dd8a9de000",
    "5.23.0": "19d647a4d5d903a7c644ca5cde2d86efc3dde7d8c687ae7988806ff2205efa71",
    "5.24.0": "906cb8c3cb2123575e263962586a4d21a979ce97feeb95fe6aaf66fe6ae88bf3",
}
PACKAGE = "transformers_common_suites"
CHECKOUT_VARIABLE = "VIDEOGLAMM_TRANSFORMERS_TESTS"
CACHE_VARIABLE = "VIDEOGLAMM_SUITES_CACHE"
REQUIRE_VARIABLE = "VIDEOGLAMM_REQUIRE_SUITES"
DOWNLOAD_TIMEOUT = 300


class SuitesUnavailable(Exception):
    """The suites are not in the cache and could not be fetched."""


def suite_version(installed: str = transformers.__version__) -> str:
    """The newest pinned version that is not newer than the installed one; the oldest if all are newer."""
    known = sorted(PINNED, key=Version)
    # A release candidate or development version has the suites of its release.
    fitting = [version for version in known if Version(version) <= Version(Version(installed).base_version)]
    return fitting[-1] if fitting else known[0]


def cache_folder() -> Path:
    given = os.environ.get(CACHE_VARIABLE)
    return Path(given) if given else Path.home() / ".cache" / "videoglamm_hf_tests"


def fetched(version: str) -> Path:
    """The folder `tests` of a version's source distribution, from the cache or through pip.

    Raises:
        SuitesUnavailable: If it is not in the cache and pip cannot fetch it.
    """
    folder = cache_folder() / f"transformers-{version}"
    if folder.is_dir():
        return folder
    folder.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=f"{folder.name}.") as aside:
        unpacked = unpack_tests(_download(version, Path(aside)), Path(aside) / "tests")
        try:
            unpacked.rename(folder)
        except OSError:
            # Another process was quicker.
            if not folder.is_dir():
                raise
    return folder


def _download(version: str, folder: Path) -> Path:
    pin = folder / "pin.txt"
    pin.write_text(f"transformers=={version} --hash=sha256:{PINNED[version]}\n")
    pip = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
    options = ["--no-binary", "transformers", "--require-hashes", "--requirement", str(pin), "--dest", str(folder)]
    try:
        subprocess.run([*pip, *options], check=True, capture_output=True, text=True, timeout=DOWNLOAD_TIMEOUT)
    except (subprocess.SubprocessError, OSError) as error:
        said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
        raise SuitesUnavailable(
            f"transformers' common suites ({version}) are neither in {folder.parent} nor could pip fetch them: "
            f"{said[-1] if said else error}. Fetch them once with a network, or name a checkout's folder tests in "
            f"{CHECKOUT_VARIABLE}."
        ) from error
    return next(folder.glob("transformers-*.tar.gz"))


def unpack_tests(archive: Path, folder: Path) -> Path:
    """Writes the Python files directly in `tests/` of a source distribution to `folder`."""
    folder.mkdir()
    with tarfile.open(archive) as tar:
        for member in tar:
            path = Path(member.name)
            if member.isfile() and path.parts[1:2] == ("tests",) and len(path.parts) == 3 and path.suffix == ".py":
                (folder / path.name).write_bytes(tar.extractfile(member).read())
    # The suites import transformers by the path of their own package, which an sdist leaves without this file.
    (folder / "__init__.py").touch()
    return folder


@cache
def _package() -> ModuleType:
    """The folder of the suites as a package, its gaps filled."""
    checkout = os.environ.get(CHECKOUT_VARIABLE)
    folder = Path(checkout) if checkout else fetched(suite_version())
    package = ModuleType(PACKAGE)
    package.__path__ = [str(folder)]
    sys.modules[PACKAGE] = package
    stand_in_for_missing(PACKAGE, folder)
    return package


def must_be_there() -> bool:
    """Whether missing suites are a failure: in continuous integration and under `make test`."""
    return any(os.environ.get(name, "").lower() not in ("", "0", "false") for name in ("CI", REQUIRE_VARIABLE))


def suite(name: str) -> ModuleType:
    """A module of the suites, e.g. `test_modeling_common`; skips the calling test module if it cannot be had."""
    try:
        _package()
    except SuitesUnavailable as error:
        if must_be_there():
            raise
        pytest.skip(str(error), allow_module_level=True)
    return importlib.import_module(f"{PACKAGE}.{name}")
