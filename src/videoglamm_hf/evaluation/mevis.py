"""Scores of masks predicted for MeViS, as its own `eval_mevis.py` computes them."""

import os
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from tqdm.auto import tqdm

from ..data.masks import mask_size
from ..data.mevis import MevisDataset
from ..data.referring import split_folder
from ..data.rle import decode_rle
from ..errors import InputError, MediaError
from .mask_files import read_mask
from .packed_frames import PackedFrame
from .scores import Scores, mean_region_and_boundary
from .video_masks import frame_accuracy, frame_similarity, packed_frames


def score_mevis(
    data: str | os.PathLike[str], predictions: str | os.PathLike[str], *, progress: bool = False
) -> Scores:
    """J and F of every expression, averaged over frames, then over expressions.

    An expression without a file scores 0, as in the original; a frame without one counts as empty, where the original
    stops. A prediction that cannot be read scores 0 and is listed.

    Args:
        data: Folder of a split with masks, see [`MevisDataset`].
        predictions: `<video>/<expression>/<frame>.png`, black where the object is not.
        progress: Whether to show a bar.

    Raises:
        InputError: The data are missing or inconsistent, or nothing is predicted.
    """
    dataset, folder = MevisDataset(data), split_folder(predictions)
    names = [f"{expression.video}_{expression.number}" for expression in dataset.expressions]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"{dataset.root}: two expressions are called {twice}, as VIDEO_EXPRESSION; rename a video")
    scores = Scores("mevis")
    found: dict[int, list[float]] = {}
    last, truth = None, _Truth([])
    # Expressions about the same objects follow each other, so that their truth is prepared once.
    order = sorted(range(len(names)), key=lambda i: (dataset.expressions[i].video, dataset.named_objects(i)))
    for index in tqdm(order, desc="scoring", unit="expression", disable=not progress):
        expression, name = dataset.expressions[index], names[index]
        files = [folder / expression.video / expression.number / f"{frame}.png" for frame in expression.frames]
        there = [file if file.exists() else None for file in files]
        found[index] = [0.0, 0.0]
        if not any(there):
            scores.missing.append(name)
            continue
        if None in there:
            scores.missing_frames[name] = there.count(None)
        subject = (expression.video, dataset.named_objects(index))
        if subject != last:
            last, truth = subject, _Truth(dataset.track(index))
        try:
            found[index] = _compared(there, truth)
        except MediaError as error:
            scores.failed[name] = str(error)
    if len(scores.missing) + len(scores.failed) == len(names):
        reason = next(iter(scores.failed.values()), "masks are expected as VIDEO/EXPRESSION/FRAME.png")
        raise InputError(f"{folder}: holds no prediction that can be scored; {reason}")
    # In the order of the data, not in which they were scored.
    scores.missing.sort(key=names.index)
    scores.failed = {name: scores.failed[name] for name in names if name in scores.failed}
    scores.per_expression = {name: found[index] for index, name in enumerate(names)}
    scores.figures = mean_region_and_boundary(scores.per_expression.values())
    return scores


class _Truth:
    """The truth of one expression; frames are decoded when they are compared, and kept."""

    def __init__(self, track: Sequence[dict | None]) -> None:
        self._track = track
        self.size = next((mask_size(mask) for mask in track if mask is not None), None)
        self._frames: dict[tuple[int, tuple[int, int]], PackedFrame] = {}

    def frame(self, number: int, size: tuple[int, int]) -> PackedFrame:
        key = (number, size)
        if key not in self._frames:
            mask = self._track[number]
            pixels = np.zeros(size, bool) if mask is None else decode_rle(mask)
            self._frames[key] = next(packed_frames([pixels]))
        return self._frames[key]


def _compared(files: Sequence[Path | None], truth: _Truth) -> list[float]:
    """Mean J and F over frames.

    Raises:
        MediaError: a file cannot be read, or has not the size of the truth.
    """
    size = truth.size
    similarities, accuracies = [], []
    for number, file in enumerate(files):
        mask = None if file is None else read_mask(file, size)
        if mask is None and size is None:
            # Neither says how large it is, and neither has anything: they agree.
            similarities.append(1.0), accuracies.append(1.0)
            continue
        if size is None:
            size = mask.shape
        predicted = next(packed_frames([np.zeros(size, bool) if mask is None else mask]))
        expected = truth.frame(number, size)
        similarities.append(frame_similarity(predicted, expected))
        accuracies.append(frame_accuracy(predicted, expected))
    return [float(np.mean(similarities)), float(np.mean(accuracies))]
