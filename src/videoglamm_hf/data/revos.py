"""ReVOS: referring and reasoning expressions, and such as name nothing that is there."""

import os
from typing import Any

from ..errors import InputError
from .annotations import checked_index, load_json, member
from .masks import united
from .mevis import MevisDataset
from .referring import Expression, question_about, split_folder
from .rle import is_whole

KINDS = ("referring", "reasoning", "robustness")


class ReVOSDataset(MevisDataset):
    """One split of ReVOS (Yan et al., "VISA", ECCV 2024), as published:

        <root>/JPEGImages/<video>/<frame>.jpg
        <root>/meta_expressions_<split>_.json    expressions with "anno_id", and "type_id": 0, 1 or 2
        <root>/mask_dict.json                    {"<anno_id>": [COCO RLE or null per frame]}, of both splits
        <root>/mask_dict_foreground.json         {"<video>": {"masks_rle": [COCO RLE per frame]}}, for evaluation only

    Samples are those of [`MevisDataset`]. `"kind"` says what an expression is, by its type: "referring" (0),
    "reasoning" (1), or "robustness" (2: nothing in the video is meant); it is missing where the file gives no type.
    Questions that are expressions are asked as they are.

    Source: README.md of github.com/cilinyan/ReVOS-api, and `tools/eval_revos.py` and
    `utils/d2_datasets/mevis_utils.py` of github.com/cilinyan/VISA.

    Args:
        root: folder of the dataset.
        split: `train` or `valid`.
        seed: picks the wording of the questions.

    Raises:
        InputError, MediaError: as [`MevisDataset`].
    """

    def __init__(self, root: str | os.PathLike[str], split: str = "train", *, seed: int = 0) -> None:
        self._read(split_folder(root), f"meta_expressions_{split}_.json", seed)
        self._kinds = [_kind(expression) for expression in self.expressions]
        self._foreground: dict[str, Any] | None = None

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        kind = self._kinds[index]
        return super().__getitem__(index) | ({} if kind is None else {"kind": kind})

    def kind(self, index: int) -> str | None:
        """What an expression is, one of `KINDS`; None if the file does not say."""
        return self._kinds[checked_index(index, len(self))]

    def foreground(self, index: int) -> list[dict[str, Any] | None]:
        """What any object of an expression's video covers, one mask per frame: robustness is judged against it.

        Raises:
            InputError: `mask_dict_foreground.json` is missing or inconsistent.
        """
        expression = self.expressions[checked_index(index, len(self))]
        path, video, length = self.root / "mask_dict_foreground.json", expression.video, len(expression.frames)
        if self._foreground is None:
            self._foreground = load_json(path)
        masks = member(member(self._foreground, video, dict, f"{path}: "), "masks_rle", list, f"{path}: {video}.")
        if len(masks) < length:
            raise InputError(f"{path}: {video}.masks_rle: {len(masks)} masks for the {length} frames of {video}")
        # The official script sums a frame's masks where it has a list of them.
        frames = [frame if isinstance(frame, list) else [frame] for frame in masks[:length]]
        name = f"{path}: {video}.masks_rle"
        return [united([[mask] for mask in frame], [name] * len(frame))[0] if frame else None for frame in frames]

    def _question(self, index: int) -> str:
        return question_about(self.expressions[index], self.seed, index)


def _kind(expression: Expression) -> str | None:
    number = expression.entry.get("type_id")
    if number is None:
        return None
    if not is_whole(number) or not 0 <= number < len(KINDS):
        raise InputError(f"{expression.where}.type_id: must be 0 (referring), 1 (reasoning) or 2 (robustness)")
    return KINDS[number]
