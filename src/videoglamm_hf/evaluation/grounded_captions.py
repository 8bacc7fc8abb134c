"""Grounded captions: which objects of the truth were segmented, and named alike."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..errors import InputError
from .described import described

LEAST_OVERLAP = LEAST_SIMILARITY = 0.5


def score_grounded_caption(
    truth_masks: Sequence[np.ndarray], predicted_masks: Sequence[np.ndarray], similarity: np.ndarray
) -> dict[str, Any]:
    """Figures of one sample, as VideoGLaMM's `eval_gcg_metrics.py` computes them.

    The mean IoU pairs masks by the largest IoU, over all frames together, until none is above 0; what stays alone does
    not count. The recall goes down the largest IoUs, too, and stops at the first pair whose IoU or similarity is below
    0.5. Two masks without pixels have no IoU: they count as a pair that does not overlap, where the original's sample
    becomes NaN.

    Args:
        truth_masks, predicted_masks: bool `[T, H, W]` of every phrase, all of one shape.
        similarity: float `[truths, predictions]`, how alike the phrases are.

    Returns:
        `miou` (0.0 without pairs), `matches` (`[truth, prediction]` of the recalled pairs, in the order found) and
        `truths`, how many there are. The recall of a set is all pairs over all truths; its mIoU the mean over samples.

    Raises:
        InputError: masks or similarities are not of these forms.
    """
    _check_masks([*truth_masks, *predicted_masks])
    similarity = np.asarray(similarity, np.float64)
    pairs = (len(truth_masks), len(predicted_masks))
    if similarity.size == 0 and 0 in pairs:
        similarity = similarity.reshape(pairs)
    if similarity.shape != pairs or np.isnan(similarity).any():
        raise InputError(
            f"similarity must be numbers [truths, predictions], {list(pairs)}, none NaN, not {list(similarity.shape)}"
        )
    overlaps = np.array([[_overlap(truth, other) for other in predicted_masks] for truth in truth_masks]).reshape(
        pairs
    )
    return {"miou": _mean_overlap(overlaps), "matches": _matches(overlaps, similarity), "truths": len(truth_masks)}


def _check_masks(masks: Sequence[np.ndarray]) -> None:
    for mask in masks:
        if not isinstance(mask, np.ndarray) or mask.dtype != np.bool_ or mask.ndim != 3:
            raise InputError(f"masks must be bool arrays [T, H, W], not {described(mask)}")
    shapes = {mask.shape for mask in masks}
    if len(shapes) > 1:
        raise InputError(f"masks of one sample must be of one shape, not {sorted(map(list, shapes))}")


def _overlap(a: np.ndarray, b: np.ndarray) -> float:
    union = np.count_nonzero(a | b)
    return np.count_nonzero(a & b) / union if union else 0.0


def _mean_overlap(overlaps: np.ndarray) -> float:
    # By prediction first: of equal IoUs the original takes the first prediction's.
    left = overlaps.T.copy()
    paired = []
    while left.size and left.max() > 0:
        place = np.unravel_index(left.argmax(), left.shape)
        paired.append(left[place])
        left = np.delete(np.delete(left, place[0], axis=0), place[1], axis=1)
    return float(np.mean(paired)) if paired else 0.0


def _matches(overlaps: np.ndarray, similarity: np.ndarray) -> list[list[int]]:
    left, found = overlaps.copy(), []
    while left.size:
        truth, prediction = np.unravel_index(left.argmax(), left.shape)
        if left[truth, prediction] < LEAST_OVERLAP or similarity[truth, prediction] < LEAST_SIMILARITY:
            break
        found.append([int(truth), int(prediction)])
        left[truth, :] = left[:, prediction] = 0
    return found
