"""How well masks agree with the ground truth in training: J, F and mean IoU of objects in a known order.

Shapes: N objects, T frames, H x W pixels.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..mask_overlap import mask_iou
from .video_masks import boundary_accuracy, region_similarity


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
            boundaries.append(float(boundary_accuracy(own[n], other[n]).mean()))
            regions.append(float(region_similarity(own[n], other[n]).mean()))
            whole.append(float(mask_iou(np.concatenate(own[n]), np.concatenate(other[n]), empty=1)))
    count = sum(len(masks) for masks in truth)
    if not whole:
        return GroundingScores(1.0, 1.0, 1.0, count)
    return GroundingScores(*(float(np.mean(values)) for values in (whole, regions, boundaries)), count)
