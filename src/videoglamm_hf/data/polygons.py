"""Outlines of objects, as COCO annotates them, to masks."""

from typing import Any

import numpy as np
from pycocotools import mask as coco

from ..errors import InputError
from .masks import check_mask, compressed
from .rle import size_problem


def segmentation_mask(segmentation: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """The mask of a COCO `segmentation`: a list of polygons, or run lengths.

    Args:
        segmentation: `[[x0, y0, x1, y1, ...], ...]` in pixels, whose union is meant; or `{"size", "counts"}`.
        size: (height, width) of the picture.
        where: what messages call it.

    Returns:
        `{"size": [H, W], "counts": str}`.

    Raises:
        InputError: it is malformed, empty, of another size, or far outside of the picture.
    """
    problem = size_problem(size)
    if problem:
        raise InputError(f"{where}: the size of its picture {problem}")
    if isinstance(segmentation, dict):
        return compressed(check_mask(segmentation, where, size))
    if not isinstance(segmentation, list) or not segmentation:
        raise InputError(f"{where}: must be a list of polygons, at least one, or an object with size and counts")
    outlines = [_checked(polygon, size, f"{where}[{i}]") for i, polygon in enumerate(segmentation)]
    rle = coco.merge(coco.frPyObjects(outlines, *map(int, size)))
    return {"size": list(map(int, size)), "counts": rle["counts"].decode("ascii")}


def _checked(polygon: Any, size: tuple[int, int], where: str) -> list[float]:
    """A polygon that pycocotools can draw: it draws edges as long as they are said to be."""
    try:
        points = np.asarray(polygon, np.float64)
    except (ValueError, TypeError, OverflowError):
        points = np.zeros(0)
    # Four numbers would be a box to pycocotools.
    if points.ndim != 1 or points.size < 6 or points.size % 2 or not np.isfinite(points).all():
        raise InputError(f"{where}: must be at least three points, x and y in turn")
    xs, ys = points[::2], points[1::2]
    for values, side in ((xs, size[1]), (ys, size[0])):
        if values.min() < -side or values.max() > 2 * side:
            raise InputError(f"{where}: lies far outside of its picture of {size[1]}x{size[0]}")
    return points.tolist()
