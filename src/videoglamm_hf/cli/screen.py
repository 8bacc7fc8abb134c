"""What is shown beside results: bars and colours, on a terminal only."""

import contextlib
import os
import sys
from collections.abc import Iterator


def shows_progress(quiet: bool = False) -> bool:
    """Whether progress bars make sense: somebody looks, and has not asked for quiet."""
    return not quiet and _is_terminal(sys.stderr) and os.environ.get("TERM") != "dumb"


def shows_colors() -> bool:
    """Whether results are coloured: on a terminal, unless NO_COLOR (https://no-color.org) is set."""
    return not os.environ.get("NO_COLOR") and _is_terminal(sys.stdout) and os.environ.get("TERM") != "dumb"


def say(words: str, quiet: bool = False) -> None:
    """Tells what is going on, beside the results."""
    if not quiet:
        print(words, file=sys.stderr)


@contextlib.contextmanager
def library_bars(shown: bool) -> Iterator[None]:
    """Within, the bars of transformers and of downloads are shown or not; afterwards it is as before."""
    # Imported here: not every command needs them.
    from huggingface_hub.utils import are_progress_bars_disabled, disable_progress_bars, enable_progress_bars
    from transformers.utils import logging

    of_transformers, of_downloads = logging.is_progress_bar_enabled(), not are_progress_bars_disabled()
    if not shown:
        logging.disable_progress_bar()
        disable_progress_bars()
    try:
        yield
    finally:
        if not shown:
            if of_transformers:
                logging.enable_progress_bar()
            if of_downloads:
                enable_progress_bars()


def _is_terminal(stream: object) -> bool:
    return stream is not None and hasattr(stream, "isatty") and stream.isatty()
