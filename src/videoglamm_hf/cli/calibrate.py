"""`videoglamm calibrate`: learns from held-out data how sure an answer is, and saves that with the model."""

import argparse
from pathlib import Path

from ..calibration.calibrating import CalibrationResult, calibrate
from ..calibration.table import HEADERS, figure_rows
from ..errors import InputError
from ..options import MASK_MODES
from .model_choice import model_or_small
from .screen import library_bars, say, shows_progress


def run(arguments: argparse.Namespace) -> None:
    """Asks, learns, writes, and prints how good it is."""
    if arguments.model is None and arguments.output is None:
        raise InputError("The small model that ships is part of the package; give --output FILE, or --model.")
    model = model_or_small(arguments)
    shown = shows_progress(arguments.quiet)
    with library_bars(shown):
        found = calibrate(
            arguments.data,
            model,
            output=arguments.output,
            mask_modes=tuple(dict.fromkeys(arguments.mask_mode)) or MASK_MODES,
            split=arguments.split,
            limit=arguments.limit,
            max_new_tokens=arguments.max_new_tokens,
            progress=shown,
            dtype=arguments.dtype,
            device=arguments.device,
            quantization=arguments.quantization,
        )
    if arguments.report is not None:
        # Imported when it is needed: it draws.
        from ..calibration.report import write_calibration_report

        write_calibration_report(Path(arguments.report), found)
        say(f"-> {arguments.report}", arguments.quiet)
    for line in lines(found):
        print(line)
    for name, reason in found.failed.items():
        say(f"warning: {name} could not be answered: {reason}")
    for note in found.notes:
        say(f"note: {note}")
    say(f"written to {found.path}", arguments.quiet)


def lines(found: CalibrationResult) -> list[str]:
    """The figures as a table for a terminal."""
    rows = [HEADERS, *figure_rows(found.calibration.measured)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]
