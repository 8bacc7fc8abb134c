"""`videoglamm check-data`: finds what is wrong with training data."""

import argparse

from ..data import validate_jsonl
from ..errors import InputError


def run(arguments: argparse.Namespace) -> None:
    """Prints every problem; raises InputError if there is any."""
    problems = validate_jsonl(arguments.file)
    for problem in problems:
        print(problem)
    if problems:
        raise InputError(f"{arguments.file} has {len(problems)} problem{'s' * (len(problems) > 1)}.")
    print(f"{arguments.file}: no problems found.")
