"""refCOCO, refCOCO+ and refCOCOg: expressions about objects in pictures of COCO."""

import os
from pathlib import Path
from typing import Any

from torch.utils.data import Dataset

from ..errors import InputError
from .annotations import checked_index, existing_frames, inner_name, load_json, member, typed
from .plain_pickle import load_plain_pickle
from .polygons import segmentation_mask
from .referring import ANSWER, Expression, pick, referring_sample, single_line, split_folder

QUESTIONS = (
    "Can you segment {expression} in this image?",
    "Please segment {expression} in this image.",
    "Where is {expression} in this image? Answer with a mask.",
    "Which object is this: {expression}? Please give its mask.",
)


class RefCocoDataset(Dataset[dict[str, Any]]):
    """One split of refCOCO, refCOCO+ (Yu et al., ECCV 2016) or refCOCOg (Mao et al., CVPR 2016), as published:

        <root>/refs(unc).p, refs(google).p or refs(umd).p    a list of
            {"ref_id", "image_id", "ann_id", "split", "sentences": [{"sent_id", "sent", ...}], ...}
        <root>/instances.json    {"images": [{"id", "file_name", "height", "width"}],
                                  "annotations": [{"id", "image_id", "segmentation", ...}], ...}
        <images>/COCO_train2014_*.jpg

    The pickle is read without running anything it names (see [`load_plain_pickle`]); the same list in a `refs.json`
    takes its place.

    A sample per sentence (see [`sample`]): `image`, and one mask of `mask_frames` `[0]`, which is decoded or drawn
    from polygons when it is asked for. `"id"` is `<picture>/<sent_id>`, `"reference"` the number of the object's
    `ref_id`.

    Source: `refer.py` of github.com/lichengunc/refer.

    Args:
        root: folder of one of the three, e.g. `refer_seg/refcoco+`.
        images: folder of the pictures.
        split: `train`, `val`, and `testA`, `testB` (refCOCO, refCOCO+) or `test` (refCOCOg).
        split_by: whose split is meant where there are several files: `unc`, `google` or `umd`.
        seed: picks the wording of the questions.

    Raises:
        InputError: the annotation files are missing, inconsistent or unsafe; the message names file and field. A bad
            segmentation is found when its sample is asked for.
        MediaError: (when a sample is asked for) a picture is missing.
    """

    def __init__(
        self,
        root: str | os.PathLike[str],
        images: str | os.PathLike[str],
        split: str = "train",
        *,
        split_by: str | None = None,
        seed: int = 0,
    ) -> None:
        self.root, self.images = split_folder(root), split_folder(images)
        self.seed = seed
        self._instances = self.root / "instances.json"
        content = load_json(self._instances)
        self._pictures = _by_id(content, "images", self._instances)
        self._annotations = _by_id(content, "annotations", self._instances)
        path = _refs_file(self.root, split_by)
        refs = load_json(path, list) if path.suffix == ".json" else typed(load_plain_pickle(path), list, str(path))
        self.expressions: list[Expression] = []
        splits = set()
        for i, ref in enumerate(refs):
            where = f"{path}: [{i}]"
            splits.add(member(typed(ref, dict, where), "split", str, f"{where}."))
            if ref["split"] == split:
                self.expressions += self._of_reference(ref, where)
        if split not in splits:
            raise InputError(f"{path}: has no split {split!r:.80}; it has {', '.join(sorted(splits)) or 'none'}")
        seen: dict[str, str] = {}
        for expression in self.expressions:
            if expression.number in seen:
                raise InputError(
                    f"{expression.where}.sent_id: {expression.number} is that of {seen[expression.number]}"
                )
            seen[expression.number] = expression.where

    def __len__(self) -> int:
        return len(self.expressions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        expression = self.expressions[index]
        picture = existing_frames(self.images, [self._pictures[expression.about["image_id"]]["file_name"]])
        sample = referring_sample(expression, picture, [self.mask(index)], pick(QUESTIONS, self.seed, index), ANSWER)
        sample["messages"][0]["content"][0] = {"type": "image"}
        sample["image"] = sample.pop("video")[0]
        return {**sample, "reference": expression.about["ref_id"]}

    def mask(self, index: int) -> dict[str, Any]:
        """The object of an expression, as COCO RLE; its picture is not looked at.

        Raises:
            InputError: the segmentation is malformed; the message names it.
        """
        reference = self.expressions[checked_index(index, len(self))].about
        number, about = reference["ann_id"], self._pictures[reference["image_id"]]
        return segmentation_mask(
            self._annotations[number].get("segmentation"),
            (about["height"], about["width"]),
            f"{self._instances}: annotation {number}.segmentation",
        )

    def _of_reference(self, ref: dict[str, Any], where: str) -> list[Expression]:
        image, annotation = (member(ref, key, int, f"{where}.") for key in ("image_id", "ann_id"))
        member(ref, "ref_id", int, f"{where}.")
        for key, number, known in (("image_id", image, self._pictures), ("ann_id", annotation, self._annotations)):
            if number not in known:
                raise InputError(f"{where}.{key}: {number} is not in {self._instances.name}; copy both files again")
        about, place = self._pictures[image], f"{self._instances}: image {image}."
        name = inner_name(member(about, "file_name", str, place), f"{place}file_name")
        for side in ("height", "width"):
            member(about, side, int, place)
        found = []
        for i, entry in enumerate(member(ref, "sentences", list, f"{where}.")):
            spot = f"{where}.sentences[{i}]"
            number = str(member(typed(entry, dict, spot), "sent_id", int, f"{spot}."))
            text = single_line(member(entry, "sent", str, f"{spot}."), f"{spot}.sent")
            stem = Path(name).stem
            found.append(Expression(stem, number, text, (stem,), entry, spot, ref))
        return found


def _refs_file(root: Path, split_by: str | None) -> Path:
    """The file of references: `refs.json` before the pickles."""
    if split_by is not None:
        return root / inner_name(f"refs({split_by}).p", "split_by")
    found = [path for path in (root / "refs.json", *sorted(root.glob("refs(*).p"))) if path.exists()]
    if not found:
        raise InputError(f"{root}: has no refs(unc).p, refs(google).p, refs(umd).p or refs.json; check the path")
    if len(found) > 1 and found[0].suffix == ".p":
        raise InputError(f"{root}: has {' and '.join(path.name for path in found)}; say which in split_by")
    return found[0]


def _by_id(content: dict[str, Any], key: str, path: Path) -> dict[int, dict[str, Any]]:
    found: dict[int, dict[str, Any]] = {}
    for i, entry in enumerate(member(content, key, list, f"{path}: ")):
        where = f"{path}: {key}[{i}]"
        number = member(typed(entry, dict, where), "id", int, f"{where}.")
        if number in found:
            raise InputError(f"{where}.id: {number} is there twice; of two of one id one would be lost")
        found[number] = entry
    return found
