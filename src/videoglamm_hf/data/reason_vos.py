"""ReasonVOS: expressions that take reasoning, a folder of masks for each."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from torch.utils.data import Dataset

from ..errors import InputError, MediaError
from .annotations import checked_index, existing_frames, inner_name, read_mask_picture
from .referring import ANSWER, Expression, question_about, read_expressions, referring_sample, split_folder
from .rle import encode_rle, is_whole


class ReasonVOSDataset(Dataset[dict[str, Any]]):
    """ReasonVOS (Bai et al., "One Token to Seg Them All", NeurIPS 2024), as published:

        <root>/meta_expressions.json
            {"videos": {"<video>": {"source": "MeViS", "is_sent": true,
                                    "expressions": {"0": {"exp_text": "...", "obj_id": 0}}}}}
        <root>/JPEGImages/<video>/<frame>.jpg
        <root>/Annotations/<source>_<video>_<obj_id>/<frame>.png    black where the object is not

    A sample per expression (see [`sample`]). `video` are all the pictures of its folder, in order of their names, and
    `mask_frames` those that have an annotation, as in the official inference and evaluation, which read neither from
    the file's `frames`. `"kind"` is "sentence" for expressions that are sentences (`is_sent`), asked as they are, and
    "phrase" for others; `"object"` is the folder that predictions of an expression have in the official layout,
    `<video>/<object>/<frame>.png`.

    Source: `benchmark_check.py`, `evaluation/reason_vos` of github.com/showlab/VideoLISA.

    Args:
        root: folder of the dataset.
        seed: picks the wording of the questions.

    Raises:
        InputError: the annotation file is missing or lacks something; the message names file and field.
        MediaError: a folder of frames is missing, or (when a sample is asked for) an annotation is unusable.
    """

    def __init__(self, root: str | os.PathLike[str], *, seed: int = 0) -> None:
        self.root = split_folder(root)
        self.seed = seed
        path = self.root / "meta_expressions.json"
        images = self.root / "JPEGImages"
        self.expressions = read_expressions(
            path, words="exp_text", frames_of=lambda video: _names(images / video, "*.jpg")
        )
        for expression in self.expressions:
            _check(expression)

    def __len__(self) -> int:
        return len(self.expressions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        expression = self.expressions[index]
        is_sentence = bool(expression.about["is_sent"])
        video = existing_frames(self.root / "JPEGImages" / expression.video, [f"{f}.jpg" for f in expression.frames])
        places, track = self.track(index)
        question = question_about(expression, self.seed, index, is_sentence)
        return referring_sample(expression, video, track, question, ANSWER) | {
            "mask_frames": places,
            "kind": "sentence" if is_sentence else "phrase",
            "object": str(expression.entry["obj_id"]),
        }

    def annotated_frames(self, index: int) -> tuple[str, ...]:
        """Names of the frames of an expression that have an annotation, in order.

        Raises:
            MediaError: there is none.
        """
        return tuple(_names(self._annotations(self.expressions[checked_index(index, len(self))]), "*.png"))

    def track(self, index: int) -> tuple[list[int], list[dict[str, Any] | None]]:
        """Positions of the frames that have an annotation, and their masks, None where the object is not seen.

        Raises:
            MediaError: an annotation is missing or unusable.
        """
        expression = self.expressions[checked_index(index, len(self))]
        folder = self._annotations(expression)
        positions = {name: place for place, name in enumerate(expression.frames)}
        places, track = [], []
        shape: tuple[int, ...] | None = None
        for name in _names(folder, "*.png"):
            if name not in positions:
                raise MediaError(f"{folder}: {name}.png belongs to no frame of {expression.video}; download it again")
            mask: np.ndarray = read_mask_picture(folder / f"{name}.png")
            shape = shape or mask.shape
            if mask.shape != shape:
                raise MediaError(f"{folder}: {name}.png is {list(mask.shape)}, but the first is {list(shape)}")
            places.append(positions[name])
            track.append(encode_rle(mask) if mask.any() else None)
        return places, track

    def _annotations(self, expression: Expression) -> Path:
        ending = f"{expression.video}_{expression.entry['obj_id']}"
        # The official scripts disagree on whether the source is in small letters.
        sources = (expression.about["source"], expression.about["source"].lower())
        folders = [self.root / "Annotations" / f"{source}_{ending}" for source in sources]
        return next((folder for folder in folders if folder.is_dir()), folders[0])


def _names(folder: Path, pattern: str) -> list[str]:
    """Names of the pictures in a folder without suffix, in order."""
    names = sorted(path.stem for path in folder.glob(pattern))
    if not names:
        raise MediaError(f"{folder}: no {pattern} there; check the dataset's folder, or download it again")
    return names


def _check(expression: Expression) -> None:
    place = expression.where.rsplit(".expressions.", 1)[0]
    inner_name(expression.about.get("source"), f"{place}.source")
    if not isinstance(expression.about.get("is_sent"), (bool, int)):
        raise InputError(f"{place}.is_sent: must be true or false")
    number = expression.entry.get("obj_id")
    if not is_whole(number) and not isinstance(number, str):
        raise InputError(f"{expression.where}.obj_id: must be the number of an object")
    inner_name(str(number), f"{expression.where}.obj_id")
