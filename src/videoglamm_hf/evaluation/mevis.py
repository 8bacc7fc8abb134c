"""MeViS: expressions about motion, asked as the original's `eval_mevis.py` asks, scored as MeViS' own script."""

import os
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..data.annotations import existing_frames
from ..data.mevis import MevisDataset
from ..data.ref_youtube_vos import RefYoutubeVosDataset
from ..data.referring import Expression, read_expressions, split_folder
from .benchmark import Benchmark, Item, check_items
from .expression_scores import MASK_FILES, Subject, check_subject, export_expressions, score_expressions, score_items
from .options import Options, asked
from .scores import Scores

PROMPT = "What is {phrase} in this video? Please respond with segmentation masks."


def score_mevis(
    data: str | os.PathLike[str], predictions: str | os.PathLike[str], *, progress: bool = False
) -> Scores:
    """J and F of every expression of a split, see [`score_expressions`].

    Args:
        data: Folder of a split with masks, see [`MevisDataset`].
        predictions: `<video>/<expression>/<frame>.png`, black where the object is not.
        progress: Whether to show a bar.

    Raises:
        InputError: The data are missing or inconsistent, or there is no such folder.
    """
    return score_expressions("mevis", subjects_of(MevisDataset(data)), Path(predictions), progress=progress)


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    Args:
        data: Folder of a split; `valid` and `test` are published without `mask_dict.json`, and have no figures here.
        options: See [`Options`].

    Raises:
        InputError: The data are missing or inconsistent.
    """
    root = split_folder(data)
    with_truth = (root / "mask_dict.json").exists()
    dataset = MevisDataset(root) if with_truth else None
    expressions = dataset.expressions if with_truth else read_expressions(root / "meta_expressions.json")
    items = [
        Item((e.video, e.number), e.video, index, asked(PROMPT, options, e.entry["exp"]))
        for index, e in enumerate(expressions)
    ]
    check_items(items, str(root), as_folders=True)
    frames, subjects = partial(frames_of, expressions), subjects_of(dataset) if with_truth else []
    return Benchmark(
        "mevis",
        items,
        dataset.__getitem__ if with_truth else partial(unlabelled, root, expressions),
        partial(export_expressions, frames=frames, objects=options.objects),
        partial(score_items, "mevis", subjects) if with_truth else None,
        MASK_FILES,
        "mask_dict.json",
        {"prompt": options.prompt or PROMPT, "objects": options.objects},
        submitted=True,
        check=partial(check_subject, subjects) if with_truth else None,
    )


def subjects_of(dataset: MevisDataset | RefYoutubeVosDataset) -> list[Subject]:
    """What every expression of a dataset is scored against."""
    return [
        Subject((e.video, e.number), e.frames, dataset.named_objects(index), partial(dataset.track, index))
        for index, e in enumerate(dataset.expressions)
    ]


def frames_of(expressions: Sequence[Expression], item: Item) -> tuple[str, ...]:
    """Names of the frames that get masks."""
    return expressions[item.index].frames


def unlabelled(root: Path, expressions: Sequence[Expression], index: int) -> dict[str, Any]:
    """The frames of an expression whose truth is not public; they are in `JPEGImages` of a folder."""
    expression = expressions[index]
    video = existing_frames(root / "JPEGImages" / expression.video, [f"{f}.jpg" for f in expression.frames])
    return {"video": video, "mask_frames": list(range(len(video)))}
