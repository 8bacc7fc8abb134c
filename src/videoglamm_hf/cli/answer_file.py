"""`answer.json`: what it holds, and whether a file is one. `answer.schema.json` beside this describes it."""

from __future__ import annotations

import itertools
import json
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import __version__
from ..answer_scores import mean_predicted_iou
from ..clip import SampledClip
from ..data.rle import compress_rle, decode_rle, encode_rle
from ..errors import InputError, MediaError
from ..finish_reasons import LENGTH
from ..grounded_answer import GroundedAnswer, Phrase
from ..limits import lift, limit
from ..media_files import reason_of, short_name
from ..messages import Problem
from .json_schema import schema_problems
from .wording import counted, percent

FORMAT = "videoglamm-answer-2"
SCHEMA = Path(__file__).with_name("answer.schema.json")
MAX_ANSWER_BYTES = limit("VIDEOGLAMM_MAX_ANSWER_BYTES", 2**30)


def answer_document(clip: SampledClip, answer: GroundedAnswer, settings: dict[str, Any]) -> dict[str, Any]:
    """What `answer.json` holds, as `answer.schema.json` describes it: words, masks as COCO-RLE, frames, settings."""
    return {
        "format": FORMAT,
        "version": __version__,
        "model": settings.get("model"),
        **answer_content(answer),
        "frame_indices": clip.numbers,
        "timestamps": clip.seconds,
        "size": dict(zip(("height", "width"), clip.size, strict=True)),
        "pixel_aspect": clip.clip.pixel_aspect,
        "fps": clip.clip.rate,
        "num_frames": clip.clip.total,
        "settings": settings,
    }


def answer_content(answer: GroundedAnswer) -> dict[str, Any]:
    """What `answer.json` says of the answer itself."""
    sure = None if answer.probabilities is None else answer.probabilities.tolist()
    objects = [
        {
            "index": index,
            "phrase": label,
            "score": round(mean_predicted_iou(answer.object_scores[index], answer.iou_scores[index]), 4),
            **({} if sure is None else {"probability": round(sure[index], 4)}),
            "object_scores": [round(score, 4) for score in answer.object_scores[index].tolist()],
            "iou_scores": [round(score, 4) for score in answer.iou_scores[index].tolist()],
            "masks": rle_masks(answer.masks, index),
        }
        for index, label in enumerate(answer.labels)
    ]
    return {
        "text": answer.text,
        "raw_text": answer.raw_text,
        "finish_reason": answer.finish_reason,
        "note": note_of(answer),
        **_how_sure(answer),
        "phrases": phrase_documents(answer.phrases),
        "objects": objects,
    }


def phrase_documents(phrases: Sequence[Phrase]) -> list[dict[str, Any]]:
    """Phrases as `answer.json` and the player have them."""
    return [{"text": p.text, "start": p.start, "end": p.end, "object_index": p.object_index} for p in phrases]


def answer_masks(document: dict[str, Any]) -> tuple[np.ndarray, list[str]]:
    """Masks, bool `[N, T, H, W]`, and names of the objects of a document as [`answer_document`] makes them."""
    objects, size = document["objects"], document["size"]
    shape = (len(objects), len(document["frame_indices"]), size["height"], size["width"])
    masks = np.zeros(shape, bool)
    for row, own in zip(masks, objects, strict=True):
        row[:] = [decode_rle(mask) for mask in own["masks"]]
    return masks, [own["phrase"] for own in objects]


def rle_masks(masks: Any, index: int) -> list[dict[str, Any]]:
    """The masks of one object, frame by frame, as COCO-RLE."""
    if hasattr(masks, "rles"):
        return masks.rles[index]
    return [encode_rle(mask) for mask in masks[index].numpy()]


def _how_sure(answer: GroundedAnswer) -> dict[str, Any]:
    """What a calibrated model says beside its answer, of the answer as a whole."""
    found: dict[str, Any] = {}
    if answer.presence_probability is not None:
        found["presence_probability"] = round(answer.presence_probability, 4)
    if answer.left_out is not None:
        found["left_out"] = [
            {"phrase": own.phrase, "probability": round(own.probability, 4)} for own in answer.left_out
        ]
    return found


def note_of(answer: GroundedAnswer) -> str | None:
    """What a person should know of an answer that is not whole, in a sentence or two; None if there is nothing."""
    gone = answer.left_out or ()
    if not gone:
        return _note_of_words(answer)
    named = ", ".join(f"{own.phrase} ({percent(own.probability)})" for own in gone)
    note = f"Left out, being too little sure of {'its mask' if len(gone) == 1 else 'their masks'}: {named}."
    if answer.finish_reason == LENGTH:
        note = f"{note} The answer was cut at max_new_tokens; a longer one may say more."
    return note


def _note_of_words(answer: GroundedAnswer) -> str | None:
    if answer.finish_reason == LENGTH and len(answer.masks):
        objects = counted(len(answer.masks), "object")
        return f"The answer was cut at max_new_tokens after {objects}; a longer one may say more."
    if answer.finish_reason == LENGTH:
        return "The answer was cut at max_new_tokens before it named any object: there are no objects, and no masks."
    if not len(answer.masks):
        return "The answer names no objects, so there are no masks."
    return None


def answer_problems(path: str | os.PathLike[str]) -> list[Problem]:
    """Everything that is wrong with an `answer.json`: where, and what.

    Raises:
        MediaError: If the file cannot be read.
    """
    document, problem = _read(Path(path))
    if problem is not None:
        return [("file", problem)]
    schema = json.loads(SCHEMA.read_text(encoding="utf-8"))
    problems = list(itertools.islice(schema_problems(document, schema), 100))
    return [(place or "file", what) for place, what in problems or _contradictions(document)]


def _read(path: Path) -> tuple[Any, str | None]:
    name = short_name(str(path))
    try:
        if not path.is_file():
            raise MediaError(f"{name}: no such file; give the answer.json that `videoglamm segment` wrote")
        if path.stat().st_size > MAX_ANSWER_BYTES:
            raise MediaError(
                f"{name}: has more than {MAX_ANSWER_BYTES} bytes; {lift('VIDEOGLAMM_MAX_ANSWER_BYTES')} to read it"
            )
        data = path.read_bytes()
    except MediaError:
        raise
    except (OSError, ValueError) as error:
        raise MediaError(f"{name}: cannot be read: {reason_of(error)}; check the path") from error
    try:
        return json.loads(data.decode("utf-8"), parse_constant=_refuse), None
    except UnicodeDecodeError as error:
        return None, f"is not UTF-8 text at byte {error.start + 1}"
    except (ValueError, RecursionError) as error:
        return None, f"is not JSON: {error}"


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _contradictions(document: dict[str, Any]) -> Iterator[Problem]:
    """What is wrong with a document that fits the schema: parts that do not fit each other."""
    frames, objects = document["frame_indices"], document["objects"]
    for name in ("frame_indices", "timestamps"):
        if len(document[name]) != len(frames):
            yield name, f"has {len(document[name])} numbers for {counted(len(frames), 'frame')}"
        if any(a >= b for a, b in itertools.pairwise(document[name])):
            yield name, "must increase"
    if frames and frames[-1] >= document["num_frames"]:
        yield "frame_indices", f"ends with {frames[-1]}, but the source has {counted(document['num_frames'], 'frame')}"
    size = [document["size"]["height"], document["size"]["width"]]
    for i, phrase in enumerate(document["phrases"]):
        if document["text"][phrase["start"] : phrase["end"]] != phrase["text"]:
            yield f"phrases[{i}]", f"is not what the text says from {phrase['start']} to {phrase['end']}"
        if phrase["object_index"] is not None and phrase["object_index"] >= len(objects):
            found = f"is {phrase['object_index']}, beyond {counted(len(objects), 'object')}"
            yield f"phrases[{i}].object_index", found
    if 0 < sum("probability" in entry for entry in objects) < len(objects):
        yield "objects", "must all have a probability, or none"
    for i, entry in enumerate(objects):
        if entry["index"] != i:
            yield f"objects[{i}].index", f"must be {i}, not {entry['index']}"
        for name in ("masks", "object_scores", "iou_scores"):
            if len(entry[name]) != len(frames):
                yield f"objects[{i}].{name}", f"has {len(entry[name])} for {counted(len(frames), 'frame')}"
        for t, mask in enumerate(entry["masks"]):
            if mask["size"] != size:
                yield f"objects[{i}].masks[{t}].size", f"is {mask['size']!r:.40}, but size is {size!r:.40}"
                continue
            try:
                compress_rle(mask)
            except InputError as error:
                yield f"objects[{i}].masks[{t}]", str(error)
