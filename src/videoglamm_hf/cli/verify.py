"""`videoglamm verify`: checks that a model folder is whole, a line per check."""

import argparse
from pathlib import Path

from ..conversion.verification import verify_folder
from ..errors import CheckpointError


def run(arguments: argparse.Namespace) -> None:
    """Prints every check; raises CheckpointError if one failed."""
    folder = Path(arguments.folder).expanduser()
    if not folder.is_dir():
        raise CheckpointError(f"{folder} is no folder; give the folder of a converted model.")
    failed = 0
    for check in verify_folder(folder, generate=not arguments.no_generate):
        print(check)
        failed += check.passed is False
    if failed:
        raise CheckpointError(f"{folder} failed {failed} check{'s' * (failed > 1)}.")
