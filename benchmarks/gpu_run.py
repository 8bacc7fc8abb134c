"""What both halves of a run on a GPU are told and say: options, header, names of what is skipped."""

import argparse
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from device import device_name

ROOT = Path(__file__).resolve().parent.parent


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", type=Path, help="write what was found here; keep what is there of the other half")
    parser.add_argument("--tiny", action="store_true", help="on a CPU: the small model, to try the code")
    parser.add_argument(
        "--seconds", type=float, default=float("inf"), help="begin nothing after so many (default: no limit)"
    )


def header(tiny: bool) -> dict[str, Any]:
    """What is true of a whole run."""
    return {
        "device": device_name(),
        "date": str(date.today()),
        "torch": torch.__version__,
        "transformers": version("transformers"),
        "model": "small, trained" if tiny else "full size, random weights, bfloat16",
    }


def skipped(name: str) -> str:
    return f"skipped, needs a CUDA device: {name}"
