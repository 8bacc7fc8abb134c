"""Predictions of benchmarks that have no layout of their own: a file per question, see [`Prediction`]."""

from collections.abc import Callable, Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..data.output_names import safe_name
from ..data.referring import split_folder
from ..errors import InputError, MediaError
from .benchmark import Item
from .prediction import Prediction, read_prediction
from .scores import Scores

ANSWER_FILES = "NAME.json, with text, size and masks"


def export_answers(items: Sequence[Item], read: Callable[[Item], Prediction | None], folder: Path) -> None:
    """Writes every prediction as `<name>.json`.

    Raises:
        OutputError: a file cannot be written.
    """
    for item in items:
        prediction = read(item)
        if prediction is not None:
            prediction.write(folder / f"{safe_name(item.name)}.json")


def answers_in(
    folder: Path,
    items: Sequence[Item],
    scores: Scores,
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Iterator[tuple[Item, Prediction | None]]:
    """Every item with its prediction; None where there is none that can be read, which is noted in the scores.

    Args:
        folder: Where they are.
        items: The items.
        scores: Where what is missing or cannot be read is noted.
        failed: Names of items that are known to have failed.
        progress: Whether to show a bar.

    Raises:
        InputError: there is no such folder.
    """
    split_folder(folder)
    scores.expected = len(items)
    for item in tqdm(items, desc="scoring", unit="question", disable=not progress):
        path = folder / f"{safe_name(item.name)}.json"
        prediction = None
        if not path.exists():
            if item.name not in failed:
                scores.missing.append(item.name)
        else:
            try:
                prediction = read_prediction(path)
            except MediaError as error:
                scores.failed[item.name] = str(error)
        yield item, prediction


def check_size(prediction: Prediction, size: tuple[int, int]) -> None:
    """Refuses a prediction of another size than (height, width).

    Raises:
        InputError: Its size is another.
    """
    if tuple(prediction.size) != tuple(size):
        found, wanted = ("x".join(map(str, reversed(sides))) for sides in (prediction.size, size))
        raise InputError(
            f"its masks are {found}, but the truth is {wanted}; masks must have its size, and so must the frames that "
            "a model is asked about"
        )


def means(samples: Sequence[dict[str, float]]) -> dict[str, float]:
    """The mean of every figure over the samples that have it."""
    names = dict.fromkeys(name for own in samples for name in own)
    return {name: float(np.mean([own[name] for own in samples if name in own])) for name in names}


def means_by_kind(items: Sequence[Item], samples: dict[str, dict[str, float]]) -> dict[str, Any]:
    """Means over all items, and beside them those of every kind of question, if there are several."""
    found: dict[str, Any] = means([samples[item.name] for item in items if item.name in samples])
    kinds = dict.fromkeys(item.kind for item in items)
    if len(kinds) > 1:
        for kind in kinds:
            found[kind] = means([samples[item.name] for item in items if item.kind == kind and item.name in samples])
    return found
