"""What explains failure, from the truth alone: how large, how long, how many, how fast, how often hidden."""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from pycocotools import mask as coco

from ..data.masks import compressed, mask_size

# What each factor is, as the report calls it.
FACTORS = {
    "size": "size of the objects, % of the frame",
    "frames": "frames",
    "objects": "objects in the answer",
    "motion": "motion between frames, % of the diagonal",
    "hidden": "frames in which they are hidden, %",
    "others": "other objects that are annotated in the video",
}


def factors_of(tracks: Sequence[Sequence[Any]], others: int) -> dict[str, float]:
    """Factors of one sample.

    Args:
        tracks: The truth, one track of masks without problems per object.
        others: How many more objects are annotated in its video.

    Returns:
        By the names of `FACTORS`; none for a sample whose truth has no mask in any frame. `size` and `motion` are
        means over objects and the frames they are seen in; `hidden` is the share of frames between the first and the
        last in which an object is seen that it is not seen in.
    """
    size = next((mask_size(mask) for track in tracks for mask in track if mask is not None), None)
    if size is None:
        return {}
    sizes, steps, hidden = [], [], []
    for track in tracks:
        areas_and_centres = [_area_and_centre(mask) for mask in track]
        seen = [place for place, (area, _) in enumerate(areas_and_centres) if area]
        if not seen:
            continue
        sizes += [areas_and_centres[place][0] / (size[0] * size[1]) for place in seen]
        hidden.append(1 - len(seen) / (seen[-1] - seen[0] + 1))
        for before, after in pairwise(seen):
            way = areas_and_centres[after][1] - areas_and_centres[before][1]
            steps.append(float(np.linalg.norm(way)) / (after - before))
    if not sizes:
        return {}
    return {
        "size": 100 * float(np.mean(sizes)),
        "frames": float(max(map(len, tracks))),
        "objects": float(len(tracks)),
        "motion": 100 * float(np.mean(steps)) / float(np.hypot(*size)) if steps else 0.0,
        "hidden": 100 * float(np.mean(hidden)),
        "others": float(others),
    }


def grouped(values: Sequence[float], most: int = 4) -> list[tuple[float, float]]:
    """Ranges `(low, high)`, both inside, that hold about as many values each; one for each value if they are few.

    >>> grouped([1, 1, 2, 2, 2])
    [(1.0, 1.0), (2.0, 2.0)]
    """
    different = np.unique(np.asarray(values, np.float64))
    if len(different) <= most:
        return [(float(value), float(value)) for value in different]
    ends = np.quantile(np.asarray(values, np.float64), np.linspace(0, 1, most + 1))
    ranges = []
    for low, high in pairwise(ends):
        inside = different[(different >= low) & (different <= high)]
        if ranges:
            inside = inside[inside > ranges[-1][1]]
        if len(inside):
            ranges.append((float(inside[0]), float(inside[-1])))
    return ranges


def _area_and_centre(mask: Any) -> tuple[float, np.ndarray]:
    """Pixels of a mask without problems, and the centre of its box."""
    if mask is None:
        return 0.0, np.zeros(2)
    rle = compressed(mask)
    left, top, width, height = coco.toBbox(rle)
    return float(coco.area(rle)), np.array([left + width / 2, top + height / 2])
