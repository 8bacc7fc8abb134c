"""Ref-DAVIS17 as it is scored: the videos, their truth, and what is predicted of them."""

from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from ..data.annotations import read_object_ids
from ..data.referring import Expression, read_expressions, split_folder
from ..errors import InputError, MediaError
from .logit_files import read_logits
from .mask_files import read_labels
from .merging import merge_expressions
from .object_pairing import tracks_of
from .packed_frames import PackedFrame
from .scores import Scores

# Whose expressions these are, and whether they had seen the first frame or the whole video.
ANNOTATORS = ("Davis17_annot1", "Davis17_annot1_full_video", "Davis17_annot2", "Davis17_annot2_full_video")
VOID = 255


@dataclass(frozen=True)
class Video:
    """One video and its truth.

    Attributes:
        name: As its folders are called.
        expressions: In the order of the file: the n-th is of object n // 4, by annotator n % 4.
        frames: Names without suffix.
        size: (height, width).
        objects: The masks of every object that is in the first frame.
        void: bool `[T, H, W]`, pixels that do not count.
    """

    name: str
    expressions: list[Expression]
    frames: tuple[str, ...]
    size: tuple[int, int]
    objects: list[list[PackedFrame]]
    void: np.ndarray


def read_videos(root: Path) -> dict[str, list[Expression]]:
    """The expressions of every video to score, in the order of DAVIS' list.

    Raises:
        InputError: a list is missing or inconsistent.
    """
    path = root / "DAVIS" / "ImageSets" / "2017" / "val.txt"
    try:
        names = path.read_text(encoding="utf-8").split()
    except (OSError, ValueError) as error:
        raise InputError(f"{path}: cannot be read: {error}; it lists the videos, one a line") from error
    found: dict[str, list[Expression]] = defaultdict(list)
    file = root / "ref" / "meta_expressions" / "valid" / "meta_expressions.json"
    for expression in read_expressions(file):
        found[expression.video].append(expression)
    if not names or len(set(names)) < len(names):
        raise InputError(f"{path}: lists no video, or one twice")
    for name in names:
        if not found[name] or len(found[name]) % 4:
            raise InputError(f"{file}: videos.{name}: {len(found[name])} expressions; every object needs four of them")
    return {name: found[name] for name in names}


def read_video(root: Path, name: str, expressions: list[Expression]) -> Video:
    """One video's truth.

    Raises:
        InputError, MediaError: as [`read_annotations`].
    """
    labels = read_annotations(root, name, expressions)
    void = labels == VOID
    labels[void] = 0
    objects = tracks_of(labels, int(labels[0].max()))
    return Video(name, expressions, expressions[0].frames, labels.shape[1:], objects, void)


def read_annotations(root: Path, name: str, expressions: list[Expression]) -> np.ndarray:
    """Maps of labels of one video's frames, uint8 `[T, H, W]`: 0 background, n the n-th object, 255 void.

    Raises:
        InputError: the frames are not those of the expressions, or differ in size.
        MediaError: an annotation cannot be read.
    """
    folder = split_folder(root, "DAVIS", "Annotations_unsupervised", "480p", name)
    frames = tuple(sorted(path.stem for path in folder.glob("*.png")))
    if frames != expressions[0].frames:
        raise InputError(
            f"{folder}: the annotated frames ({len(frames)}) are not those of the expressions "
            f"({len(expressions[0].frames)}); copy or convert both again"
        )
    pictures = [read_object_ids(folder / f"{frame}.png") for frame in frames]
    for frame, picture in zip(frames, pictures, strict=True):
        if picture.shape != pictures[0].shape:
            found, first = list(picture.shape), list(pictures[0].shape)
            raise InputError(f"{folder}/{frame}.png: is {found}, but the first is {first}")
    return np.stack(pictures)


def merged_logits(folder: Path, video: Video, annotator: int, scores: Scores) -> tuple[np.ndarray, set[int]]:
    """Logits in files, as a map of labels `[T, H, W]`, and which objects have none that can be used."""
    nothing = np.broadcast_to(np.float32(0), (len(video.frames), *video.size))
    logits, unusable = [], set()
    for number, expression in enumerate(video.expressions[annotator::4]):
        path, name = folder / video.name / f"{expression.number}.npy", f"{video.name}_{expression.number}"
        logits.append(nothing)
        if not path.exists():
            scores.missing.append(name)
            unusable.add(number)
            continue
        try:
            logits[-1] = read_logits(path, nothing.shape)
        except MediaError as error:
            scores.failed[name] = str(error)
            unusable.add(number)
    return merge_expressions(logits), unusable


def read_label_maps(folder: Path, video: Video, annotator: int, scores: Scores) -> tuple[np.ndarray, set[int]]:
    """Pictures of labels, as a map `[T, H, W]`, and which objects cannot be scored: none or all."""
    labels = np.zeros((len(video.frames), *video.size), np.uint8)
    name, everything = f"{ANNOTATORS[annotator]}/{video.name}", set(range(len(video.expressions) // 4))
    files = [folder / name / f"{frame}.png" for frame in video.frames]
    there = [file.exists() for file in files]
    if not any(there):
        scores.missing.append(name)
        return labels, everything
    if not all(there):
        scores.missing_frames[name] = there.count(False)
    try:
        for number in np.flatnonzero(there):
            labels[number] = read_labels(files[number], video.size)
    except MediaError as error:
        scores.failed[name] = str(error)
        return np.zeros_like(labels), everything
    return labels, set()
