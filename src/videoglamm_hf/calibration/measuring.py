"""How good probabilities are: calibration error, Brier score, and what is left if the unsure are left out."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

BINS = 10
# For which `--abstain` is tried on what is held out.
THRESHOLDS = (0.5, 0.7, 0.9)


@dataclass(frozen=True)
class Bin:
    """Answers whose probability lies within one tenth.

    Attributes:
        count: How many.
        predicted: Their mean probability.
        observed: Share of them that are right.
    """

    count: int
    predicted: float
    observed: float


def reliability(probabilities: np.ndarray, right: np.ndarray) -> list[Bin | None]:
    """The diagram: a bin for each tenth from 0 to 1, None where there is nothing.

    Args:
        probabilities: float `[n]`, 0 to 1.
        right: bool `[n]`.
    """
    place = np.minimum((probabilities * BINS).astype(int), BINS - 1)
    found: list[Bin | None] = []
    for number in range(BINS):
        own = place == number
        means = (float(probabilities[own].mean()), float(right[own].mean())) if own.any() else (0.0, 0.0)
        found.append(Bin(int(own.sum()), *means) if own.any() else None)
    return found


def calibration_error(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Expected calibration error: how far bins are off, weighted by how many are in them; 0 is best."""
    bins = [own for own in reliability(probabilities, right) if own is not None]
    total = sum(own.count for own in bins)
    return sum(own.count * abs(own.predicted - own.observed) for own in bins) / total if total else 0.0


def brier_score(probabilities: np.ndarray, right: np.ndarray) -> float:
    """Mean squared distance to 1 if right, 0 if wrong; 0 is best, 0.25 is what always saying 50 % has."""
    return float(np.mean((probabilities - right) ** 2)) if len(right) else 0.0


def ranking(probabilities: np.ndarray, right: np.ndarray) -> float | None:
    """How often something right is surer than something wrong (area under the ROC curve); None without both."""
    good, bad = np.sort(probabilities[right]), np.sort(probabilities[~right])
    if not len(good) or not len(bad):
        return None
    below = np.searchsorted(bad, good, "left") + np.searchsorted(bad, good, "right")
    return float(below.sum() / (2 * len(good) * len(bad)))


def figures(probabilities: np.ndarray, right: np.ndarray) -> dict[str, Any]:
    """All figures of one column of probabilities, with the bins that a diagram is drawn of."""
    return {
        "calibration_error": calibration_error(probabilities, right),
        "brier_score": brier_score(probabilities, right),
        "ranking": ranking(probabilities, right),
        "bins": [None if own is None else asdict(own) for own in reliability(probabilities, right)],
    }


def abstaining(
    probabilities: np.ndarray, right: np.ndarray, thresholds: Sequence[float] = THRESHOLDS
) -> list[dict[str, Any]]:
    """What is left if everything below a threshold is left out: how many, and how many of these are right."""
    return [
        {"below": below, "kept": int(kept.sum()), "right": int(right[kept].sum())}
        for below in thresholds
        for kept in (probabilities >= below,)
    ]
