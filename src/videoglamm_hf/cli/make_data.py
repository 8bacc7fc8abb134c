"""`videoglamm make-data`: grounded sentences made of data sets that have none."""

import argparse
import sys

from ..errors import InputError
from ..making.estimate import CHARACTERS_PER_TOKEN, PICTURE_TOKENS, REPLY_TOKENS, REPLY_TOKENS_PER_OBJECT, Estimate
from ..making.make import make_data
from ..making.writer import Writer
from .screen import library_bars, say, shows_progress
from .wording import counted

_MOST_FAILURES = 10


def run(arguments: argparse.Namespace) -> None:
    """Says what it will cost, asks, makes, and lists what nothing was made of."""
    writer = None
    if (arguments.writer is None) != (arguments.writer_model is None):
        raise InputError("give both --writer, a URL, and --writer-model, a name, or neither for an estimate alone")
    if arguments.writer is not None:
        writer = Writer(arguments.writer, arguments.writer_model)
    asked: list[bool] = []

    def confirm(estimate: Estimate) -> bool:
        say_estimate(estimate)
        asked.append(arguments.yes or not (estimate.requests or estimate.to_decode) or _agrees())
        return asked[-1]

    shown = shows_progress(arguments.quiet)
    with library_bars(shown):
        report = make_data(
            arguments.source,
            arguments.data,
            arguments.output,
            split=arguments.split,
            model=arguments.model,
            dtype=arguments.dtype,
            device=arguments.device,
            writer=writer,
            pictures=arguments.pictures,
            limit=arguments.limit,
            price_in=arguments.price_in,
            price_out=arguments.price_out,
            copy=arguments.copy,
            confirm=confirm,
            progress=shown,
        )
    if not asked:
        say_estimate(report.estimate)
    if report.file is None:
        print("nothing was asked: " + ("--yes goes on" if writer else "give --writer and --writer-model to go on"))
    else:
        if any(report.tokens):
            say("tokens used: {} read, {} written".format(*report.tokens), arguments.quiet)
        print(f"{report.file}: {counted(report.samples, 'sample')} with {counted(report.objects, 'object')}")
    if report.empty:
        say(f"{counted(report.empty, 'video')} without any object left out", arguments.quiet)
    for name, reason in list(report.failures.items())[:_MOST_FAILURES]:
        say(f"nothing was made of {name}: {reason}")
    if report.failures:
        raise InputError(
            f"nothing was made of {counted(len(report.failures), 'video')} of {report.estimate.videos}; "
            f"{arguments.output}/failed says why, and the same command again tries them"
        )


def say_estimate(estimate: Estimate) -> None:
    """What a person wants to know before they pay."""
    print(f"{counted(estimate.videos, 'video')}, {counted(estimate.to_decode, 'video')} to make masks for")
    seen = f"{PICTURE_TOKENS} tokens a picture; " if estimate.pictures else ""
    print(
        f"{counted(estimate.requests, 'request')}, about {estimate.tokens_in} tokens to read and "
        f"{estimate.tokens_out} to write ({CHARACTERS_PER_TOKEN} characters a token; {seen}{REPLY_TOKENS} tokens a "
        f"reply, and {REPLY_TOKENS_PER_OBJECT} for each object in it; a reply that cannot be used is asked for again, "
        "twice at most)"
    )
    if estimate.price is not None:
        digits = ".2f" if estimate.price >= 1 else ".2g"
        print(f"about {estimate.price:{digits}} at these prices")


def _agrees() -> bool:
    """Whether the person at the terminal wants to go on; nobody there does not."""
    if not sys.stdin.isatty():
        return False
    print("go on? [y/N] ", end="", flush=True)
    return sys.stdin.readline().strip().lower() in ("y", "yes")
