"""Options by name: a misspelt one is an error that names the nearest right one."""

import difflib
from collections.abc import Iterable

from .errors import InputError

# How masks are decoded; [`tracking`] says what each does.
MASK_MODES = ("video", "framewise", "anchored")


def check_names(given: Iterable[str], known: Iterable[str], what: str) -> None:
    """Raises InputError for the first of the names given that is not known.

    Args:
        given: Names of options.
        known: What they may be.
        what: What the options belong to, as in `"of the processor"`.

    >>> check_names(["fsp"], ["fps", "num_frames"], "of a video")
    Traceback (most recent call last):
    videoglamm_hf.errors.InputError: There is no option 'fsp' of a video; did you mean 'fps'?
    """
    known = list(known)
    for name in given:
        if name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
        advice = f"did you mean {near[0]!r}?" if near else f"the options are {', '.join(sorted(known))}."
        raise InputError(f"There is no option {name!r} {what}; {advice}")


def check_return_tensors(return_tensors: object) -> None:
    """Raises InputError for kinds of tensors that this package does not make."""
    if return_tensors not in ("pt", "np", None):
        raise InputError(f"return_tensors is {return_tensors!r}; only 'pt', 'np' and None are supported.")
