"""Which model a command asks, and how sure it may say that it is."""

import argparse
from typing import Any

from ..calibration_file import read_calibration
from ..errors import InputError
from ..toy import TINY_MODEL
from .screen import say

# What to do where there is no calibration.
CALIBRATE = "run `videoglamm calibrate DATA --model MODEL` with held-out data first"


def model_or_small(arguments: argparse.Namespace) -> str:
    """The folder or Hub id that `--model` gives; without it the small model that ships, which is said."""
    if arguments.model is None:
        say("no --model: taking the small one that ships, which knows coloured shapes only", arguments.quiet)
        return str(TINY_MODEL)
    return arguments.model


def take_calibration(model: Any, file: str | None, mask_mode: str | None, *, needed: bool = False) -> None:
    """Gives a model the calibration of a file, if one is named, in place of its own.

    Args:
        model: The model.
        file: What `--calibration` says.
        mask_mode: How masks will be decoded.
        needed: Whether it must have one of its own, too.

    Raises:
        InputError: There is none of these weights and of this mask mode, though one is named or needed.
    """
    if file is not None:
        model.calibration = read_calibration(file)
    if file is None and not needed:
        return
    problem = model.calibration_for(mask_mode)[1]
    if problem is not None:
        raise InputError(f"{problem} {CALIBRATE[0].upper()}{CALIBRATE[1:]}.")
