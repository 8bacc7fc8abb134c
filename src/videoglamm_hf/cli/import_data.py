"""`videoglamm import-data`: masks of other tools to training data."""

import argparse
from pathlib import Path

from ..exchange.importing import NOTES, import_data
from ..exchange.phrases import ask_on_terminal
from .screen import say, shows_progress
from .wording import counted

_MOST_NOTES = 30


def run(arguments: argparse.Namespace) -> None:
    """Writes the data and prints what was read and assumed."""
    report = import_data(
        arguments.source,
        arguments.output,
        format=arguments.format,
        video=arguments.video,
        phrase=arguments.phrase,
        phrases=arguments.phrases,
        ask=ask_on_terminal if arguments.ask else None,
        split=arguments.split,
        copy=arguments.copy,
        overwrite=arguments.overwrite,
        first_frame=arguments.first_frame,
        frame_step=arguments.frame_step,
        frames_from=arguments.frames_from,
        objects=arguments.objects,
        boxes_as_masks=arguments.boxes_as_masks,
        progress=shows_progress(arguments.quiet),
    )
    for note in report.notes[:_MOST_NOTES]:
        say(f"- {note}", arguments.quiet)
    if len(report.notes) > _MOST_NOTES:
        say(f"- and {len(report.notes) - _MOST_NOTES} more in {Path(arguments.output) / NOTES}", arguments.quiet)
    found = f"{counted(report.objects, 'object')} and {counted(report.masks, 'mask')}"
    print(f"{counted(report.videos, 'video')} with {found} ({report.format})")
    for path, count in report.files.items():
        print(f"{path}: {counted(count, 'sample')}")
    say(f"look whether masks lie where they should: {report.previews[0].parent}", arguments.quiet)
