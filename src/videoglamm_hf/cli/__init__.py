"""The command line, `videoglamm COMMAND`; each command is a module of this room (or `conversion`)."""

import argparse
import sys
from collections.abc import Sequence

from ..conversion import convert, export
from ..errors import VideoGlammError
from . import cache_features, check_data, memory, push, segment, verify

COMMANDS = (
    ("segment", segment, "ask about a video and get words and masks"),
    ("convert", convert, "convert a checkpoint of the original code"),
    ("verify", verify, "check that a model folder is whole"),
    ("export", export, "write a model back in the original's layout"),
    ("push", push, "publish a model on the Hugging Face Hub"),
    ("check-data", check_data, "find what is wrong with a JSONL file of training samples"),
    ("cache-features", cache_features, "compute what frozen towers see of training data, once"),
    ("memory", memory, "how much memory a model and an answer need"),
)


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; errors made for people end with one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="videoglamm", description="Words and masks about videos.")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for name, module, help_text in COMMANDS:
        module.add_arguments(subparsers.add_parser(name, help=help_text, description=module.__doc__))
    arguments = parser.parse_args(argv)
    try:
        arguments.run(arguments)
    except VideoGlammError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
