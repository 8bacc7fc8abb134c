"""`videoglamm app`: serves the page to work in."""

import argparse
from pathlib import Path

from ..app.launch import start
from ..app.settings import AppSettings
from ..app.space import write_space
from ..errors import InputError
from .model_choice import model_or_small
from .screen import say


def run(arguments: argparse.Namespace) -> None:
    """Serves until it is interrupted, or writes a Space."""
    if arguments.space is not None:
        write_space(Path(arguments.space), arguments.model)
        print(f"app.py and requirements.txt -> {arguments.space}")
        return
    for name in ("max_upload", "max_seconds", "max_frames", "max_answer_seconds", "max_waiting", "max_disk"):
        if not getattr(arguments, name) > 0:
            raise InputError(f"--{name.replace('_', '-')} is {getattr(arguments, name)}; it must be above 0.")
    auth = None
    if arguments.auth is not None:
        name, colon, password = arguments.auth.partition(":")
        if not (name and colon and password):
            raise InputError("--auth takes a name and a password, as NAME:PASSWORD.")
        auth = (name, password)
    folder = Path(arguments.folder) if arguments.folder else Path.home() / ".cache" / "videoglamm" / "app"
    settings = AppSettings(
        folder,
        upload_bytes=arguments.max_upload * 2**20,
        most_seconds=arguments.max_seconds,
        most_frames=arguments.max_frames,
        answer_seconds=arguments.max_answer_seconds,
        waiting=arguments.max_waiting,
        disk_bytes=arguments.max_disk * 2**20,
        keep=not arguments.share_nothing,
    )
    start(
        model_or_small(arguments),
        settings,
        host=arguments.host,
        port=arguments.port,
        auth=auth,
        urls=arguments.allow_urls,
        dtype=None if arguments.dtype == "auto" else arguments.dtype,
        device=arguments.device,
        quantization=arguments.quantization,
        say=lambda line: say(line, arguments.quiet),
    )
