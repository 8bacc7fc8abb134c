"""Options of the processor, sorted into those of words, of pictures and of videos."""

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from .errors import InputError
from .options import check_names, check_return_tensors
from .video_processing_videoglamm import OWN_OPTIONS, VIDEO_OPTIONS, VideoGlammVideosKwargs

# Options of the words of a prompt, with their defaults.
TEXT_OPTIONS: dict[str, Any] = {
    "padding": True,
    "padding_side": None,  # the tokenizer's
    "truncation": False,
    "max_length": None,
    "return_tensors": "pt",
}
_GROUPS = {"text_kwargs": tuple(TEXT_OPTIONS), "images_kwargs": (), "videos_kwargs": VIDEO_OPTIONS}


def merged(*groups: dict[str, Any]) -> dict[str, Any]:
    """Options of several groups as one.

    Raises:
        InputError: If one is given twice with different values.
    """
    found: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in found and found[name] is not value and found[name] != value:
                raise InputError(f"{name} is given twice, as {found[name]!r} and {value!r}; give it once.")
            found[name] = value
    return found


def sorted_options(given: dict[str, Any], extra: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of words, with their defaults, and options of videos. Pictures have none of their own.

    Args:
        given: Options by name, or nested in `text_kwargs`, `images_kwargs`, `videos_kwargs` and `common_kwargs`.
        extra: Further names that a misspelt one may have meant.

    Raises:
        InputError: If one is unknown, or given twice with different values.
    """
    given = dict(given)
    if given.pop("load_audio_from_video", False):
        raise InputError("load_audio_from_video cannot be used: the model does not hear.")
    check_names(given.pop("audio_kwargs", None) or {}, (), "of audio, which the model does not hear")
    nested = {group: given.pop(group, None) or {} for group in ("common_kwargs", *_GROUPS)}
    for group, own in nested.items():
        if not isinstance(own, dict):
            raise InputError(f"{group} is a {type(own).__name__}; give a dict of options.")
    common = nested.pop("common_kwargs")
    options: dict[str, dict[str, Any]] = {}
    for group, names in _GROUPS.items():
        options[group] = merged(nested[group])
        check_names(options[group], (*names, "return_tensors"), f"in {group}")
    for name, value in merged(common, given).items():
        check_names([name], (*TEXT_OPTIONS, *VIDEO_OPTIONS, *extra), "of the processor")
        group = "text_kwargs" if name in TEXT_OPTIONS else "videos_kwargs"
        options[group] = merged(options[group], {name: value})
    kinds = {own.pop("return_tensors") for own in options.values() if "return_tensors" in own}
    if len(kinds) > 1:
        raise InputError(f"return_tensors is given as {sorted(map(str, kinds))}; give it once.")
    text = {**TEXT_OPTIONS, **options["text_kwargs"]}
    text["return_tensors"] = kinds.pop() if kinds else TEXT_OPTIONS["return_tensors"]
    check_return_tensors(text["return_tensors"])
    return text, options["videos_kwargs"]


def check_loading_options(given: Iterable[str]) -> None:
    """Raises InputError for an option of `from_pretrained` that is nearly one of ours.

    Most of the others are the tokenizer's or the Hub's, which are not known here.
    """
    known = {*VideoGlammVideosKwargs.__annotations__, *TEXT_OPTIONS}
    for name in given:
        near = difflib.get_close_matches(name, OWN_OPTIONS, n=1, cutoff=0.66)
        if near and name not in known:
            raise InputError(f"There is no option {name!r} of the processor; did you mean {near[0]!r}?")
