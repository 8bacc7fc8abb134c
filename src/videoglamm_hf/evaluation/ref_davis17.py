"""Ref-DAVIS17: asked and merged as VideoGLaMM's `eval_referdavis_infer.py` does, scored as the DAVIS toolkit's
`unsupervised` task.
"""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..data.annotations import existing_frames
from ..data.referring import Expression, split_folder
from ..data.rle import encode_rle
from ..errors import InputError, MediaError
from .benchmark import Benchmark, Item, check_items
from .label_maps import write_label_maps
from .mevis import PROMPT
from .object_pairing import ObjectStatistics, paired_scores, tracks_of
from .options import Options, asked
from .ref_davis_files import (
    ANNOTATORS,
    Video,
    merged_logits,
    read_annotations,
    read_label_maps,
    read_video,
    read_videos,
)
from .scores import Scores

# Frames that are asked about at once, in the original's script.
CLIP_FRAMES = 64


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
        InputError: The data are missing or inconsistent, or there is no such folder.
        MediaError: An annotation cannot be read.
    """
    return _scored(Path(data), split_folder(predictions), read_videos(Path(data)), progress=progress)


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    An answer's first object counts, and a video is asked about in pieces of 64 frames, as in the original.

    Args:
        data: Folder with the official `DAVIS/` (unsupervised annotations at 480p) and the converted `ref/`.
        options: See [`Options`].

    Raises:
        InputError: The data are missing or inconsistent.
    """
    root = split_folder(data)
    videos = read_videos(root)
    expressions = [expression for own in videos.values() for expression in own]
    items = [
        Item((e.video, e.number), e.video, index, asked(PROMPT, options, e.entry["exp"]))
        for index, e in enumerate(expressions)
    ]
    check_items(items, str(root), as_folders=True)

    # Expressions of one video follow each other.
    @lru_cache(maxsize=2)
    def annotations(name: str) -> np.ndarray:
        return read_annotations(root, name, videos[name])

    return Benchmark(
        "ref-davis17",
        items,
        partial(_sample, root, videos, expressions, annotations),
        partial(_export, videos),
        partial(_score, root, videos),
        f"VIDEO/EXPRESSION.npy, or ANNOTATOR/VIDEO/FRAME.png with {ANNOTATORS[0]} and so on",
        "DAVIS/Annotations_unsupervised",
        {"prompt": options.prompt or PROMPT, "objects": "first"},
        clip_frames=CLIP_FRAMES,
        with_logits=True,
        submitted=True,
        check=lambda index: annotations(expressions[index].video),
    )


def _sample(
    root: Path,
    videos: Mapping[str, list[Expression]],
    expressions: list[Expression],
    annotations: Callable[[str], np.ndarray],
    index: int,
) -> dict[str, Any]:
    expression = expressions[index]
    folder = root / "ref" / "valid" / "JPEGImages" / expression.video
    video = existing_frames(folder, [f"{frame}.jpg" for frame in expression.frames])
    number = videos[expression.video].index(expression) // 4 + 1
    masks = (labels == number for labels in annotations(expression.video))
    track = [encode_rle(mask) if mask.any() else None for mask in masks]
    return {"video": video, "mask_frames": list(range(len(video))), "masks": [track]}


def _export(
    videos: Mapping[str, list[Expression]],
    items: Sequence[Item],
    read_answer: Callable[[Item], Any],
    folder: Path,
    *,
    logits: Callable[[Item], np.ndarray | None],
) -> None:
    """Writes maps of labels, `<annotator>/<video>/<frame>.png`."""
    by_name = {item.parts: item for item in items}
    for name in dict.fromkeys(item.video for item in items):
        expressions = videos[name]
        for number, annotator in enumerate(ANNOTATORS):
            own = [by_name[name, expression.number] for expression in expressions[number::4]]
            answers = [read_answer(item) for item in own]
            size = next((answer.size for answer in answers if answer is not None), None)
            if size is not None:
                frames = expressions[0].frames
                found = [_of_frames(item, logits(item), len(frames)) for item in own]
                write_label_maps(folder / annotator / name, found, size, frames)


def _of_frames(item: Item, logits: np.ndarray | None, frames: int) -> np.ndarray | None:
    if logits is not None and len(logits) != frames:
        raise MediaError(
            f"the answer to {item.name} has logits of {len(logits)} frames, not of {frames}; delete its files in "
            "samples/, and run again to answer it anew"
        )
    return logits


def _score(
    root: Path,
    videos: Mapping[str, list[Expression]],
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    names = dict.fromkeys(item.video for item in items)
    return _scored(root, split_folder(predictions), {name: videos[name] for name in names}, failed, progress=progress)


def _scored(
    root: Path,
    folder: Path,
    videos: Mapping[str, list[Expression]],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """The scores of a folder; what is known to have failed scores 0."""
    given = [annotator for annotator in ANNOTATORS if (folder / annotator).is_dir()]
    if given and len(given) < len(ANNOTATORS):
        lacking = ", ".join(annotator for annotator in ANNOTATORS if annotator not in given)
        raise InputError(f"{folder}: has no {lacking}; the mean is over all four annotators")
    read_labels = read_label_maps if given else merged_logits
    scores = Scores("ref-davis17", expected=len(videos) * 4 if given else sum(map(len, videos.values())))
    scores.settings["predictions"] = "label maps" if given else "logits"
    statistics = {annotator: ObjectStatistics() for annotator in ANNOTATORS}
    for name, expressions in tqdm(videos.items(), desc="scoring", unit="video", disable=not progress):
        video = read_video(root, name, expressions)
        for number, annotator in enumerate(ANNOTATORS):
            labels, unusable = read_labels(folder, video, number, scores)
            own = enumerate(expressions[number::4])
            unusable |= {place for place, e in own if f"{name}_{e.number}" in failed}
            _add(statistics[annotator], scores, video, number, labels, unusable)
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
