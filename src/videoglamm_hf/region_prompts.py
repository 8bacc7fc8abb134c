"""What a person points at in a frame: clicks, a box, a brush mask, or that the object is not there.

Shapes: P points, H x W size of the frame, S side of the pixel decoder's square, s side of low-resolution masks, N
objects.
Source of the rules: SAM 2's video predictor (`sam2_video_predictor.py`, `add_new_points_or_box`, `add_new_mask`).
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F

from .errors import InputError
from .mask_runs import mask_from_runs, mask_to_runs
from .short_repr import short_repr

# SAM 2's labels of points; the corners of a box are points too.
NEGATIVE, POSITIVE, TOP_LEFT, BOTTOM_RIGHT = 0, 1, 2, 3
# A prompt is thrown away with the frame it is for; nobody clicks more often.
MAX_POINTS = 1000


@dataclass(frozen=True, repr=False)
class RegionPrompt:
    """What is said of one object in one frame.

    Attributes:
        points: `(x, y)` of every click, in pixels of the video, from its top left corner.
        labels: 1 for a click on the object, 0 for one beside it.
        box: `(left, top, right, bottom)` around the object, in the same pixels.
        mask: bool `[H, W]`, the object itself; nothing else may be said of this frame.
        absent: That the object is not in this frame; nothing else may be said of it.
    """

    points: tuple[tuple[float, float], ...] = ()
    labels: tuple[int, ...] = ()
    box: tuple[float, float, float, float] | None = None
    mask: torch.Tensor | None = None
    absent: bool = False

    __repr__ = short_repr

    def with_more(self, other: "RegionPrompt") -> "RegionPrompt":
        """This and what is said later of the same frame: clicks and a box add up, in any order; a mask, or that the
        object is not there, takes the place of what was said before, and is replaced by what is said after it."""
        if other.is_mask or self.is_mask:
            return other
        return RegionPrompt(self.points + other.points, self.labels + other.labels, other.box or self.box)

    def contradicts(self, other: "RegionPrompt") -> bool:
        """Whether both cannot be said of one frame at once."""
        return self.is_mask or other.is_mask or (self.box is not None and other.box is not None)

    def plain(self) -> dict[str, Any]:
        """What was said as plain JSON, which [`region_prompt`] takes back: masks as run lengths."""
        said: dict[str, Any] = {}
        if self.points:
            said |= {"points": [list(point) for point in self.points], "labels": list(self.labels)}
        if self.box is not None:
            said["box"] = list(self.box)
        if self.mask is not None:
            said["mask"] = mask_to_runs(self.mask.numpy())
        return said | ({"absent": True} if self.absent else {})

    @property
    def is_mask(self) -> bool:
        """Whether the object's mask itself is given, be it empty."""
        return self.mask is not None or self.absent

    def mask_in(self, size: tuple[int, int], side: int) -> torch.Tensor:
        """The mask that is given as SAM 2's processor hands it on: float32 `[side, side]` of 0 and 1."""
        mask = torch.zeros(size) if self.mask is None else self.mask.float()
        if tuple(size) == (side, side):
            return mask
        resized = F.interpolate(mask[None, None], (side, side), mode="bilinear", align_corners=False, antialias=True)
        return (resized[0, 0] >= 0.5).float()

    def points_in(self, size: tuple[int, int], side: int) -> tuple[torch.Tensor, torch.Tensor]:
        """Clicks and corners of the box as SAM 2 takes them: float32 `[P, 2]` in a square of `side`, int64 `[P]`."""
        corners = [] if self.box is None else [self.box[:2], self.box[2:]]
        labels = [TOP_LEFT, BOTTOM_RIGHT][: len(corners)] + list(self.labels)
        points = torch.tensor([*corners, *self.points], dtype=torch.float64).reshape(-1, 2)
        # In float64 until here: transformers' processor computes with Python's numbers.
        scale = torch.tensor([side / size[1], side / size[0]], dtype=torch.float64)
        return (points * scale).float(), torch.tensor(labels, dtype=torch.long)


def region_prompt(
    size: tuple[int, int],
    where: str,
    points: Any = None,
    labels: Any = None,
    box: Any = None,
    mask: Any = None,
    absent: bool = False,
) -> RegionPrompt:
    """A [`RegionPrompt`] of what a person gave.

    Args:
        size: `(H, W)` of the video.
        where: What it is said of, as in `"frame 3 of object 1"`.
        points: `[P, 2]`, or one `(x, y)`.
        labels: `[P]`, 1 or 0; all 1 if None.
        box: `(left, top, right, bottom)`.
        mask: `[H, W]` of booleans, or of 0 and other numbers; or run lengths, as `answer.json` and samples have them.
        absent: Whether the object is not there.

    Raises:
        InputError: If nothing is given, or what is given contradicts itself or lies outside the frame.
    """
    said = {"points": points is not None, "box": box is not None, "mask": mask is not None, "absent": bool(absent)}
    given = [name for name, there in said.items() if there]
    if not given:
        raise InputError(f"Nothing is said of {where}; give points, a box, a mask, or absent=True.")
    if len(given) > 1 and given != ["points", "box"]:
        raise InputError(
            f"{where}: {' and '.join(given)} contradict each other; give one of them, or points and a box."
        )
    if labels is not None and points is None:
        raise InputError(f"{where}: labels belong to points, and there are none.")
    if mask is not None:
        return RegionPrompt(mask=_checked_mask(mask, size, where))
    if absent:
        return RegionPrompt(absent=True)
    places = () if points is None else _checked_points(points, size, where)
    own = (POSITIVE,) * len(places) if labels is None else _checked_labels(labels, len(places), where)
    return RegionPrompt(places, own, None if box is None else _checked_box(box, size, where))


def _numbers(values: Any, what: str, where: str) -> Any:
    """Plain numbers, as nested lists; raises InputError for anything else."""
    values = values.tolist() if hasattr(values, "tolist") else values
    if isinstance(values, Sequence) and not isinstance(values, (str, bytes)):
        if len(values) > MAX_POINTS:
            raise InputError(f"{where}: {len(values)} {what}; the most is {MAX_POINTS}.")
        return [_numbers(value, what, where) for value in values]
    if isinstance(values, bool) or not isinstance(values, (int, float)) or not math.isfinite(values):
        raise InputError(f"{where}: {values!r:.80} among the {what} is no finite number.")
    return values


def _checked_points(points: Any, size: tuple[int, int], where: str) -> tuple[tuple[float, float], ...]:
    found = _numbers(points, "points", where)
    if isinstance(found, list) and len(found) == 2 and not isinstance(found[0], list):
        found = [found]
    if not isinstance(found, list) or not found or not all(isinstance(p, list) and len(p) == 2 for p in found):
        raise InputError(f"{where}: points are {points!r:.80}; give [(x, y), ...] in pixels of the video.")
    height, width = size
    for x, y in found:
        if isinstance(x, list) or isinstance(y, list) or not (0 <= x <= width and 0 <= y <= height):
            raise InputError(f"{where}: the point ({x}, {y}) lies outside the video of {width} x {height} pixels.")
    return tuple((float(x), float(y)) for x, y in found)


def _checked_labels(labels: Any, count: int, where: str) -> tuple[int, ...]:
    found = labels.tolist() if hasattr(labels, "tolist") else labels
    found = [found] if isinstance(found, (bool, int)) else found
    if not isinstance(found, Sequence) or len(found) != count or any(label not in (0, 1) for label in found):
        raise InputError(
            f"{where}: labels are {labels!r:.80} for {count} points; give 1 (on the object) or 0 (beside it) for each."
        )
    return tuple(int(label) for label in found)


def _checked_box(box: Any, size: tuple[int, int], where: str) -> tuple[float, float, float, float]:
    found = _numbers(box, "box", where)
    if not isinstance(found, list) or len(found) != 4 or any(isinstance(value, list) for value in found):
        raise InputError(f"{where}: the box is {box!r:.80}; give (left, top, right, bottom) in pixels of the video.")
    (left, top, right, bottom), (height, width) = found, size
    if not (0 <= left < right <= width and 0 <= top < bottom <= height):
        raise InputError(
            f"{where}: the box ({left}, {top}, {right}, {bottom}) is not one of (left, top, right, bottom) within "
            f"{width} x {height} pixels."
        )
    return float(left), float(top), float(right), float(bottom)


def _checked_mask(mask: Any, size: tuple[int, int], where: str) -> torch.Tensor:
    if isinstance(mask, Mapping):
        try:
            return torch.from_numpy(mask_from_runs(mask, size))
        except InputError as error:
            raise InputError(f"{where}: {error}.") from error
    try:
        found = torch.as_tensor(mask)
    except (TypeError, ValueError, RuntimeError) as error:
        raise InputError(
            f"{where}: the mask is of type {type(mask).__name__}; give an array [height, width]."
        ) from error
    if tuple(found.shape) != tuple(size):
        raise InputError(f"{where}: the mask is {list(found.shape)}, and the video {list(size)}, as [height, width].")
    if found.is_floating_point() and not torch.isfinite(found).all():
        raise InputError(f"{where}: the mask holds NaN or infinite numbers; give booleans, or 0 and 1.")
    return found.cpu() != 0
