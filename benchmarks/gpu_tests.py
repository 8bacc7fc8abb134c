"""Runs the tests marked `gpu` and notes how each ended and how near its masks came to float32's on a CPU."""

import argparse
import os
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from gpu_record import Record
from gpu_run import ROOT, add_options, header, skipped

TESTS = ROOT / "tests" / "gpu"


class Notes:
    """A plugin of pytest that notes every test in a record as soon as it has ended."""

    def __init__(self, record: Record) -> None:
        self.record = record

    def pytest_runtest_setup(self, item: pytest.Item) -> None:
        if self.record.out_of_time:
            pytest.skip(f"not run: {self.record.limit:.0f} seconds were over")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "call" and report.passed:
            return
        entry: dict[str, Any] = {"outcome": report.outcome, **dict(report.user_properties)}
        if report.skipped:
            entry["why"] = report.longrepr[2].removeprefix("Skipped: ")
        elif report.failed:
            crash = getattr(report.longrepr, "reprcrash", None)
            entry["why"] = (crash.message if crash else str(report.longrepr)).splitlines()[0]
        entry["took seconds"] = round(report.duration, 1)
        self.record.put(short_name(report.nodeid), entry)


class Names:
    """A plugin of pytest that prints the names of tests as those of skipped ones."""

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            print(skipped(short_name(item.nodeid)))


def short_name(nodeid: str) -> str:
    """`test_caches.py::test_x[static]` of a test's id."""
    return nodeid.rpartition("gpu/")[2]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    add_options(parser)
    parser.add_argument("paths", nargs="*", type=Path, help="files of tests (default: tests/gpu)")
    arguments = parser.parse_args()
    options = [*map(str, arguments.paths or [TESTS]), "-m", "gpu", "-p", "no:cacheprovider", "--rootdir", str(ROOT)]
    if not arguments.tiny and not torch.cuda.is_available():
        sys.exit(pytest.main([*options, "--collect-only", "-s", "-p", "no:terminal"], plugins=[Names()]))
    if arguments.tiny:
        os.environ["VIDEOGLAMM_GPU_TESTS_ON_CPU"] = "1"
    record = Record(arguments.json, "tests", header(tiny=arguments.tiny), arguments.seconds)
    sys.exit(pytest.main([*options, "-q"], plugins=[Notes(record)]))


if __name__ == "__main__":
    main()
