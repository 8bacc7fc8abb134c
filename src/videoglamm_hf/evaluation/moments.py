"""Spatio-temporal grounding (VidSTG, HC-STVG): does the box follow the right object, at the right time?"""

from collections.abc import Sequence

import numpy as np

from ..errors import InputError
from .described import described
from .small_blobs import without_small_blobs

THRESHOLDS = (0.3, 0.5)


def score_moment(
    predicted_masks: Sequence[np.ndarray],
    boxes: np.ndarray,
    moment: tuple[int, int],
    predicted_moment: tuple[int, int] | None = None,
) -> dict[str, float]:
    """Figures of one sample, as VideoGLaMM's `eval_grounding.py` computes them.

    Of several objects the last one counts. It loses blobs of fewer than 20 pixels in every frame, and its box goes
    from the first to the last pixel, without adding one. An empty mask has no box and overlaps nothing; neither do two
    boxes without area.

    Args:
        predicted_masks: bool `[T, H, W]` of every object; none scores 0.
        boxes: float `[T, 4]` of the truth: x and y of the first corner, x and y of the last one, in pixels; only those
            of the annotated moment are looked at.
        moment: numbers of the first and the last frame of the annotated moment, both inside.
        predicted_moment: first and last frame as the answer says; None if moments are not asked for. Its end, and
            that of the annotated one, is outside in the temporal IoU and in `viou`.

    Returns:
        `gt_viou` (mean IoU over the annotated moment), `gt_viou@0.3` and `gt_viou@0.5` (1.0 if it is above that, else
        0.0). With a predicted moment also `tiou`, `viou` (the IoUs of frames in both moments, over the number of
        frames in the span of both), `viou@0.3` and `viou@0.5`.

    Raises:
        InputError: masks, boxes or moments are not of these forms, or not of one length.
    """
    boxes = np.asarray(boxes, np.float64)
    if boxes.ndim != 2 or boxes.shape[1] != 4:
        raise InputError(f"boxes must be numbers [T, 4], not {list(boxes.shape)}")
    first, last = _checked_moment(moment, "moment")
    if not 0 <= first <= last < len(boxes):
        raise InputError(
            f"the moment {first} to {last} is not within the {len(boxes)} frames, or ends before it starts"
        )
    if not np.isfinite(boxes[first : last + 1]).all():
        raise InputError("boxes of the annotated moment must be finite")
    for number, mask in enumerate(predicted_masks):
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 3 or len(mask) != len(boxes):
            raise InputError(
                f"predicted_masks[{number}] must be bool [T, H, W] with {len(boxes)} frames as boxes, not "
                f"{described(mask)}"
            )
    overlaps = np.zeros(last + 1 - first)
    if len(predicted_masks):
        seen = without_small_blobs(predicted_masks[-1][first : last + 1])
        overlaps = np.array([_overlap(_box(mask), box) for mask, box in zip(seen, boxes[first:], strict=False)])
    figures: dict[str, float] = {}
    if predicted_moment is not None:
        other = _checked_moment(predicted_moment, "predicted_moment")
        starts, ends = sorted((first, other[0])), sorted((last, other[1]))
        begin, end = starts[1], ends[0]
        shared = max(end - begin, 0)
        figures["tiou"] = shared / (last - first + other[1] - other[0] - shared) if shared else 0.0
        # Spans of frames that the video has.
        span = max(min(ends[1], len(boxes)) - max(starts[0], 0), 1)
        figures |= _with_thresholds("viou", float(overlaps[begin - first : max(end - first, 0)].sum()) / span)
    return figures | _with_thresholds("gt_viou", float(overlaps.sum()) / len(overlaps))


def _with_thresholds(name: str, value: float) -> dict[str, float]:
    return {name: value} | {f"{name}@{threshold}": float(value > threshold) for threshold in THRESHOLDS}


def _checked_moment(moment: tuple[int, int], name: str) -> tuple[int, int]:
    values = np.asarray(moment)
    if values.shape != (2,) or values.dtype.kind not in "iu":
        raise InputError(f"{name} must be two whole numbers, the first and the last frame, not {moment!r:.80}")
    return int(values[0]), int(values[1])


def _box(mask: np.ndarray) -> np.ndarray | None:
    rows, columns = (np.flatnonzero(mask.any(axis)) for axis in (1, 0))
    return np.array([columns[0], rows[0], columns[-1], rows[-1]], np.float64) if len(rows) else None


def _overlap(box: np.ndarray | None, truth: np.ndarray) -> float:
    """IoU of two boxes."""
    if box is None:
        return 0.0
    shared = float(np.prod(np.clip(np.minimum(box[2:], truth[2:]) - np.maximum(box[:2], truth[:2]), 0, None)))
    union = float(np.prod(box[2:] - box[:2]) + np.prod(truth[2:] - truth[:2])) - shared
    return shared / union if union else 0.0
