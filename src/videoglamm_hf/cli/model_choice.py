"""Which model a command asks."""

import argparse

from ..toy import TINY_MODEL
from .screen import say


def model_or_small(arguments: argparse.Namespace) -> str:
    """The folder or Hub id that `--model` gives; without it the small model that ships, which is said."""
    if arguments.model is None:
        say("no --model: taking the small one that ships, which knows coloured shapes only", arguments.quiet)
        return str(TINY_MODEL)
    return arguments.model
