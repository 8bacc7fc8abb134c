"""Which frame of the source an annotation means: by the names of frames, by numbers, or by their order."""

import re
from collections.abc import Sequence

from ..errors import InputError
from .media import Media
from .reading import Reading

_FEW = 5  # frames that are named where they have no annotation
_NUMBER = re.compile(r"(\d+)\D*$")


def frame_numbers(
    keys: Sequence[str | int],
    media: Media,
    reading: Reading,
    where: str,
    *,
    first: int | None = None,
    step: int | None = None,
) -> list[int]:
    """The number in the source, from 0, of each annotated frame; what was assumed is noted.

    Args:
        keys: What the annotations call the frames: names of files, or numbers.
        media: The frames of the source.
        reading: What a person has said, and where to note.
        where: What messages call the video.
        first: Number that the format gives to the first frame; None if it does not say.
        step: Frames from one number to the next by the format; None if it does not say.

    Raises:
        InputError: a frame is not in the source, or two are the same.
    """
    if reading.frames_from == "order":
        begin, stride = reading.first_frame or 0, reading.frame_step or step or 1
        numbers, how = [begin + i * stride for i in range(len(keys))], f"in their order, every {_nth(stride)} frame"
    else:
        numbers, how = _by_names(keys, media, reading, where) or _by_numbers(
            keys, media, reading, where, first=first, step=step
        )
    _check(keys, numbers, media, where)
    if keys:
        shown = ", ".join(f"{keys[i]} -> {numbers[i]}" for i in sorted({0, len(keys) // 2, len(keys) - 1}))
        left = sorted({*range(media.count)} - {*numbers}) if media.count - len(numbers) <= _FEW else []
        without = f"; without annotation: {', '.join(map(str, left))}" if left else ""
        found = f"{len(keys)} of {media.count} frames annotated, taken {how}"
        reading.note(f"{where}: {found} (name -> frame from 0: {shown}){without}")
    return numbers


def _first_picture(media: Media) -> int | None:
    """The number of the first picture where the numbers in their names leave none out; else None."""
    own = [_number(path.stem) for path in media.pictures or ()]
    return own[0] if own and own[0] is not None and own == [*range(own[0], own[0] + len(own))] else None


def _nth(step: int) -> str:
    return {1: "", 2: "second"}.get(step, f"{step}th")


def _by_names(keys: Sequence[str | int], media: Media, reading: Reading, where: str) -> tuple[list[int], str] | None:
    """Positions of the pictures of these names; None if names are not what tells."""
    must = reading.frames_from == "names"
    said = reading.first_frame is not None or reading.frame_step is not None
    if media.pictures is None or not all(isinstance(key, str) for key in keys):
        if must:
            raise InputError(
                f"{where}: frames cannot be matched by name: the video is a file, or the annotations give numbers; "
                "give a folder of frames as --video, or --frames-from numbers"
            )
        return None
    if reading.frames_from == "numbers" or (said and not must):
        return None
    stems = [path.stem for path in media.pictures]
    places = {stem: i for i, stem in enumerate(stems)}
    wanted = [_stem(key) for key in keys]
    found = [stem in places for stem in wanted]
    if all(found) and len(places) == len(stems):
        return [places[stem] for stem in wanted], "by the names of the files"
    if any(found):
        missing = wanted[found.index(False)]
        raise InputError(
            f"{where}: frame {missing!r:.80} is annotated, but there is no such picture in the video (others are "
            "there); add it, or say how frames are numbered with --frames-from numbers"
        )
    own, theirs = [_number(stem) for stem in stems], [_number(stem) for stem in wanted]
    by_number = {number: i for i, number in enumerate(own)}
    if None not in own and len(by_number) == len(own) and all(number in by_number for number in theirs):
        return [by_number[number] for number in theirs], "by the numbers in the names of the files"
    if must:
        raise InputError(f"{where}: no picture of the video is called {wanted[0]!r:.80}; check --video")
    return None


def _by_numbers(
    keys: Sequence[str | int], media: Media, reading: Reading, where: str, *, first: int | None, step: int | None
) -> tuple[list[int], str]:
    given = [key if isinstance(key, int) else _number(_stem(key)) for key in keys]
    if None in given:
        raise InputError(
            f"{where}: the name of frame {keys[given.index(None)]!r:.80} has no number; match names with a folder of "
            "frames as --video, or take frames as they come with --frames-from order"
        )
    stride = reading.frame_step or step or 1
    guessed = reading.first_frame is None and first is None and bool(given)
    begin = reading.first_frame if reading.first_frame is not None else first
    if begin is None and media.pictures is not None and all(isinstance(key, str) for key in keys):
        begin = _first_picture(media)
        guessed &= begin is None
    if begin is None:
        # Whoever counts from 1 either reaches the number of frames, or starts there and leaves none out.
        counts = given and min(given) >= 1 and (max(given) == media.count or set(given) == {*range(1, max(given) + 1)})
        begin = 1 if stride == 1 and counts and max(given) > 1 else 0
    numbers = [(number - begin) * stride for number in given]
    assumed = " (assumed: say otherwise with --first-frame)" if guessed else ""
    steps = f", each {stride} frames of the video" if stride > 1 else ""
    return numbers, f"by number, counted from {begin}{steps}{assumed}"


def _check(keys: Sequence[str | int], numbers: Sequence[int], media: Media, where: str) -> None:
    seen: dict[int, str | int] = {}
    for key, number in zip(keys, numbers, strict=True):
        if not 0 <= number < media.count:
            raise InputError(
                f"{where}: frame {key!r:.80} would be frame {number}, but the video has {media.count} frames, "
                "numbered from 0; check that the video is whole, or say how the annotations count with --first-frame, "
                "--frame-step or --frames-from"
            )
        if number in seen:
            raise InputError(
                f"{where}: {seen[number]!r:.80} and {key!r:.80} would both be frame {number}; rename one, or say how "
                "frames are numbered with --frames-from"
            )
        seen[number] = key


def _stem(key: str | int) -> str:
    name = str(key).replace("\\", "/").rsplit("/", 1)[-1]
    stem, dot, ending = name.rpartition(".")
    return stem if dot and ending.isalnum() and not ending.isdecimal() and stem else name


def _number(stem: str) -> int | None:
    found = _NUMBER.search(stem)
    return int(found[1]) if found and len(found[1]) < 16 else None
