"""How sure a figure is: intervals by drawing videos again."""

from collections.abc import Mapping, Sequence

import numpy as np

DRAWS = 2000
LEVEL = 0.95
_SAME = 1e-6


def bootstrap_interval(
    values: Sequence[float], videos: Sequence[str], weights: Sequence[float] | None = None, *, seed: int = 0
) -> tuple[float, float]:
    """Between which values a mean over samples lies, if other videos like these had been drawn.

    Samples about one video are not independent, so that whole videos are drawn, with replacement (percentile
    bootstrap, 95 %, 2000 draws).

    Args:
        values: Of every sample.
        videos: Which video every sample is about.
        weights: What a sample counts; for a ratio, its denominator (and its values are ratios). 1 each if None.
        seed: Of the draws; the same one gives the same interval.

    Returns:
        The lower and the upper end; NaN without samples.
    """
    values, weights = np.asarray(values, np.float64), _weights(values, weights)
    if not len(values) or not weights.sum():
        return float("nan"), float("nan")
    sums, totals = _drawn(videos, (values * weights, weights), seed)
    return _ends(sums[totals > 0] / totals[totals > 0])


def paired_interval(
    first: tuple[Sequence[float], Sequence[float]],
    second: tuple[Sequence[float], Sequence[float]],
    videos: Sequence[str],
    *,
    seed: int = 0,
) -> tuple[float, float]:
    """Between which values the second figure less the first lies, as [`bootstrap_interval`] draws: of both sides the
    same videos.

    Args:
        first, second: Above and below of every sample, whose sums are those of a figure: of a mean the values and
            ones, both times weights; of a ratio its two parts. A sample without the figure has zeros.
        videos: Which video every sample is about.
        seed: Of the draws.

    Returns:
        The lower and the upper end; NaN if one side's parts below are all 0.
    """
    above, below, other_above, other_below = _drawn(videos, (*first, *second), seed)
    kept = (below > 0) & (other_below > 0)
    if not kept.any():
        return float("nan"), float("nan")
    return _ends(other_above[kept] / other_below[kept] - above[kept] / below[kept])


def weighted_mean(values: Sequence[float], weights: Sequence[float] | None = None) -> float:
    """The mean that [`bootstrap_interval`] is about; NaN without samples."""
    values, weights = np.asarray(values, np.float64), _weights(values, weights)
    return float((values * weights).sum() / weights.sum()) if len(values) and weights.sum() else float("nan")


def figure_intervals(
    samples: Mapping[str, Mapping[str, float]],
    videos: Mapping[str, str],
    ratios: Mapping[str, Sequence[str]],
    whole: Mapping[str, float],
    weights: Mapping[str, float] | None = None,
) -> dict[str, list[float]]:
    """`[low, high]` of every figure that is a mean over samples, or a ratio of sums over them.

    METEOR of a set, for one, is neither.

    Args:
        samples: Figures of every sample, by its name.
        videos: Which video a sample is about, by its name.
        ratios: Numerator and denominator of figures that are ratios of sums, by their names.
        whole: The figures themselves.
        weights: What a sample counts, by its name; 1 where it is not there.
    """
    parts = {name for pair in ratios.values() for name in pair}
    figures = dict.fromkeys(name for own in samples.values() for name in own if name not in parts)
    found = {}
    for figure in figures:
        own = {name: values[figure] for name, values in samples.items() if figure in values}
        counts = [(weights or {}).get(name, 1.0) for name in own]
        if abs(weighted_mean(list(own.values()), counts) - whole.get(figure, np.inf)) > _SAME:
            continue
        found[figure] = list(bootstrap_interval(list(own.values()), [videos[name] for name in own], counts))
    for figure, (above, below) in ratios.items():
        own = {name: values for name, values in samples.items() if values.get(below)}
        if own:
            shares = [values[above] / values[below] for values in own.values()]
            counts = [values[below] for values in own.values()]
            found[figure] = list(bootstrap_interval(shares, [videos[name] for name in own], counts))
    return found


def _drawn(videos: Sequence[str], columns: Sequence[Sequence[float]], seed: int) -> list[np.ndarray]:
    """Sums of every column over the videos of each draw, `[DRAWS]`."""
    _, groups = np.unique(np.asarray(videos), return_inverse=True)
    sums = [np.bincount(groups, weights=np.asarray(column, np.float64)) for column in columns]
    count = len(sums[0])
    draws = np.random.default_rng(seed).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return [draws @ column for column in sums]


def _ends(values: np.ndarray) -> tuple[float, float]:
    outside = 100 * (1 - LEVEL) / 2
    low, high = np.percentile(values, [outside, 100 - outside])
    return float(low), float(high)


def _weights(values: Sequence[float], weights: Sequence[float] | None) -> np.ndarray:
    return np.ones(len(values)) if weights is None else np.asarray(weights, np.float64)
