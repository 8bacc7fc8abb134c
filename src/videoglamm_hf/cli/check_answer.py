"""`videoglamm check-answer`: finds what is wrong with an `answer.json`."""

import argparse

from ..errors import InputError
from ..media_files import short_name
from .answer_file import answer_problems
from .wording import counted


def run(arguments: argparse.Namespace) -> None:
    """Prints every problem; raises InputError if there is any."""
    name = short_name(arguments.file)
    problems = answer_problems(arguments.file)
    for place, problem in problems:
        print(f"{name}: {place}: {problem}")
    if problems:
        raise InputError(f"{name} has {counted(len(problems), 'problem')}.")
    print(f"{name}: no problems found.")
