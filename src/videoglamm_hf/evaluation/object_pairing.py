"""Objects of a prediction and of the truth, which have no names in common: the DAVIS toolkit's `unsupervised` task.

Source: `davis2017/evaluation.py` of github.com/davisvideochallenge/davis2017-evaluation.
Shapes: P predicted objects, G of the truth, T frames, H x W pixels.
"""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from .packed_frames import PackedFrame
from .video_masks import frame_accuracy, frame_similarity, packed_frames, sequence_statistics


def tracks_of(labels: np.ndarray, count: int) -> list[list[PackedFrame]]:
    """Masks of the first objects of a map of labels, uint8 `[T, H, W]`: a list of frames for each object."""
    return [list(packed_frames(frame == number for frame in labels)) for number in range(1, count + 1)]


def paired_scores(
    predicted: list[list[PackedFrame]], truth: list[list[PackedFrame]]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """J and F of every frame of the pairs whose means of J and F have the largest sum.

    Args:
        predicted, truth: frames of P and of G objects, P not less than G; G not 0.

    Returns:
        J, F: float64 `[G, T]`, in the order of the predicted objects, as the toolkit lists them.
        int `[G]`: which predicted object each row is of.
    """
    j, f = (
        np.array([[list(map(score, own, other)) for other in truth] for own in predicted], np.float64)
        for score in (frame_similarity, frame_accuracy)
    )
    rows, columns = linear_sum_assignment(-(j.mean(axis=2) + f.mean(axis=2)) / 2)
    return j[rows, columns], f[rows, columns], rows


@dataclass
class ObjectStatistics:
    """Mean, recall and decay of J and F of objects, one by one."""

    names: list[str] = field(default_factory=list)
    j: list[tuple[float, float, float]] = field(default_factory=list)
    f: list[tuple[float, float, float]] = field(default_factory=list)

    def add(self, name: str, j: np.ndarray, f: np.ndarray) -> None:
        """One more object: J and F of its frames, `[T]`."""
        self.names.append(name)
        self.j.append(sequence_statistics(j))
        self.f.append(sequence_statistics(f))

    def figures(self) -> dict[str, Any]:
        """Means over objects, and every object's mean."""
        found: dict[str, Any] = {}
        for letter, values in (("J", self.j), ("F", self.f)):
            for ending, column in zip(("", "_recall", "_decay"), zip(*values, strict=True), strict=True):
                found[letter + ending] = float(np.mean(column))
            found[f"{letter}_per_object"] = {name: mean for name, (mean, _, _) in zip(self.names, values, strict=True)}
        return {"J&F": (found["J"] + found["F"]) / 2} | found
