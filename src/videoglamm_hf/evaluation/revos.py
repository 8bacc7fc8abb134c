"""ReVOS: referring and reasoning expressions, scored as VISA's `tools/eval_revos.py` does."""

import os
from collections.abc import Collection, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ..data.masks import compressed
from ..data.referring import Expression, split_folder
from ..data.revos import KINDS, ReVOSDataset
from ..errors import InputError
from .answer_files import means
from .benchmark import Benchmark, Item, check_items
from .expression_scores import MASK_FILES, Subject, check_subject, export_expressions, score_items
from .mevis import PROMPT, frames_of, subjects_of
from .options import Options, asked, asked_sentence
from .scores import Scores

SENTENCE_PROMPT = "Please respond with segmentation masks."
SPLIT = "valid"
# Expressions that name nothing count in none of the script's figures.
_COUNTED = KINDS[:2]


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    There is no script of VideoGLaMM for it: a question is asked as it is, and anything else as in MeViS.

    Args:
        data: The dataset's root, see [`ReVOSDataset`]; robustness is scored if it has `mask_dict_foreground.json`.
        options: See [`Options`]; the split is `valid` unless told.

    Raises:
        InputError: The data are missing or inconsistent.
    """
    root, split = split_folder(data), options.split or SPLIT
    dataset = ReVOSDataset(root, split)
    items = [_item(dataset, index, e, options) for index, e in enumerate(dataset.expressions)]
    check_items(items, str(root), as_folders=True)
    subjects = subjects_of(dataset)
    if (root / "mask_dict_foreground.json").exists():
        subjects = [
            replace(subject, foreground=partial(_foreground, dataset, index)) for index, subject in enumerate(subjects)
        ]
    frames = partial(frames_of, dataset.expressions)
    return Benchmark(
        "revos",
        items,
        dataset.__getitem__,
        partial(export_expressions, frames=frames, objects=options.objects, empty_files=True),
        partial(_score, subjects),
        MASK_FILES,
        "mask_dict.json",
        {
            "prompt": options.prompt or PROMPT,
            "sentence_prompt": options.prompt or SENTENCE_PROMPT,
            "objects": options.objects,
            "split": split,
        },
        submitted=True,
        check=partial(check_subject, subjects),
    )


def _item(dataset: ReVOSDataset, index: int, expression: Expression, options: Options) -> Item:
    kind = dataset.kind(index)
    if kind is None:
        raise InputError(f"{expression.where}.type_id: missing; figures are by kind of expression")
    words = expression.entry["exp"]
    question = (
        asked_sentence(SENTENCE_PROMPT, options, words)
        if words.rstrip().endswith("?")
        else asked(PROMPT, options, words)
    )
    return Item((expression.video, expression.number), expression.video, index, question, kind)


def _foreground(dataset: ReVOSDataset, index: int) -> list[int]:
    masks = dataset.foreground(index)
    return [0 if mask is None else int(coco.area(compressed(mask))) for mask in masks]


def _score(
    subjects: Sequence[Subject],
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    scores = score_items("revos", subjects, predictions, items, failed, progress=progress)
    samples = scores.samples()
    kinds: dict[str, dict[str, float]] = {}
    scores.weights = {item.name: 0.0 for item in items}
    for kind in _COUNTED:
        own = [item.name for item in items if item.kind == kind]
        if own:
            kinds[kind] = means([samples[name] for name in own])
            scores.weights |= dict.fromkeys(own, 1 / len(own))
    if not kinds:
        raise InputError("revos: no referring or reasoning expression among the questions; there is nothing to score")
    # The mean of the two kinds, however many expressions each has.
    names = next(iter(kinds.values()))
    overall: dict[str, Any] = {name: float(np.mean([own[name] for own in kinds.values()])) for name in names}
    scores.figures = overall | kinds
    return scores
