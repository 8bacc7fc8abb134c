"""`videoglamm verify`: checks that a model folder is whole, a line per check."""

import argparse
from pathlib import Path

from ..conversion.verification import verify_folder
from ..errors import CheckpointError
from .screen import library_bars, shows_progress
from .wording import counted


def run(arguments: argparse.Namespace) -> None:
    """Prints every check; raises CheckpointError if one failed."""
    folder = Path(arguments.folder).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the folder of a converted model.")
    failed = 0
    with library_bars(shows_progress(arguments.quiet)):
        for check in verify_folder(folder, generate=not arguments.no_generate, progress=not arguments.quiet):
            if check.passed is False or not arguments.quiet:
                print(check)
            failed += check.passed is False
    if failed:
        raise CheckpointError(f"{folder} failed {counted(failed, 'check')}.")
