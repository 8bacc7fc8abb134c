"""What a training sample is, and whether something is one.

A sample is a dict:

    {
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What moves?"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "A <p> red car </p> [SEG]."}]},
        ],
        "video": "clips/car.mp4",
        "masks": [[{"size": [480, 854], "counts": "..."}, None]],
        "mask_frames": [0, 30],
    }

`messages`: one conversation, or a list of conversations about the same video. A conversation is what the processor
    takes: an optional system message, then user and assistant in turn, the last word the assistant's. Exactly one
    part `{"type": "video"}` (or `"image"`) in a user turn says where the visual is; its source is the sample's.
`video`: path of a file, folder of frames, list of frame paths, or uint8 array `[T, H, W, 3]`; or
`image`: path, PIL image or uint8 array `[H, W, 3]`. Neither for a text-only sample.
`masks`: one track per `[SEG]` of the assistant turns, in order; a track has one mask (see [`masks`]) per mask frame.
    Logically `[objects, mask frames, H, W]`, all of one size, the video's as it is read. With several conversations,
    a list of this for each; an array `[objects, mask frames, H, W]` will do for a list. May be missing where nothing
    is named.
`mask_frames`: which frames of the source video the masks belong to: increasing numbers from 0 in display order. For
    a folder or list, the position of the picture; for an image, `[0]`. All tracks and conversations share them.

Other keys may be there; readers add `"id"`, a text. None means missing, as Arrow tables fill gaps with it.
"""

import os
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from ..frame_arrays import is_pil
from ..frame_sampling import SAMPLING_OPTIONS
from ..messages import SEG_TOKEN, SOURCES, VISUALS, Problem, is_list, message_problems, parts_of, visual_problems
from .masks import mask_problem, mask_size
from .rle import is_whole

_MAX_FRAME = 2**31


def check_sample(sample: Any) -> None:
    """Checks everything about a sample that can be known without opening its video.

    Raises:
        InputError: the first thing that is wrong, with its place, as in
            `masks[1]: 3 masks for the 2 frames of mask_frames`.
    """
    for field, message in sample_problems(sample):
        raise InputError(f"{field}: {message}")


def sample_problems(sample: Any) -> Iterator[Problem]:
    """Everything that is wrong with a sample; never raises, whatever it is given."""
    if not isinstance(sample, dict):
        yield "sample", f"must be a dict with 'messages', not {type(sample).__name__}"
        return
    sample = {**sample, "masks": listed(sample.get("masks"))}
    media = list(_media_problems(sample))
    messages = list(_messages_problems(sample))
    frames = list(_mask_frames_problems(sample.get("mask_frames")))
    masks = list(_masks_problems(sample, counted=not messages, framed=not frames))
    yield from (*messages, *media, *frames, *masks)
    if not (messages or media or frames or masks):
        yield from mismatches(sample, *_known_media(sample))


def mismatches(sample: dict[str, Any], total: int | None, size: tuple[int, int] | None) -> Iterator[Problem]:
    """Where a sample without other problems contradicts its video.

    Args:
        sample: the sample.
        total: number of frames of the video, None if unknown.
        size: (height, width) of its frames, None if unknown.
    """
    for i, frame in enumerate(sample.get("mask_frames") or []):
        if total is not None and frame >= total:
            yield f"mask_frames[{i}]", f"{frame}, but the video has {total} frames, numbered from 0"
            break
    for field, mask in _all_masks(sample):
        if mask is None:
            continue
        if size is not None and mask_size(mask) != tuple(size):
            yield f"{field}.size", f"{list(mask_size(mask))}, but the video is {list(size)}, as [height, width]"
        break


def listed(masks: Any) -> Any:
    """Masks with their arrays of more than two dimensions as lists of masks; anything else as it is."""
    if isinstance(masks, np.ndarray) and masks.ndim > 2:
        return [listed(part) for part in masks]
    return [listed(part) for part in masks] if is_list(masks) else masks


def conversations_of(sample: dict[str, Any]) -> list[tuple[list[dict[str, Any]], list[Any]]]:
    """`(messages, mask tracks)` of every conversation of a sample without problems."""
    conversations, several = _conversations(sample)
    masks = listed(sample.get("masks")) or []
    tracks = masks if several and masks else [[]] * len(conversations) if several else [masks]
    return [(list(own), list(its or ())) for own, its in zip(conversations, tracks, strict=True)]


def kind_of(sample: dict[str, Any]) -> str | None:
    """What a sample is about: `"video"`, `"image"` or None for text only."""
    return next((kind for kind in VISUALS if sample.get(kind) is not None), None)


def is_path(value: Any) -> bool:
    """Whether a value is a path or URL."""
    return isinstance(value, (str, os.PathLike)) and os.fspath(value) not in ("", b"")


def _conversations(sample: dict[str, Any]) -> tuple[list[Any], bool]:
    """The conversations of a sample, and whether it holds a list of them."""
    messages = sample["messages"]
    several = is_list(messages[0])
    return (list(messages) if several else [messages]), several


def _messages_problems(sample: dict[str, Any]) -> Iterator[Problem]:
    messages = sample.get("messages")
    if not is_list(messages) or not messages:
        yield "messages", "must be a list of messages, or a list of conversations"
        return
    kind = kind_of(sample)
    conversations, several = _conversations(sample)
    for i, conversation in enumerate(conversations):
        yield from _conversation_problems(conversation, f"messages[{i}]" if several else "messages", kind)


def _conversation_problems(conversation: Any, where: str, kind: str | None) -> Iterator[Problem]:
    """What is wrong with one conversation of a sample whose visual is of this kind."""
    problems = list(message_problems(conversation, where))
    yield from problems
    if problems:
        return
    expected: tuple[str, ...] = ("system", "user")
    visuals = 0
    for i, message in enumerate(conversation):
        place, role = f"{where}[{i}]", message["role"]
        if role not in expected:
            yield f"{place}.role", f"{role!r} cannot be here; expected {' or '.join(map(repr, expected))}"
            return
        expected = ("assistant",) if role == "user" else ("user",)
        for j, part in enumerate(parts_of(message["content"]) if role == "user" else ()):
            own, field = part["type"], f"{place}.content[{j}]"
            visuals += own != "text"
            given = next((name for name in (*VISUALS, *SOURCES) if part.get(name) is not None), None)
            if own != "text" and given:
                yield f"{field}.{given}", f"give the {own} once, as the sample's '{own}'"
            elif chosen := next((name for name in SAMPLING_OPTIONS if part.get(name) is not None), None):
                yield f"{field}.{chosen}", "has no effect here: the collator chooses the frames of a sample"
            elif own not in ("text", kind):
                yield field, f"there is no {own} in the sample; give it as '{own}'"
    yield from visual_problems(conversation, where)
    if role != "assistant":
        yield where, f"ends with {role!r}; a sample ends with the answer that is to be learnt"
    if kind is not None and visuals == 0:
        yield where, f'has no part {{"type": "{kind}"}}; put it into a user message'


def _media_problems(sample: dict[str, Any]) -> Iterator[Problem]:
    video, image = sample.get("video"), sample.get("image")
    if video is not None and image is not None:
        yield "image", "a sample has a video or an image, not both"
        return
    if isinstance(video, np.ndarray):
        if video.dtype != np.uint8 or video.ndim != 4 or video.shape[3] != 3 or 0 in video.shape:
            yield "video", f"a video array must be uint8 [T, H, W, 3], not {video.dtype} {list(video.shape)}"
    elif is_list(video):
        if not video:
            yield "video", "the list of frames is empty; a video needs at least one"
        for i, frame in enumerate(video):
            if not is_path(frame):
                yield f"video[{i}]", f"must be the path of a picture, not {_named(frame)}"
    elif video is not None and not is_path(video):
        yield "video", f"must be a path, a list of paths or an array, not {_named(video)}"
    if isinstance(image, np.ndarray):
        if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or 0 in image.shape:
            yield "image", f"an image array must be uint8 [H, W, 3], not {image.dtype} {list(image.shape)}"
    elif image is not None and not is_pil(image) and not is_path(image):
        yield "image", f"must be a path, a PIL image or an array, not {_named(image)}"


def _mask_frames_problems(frames: Any) -> Iterator[Problem]:
    if frames is None:
        return
    if not is_list(frames):
        yield "mask_frames", f"must be a list of frame numbers, not {type(frames).__name__}"
        return
    last = -1
    for i, frame in enumerate(frames):
        if not is_whole(frame) or not 0 <= frame < _MAX_FRAME:
            yield f"mask_frames[{i}]", "must be the number of a frame, a whole number from 0"
            return
        if frame <= last:
            yield f"mask_frames[{i}]", f"{frame} follows {last}; the numbers must increase"
            return
        last = frame


def _masks_problems(sample: dict[str, Any], counted: bool, framed: bool) -> Iterator[Problem]:
    """Problems of `masks`; `counted` and `framed` tell whether `messages` and `mask_frames` can be relied on."""
    masks = sample.get("masks")
    if masks is not None and not is_list(masks):
        yield "masks", f"must be a list with one track per {SEG_TOKEN}, not {type(masks).__name__}"
        return
    if not counted:
        return
    conversations, several = _conversations(sample)
    if several:
        masks = [[]] * len(conversations) if masks is None else masks
        if len(masks) != len(conversations):
            yield "masks", f"{len(masks)} lists of tracks for {len(conversations)} conversations"
            return
    else:
        masks = [[] if masks is None else masks]
    for i, (conversation, tracks) in enumerate(zip(conversations, masks, strict=True)):
        where = f"masks[{i}]" if several else "masks"
        if not is_list(tracks):
            yield where, f"must be a list with one track per {SEG_TOKEN}, not {type(tracks).__name__}"
            continue
        named = sum(count_seg(message) for message in conversation)
        if named and sample.get("video") is None and sample.get("image") is None:
            yield where, f"{named} {SEG_TOKEN} without a video or image that masks could belong to"
        if len(tracks) != named:
            yield where, f"{len(tracks)} mask tracks for {named} {SEG_TOKEN} in the assistant's turns"
        for j, track in enumerate(tracks):
            if not is_list(track):
                yield f"{where}[{j}]", f"must be a list with one mask per mask frame, not {type(track).__name__}"
            elif framed and len(track) != len(sample.get("mask_frames") or []):
                count = len(sample.get("mask_frames") or [])
                yield f"{where}[{j}]", f"{len(track)} masks for the {count} frames of mask_frames"
            elif not track:
                yield f"{where}[{j}]", "has no mask; give mask_frames at least one frame"
    yield from _single_masks_problems(sample)


def _single_masks_problems(sample: dict[str, Any]) -> Iterator[Problem]:
    first: tuple[str, tuple[int, int]] | None = None
    for field, mask in _all_masks(sample):
        problem = mask_problem(mask)
        if problem:
            yield field + problem[0], problem[1]
        elif mask is not None and first is None:
            first = field, mask_size(mask)
        elif mask is not None and mask_size(mask) != first[1]:
            yield f"{field}.size", f"{list(mask_size(mask))}, but {first[0]} is {list(first[1])}; all need one size"


def _all_masks(sample: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """Every mask with its place; what is not a list of tracks is passed over."""
    _, several = _conversations(sample)
    masks = sample.get("masks") or []
    for i, tracks in enumerate(masks if several else [masks]):
        for j, track in enumerate(tracks if is_list(tracks) else []):
            for k, mask in enumerate(track if is_list(track) else []):
                yield (f"masks[{i}][{j}][{k}]" if several else f"masks[{j}][{k}]"), mask


def count_seg(message: dict[str, Any]) -> int:
    """The [SEG] of a message without problems; what a user types is text."""
    if message["role"] != "assistant":
        return 0
    content = message["content"]
    texts: Sequence[str] = [content] if isinstance(content, str) else [part["text"] for part in content]
    return sum(text.count(SEG_TOKEN) for text in texts)


def _known_media(sample: dict[str, Any]) -> tuple[int | None, tuple[int, int] | None]:
    """Number of frames and (height, width), as far as they can be told without opening a file."""
    video, image = sample.get("video"), sample.get("image")
    if isinstance(video, np.ndarray):
        return len(video), video.shape[1:3]
    if is_list(video):
        return len(video), None
    if isinstance(image, np.ndarray):
        return 1, image.shape[:2]
    if is_pil(image):
        return 1, (image.height, image.width)
    return (1 if image is not None else None), None


def _named(value: Any) -> str:
    return "an empty text" if isinstance(value, str) else type(value).__name__
