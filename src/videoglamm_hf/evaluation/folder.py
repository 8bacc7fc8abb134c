"""One's own data, in our JSONL: every question asked as it is written there, scored by all that its fields allow."""

import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.jsonl import JsonlDataset
from ..data.masks import decode_masks, mask_size
from ..data.sample import conversations_of, kind_of
from ..errors import InputError
from ..messages import parts_of
from .answer_files import ANSWER_FILES, answers_in, check_size, export_answers
from .benchmark import Benchmark, Item, check_items
from .gcg import caption_figures, caption_sample, similarity_of
from .moments import score_moment
from .options import Options
from .prediction import Prediction
from .scores import Scores, mean_region_and_boundary
from .text_similarity import Similarity
from .tubes import said_moment
from .video_masks import boundary_accuracy, region_similarity

_FILES = ("validation.jsonl", "test.jsonl", "samples.jsonl")


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark: an item for each conversation, whose first question is asked.

    Args:
        data: A JSONL file (see [`JsonlDataset`]), or a folder with `<split>.jsonl`; unless told the first of
            `validation.jsonl`, `test.jsonl` and `samples.jsonl` that is there.
        options: See [`Options`]; a prompt has a place for the question, `{phrase}`.

    Raises:
        InputError, MediaError: As [`JsonlDataset`], or there is no such file, a sample has no video or picture, or
            the text encoder cannot be loaded.
    """
    path = _file(Path(data), options.split)
    dataset = JsonlDataset(path)
    items, places = [], []
    for line, sample in enumerate(dataset):
        source = sample.get(kind_of(sample) or "")
        if source is None:
            raise InputError(f"{path}: sample {line} has neither video nor image; take it out")
        name = _name(sample, line)
        conversations = conversations_of(sample)
        for number, (messages, _) in enumerate(conversations):
            parts = (name,) if len(conversations) == 1 else (name, str(number))
            video = source if isinstance(source, str) else f"{source[0]} and {len(source) - 1} more"
            question = _question(messages)
            asked = question if options.prompt is None else options.prompt.replace("{phrase}", question)
            items.append(Item(parts, f"{video} {sample.get('mask_frames')}", len(places), asked, _kind(sample)))
            places.append((line, number))
    check_items(items, str(path))
    items.sort(key=lambda item: item.video)
    sample = partial(_sample, dataset, places)
    score = partial(_score, sample, options, *similarity_of(options.text_encoder))
    return Benchmark(
        "folder",
        items,
        sample,
        export_answers,
        score,
        ANSWER_FILES,
        "masks",
        {"prompt": options.prompt, "split": options.split},
        check=lambda index: _moment(sample(index), None),
    )


def _file(data: Path, split: str | None) -> Path:
    if not data.is_dir():
        return data
    names = (f"{split}.jsonl",) if split else _FILES
    found = next((data / name for name in names if (data / name).is_file()), None)
    if found is None:
        raise InputError(f"{data}: has no {' or '.join(names)}; give a JSONL file, or --split")
    return found


def _name(sample: dict[str, Any], line: int) -> str:
    given = sample.get("id")
    return str(line) if given is None else str(given).replace("/", "_")


def _kind(sample: dict[str, Any]) -> str:
    kind = sample.get("kind")
    return kind if isinstance(kind, str) else ""


def _question(messages: Sequence[dict[str, Any]]) -> str:
    user = next(message for message in messages if message["role"] == "user")
    return " ".join(part["text"] for part in parts_of(user["content"]) if part["type"] == "text")


def _sample(dataset: JsonlDataset, places: Sequence[tuple[int, int]], index: int) -> dict[str, Any]:
    """The sample of one conversation alone."""
    line, number = places[index]
    sample = dataset[line]
    messages, tracks = conversations_of(sample)[number]
    frames = sample.get("mask_frames")
    if frames is None and kind_of(sample) == "image":
        frames = [0]
    return {**sample, "messages": messages, "masks": list(tracks), "mask_frames": frames}


def _score(
    sample: Any,
    options: Options,
    similarity: Similarity,
    recall: str,
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """J and F of the objects in their order; beside them, where the truth has them, phrases, captions and moments."""
    scores = Scores("folder", ratios={recall: ["recalled", "phrases"]})
    scores.settings["text_encoder"] = options.text_encoder or "none: words in common"
    captions: dict[str, tuple[str, str]] = {}
    for item, prediction in answers_in(predictions, items, scores, failed, progress=progress):
        truth = sample(item.index)
        try:
            pair, own, words = _figures(truth, prediction, similarity)
        except InputError as error:
            # Raises again if it is the truth that is wrong.
            pair, own, words = _figures(truth, None, similarity)
            scores.failed[item.name] = str(error)
        scores.per_expression[item.name] = pair
        if own:
            scores.per_sample[item.name] = own
        if words:
            captions[item.name] = words
    scores.figures = mean_region_and_boundary(scores.per_expression.values()) if scores.per_expression else {}
    kinds = dict.fromkeys(item.kind for item in items)
    for kind in kinds if len(kinds) > 1 else ():
        pairs = [scores.per_expression[item.name] for item in items if item.kind == kind]
        scores.figures[kind or "other"] = mean_region_and_boundary(pairs)
    _add_means(scores, recall)
    if captions:
        scores.figures |= caption_figures(scores, captions, options, progress)
    return scores


def _figures(
    truth: dict[str, Any], prediction: Prediction | None, similarity: Similarity
) -> tuple[list[float], dict[str, float], tuple[str, ...]]:
    """J and F of one sample, its other figures, and what was said and should be; none of these without a caption.

    Raises:
        InputError: The prediction is not of the truth's size and frames, or the truth's moment cannot be used.
    """
    own: dict[str, float] = {}
    words: list[str] = []
    if truth["masks"] and "<p>" in _answer(truth):
        plain = {**truth, "messages": [{"content": [{"text": _answer(truth)}]}]}
        own, *words = caption_sample(plain, prediction, similarity)
    return _region_and_boundary(truth, prediction), own | _moment(truth, prediction), tuple(words)


def _answer(truth: dict[str, Any]) -> str:
    content = truth["messages"][-1]["content"]
    return content if isinstance(content, str) else " ".join(part["text"] for part in content)


def _region_and_boundary(truth: dict[str, Any], prediction: Prediction | None) -> list[float]:
    """Mean J and F over objects and frames; an object that is missing, or one too many, scores 0.

    Raises:
        InputError: Masks are not of the truth's size and frames.
    """
    tracks = truth["masks"]
    if prediction is None:
        return [0.0, 0.0]
    masks, found = prediction.masks, []
    for number in range(max(len(tracks), len(masks))):
        if number >= len(tracks) or number >= len(masks):
            found.append((0.0, 0.0))
            continue
        if len(masks[number]) != len(tracks[number]):
            raise InputError(f"its tracks need a mask for each of the {len(tracks[number])} frames")
        size = next((mask_size(mask) for mask in tracks[number] if mask is not None), prediction.size)
        check_size(prediction, size)
        labels = decode_masks([tracks[number]], size)[0]
        other = decode_masks([masks[number]], size)[0] == 1
        void = labels == -1
        j = region_similarity(other, labels == 1, void if void.any() else None)
        f = boundary_accuracy(other, labels == 1, void if void.any() else None)
        found.append((float(j.mean()), float(f.mean())))
    # Nothing is there, and nothing was found.
    return [float(side) for side in np.mean(found, axis=0)] if found else [1.0, 1.0]


def _moment(truth: dict[str, Any], prediction: Prediction | None) -> dict[str, float]:
    boxes, moment = truth.get("boxes"), truth.get("moment")
    if not boxes or not moment or len(boxes) != len(truth["mask_frames"] or ()):
        return {}
    try:
        corners = np.array([box or [0.0] * 4 for box in boxes], np.float64)
        masks = [] if prediction is None or not prediction.masks else [prediction.pixels(len(prediction.masks) - 1)]
        said = said_moment("" if prediction is None else prediction.text) or (0, 0)
        return score_moment(masks, corners, tuple(moment), said)
    except (ValueError, TypeError) as error:
        raise InputError(f"boxes or moment of sample {truth.get('id')} cannot be used: {error}") from error


def _add_means(scores: Scores, recall: str) -> None:
    own = list(scores.per_sample.values())
    for name in dict.fromkeys(name for sample in own for name in sample):
        if name not in ("recalled", "phrases"):
            scores.figures[name] = float(np.mean([sample[name] for sample in own if name in sample]))
    phrases = sum(sample.get("phrases", 0) for sample in own)
    if phrases:
        scores.figures[recall] = sum(sample.get("recalled", 0) for sample in own) / phrases
    else:
        scores.ratios = {}
