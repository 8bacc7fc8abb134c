"""`python -m tests.fuzz [NAME ...] [--seed S] [--count N | --minutes M]`: hostile cases, and a table of what came."""

import argparse
import logging
import sys
import tempfile
from pathlib import Path

from tests.fuzz.fuzzers import FUZZERS, valid_model
from tests.fuzz.runner import BAD, HEADER, run


def main() -> int:
    parser = argparse.ArgumentParser(prog="tests.fuzz", description=__doc__)
    parser.add_argument("names", nargs="*", choices=[[], *FUZZERS], default=[], help="which fuzzers; all by default")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--first", type=int, default=0, help="number of the first case")
    parser.add_argument("--count", type=int, help="cases of each; by default those the record in CONTRIBUTING.md has")
    parser.add_argument("--minutes", type=float, help="time of each, in place of a count")
    parser.add_argument("--shown", type=int, default=1, help="how many offending inputs are printed of each")
    parser.add_argument("--verbose", action="store_true", help="print every case")
    given = parser.parse_args()

    def told(number: int, kind: str, recipe: str, detail: str) -> None:
        if given.verbose or kind in BAD:
            print(f"{number} {kind}: {recipe}\n    {detail}", file=sys.stderr, flush=True)

    logging.disable(logging.CRITICAL)
    reports = []
    print(HEADER, flush=True)
    with tempfile.TemporaryDirectory(prefix="videoglamm-fuzz-") as folder:
        model = valid_model(Path(folder))
        for name in given.names or FUZZERS:
            make, usual = FUZZERS[name]
            count = given.count if given.count or given.minutes else usual
            reports.append(
                run(name, make(model), given.seed, first=given.first, count=count, minutes=given.minutes, told=told)
            )
            print(reports[-1].line(), flush=True)
    for report in reports:
        for offence in report.offences[: given.shown]:
            print(offence)
    return int(any(report.kinds[kind] for report in reports for kind in BAD))


if __name__ == "__main__":
    sys.exit(main())
