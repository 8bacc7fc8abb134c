"""How well masks agree with the ground truth: region similarity J, boundary accuracy F, mean IoU.

Source: Perazzi et al., "A Benchmark Dataset and Evaluation Methodology for Video Object Segmentation" (2016), as the
DAVIS toolkit computes it: a boundary pixel is right if the other boundary is within 0.8 % of the diagonal.
Shapes: N objects, T frames, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from scipy.ndimage import distance_transform_edt

from ..mask_overlap import mask_iou

BOUNDARY_TOLERANCE = 0.008  # of the frame's diagonal


@dataclass(frozen=True)
class GroundingScores:
    """Means over objects and frames.

    Attributes:
        miou: Mean over objects of the IoU of all their frames taken together.
        j: Mean IoU of single frames.
        f: Mean boundary accuracy of single frames.
        num_objects: How many objects of the ground truth there were.
    """

    miou: float
    j: float
    f: float
    num_objects: int

    @property
    def j_and_f(self) -> float:
        return (self.j + self.f) / 2


def boundary_accuracy(predicted: np.ndarray, truth: np.ndarray) -> float:
    """F-measure of the boundaries of two boolean masks `[H, W]`; 1 if neither has any."""
    a, b = _boundary(predicted), _boundary(truth)
    if not a.any() or not b.any():
        return float(a.any() == b.any())
    radius = int(np.ceil(BOUNDARY_TOLERANCE * np.hypot(*truth.shape)))
    precision = (distance_transform_edt(~b)[a] <= radius).mean()
    recall = (distance_transform_edt(~a)[b] <= radius).mean()
    return float(2 * precision * recall / (precision + recall)) if precision + recall else 0.0


def score_masks(predicted: Sequence[np.ndarray], truth: Sequence[np.ndarray]) -> GroundingScores:
    """Scores of samples whose n-th predicted mask belongs to the n-th object.

    Args:
        predicted: Per sample, bool `[N', T, H, W]`. Missing objects score zero; surplus ones count as objects that are
            not there.
        truth: Per sample, bool `[N, T, H, W]`.
    """
    whole, regions, boundaries = [], [], []
    for own, other in zip(predicted, truth, strict=True):
        for n in range(max(len(own), len(other))):
            if n >= len(own) or n >= len(other):
                whole.append(0.0)
                regions.append(0.0)
                boundaries.append(0.0)
                continue
            pairs = zip(own[n], other[n], strict=True)
            boundaries.append(float(np.mean([boundary_accuracy(a, b) for a, b in pairs])))
            regions.append(float(mask_iou(own[n], other[n], empty=1).mean()))
            whole.append(float(mask_iou(np.concatenate(own[n]), np.concatenate(other[n]), empty=1)))
    count = sum(len(masks) for masks in truth)
    if not whole:
        return GroundingScores(1.0, 1.0, 1.0, count)
    return GroundingScores(*(float(np.mean(values)) for values in (whole, regions, boundaries)), count)


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels of which a right, lower or lower right neighbour differs, as DAVIS' `seg2bmap`."""
    mask = mask.astype(bool)
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    edge = (mask ^ padded[:-1, 1:]) | (mask ^ padded[1:, :-1]) | (mask ^ padded[1:, 1:])
    edge[-1, -1] = False
    return edge
