"""`videoglamm check-data`: finds what is wrong with training data, and what a first trainer must know of it."""

import argparse
from collections import Counter
from pathlib import Path

from ..checking.check import DataCheck, check_data
from ..errors import InputError
from .screen import say, shows_progress
from .wording import counted

# Findings of one kind that are printed; the page has them all.
_PRINTED = 5


def run(arguments: argparse.Namespace) -> None:
    """Prints everything found; raises InputError if something keeps the data from being trained on."""
    # Imported when they are needed: neither looks at records.
    processor = None
    if arguments.model is not None:
        from ..loading.models import load_processor

        processor = load_processor(arguments.model)
    check = check_data(arguments.data, processor=processor, progress=shows_progress(arguments.quiet))
    for line in lines(check, everything=arguments.all):
        print(line)
    if arguments.report is not None:
        from ..checking.report import write_check_report

        write_check_report(Path(arguments.report), check)
        say(f"-> {arguments.report}", arguments.quiet)
    errors = check.errors
    if errors:
        raise InputError(f"{arguments.data} has {counted(len(errors), 'problem')}.")
    print(f"{arguments.data}: no problems found." + (" See the notes above." if check.findings else ""))


def lines(check: DataCheck, *, everything: bool = False) -> list[str]:
    """What a person reads of a check: every kind with why and what to do, and its first records."""
    kinds = Counter((finding.level, finding.kind) for finding in check.findings)
    found = [
        f"{counted(check.samples, 'sample')} of {counted(check.videos, 'video or picture', 'videos or pictures')}, "
        f"{counted(check.objects, 'object')}"
    ]
    for (level, kind), count in kinds.items():
        own = [finding for finding in check.findings if (finding.level, finding.kind) == (level, kind)]
        found += ["", f"{level}: {kind} ({count})"]
        shown = own if everything else own[:_PRINTED]
        found += [f"  {finding.record}: {finding.text}" for finding in shown]
        if len(shown) < count:
            found.append(f"  ... and {count - len(shown)} more (--all prints them)")
        found += [f"  why: {own[0].why}", f"  fix: {own[0].fix}"]
    return found
