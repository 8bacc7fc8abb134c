"""Options by name: a misspelt one is an error that names the nearest right one."""

import difflib
import math
import operator
from collections.abc import Iterable
from typing import Any

from .errors import InputError

# What saved processors carry beside their options.
BOOKKEEPING = ("auto_map", "image_processor_type", "processor_class", "return_tensors", "video_processor_type")
# No model comes near these; what lies beyond is a slip or a lie that would fill the memory.
MAX_SIDE = 2**13  # pixels
MAX_FRAMES = 2**12
# What decodes video files.
DECODERS = ("av", "decord")
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
    problem = name_problem(given, known, what)
    if problem:
        raise InputError(problem)


def name_problem(given: Iterable[str], known: Iterable[str], what: str) -> str | None:
    """What [`check_names`] would raise, or None."""
    known = list(known)
    for name in given:
        if isinstance(name, str) and name in known:
            continue
        near = difflib.get_close_matches(str(name), known, n=1, cutoff=0.6)
        options = f"the options are {', '.join(sorted(known))}." if known else "there are none."
        return f"There is no option {name!r:.80} {what}; " + (f"did you mean {near[0]!r}?" if near else options)
    return None


def check_whole_number(name: str, value: Any, least: int, meaning: str, most: float = math.inf) -> None:
    """Raises InputError unless an option is a whole number in these bounds; True and False are none."""
    try:
        fits = not isinstance(value, bool) and least <= operator.index(value) <= most
    except TypeError:
        fits = False
    if not fits:
        raise InputError(f"{name} is {value!r:.80}; {meaning}.")


def is_json_integer(value: Any) -> bool:
    """Whether a value read from JSON is a whole number; true and false are none."""
    return isinstance(value, int) and not isinstance(value, bool)


def check_switches(**given: Any) -> None:
    """Raises InputError unless these options, which are on or off, are; None leaves one to its default."""
    for name, value in given.items():
        if value is not None and not isinstance(value, (bool, int)) and not _is_numpy_bool(value):
            raise InputError(f"{name} is {value!r:.80}; it must be True or False.")


def check_side(name: str, value: Any) -> None:
    """Raises InputError unless an option is the side of a square of pixels."""
    check_whole_number(name, value, 1, f"it must be a whole number of pixels from 1 to {MAX_SIDE}", MAX_SIDE)


def check_decoder(decoder: str) -> str:
    """The decoder, if it is one; otherwise raises InputError."""
    if not isinstance(decoder, str) or decoder not in DECODERS:
        raise InputError(f"there is no decoder {decoder!r:.80}; it must be one of {', '.join(DECODERS)}")
    return decoder


def check_return_tensors(return_tensors: object) -> None:
    """Raises InputError for kinds of tensors that this package does not make."""
    if return_tensors is not None and not (isinstance(return_tensors, str) and return_tensors in ("pt", "np")):
        raise InputError(f"return_tensors is {return_tensors!r:.80}; only 'pt', 'np' and None are supported.")


def converted(values: dict[str, Any], return_tensors: str | None) -> dict[str, Any]:
    """Tensors, also those in lists, as `"pt"` leaves them, as NumPy's arrays, or for None as lists of arrays."""
    if return_tensors == "pt":
        return values

    def of(value: Any) -> Any:
        if hasattr(value, "numpy"):
            array = value.numpy()
            return array if return_tensors == "np" else list(array)
        return [of(one) if hasattr(one, "numpy") else one for one in value] if isinstance(value, list) else value

    return {name: of(value) for name, value in values.items()}


def _is_numpy_bool(value: Any) -> bool:
    # numpy is not imported for this: the command line's help reads the names above.
    return getattr(value, "shape", None) == () and str(getattr(value, "dtype", "")) == "bool"
