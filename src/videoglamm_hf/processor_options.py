"""Options of the processor, sorted into those of words, of pictures and of videos."""

import difflib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from .errors import InputError
from .options import check_names, check_return_tensors, check_whole_number
from .video_processing_videoglamm import OWN_OPTIONS, VIDEO_OPTIONS, VideoGlammVideosKwargs

# Options of the words of a prompt, with their defaults.
TEXT_OPTIONS: dict[str, Any] = {
    "padding": True,
    "padding_side": None,  # the tokenizer's
    "truncation": False,
    "max_length": None,
    "return_tensors": "pt",
}
_MOST_VISUAL_TOKENS = 2**24  # contexts are smaller
_GROUPS = {"text_kwargs": tuple(TEXT_OPTIONS), "images_kwargs": (), "videos_kwargs": VIDEO_OPTIONS}


def check_processor(tokenizer: Any, image_seq_length: Any, video_seq_length: Any, absorbing_tokens: Any) -> None:
    """Raises InputError for the first argument of a processor that it cannot have."""
    if tokenizer is None:
        raise InputError("The processor has no tokenizer; give one.")
    for name, count in (("image_seq_length", image_seq_length), ("video_seq_length", video_seq_length)):
        wanted = f"it must be a whole number of tokens from 1 to {_MOST_VISUAL_TOKENS}"
        check_whole_number(name, count, 1, wanted, _MOST_VISUAL_TOKENS)
    if not isinstance(absorbing_tokens, (list, tuple)) or not all(isinstance(t, str) for t in absorbing_tokens):
        raise InputError(f"absorbing_tokens is {absorbing_tokens!r:.80}; it must be a list of tokens.")


def merged(*groups: dict[str, Any]) -> dict[str, Any]:
    """Options of several groups as one.

    Raises:
        InputError: If one is given twice with different values.
    """
    found: dict[str, Any] = {}
    for group in groups:
        for name, value in group.items():
            if name in found and not _same(found[name], value):
                raise InputError(f"{name} is given twice, as {found[name]!r} and {value!r}; give it once.")
            found[name] = value
    return found


def options_of(group: str, given: Any) -> dict[str, Any]:
    """Options that were given as a group; none for None.

    Raises:
        InputError: If it is no dict, or the names of some are no text.
    """
    if given is None:
        return {}
    if not isinstance(given, Mapping) or not all(isinstance(name, str) for name in given):
        raise InputError(f"{group} is a {type(given).__name__}; give a dict of options by name.")
    return dict(given)


def _same(one: Any, other: Any) -> bool:
    # Arrays compare element by element, which is no answer.
    return one is other or (type(one) is type(other) and not hasattr(one, "shape") and bool(one == other))


def sorted_options(given: dict[str, Any], extra: Sequence[str] = ()) -> tuple[dict[str, Any], dict[str, Any]]:
    """Options of words, with their defaults, and options of videos. Pictures have none of their own.

    Args:
        given: Options by name, or nested in `text_kwargs`, `images_kwargs`, `videos_kwargs` and `common_kwargs`.
        extra: Further names that a misspelt one may have meant.

    Raises:
        InputError: If one is unknown, or given twice with different values.
    """
    given = dict(given)
    load_audio = given.pop("load_audio_from_video", None)
    if load_audio is not None and load_audio is not False:
        raise InputError("load_audio_from_video cannot be used: the model does not hear.")
    audio = options_of("audio_kwargs", given.pop("audio_kwargs", None))
    check_names(audio, (), "of audio, which the model does not hear")
    nested = {group: options_of(group, given.pop(group, None)) for group in ("common_kwargs", *_GROUPS)}
    common = nested.pop("common_kwargs")
    options: dict[str, dict[str, Any]] = {}
    for group, names in _GROUPS.items():
        options[group] = merged(nested[group])
        check_names(options[group], (*names, "return_tensors"), f"in {group}")
    for name, value in merged(common, given).items():
        check_names([name], (*TEXT_OPTIONS, *VIDEO_OPTIONS, *extra), "of the processor")
        group = "text_kwargs" if name in TEXT_OPTIONS else "videos_kwargs"
        options[group] = merged(options[group], {name: value})
    given_kinds = [own.pop("return_tensors") for own in options.values() if "return_tensors" in own]
    for kind in given_kinds:
        check_return_tensors(kind)
    kinds = set(given_kinds)
    if len(kinds) > 1:
        raise InputError(f"return_tensors is given as {sorted(map(str, kinds))}; give it once.")
    text = {**TEXT_OPTIONS, **options["text_kwargs"]}
    text["return_tensors"] = kinds.pop() if kinds else TEXT_OPTIONS["return_tensors"]
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
