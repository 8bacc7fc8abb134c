"""What datasets of moments and boxes share: what is asked and answered, boxes, masks made from the boxes.

An expression names one object during one moment of a video, and the object has a box in each frame of the moment.
"""

import math
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

from torch.utils.data import Dataset

from ..errors import InputError
from ..messages import SEG_TOKEN
from .annotations import checked_index, load_json, typed
from .masks import united
from .referring import Expression, pick, referring_sample, split_folder
from .tube_frames import find_media, frames_of

Box = list[float]

# What is asked and answered with masks, and in words alone; sentences that are no questions are named in a question.
ASKED = {
    ("declarative", True): (
        "Can you locate this in space and time: {expression}?",
        "Please segment this in the video, and say in which frames it happens: {expression}.",
        "When and where in this video is this: {expression}? Answer with a mask and the frames.",
    ),
    ("interrogative", True): (
        "{expression} Please answer with a mask and the frames.",
        "{expression} Give a segmentation mask, and the frames in which it happens.",
    ),
    ("declarative", False): (
        "In which frames of this video does this happen: {expression}?",
        "Please say in which frames this happens: {expression}.",
    ),
    ("interrogative", False): (
        "{expression} Please answer with the frames alone.",
        "{expression} In which frames does it happen?",
    ),
}
NO_FRAME = "It is in none of these frames."


class Tube(NamedTuple):
    """What a sentence is about.

    Attributes:
        moment: First frame, and the one after the last.
        size: (height, width) of the video.
        kind: "declarative" or "interrogative".
        frames: How many the video has.
    """

    moment: tuple[int, int]
    size: tuple[int, int]
    kind: str
    frames: int


class TubeDataset(Dataset[dict[str, Any]]):
    """Base of the readers of moments; these fill `expressions` and `_tubes`, and know the boxes.

    Args:
        videos: folder of the videos, see [`find_media`].
        masks: JSON file of `{"<sample id>": [COCO RLE or null per mask frame]}`; None for answers in words alone.
        fps: frames taken per second of video.
        max_frames: how many at most.
        seed: picks the wording of the questions.

    Raises:
        InputError: an option is out of range, or the masks cannot be read.
    """

    def __init__(
        self,
        videos: str | os.PathLike[str],
        masks: str | os.PathLike[str] | None,
        fps: float,
        max_frames: int,
        seed: int,
    ) -> None:
        if not 0 < fps < math.inf or max_frames < 1:
            raise InputError(f"fps is {fps} and max_frames {max_frames}; give at least one frame")
        self.videos, self.seed = split_folder(videos), seed
        self.expressions: list[Expression] = []
        self._tubes: list[Tube] = []
        self._masks_file = None if masks is None else Path(masks)
        self._masks = {} if masks is None else load_json(Path(masks))

    def __len__(self) -> int:
        return len(self.expressions)

    def __getitem__(self, index: int) -> dict[str, Any]:
        index = checked_index(index, len(self))
        expression, tube, truth = self.expressions[index], self._tubes[index], self.truth(index)
        track = truth["masks"][0] if truth["masks"] else None
        words = "frames:({},{})".format(*truth["moment"]) if truth["moment"] else NO_FRAME
        answer = f"It is {SEG_TOKEN} in {words}." if track else f"It is in {words}." if truth["moment"] else NO_FRAME
        question = pick(ASKED[tube.kind, track is not None], self.seed, index)
        video, mask_frames = frames_of(self._media[expression.video], _taken(expression), tube.frames)
        return referring_sample(expression, video, track, question, answer) | {
            "mask_frames": mask_frames,
            "boxes": truth["boxes"],
            "moment": truth["moment"],
            "kind": tube.kind,
        }

    def truth(self, index: int) -> dict[str, Any]:
        """What a sample has beside the video, which is not looked at.

        Returns:
            `masks`, `boxes` and `moment` of the sample, and `size`, (height, width) of the video.

        Raises:
            InputError: boxes or masks are missing or malformed; the message names file and field.
        """
        index = checked_index(index, len(self))
        expression = self.expressions[index]
        (start, end), size = self._tubes[index].moment, self._tubes[index].size
        taken = _taken(expression)
        inside = [place for place, frame in enumerate(taken) if start <= frame < end]
        boxes: list[Box | None] = [None] * len(taken)
        for place in inside:
            boxes[place] = clipped(self._box(index, taken[place]), size)
        track = self._track(f"{expression.video}/{expression.number}", len(taken), size) if inside else None
        moment = [inside[0], inside[-1]] if inside else None
        return {"masks": [] if track is None else [track], "boxes": boxes, "moment": moment, "size": size}

    @property
    def kinds(self) -> list[str]:
        """Of every sample, whether it is "declarative" or "interrogative"."""
        return [tube.kind for tube in self._tubes]

    def _box(self, index: int, frame: int) -> Box:
        """[x0, y0, x1, y1] of the object of a sample in a frame of its moment."""
        raise NotImplementedError

    def _finish(self, path: Path) -> None:
        """Finds the videos of all expressions, and whether the masks are theirs."""
        self._media = find_media(self.videos, {expression.video for expression in self.expressions})
        names = {f"{expression.video}/{expression.number}" for expression in self.expressions}
        if len(names) < len(self.expressions):
            raise InputError(f"{path}: two videos have one name without suffix; of two of one name remove one")
        if self._masks and names.isdisjoint(self._masks):
            example = repr(min(names, default=""))
            raise InputError(f"{self._masks_file}: none of its names is a sample of {path.name}, as {example:.80} is")

    def _track(self, name: str, length: int, size: tuple[int, int]) -> list[dict[str, Any] | None] | None:
        if name not in self._masks:
            return None
        where = f"{self._masks_file}: {name}"
        track = typed(self._masks[name], list, where)
        if len(track) != length:
            raise InputError(f"{where}: {len(track)} masks for {length} frames; make them for the same frames")
        return united([track], [where], size)


def _taken(expression: Expression) -> list[int]:
    return [int(frame) for frame in expression.frames]


def clipped(box: Box, size: tuple[int, int]) -> Box:
    """A box [x0, y0, x1, y1] within a picture of (height, width)."""
    return [min(max(value, 0.0), float(side)) for value, side in zip(box, (size[1], size[0]) * 2, strict=True)]


def four_numbers(values: Any, where: str) -> Box:
    """Four finite numbers.

    Raises:
        InputError: they are not.
    """
    good = isinstance(values, Sequence) and len(values) == 4
    if not good or not all(type(v) in (int, float) and math.isfinite(v) for v in values):
        raise InputError(f"{where}: must be four numbers")
    return [float(value) for value in values]
