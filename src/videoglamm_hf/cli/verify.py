"""`videoglamm verify`: checks that a model folder is whole, a line per check."""

import argparse
from pathlib import Path

from ..conversion.verification import verify_folder
from ..errors import CheckpointError


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("folder", help="folder of a converted or fine-tuned model")
    parser.add_argument(
        "--no-generate", action="store_true", help="do not load the model: everything else takes little memory"
    )
    parser.set_defaults(run=run)


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
