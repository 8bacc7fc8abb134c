"""Scores of what is predicted for Ref-DAVIS17: VideoGLaMM's merging, then the DAVIS toolkit's `unsupervised` task."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..data.referring import split_folder
from ..errors import InputError
from .object_pairing import ObjectStatistics, paired_scores, tracks_of
from .ref_davis_files import ANNOTATORS, Video, merged_logits, read_label_maps, read_video, read_videos
from .scores import Scores


def score_ref_davis(
    data: str | os.PathLike[str], predictions: str | os.PathLike[str], *, progress: bool = False
) -> Scores:
    """J, F, recall and decay of every annotator's expressions, and their mean.

    The n-th expression of a video is of object n // 4, by annotator n % 4. An annotator's expressions become one map
    of labels; its objects and those of the truth are paired by the largest sum of J and F. Void pixels do not count.
    What has no prediction, or none that can be read, scores 0 and is listed.

    Args:
        data: Folder with the official `DAVIS/` (unsupervised annotations at 480p) and the converted `ref/`.
        predictions: `<video>/<expression>.npy`, float `[T, H, W]`, as [`merge_expressions`] takes them; or maps of
            labels, `<annotator>/<video>/<frame>.png`, by the names in `ANNOTATORS`.
        progress: Whether to show a bar.

    Raises:
        InputError: The data are missing or inconsistent, or nothing is predicted.
        MediaError: An annotation cannot be read.
    """
    folder, root = split_folder(predictions), Path(data)
    given = [annotator for annotator in ANNOTATORS if (folder / annotator).is_dir()]
    if given and len(given) < len(ANNOTATORS):
        lacking = ", ".join(annotator for annotator in ANNOTATORS if annotator not in given)
        raise InputError(f"{folder}: has no {lacking}; the mean is over all four annotators")
    read = read_label_maps if given else merged_logits
    scores = Scores("ref-davis17")
    scores.settings["predictions"] = "label maps" if given else "logits"
    statistics = {annotator: ObjectStatistics() for annotator in ANNOTATORS}
    names = read_videos(root)
    nothing = True
    for name, expressions in tqdm(names.items(), desc="scoring", unit="video", disable=not progress):
        video = read_video(root, name, expressions)
        for number, annotator in enumerate(ANNOTATORS):
            labels, unusable = read(folder, video, number, scores)
            nothing &= len(unusable) == len(expressions) // 4
            _add(statistics[annotator], scores, video, number, labels, unusable)
    if nothing:
        expected = f"expected are VIDEO/EXPRESSION.npy, or ANNOTATOR/VIDEO/FRAME.png with {ANNOTATORS[0]} and so on"
        reason = next(iter(scores.failed.values()), expected)
        raise InputError(f"{folder}: holds no prediction that can be scored; {reason}")
    if not statistics[ANNOTATORS[0]].names:
        raise InputError(f"{root}: no video has an object in its first frame; check the annotations")
    scores.figures = _summed_up({annotator: found.figures() for annotator, found in statistics.items()})
    return scores


def _add(
    statistics: ObjectStatistics, scores: Scores, video: Video, annotator: int, labels: np.ndarray, unusable: set[int]
) -> None:
    """Scores one annotator's answers about one video."""
    if not video.objects:
        return
    # Objects that nobody predicted are there without pixels.
    count = max(int(labels.max()), len(video.objects))
    labels[video.void] = 0
    predicted = tracks_of(labels, count)
    for place, (j, f, row) in enumerate(zip(*paired_scores(predicted, video.objects), strict=True), start=1):
        if row in unusable:
            j, f = np.zeros_like(j), np.zeros_like(f)
        statistics.add(f"{video.name}_{place}", j, f)
        if row * 4 + annotator < len(video.expressions):
            expression = video.expressions[row * 4 + annotator]
            scores.per_expression[f"{video.name}_{expression.number}"] = [float(j.mean()), float(f.mean())]


def _summed_up(annotators: dict[str, dict[str, Any]]) -> dict[str, Any]:
    def mean(names: Sequence[str]) -> dict[str, float]:
        return {name: float(np.mean([found[name] for found in annotators.values()])) for name in names}

    return {
        "annotators": annotators,
        "mean_of_annotators": mean(("J&F", "J", "F")),
        "mean_recall_and_decay": mean(("J_recall", "J_decay", "F_recall", "F_decay")),
    }
