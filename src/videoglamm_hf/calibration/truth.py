"""Which objects of an answer are right: masks paired with the true ones.

Shapes: N objects of the answer, G true ones, T frames, H x W pixels.
"""

from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from scipy.optimize import linear_sum_assignment

from ..data.masks import decode_masks, mask_size
from ..errors import InputError
from ..grounded_answer import parse_grounded_text


def true_objects(sample: dict[str, Any], size: tuple[int, int], frames: int) -> tuple[np.ndarray, list[str]]:
    """Masks and phrases of a sample of one conversation.

    Args:
        sample: See [`sample`].
        size: (height, width) of the answer's masks.
        frames: How many frames the answer's masks have.

    Returns:
        int8 `[G, T, H, W]`, 1 object, 0 background, -1 not judged; and what the true answer calls each object, empty
        where it has no phrase.

    Raises:
        InputError: The true masks are of another size or of other frames.
    """
    tracks = sample["masks"]
    for number, track in enumerate(tracks):
        if len(track) != frames:
            raise InputError(f"masks[{number}] has {len(track)} masks for {frames} frames")
        other = next((mask_size(mask) for mask in track if mask is not None and mask_size(mask) != tuple(size)), None)
        if other is not None:
            found, wanted = (f"{width}x{height}" for height, width in (other, size))
            raise InputError(f"masks[{number}] is of {found}, but the video or picture of {wanted}")
    content = sample["messages"][-1]["content"]
    text = content if isinstance(content, str) else " ".join(part.get("text", "") for part in content)
    phrases = {phrase.object_index: phrase.text for phrase in parse_grounded_text(text, len(tracks))[1]}
    return decode_masks(tracks, size), [phrases.get(i, "") for i in range(len(tracks))]


def track_iou(mask: np.ndarray, truth: np.ndarray) -> float:
    """IoU over all frames together.

    Args:
        mask: bool `[T, H, W]`.
        truth: int8 `[T, H, W]`; pixels of -1 do not count.

    Returns:
        0 to 1; 1 if both are empty, for then nothing is wrong.
    """
    judged, wanted = truth >= 0, truth == 1
    union = ((mask | wanted) & judged).sum()
    return float((mask & wanted).sum() / union) if union else 1.0


def object_ious(
    masks: Iterable[np.ndarray], labels: Sequence[str], truth: np.ndarray, phrases: Sequence[str]
) -> list[float]:
    """IoU of each object of an answer with the true object that it is paired with; 0 if with none.

    An object is paired with a true one that is called the same. One that is called as no true object is may be any of
    them. Among all pairings with one object each, the one with the largest sum of IoUs is taken.

    Args:
        masks: N times bool `[T, H, W]`.
        labels: What the answer calls them.
        truth: int8 `[G, T, H, W]`.
        phrases: What the true answer calls these.
    """
    names, true_names = [_plain(label) for label in labels], [_plain(phrase) for phrase in phrases]
    ious = np.array([[track_iou(mask, true) for true in truth] for mask in masks]).reshape(len(names), len(truth))
    may = np.array([[name == true or name not in true_names for true in true_names] for name in names], bool)
    rows, columns = linear_sum_assignment(-np.where(may.reshape(ious.shape), ious, -1.0))
    found = np.zeros(len(names))
    found[rows] = np.where(may.reshape(ious.shape)[rows, columns], ious[rows, columns], 0.0) if len(rows) else 0.0
    return found.tolist()


def _plain(phrase: str) -> str:
    words = phrase.lower().split()
    return " ".join(words[1:] if words[:1] and words[0] in ("a", "an", "the") and len(words) > 1 else words)
