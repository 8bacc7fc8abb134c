"""Refer-YouTube-VOS: one object per expression, masks as palette pictures."""

import os
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ..errors import InputError, MediaError
from .annotations import checked_index, existing_frames, read_object_ids
from .referring import ANSWER, QUESTIONS, Expression, pick, read_expressions, referring_sample, split_folder
from .rle import encode_rle, is_whole


class RefYoutubeVosDataset(Dataset[dict[str, Any]]):
    """One split of Refer-YouTube-VOS (Seo et al., ECCV 2020), as published:

        <root>/meta_expressions/<split>/meta_expressions.json    expressions with "obj_id": "1"
        <root>/<split>/JPEGImages/<video>/<frame>.jpg
        <root>/<split>/Annotations/<video>/<frame>.png           palette index = obj_id, 0 = background

    A sample per expression (see [`sample`]): `video` is the list of the paths of the frames the file lists, `masks`
    one track.

    Source: youtube-vos.org/dataset/rvos, and `docs/data.md` and `datasets/ytvos.py` of github.com/wjn922/ReferFormer.

    Args:
        root: folder of the dataset.
        split: name of the split; only `train` is published with masks.
        seed: picks the wording of the questions.

    Raises:
        InputError: the annotation file is missing or lacks something; the message names file and field.
        MediaError: (when a sample is asked for) a frame or annotation picture is missing or unusable.
    """

    def __init__(self, root: str | os.PathLike[str], split: str = "train", *, seed: int = 0) -> None:
        self.folder = split_folder(root, split)
        self.seed = seed
        path = split_folder(root, "meta_expressions", split) / "meta_expressions.json"
        self.expressions = read_expressions(path)
        self._objects = [_object_number(expression) for expression in self.expressions]

    def __len__(self) -> int:
        return len(self.expressions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        expression = self.expressions[index]
        images = self.folder / "JPEGImages" / expression.video
        video = existing_frames(images, [f"{frame}.jpg" for frame in expression.frames])
        return referring_sample(expression, video, self.track(index), pick(QUESTIONS, self.seed, index), ANSWER)

    def named_objects(self, index: int) -> tuple[int, ...]:
        """The number of the object that an expression names."""
        return (self._objects[checked_index(index, len(self))],)

    def track(self, index: int) -> list[dict[str, Any] | None]:
        """The object of an expression: one mask per frame, None where it is not seen.

        Raises:
            MediaError: an annotation picture is missing or unusable.
        """
        index = checked_index(index, len(self))
        expression, number = self.expressions[index], self._objects[index]
        track: list[dict[str, Any] | None] = []
        shape: tuple[int, ...] | None = None
        for frame in expression.frames:
            path = self.folder / "Annotations" / expression.video / f"{frame}.png"
            mask: np.ndarray = read_object_ids(path) == number
            shape = shape or mask.shape
            if mask.shape != shape:
                raise MediaError(f"{path}: is {list(mask.shape)}, but the first of the video is {list(shape)}")
            track.append(encode_rle(mask) if mask.any() else None)
        return track


def _object_number(expression: Expression) -> int:
    value = expression.entry.get("obj_id")
    if value is None:
        raise InputError(f"{expression.where}.obj_id: missing; give a split that is published with masks")
    try:
        number = int(value) if isinstance(value, str) or is_whole(value) else 0
    except ValueError:
        number = 0
    if not 1 <= number <= 255:
        raise InputError(f"{expression.where}.obj_id: must be the number of an object, 1 to 255")
    return number
