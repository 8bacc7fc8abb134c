"""VidSTG and HC-STVG: boxes of an object during a moment, asked and scored as the original's `eval_grounding.py`."""

import re
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from ..data.referring import Expression
from ..data.tubes import TubeDataset
from ..errors import InputError
from .answer_files import ANSWER_FILES, answers_in, check_size, export_answers, means_by_kind
from .benchmark import Benchmark, Item, check_items
from .moments import score_moment
from .options import Options
from .prediction import Prediction
from .scores import Scores

PROMPTS = {
    "declarative": "Can you segment {phrase} in this video?",
    "interrogative": "{phrase} Please respond with segmentation masks.",
}
_MOMENT = re.compile(r"frames:\((\d{1,9}),(\d{1,9})\)")


def tube_benchmark(name: str, dataset: TubeDataset, where: str, options: Options) -> Benchmark:
    """A benchmark of a dataset of boxes.

    Args:
        name: As the command line knows it.
        dataset: The dataset, whose frames are those of the moments unless `options.moments`.
        where: What messages call it.
        options: See [`Options`].

    Raises:
        InputError: Two questions have one name.
    """
    kinds = dataset.kinds
    items = [
        Item((e.video, e.number), f"{e.video} {' '.join(e.frames)}", i, _asked(options, kinds[i], e), kinds[i])
        for i, e in enumerate(dataset.expressions)
    ]
    check_items(items, where)
    # Of one video only questions about the same frames share what is seen of it.
    items.sort(key=lambda item: (item.parts[0], item.video))
    settings = {
        "split": options.split,
        "prompt": options.prompt or PROMPTS,
        "moments": "predicted" if options.moments else "given",
    }
    return Benchmark(
        name,
        items,
        dataset.__getitem__,
        export_answers,
        partial(_score, name, dataset, options.moments),
        ANSWER_FILES,
        "boxes",
        settings,
        check=dataset.truth,
    )


def said_moment(text: str) -> tuple[int, int] | None:
    """First and last frame as an answer says them, `frames:(3,9)`; None if it does not.

    >>> said_moment("It is [SEG] in frames:(3,9).")
    (3, 9)
    """
    found = _MOMENT.search(text)
    return (int(found[1]), int(found[2])) if found else None


def _asked(options: Options, kind: str, expression: Expression) -> str:
    # A question is asked with its question mark, or what it ends with.
    text = expression.text if kind == "declarative" else " ".join(expression.entry["description"].split())
    return (options.prompt or PROMPTS[kind]).replace("{phrase}", text)


def _score(
    name: str,
    dataset: TubeDataset,
    with_moments: bool,
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """Means over questions, and over those of each kind; without a prediction a question scores 0."""
    scores = Scores(name, settings={"moments": "predicted" if with_moments else "given"})
    skipped = []
    for item, prediction in answers_in(predictions, items, scores, failed, progress=progress):
        truth = dataset.truth(item.index)
        if truth["moment"] is None:
            skipped.append(item.name)
            continue
        masks, moment = [], (0, 0)
        if prediction is not None:
            moment = said_moment(prediction.text) or moment
            try:
                masks = [_pixels(prediction, truth)] if prediction.masks else []
            except InputError as error:
                scores.failed[item.name] = str(error)
        boxes = np.array([box or [0.0] * 4 for box in truth["boxes"]])
        scores.per_sample[item.name] = score_moment(
            masks, boxes, tuple(truth["moment"]), moment if with_moments else None
        )
    # As in the original: no frame that is taken lies in the moment.
    scores.settings["skipped"] = skipped
    scores.figures = means_by_kind(items, scores.per_sample)
    return scores


def _pixels(prediction: Prediction, truth: dict[str, Any]) -> np.ndarray:
    """Masks of the object that counts, the last one, bool `[T, H, W]`.

    Raises:
        InputError: They are not of the truth's size and frames.
    """
    check_size(prediction, truth["size"])
    pixels, frames = prediction.pixels(len(prediction.masks) - 1), len(truth["boxes"])
    if len(pixels) != frames:
        raise InputError(f"it has {len(pixels)} masks for {frames} frames")
    return pixels
