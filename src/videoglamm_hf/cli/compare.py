"""`videoglamm compare`: what differs between two evaluations, question by question."""

import argparse
from pathlib import Path

from ..evaluation.comparison import compare_runs, write_comparison
from .screen import say

_MOST = 10  # of the questions that moved, on the screen


def run(arguments: argparse.Namespace) -> None:
    """Prints the differences; writes a page if asked to."""
    comparison = compare_runs(Path(arguments.first), Path(arguments.second))
    print(f"{comparison.shared} questions in both, {comparison.alone[0]} only in A, {comparison.alone[1]} only in B")
    if any(comparison.alone):
        print("figures are those of the questions in both")
    if not comparison.same_questions:
        print("the questions of A and B are not asked in the same words")
    for name, (first, second) in comparison.settings.items():
        print(f"{name}: {first} in A, {second} in B")
    width = max(len("figure"), *(len(row.figure) for row in comparison.differences), 0)
    print(f"{'figure':{width}}       A       B  B less A  95 % interval")
    for row in comparison.differences:
        interval = "-" if row.interval is None else "{:+.2f} to {:+.2f}".format(*(100 * end for end in row.interval))
        figures = f"{100 * row.first:8.2f}{100 * row.second:8.2f}{100 * row.value:+10.2f}"
        print(f"{row.figure:{width}}{figures}  {interval}")
    if comparison.moved:
        print("moved most:")
    for row in comparison.moved[:_MOST]:
        print(f"  {row['name']}  {100 * row['figures'][0]:.2f} to {100 * row['figures'][1]:.2f}")
    if arguments.output:
        write_comparison(Path(arguments.output), comparison)
        say(f"written to {arguments.output}")
