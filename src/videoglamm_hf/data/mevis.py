"""MeViS: expressions about motion, each naming any number of objects."""

import os
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from ..errors import InputError
from .annotations import checked_index, existing_frames, load_json, member, typed
from .masks import united
from .referring import ANSWER, QUESTIONS, Expression, pick, read_expressions, referring_sample, split_folder

NO_OBJECT = "There is no such object in this video."


class MevisDataset(Dataset[dict[str, Any]]):
    """One split of MeViS (Ding et al., ICCV 2023), as published:

        <root>/JPEGImages/<video>/<frame>.jpg
        <root>/meta_expressions.json    expressions with "anno_id": [keys of mask_dict.json]
        <root>/mask_dict.json           {"<anno_id>": [COCO RLE or null per frame]}

    A sample per expression (see [`sample`]): `video` is the list of the frames' paths, `masks` one track, the union
    of all objects the expression names. An expression that names none, as MeViS v2 has them, is answered in words
    alone.

    Source: README.md ("File Structure") and `ReferFormer_dataset.py` of github.com/henghuiding/MeViS.

    Args:
        root: folder of the split, e.g. `mevis/train` or `mevis/valid_u` (`valid` is published without masks).
        seed: picks the wording of the questions.

    Raises:
        InputError: the annotation files are missing or inconsistent; the message names file and field. A bad mask
            is found when its sample is asked for.
        MediaError: (when a sample is asked for) a frame is missing.
    """

    def __init__(self, root: str | os.PathLike[str], *, seed: int = 0) -> None:
        self._read(split_folder(root), "meta_expressions.json", seed)

    def _read(self, root: Path, expressions: str, seed: int) -> None:
        self.root = root
        self.seed = seed
        self.expressions = read_expressions(self.root / expressions)
        self._masks_file = self.root / "mask_dict.json"
        if not self._masks_file.exists():
            raise InputError(f"{self._masks_file}: no such file; give a split with masks, train or valid_u")
        self._masks = load_json(self._masks_file)
        self._tracks = [self._checked_tracks(expression) for expression in self.expressions]

    def __len__(self) -> int:
        return len(self.expressions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        expression, tracks = self.expressions[index], self._tracks[index]
        video = existing_frames(self.root / "JPEGImages" / expression.video, [f"{f}.jpg" for f in expression.frames])
        question = self._question(index)
        if not tracks:
            return referring_sample(expression, video, None, question, NO_OBJECT)
        return referring_sample(expression, video, self.track(index), question, ANSWER)

    def _question(self, index: int) -> str:
        return pick(QUESTIONS, self.seed, index)

    def named_objects(self, index: int) -> tuple[str, ...]:
        """Keys of `mask_dict.json` that an expression names: none, or any number."""
        return tuple(self._tracks[checked_index(index, len(self))])

    def track(self, index: int) -> list[dict[str, Any] | None]:
        """What any of the objects of an expression covers: one mask per frame, None where there is none.

        Raises:
            InputError: a mask is malformed, or not of the size of the others.
        """
        index = checked_index(index, len(self))
        length, keys = len(self.expressions[index].frames), self._tracks[index]
        if not keys:
            return [None] * length
        return united([self._masks[key][:length] for key in keys], [f"{self._masks_file}: {key}" for key in keys])

    def object_track(self, index: int, key: str) -> list[dict[str, Any] | None]:
        """What one object covers that an expression names: one mask per frame, None where there is none.

        Raises:
            InputError: a mask is malformed, or not of the size of the others.
        """
        length = len(self.expressions[checked_index(index, len(self))].frames)
        return united([self._masks[key][:length]], [f"{self._masks_file}: {key}"])

    def _checked_tracks(self, expression: Expression) -> list[str]:
        """Keys of the tracks an expression names."""
        where = f"{expression.where}."
        keys = []
        for number in member(expression.entry, "anno_id", list, where):
            key = str(number)
            if key not in self._masks:
                raise InputError(f"{where}anno_id: {key} is not in {self._masks_file.name}; copy both files again")
            track = typed(self._masks[key], list, f"{self._masks_file}: {key}")
            # More are no error: the dataset's own loader, too, looks masks up by frame.
            if len(track) < len(expression.frames):
                raise InputError(
                    f"{self._masks_file}: {key}: {len(track)} masks for the {len(expression.frames)} frames of "
                    f"{expression.video}"
                )
            keys.append(key)
        return keys
