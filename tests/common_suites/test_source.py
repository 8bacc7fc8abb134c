"""The fetcher of the suites, without a network, and the exclusions."""

import io
import subprocess
import tarfile
import unittest
from pathlib import Path

import pytest

from tests.common_suites import source
from tests.common_suites.exclusions import excluding


def write_sdist(path: Path) -> Path:
    with tarfile.open(path, "w:gz") as tar:
        for name in ("tests/test_one.py", "tests/deep/test_two.py", "src/test_three.py", "tests/data.json"):
            member = tarfile.TarInfo(f"transformers-1.0/{name}")
            tar.addfile(member, io.BytesIO(b""))
    return path


@pytest.fixture
def cache(tmp_path, monkeypatch) -> Path:
    monkeypatch.setenv(source.CACHE_VARIABLE, str(tmp_path / "cache"))
    return tmp_path / "cache"


class TestVersion:
    @pytest.mark.parametrize(
        ("installed", "taken"),
        [
            ("5.17.0", "5.17.0"),
            ("5.20.1", "5.17.0"),
            ("5.23.0", "5.23.0"),
            ("5.24.0.dev0", "5.24.0"),
            ("6.1", "5.24.0"),
            ("5.0.0", "5.17.0"),
        ],
    )
    def test_nearest_pinned_version_that_is_not_newer(self, installed, taken):
        assert source.suite_version(installed) == taken


class TestFetching:
    def test_only_flat_python_files_are_unpacked(self, tmp_path):
        folder = source.unpack_tests(write_sdist(tmp_path / "sdist.tar.gz"), tmp_path / "tests")
        assert sorted(path.name for path in folder.iterdir()) == ["__init__.py", "test_one.py"]

    def test_what_is_in_the_cache_is_not_fetched(self, cache, monkeypatch):
        monkeypatch.setattr(subprocess, "run", lambda *a, **k: pytest.fail("pip ran"))
        (cache / "transformers-5.23.0").mkdir(parents=True)
        assert source.fetched("5.23.0") == cache / "transformers-5.23.0"

    def test_fetched_appears_whole_and_alone(self, cache, monkeypatch):
        monkeypatch.setattr(source, "_download", lambda version, folder: write_sdist(folder / "sdist.tar.gz"))
        folder = source.fetched("5.23.0")
        assert (folder / "test_one.py").is_file() and list(cache.iterdir()) == [folder]

    def test_failed_fetch_leaves_nothing_and_says_what_to_do(self, cache, monkeypatch):
        def fail(command, **options):
            raise subprocess.CalledProcessError(1, command, stderr="ERROR: No matching distribution\n")

        monkeypatch.setattr(subprocess, "run", fail)
        with pytest.raises(source.SuitesUnavailable, match=r"No matching distribution.*VIDEOGLAMM_TRANSFORMERS_TESTS"):
            source.fetched("5.23.0")
        assert not list(cache.iterdir())


class TestMissing:
    @pytest.fixture(autouse=True)
    def unavailable(self, monkeypatch):
        def package():
            raise source.SuitesUnavailable("no network")

        monkeypatch.setattr(source, "_package", package)
        monkeypatch.delenv("CI", raising=False)
        monkeypatch.delenv(source.REQUIRE_VARIABLE, raising=False)

    def test_skips_with_the_reason(self):
        with pytest.raises(pytest.skip.Exception, match="no network"):
            source.suite("test_modeling_common")

    @pytest.mark.parametrize("variable", ["CI", source.REQUIRE_VARIABLE])
    def test_fails_where_the_suites_must_run(self, monkeypatch, variable):
        monkeypatch.setenv(variable, "1")
        with pytest.raises(source.SuitesUnavailable):
            source.suite("test_modeling_common")


class TestExclusions:
    class Suite:
        def test_one(self) -> None:
            raise AssertionError

        def test_two(self) -> None:
            pass

    def test_excluded_tests_are_skipped_with_their_reason(self):
        @excluding({"test_o*": "because"})
        class Case(self.Suite, unittest.TestCase):
            pass

        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(Case).run(result)
        assert [reason for _, reason in result.skipped] == ["because"]
        assert result.testsRun - len(result.skipped) in (0, 1) and result.wasSuccessful()

    def test_exclusion_of_no_test_is_an_error(self):
        with pytest.raises(ValueError, match="test_gone"):
            excluding({"test_gone": "because"})(type("Case", (self.Suite,), {}))
        excluding({}, may_be_absent={"test_gone": "because"})(type("Case", (self.Suite,), {}))
