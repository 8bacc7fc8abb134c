"""A logistic regression of a few numbers, whose coefficients are not negative."""

from collections.abc import Sequence

import numpy as np
from scipy.optimize import minimize

from ..calibration_file import LogisticFit

# Weight of the squares of the coefficients, in units of a feature's own spread, against the sum of the losses.
L2 = 1.0
_MOST_INTERCEPT = 30.0
# What a group of videos is held out for.
FOLDS = 5


def fit_logistic(features: np.ndarray, right: np.ndarray, names: Sequence[str]) -> LogisticFit:
    """The fit with the least sum of losses and of squares of its coefficients.

    Coefficients are held to be 0 or more: every feature means "surer" where it is larger, and few data must not turn
    that round.

    Args:
        features: float `[n, k]`.
        right: bool `[n]`.
        names: k names.
    """
    scale = features.std(0)
    scale = np.where(scale > 1e-9, scale, 1.0)
    middle = features.mean(0)
    x, y = (features - middle) / scale, right.astype(np.float64)

    def loss(parameters: np.ndarray) -> tuple[float, np.ndarray]:
        w, b = parameters[:-1], parameters[-1]
        z = x @ w + b
        difference = _logistic(z) - y
        value = float(np.sum(np.logaddexp(0, z) - y * z) + L2 / 2 * w @ w)
        return value, np.append(difference @ x + L2 * w, difference.sum())

    count = features.shape[1]
    bounds = [(0, None)] * count + [(-_MOST_INTERCEPT, _MOST_INTERCEPT)]
    share = np.clip(y.mean(), 1e-6, 1 - 1e-6)
    start = np.append(np.zeros(count), np.log(share / (1 - share)))
    best = minimize(loss, start, jac=True, method="L-BFGS-B", bounds=bounds).x
    coefficients = np.maximum(best[:-1], 0) / scale
    return LogisticFit(tuple(names), tuple(map(float, coefficients)), float(best[-1] - coefficients @ middle))


def predicted(fit: LogisticFit, features: np.ndarray) -> np.ndarray:
    """Probabilities, float64 `[n]`."""
    return np.array([fit.probability(row) for row in features], np.float64)


def held_out_predictions(
    features: np.ndarray, right: np.ndarray, videos: Sequence[str], names: Sequence[str]
) -> np.ndarray:
    """The probability of each by a fit that has seen nothing of its video.

    Videos are dealt out to `FOLDS` groups, fewer if there are fewer videos, the same way every time; what is said of
    one group is learned from the others.

    Args:
        features, right, names: As in [`fit_logistic`].
        videos: Which video each is of; two different ones at least.

    Returns:
        float64 `[n]`.
    """
    distinct, of = np.unique(np.asarray(videos), return_inverse=True)
    folds = min(FOLDS, len(distinct))
    order = np.random.default_rng(0).permutation(len(distinct))
    fold = (np.argsort(order) % folds)[of]
    found = np.zeros(len(right))
    for number in range(folds):
        own = fold == number
        if own.any():
            found[own] = predicted(fit_logistic(features[~own], right[~own], names), features[own])
    return found


def _logistic(z: np.ndarray) -> np.ndarray:
    return np.exp(-np.logaddexp(0, -z))
