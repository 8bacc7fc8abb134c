"""J and F of expressions about videos, from a PNG per frame, as MeViS' own `eval_mevis.py` computes them."""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from concurrent.futures import Executor, Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..data.masks import mask_size
from ..data.referring import split_folder
from ..data.rle import decode_rle
from ..errors import InputError, MediaError
from ..output_files import explained_writes
from .benchmark import Item
from .mask_files import read_mask
from .packed_frames import PackedFrame, count
from .prediction import Prediction, Track
from .scores import Scores, mean_region_and_boundary
from .video_masks import frame_accuracy, frame_similarity, packed_frames

# Threads that decode masks, which holds no lock, and how many frames ahead.
_READERS, _AHEAD = 2, 8

MASK_FILES = "VIDEO/EXPRESSION/FRAME.png"


@dataclass(frozen=True)
class Subject:
    """What an expression is scored against.

    Attributes:
        parts: Folders of its files, `(video, expression)`.
        frames: Names of its files without suffix.
        objects: What it names: expressions of one video that name the same share their truth.
        track: The truth: one mask per frame, None where there is none. Called when it is needed.
        foreground: How many pixels the objects of every frame have, for [`frame_robustness`]; None if that is not
            scored.
    """

    parts: tuple[str, str]
    frames: Sequence[str]
    objects: tuple[Any, ...]
    track: Callable[[], Sequence[dict | None]]
    foreground: Callable[[], Sequence[int]] | None = None

    @property
    def name(self) -> str:
        return "_".join(self.parts)


def check_subject(subjects: Sequence[Subject], index: int) -> None:
    """Reads the truth of one expression, see [`Benchmark`].

    Raises:
        InputError, MediaError: It is missing, damaged, or contradicts itself.
    """
    subjects[index].track()
    if subjects[index].foreground is not None:
        subjects[index].foreground()


def score_expressions(
    benchmark: str, subjects: Sequence[Subject], predictions: Path, *, progress: bool = False
) -> Scores:
    """J and F of every expression, averaged over frames, then over expressions.

    An expression without a file scores 0, as in the original; a frame without one counts as empty, where the original
    stops. A prediction that cannot be read scores 0 and is listed.

    Args:
        benchmark: Name for the record.
        subjects: All expressions.
        predictions: `<video>/<expression>/<frame>.png`, black where the object is not.
        progress: Whether to show a bar.

    Raises:
        InputError: Two expressions have one name, or there is no such folder.
    """
    folder = split_folder(predictions)
    names = [subject.name for subject in subjects]
    if len(set(names)) < len(names):
        twice = next(name for name in names if names.count(name) > 1)
        raise InputError(f"two expressions are called {twice}, as VIDEO_EXPRESSION; rename a video")
    scores = Scores(benchmark, expected=len(subjects))
    found: dict[int, list[float]] = {}
    robust = {subject.name: 0.0 for subject in subjects if subject.foreground is not None}
    last, truth = None, _Truth([])
    # Expressions about the same objects follow each other, so that their truth is prepared once.
    order = sorted(range(len(names)), key=lambda i: (subjects[i].parts[0], subjects[i].objects))
    with ThreadPoolExecutor(_READERS, "reading masks") as readers:
        for index in tqdm(order, desc="scoring", unit="expression", disable=not progress):
            subject, name = subjects[index], names[index]
            files = [folder.joinpath(*subject.parts, f"{frame}.png") for frame in subject.frames]
            there = [file if file.exists() else None for file in files]
            found[index] = [0.0, 0.0]
            if not any(there):
                scores.missing.append(name)
                continue
            if None in there:
                scores.missing_frames[name] = there.count(None)
            same = (subject.parts[0], subject.objects)
            if same != last:
                last, truth = same, _Truth(subject.track())
            try:
                found[index], wrong = _compared(there, truth, readers)
            except MediaError as error:
                scores.failed[name] = str(error)
                continue
            if subject.foreground is not None:
                robust[name] = float(np.mean(frame_robustness(wrong, subject.foreground())))
    # In the order of the data, not in which they were scored.
    scores.missing.sort(key=names.index)
    scores.failed = {name: scores.failed[name] for name in names if name in scores.failed}
    scores.per_expression = {name: found[index] for index, name in enumerate(names)}
    scores.per_sample = {name: {"R": value} for name, value in robust.items()}
    scores.figures = mean_region_and_boundary(scores.per_expression.values())
    return scores


def frame_robustness(wrong: Sequence[int], foreground: Sequence[int]) -> np.ndarray:
    """R of every frame: 1 less the share of predicted pixels outside the truth in those of the foreground, at least 0.

    Source: Li et al., "Robust Referring Video Object Segmentation with Cyclic Structural Consensus" (ICCV 2023), as
    `tools/metrics.py` of github.com/cilinyan/VISA has it for files whose values are 0 and 1; there pixels count
    their values, 255 times as much in black and white.

    Args:
        wrong: How many pixels were predicted that are not in the truth, `[T]`.
        foreground: How many pixels the annotated objects of the video have together, `[T]`.

    Returns:
        float64 `[T]`.
    """
    return np.maximum(1 - np.asarray(wrong, np.float64) / (np.asarray(foreground, np.float64) + 1e-6), 0.0)


def score_items(
    benchmark: str,
    subjects: Sequence[Subject],
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """Scores some items of a benchmark, see [`Benchmark`]: what failed has no file, and so scores 0."""
    return score_expressions(benchmark, [subjects[item.index] for item in items], predictions, progress=progress)


def export_expressions(
    items: Iterable[Item],
    read: Callable[[Item], Prediction | None],
    folder: Path,
    *,
    frames: Callable[[Item], Sequence[str]],
    objects: str,
    empty_files: bool = False,
) -> None:
    """Writes predictions as `<video>/<expression>/<frame>.png`; a frame without a mask has no file.

    Args:
        items: Expressions.
        read: Gives the prediction of one.
        folder: Where to.
        frames: Names of an expression's frames.
        objects: Which of an answer's objects count: one of `OBJECTS`.
        empty_files: Whether a frame without a mask is a black file, as of a model that always gives masks.

    Raises:
        MediaError: a prediction is not of the expression's frames.
        OutputError: a file cannot be written.
    """
    for item in items:
        prediction = read(item)
        if prediction is None:
            continue
        names = frames(item)
        for track in prediction.masks:
            if len(track) != len(names):
                raise MediaError(
                    f"the answer to {item.name} has {len(track)} masks for {len(names)} frames; delete its file in "
                    "samples/, and run again to answer it anew"
                )
        place = folder.joinpath(*item.parts)
        with explained_writes(place):
            place.mkdir(parents=True, exist_ok=True)
            tracks = prediction.masks or [[None] * len(names)]
            for frame, mask in zip(names, counted_masks(tracks, objects, prediction.size), strict=True):
                if empty_files or mask.any():
                    Image.fromarray(mask.astype(np.uint8) * 255).save(place / f"{frame}.png")


def counted_masks(tracks: Sequence[Track], objects: str, size: tuple[int, int]) -> Iterable[np.ndarray]:
    """The mask of every frame, bool `[H, W]`, of those objects of an answer that count.

    The last one is the last that has a mask in a frame, as of files that are written one over the other.

    Args:
        tracks: A track for each object, see [`Prediction`].
        objects: One of `OBJECTS`.
        size: (height, width) of the masks.
    """
    for masks in zip(*(tracks[:1] if objects == "first" else tracks), strict=True):
        seen = [mask for mask in (decode_rle(mask) for mask in masks if mask is not None) if mask.any()]
        counted = seen[-1:] if objects == "last" else seen
        yield np.logical_or.reduce(counted) if counted else np.zeros(size, bool)


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


def _compared(files: Sequence[Path | None], truth: _Truth, readers: Executor) -> tuple[list[float], list[int]]:
    """Mean J and F over frames, and how many pixels of every frame were predicted outside the truth.

    Raises:
        MediaError: a file cannot be read, or has not the size of the truth.
    """
    size = truth.size
    similarities, accuracies, wrong = [], [], []
    for number, mask in enumerate(_read_ahead(files, size, readers)):
        if mask is None and size is None:
            # Neither says how large it is, and neither has anything: they agree.
            similarities.append(1.0), accuracies.append(1.0), wrong.append(0)
            continue
        if size is None:
            size = mask.shape
        elif mask is not None and mask.shape != size:
            read_mask(files[number], size)  # says so
        predicted = next(packed_frames([np.zeros(size, bool) if mask is None else mask]))
        expected = truth.frame(number, size)
        similarities.append(frame_similarity(predicted, expected))
        accuracies.append(frame_accuracy(predicted, expected))
        wrong.append(predicted.area - count(predicted.words & expected.words))
    return [float(np.mean(similarities)), float(np.mean(accuracies))], wrong


def _read_ahead(
    files: Sequence[Path | None], size: tuple[int, int] | None, readers: Executor
) -> Iterator[np.ndarray | None]:
    """The masks of files in order; some of the next ones are decoded meanwhile."""
    pending: deque[Future | None] = deque()
    for place in range(len(files) + _AHEAD):
        if place < len(files):
            file = files[place]
            pending.append(None if file is None else readers.submit(read_mask, file, size))
        if place >= _AHEAD:
            reading = pending.popleft()
            yield None if reading is None else reading.result()
