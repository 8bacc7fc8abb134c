"""The command line, `videoglamm COMMAND`: a module of this room runs each, `arguments` says what each takes."""

import argparse
import errno
import os
import sys
from collections.abc import Sequence
from importlib import import_module

from .. import __version__
from ..errors import VideoGlammError
from .arguments import COMMANDS


def main(argv: Sequence[str] | None = None) -> int:
    """Runs a command; errors made for people end with one line and exit status 1."""
    parser = argparse.ArgumentParser(prog="videoglamm", description="Words and masks about videos.")
    parser.add_argument("--version", action="version", version=f"%(prog)s {__version__}")
    subparsers = parser.add_subparsers(dest="command", required=True)
    for declare in COMMANDS:
        name, text = declare.__name__.replace("_", "-"), declare.__doc__
        declare(subparsers.add_parser(name, help=text.splitlines()[0], description=text))
    given = parser.parse_args(argv)
    for stream in (sys.stdout, sys.stderr):
        # Names of files may hold bytes that are no text, and terminals may lack characters.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    try:
        import_module(f".{given.command.replace('-', '_')}", __name__).run(given)
        sys.stdout.flush()
    except VideoGlammError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EPIPE):
            raise
        # What is not printed yet would fail again when the interpreter ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        print(f"error: The output cannot be printed: {error.strerror}.", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130
    return 0
