"""Region similarity J, boundary accuracy F, and their statistics over time, frame by frame as the DAVIS toolkit does.

Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (2016), and
`davis2017/metrics.py`, `davis2017/utils.py` of github.com/davisvideochallenge/davis2017-evaluation.
Shapes: T frames, H x W pixels.
"""

from collections.abc import Iterable, Iterator

import numpy as np

from ..errors import InputError
from .described import described
from .packed_frames import PackedFrame, count

BOUNDARY_TOLERANCE = 0.008  # of the frame's diagonal


def region_similarity(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """J of every frame: the intersection over the union of two masks; 1 if neither has pixels.

    Args:
        prediction, truth: bool `[T, H, W]`.
        void: bool `[T, H, W]`, pixels that do not count.

    Returns:
        float64 `[T]`.

    Raises:
        InputError: the arrays are not bool `[T, H, W]` of one shape.
    """
    pairs = zip(*_checked_frames(prediction, truth, void), strict=True)
    return np.array([frame_similarity(own, other) for own, other in pairs], np.float64)


def boundary_accuracy(prediction: np.ndarray, truth: np.ndarray, void: np.ndarray | None = None) -> np.ndarray:
    """F of every frame: the F-measure of the boundaries of two masks; 1 if neither has any.

    A pixel of a boundary is right if the other boundary is within 0.8 % of the diagonal, rounded up to pixels. Void
    pixels are background on both sides.

    Args, Returns, Raises: as [`region_similarity`].
    """
    pairs = zip(*_checked_frames(prediction, truth, void), strict=True)
    return np.array([frame_accuracy(own, other) for own, other in pairs], np.float64)


def sequence_statistics(values: np.ndarray) -> tuple[float, float, float]:
    """How J or F goes on over time; frames whose value is NaN count in no mean, and not as recalled.

    Quarters begin and end at rounded positions and share the frames at their ends. The toolkit keeps those positions
    in eight bits, so that its decay of more than 256 frames is of other frames, or NaN; here it is not.

    Args:
        values: float `[T]`, of every frame.

    Returns:
        mean, recall (the share of frames above 0.5) and decay (the first quarter's mean less the last one's). NaN
        without frames.

    Raises:
        InputError: the values are not numbers `[T]`.
    """
    values = np.asarray(values)
    if values.ndim != 1 or values.dtype.kind not in "fiub":
        raise InputError(f"values must be numbers [T], not {values.dtype} {list(values.shape)}")
    values = values.astype(np.float64)
    if not len(values):
        return float("nan"), float("nan"), float("nan")
    ends = (np.round(np.linspace(1, len(values), 5) + 1e-10) - 1).astype(int)
    first, last = values[: ends[1] + 1], values[ends[3] : ends[4] + 1]
    return _mean(values), float(np.mean(values > 0.5)), _mean(first) - _mean(last)


def packed_frames(masks: Iterable[np.ndarray]) -> Iterator[PackedFrame]:
    """Frames, bool `[H, W]`, as [`frame_similarity`] and [`frame_accuracy`] compare them."""
    for mask in masks:
        yield PackedFrame(mask, int(np.ceil(BOUNDARY_TOLERANCE * np.linalg.norm(mask.shape))))


def frame_similarity(prediction: PackedFrame, truth: PackedFrame) -> float:
    """J of two frames of one size."""
    shared = count(prediction.words & truth.words)
    union = prediction.area + truth.area - shared
    return shared / union if union else 1.0


def frame_accuracy(prediction: PackedFrame, truth: PackedFrame) -> float:
    """F of two frames of one size."""
    if not prediction.length or not truth.length:
        return float(prediction.length == truth.length)
    precision = count(prediction.boundary & truth.reach) / prediction.length
    recall = count(truth.boundary & prediction.reach) / truth.length
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def _checked_frames(*masks: np.ndarray | None) -> tuple[Iterator[PackedFrame], Iterator[PackedFrame]]:
    """Frames of prediction and truth without what is void."""
    for name, array in zip(("prediction", "truth", "void"), masks, strict=True):
        if array is None and name == "void":
            continue
        if not isinstance(array, np.ndarray) or array.dtype != np.bool_ or array.ndim != 3 or 0 in array.shape[1:]:
            raise InputError(f"{name} must be a bool array [T, H, W], not {described(array)}")
        if array.shape != masks[0].shape:
            raise InputError(f"{name} is {list(array.shape)}, but prediction is {list(masks[0].shape)}")
    prediction, truth, void = masks
    if void is None:
        return packed_frames(prediction), packed_frames(truth)
    return tuple(packed_frames(frame & ~out for frame, out in zip(array, void, strict=True)) for array in masks[:2])


def _mean(values: np.ndarray) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else float("nan")
