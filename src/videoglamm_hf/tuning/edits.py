"""Corrected answers as training samples."""

import json
import operator
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ..data.rle import encode_rle
from ..data.sample import check_sample
from ..errors import InputError
from ..exchange.samples import QUESTION, conversation
from ..output_files import explained_writes, replacing_file


def edited_sample(
    session: Any, video: str | os.PathLike[str], frame_numbers: Sequence[int], question: str = QUESTION
) -> dict[str, Any]:
    """What a [`TrackingSession`] has come to, as a training sample: a conversation for each object.

    Args:
        session: The session.
        video: The video's path.
        frame_numbers: Which frame of the source each of the session's frames is, from 0: `clip.numbers` of a clip,
            `frame_indices` of an `answer.json`.
        question: Asked about each object, with a place for `{phrase}`.

    Raises:
        InputError: There are no objects, or not as many numbers as frames.
    """
    if not session.objects:
        raise InputError("The session has no objects to learn from; add one, or leave this video out.")
    if len(frame_numbers) != session.num_frames:
        raise InputError(f"There are {len(frame_numbers)} frame numbers for {session.num_frames} frames.")
    try:
        numbers = [operator.index(number) for number in frame_numbers]
    except TypeError as error:
        raise InputError(f"frame_numbers are whole numbers of the source's frames ({error}).") from error
    messages, masks = [], []
    for one in session.objects:
        messages.append(conversation(one.label, question))
        track = one.track.masks.unpack()[0].numpy()
        masks.append([[encode_rle(mask) if mask.any() else None for mask in track]])
    sample = {
        "video": os.fspath(video),
        "messages": messages,
        "masks": masks,
        "mask_frames": numbers,
    }
    check_sample(sample)
    return sample


def add_sample(path: str | os.PathLike[str], sample: dict[str, Any]) -> None:
    """Writes a sample behind those of a JSONL file, as `videoglamm tune --from-edits` takes it.

    The video's path becomes relative to the file's folder where it lies below it.

    Raises:
        OutputError: It cannot be written.
    """
    target = Path(path)
    video = Path(sample["video"]).resolve()
    folder = target.resolve().parent
    name = video.relative_to(folder) if video.is_relative_to(folder) else video
    line = json.dumps({**sample, "video": name.as_posix()}) + "\n"
    with explained_writes(target), replacing_file(target) as aside:
        before = target.read_text(encoding="utf-8") if target.is_file() else ""
        aside.write_text(before + line, encoding="utf-8")
