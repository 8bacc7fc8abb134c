"""`videoglamm export-data`: training data and answers to the formats of other tools."""

import argparse

from ..exchange.exporting import export_data
from .screen import say, shows_progress
from .wording import counted


def run(arguments: argparse.Namespace) -> None:
    """Writes the files and prints what they hold."""
    report = export_data(
        arguments.data,
        arguments.output,
        format=arguments.format,
        video=arguments.video,
        overwrite=arguments.overwrite,
        progress=shows_progress(arguments.quiet),
    )
    for note in report.notes:
        say(f"- {note}", arguments.quiet)
    found = f"{counted(report.objects, 'object')} and {counted(report.masks, 'mask')}"
    shown = ", ".join(report.files[:3]) + (", ..." if len(report.files) > 3 else "")
    print(f"{counted(report.videos, 'video')} with {found} -> {arguments.output}: {shown}")
