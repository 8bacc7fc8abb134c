"""What the player shows, as plain JSON: `player.js` takes it."""

from collections.abc import Sequence
from typing import Any

from pycocotools import mask as coco

from ..cli.answer_file import note_of, phrase_documents, rle_masks
from ..errors import InputError
from ..grounded_answer import GroundedAnswer
from ..render.colors import object_color

# As many as are told apart at a glance; later objects take them again, with other patterns.
_COLORS = 12


def player_document(
    answer: GroundedAnswer, frames: Sequence[str], size: tuple[int, int], *, title: str = ""
) -> dict[str, Any]:
    """An answer as the player takes it.

    Args:
        answer: The answer.
        frames: A URL for the picture of every frame; an empty one for a frame without a picture.
        size: `(height, width)` of the frames.
        title: What was asked.

    Returns:
        `{"title", "width", "height", "frames", "timestamps", "text", "phrases", "note", "colors", "objects"}`, each of
        `objects` with `name`, `color`, `masks` (a COCO RLE, or None where the object is not seen), `scores` (logits of
        being in the frame) and `probability` (None if the model is not calibrated).

    Raises:
        InputError: There is not one frame for each of the answer's.
    """
    if len(frames) != answer.masks.shape[1] and len(answer.masks):
        raise InputError(f"The answer has {answer.masks.shape[1]} frames, and there are {len(frames)} pictures.")
    sure = [None] * len(answer.masks) if answer.probabilities is None else answer.probabilities.tolist()
    return {
        **empty_document(frames, answer.timestamps, size, title=title),
        "text": answer.text,
        "phrases": phrase_documents(answer.phrases),
        "note": note_of(answer),
        "objects": [
            {
                "name": label,
                "color": color_code(index),
                "masks": [shown_mask(mask) for mask in rle_masks(answer.masks, index)],
                "scores": [round(score, 3) for score in answer.object_scores[index].tolist()],
                "probability": None if sure[index] is None else round(sure[index], 3),
            }
            for index, label in enumerate(answer.labels)
        ],
    }


def empty_document(
    frames: Sequence[str], timestamps: Sequence[float], size: tuple[int, int], *, title: str = ""
) -> dict[str, Any]:
    """Frames of which nothing is said yet; see [`player_document`]."""
    times = [round(float(second), 3) for second in timestamps] or list(range(len(frames)))
    return {
        "title": title,
        "width": size[1],
        "height": size[0],
        "frames": list(frames),
        "timestamps": times,
        "text": "",
        "phrases": [],
        "note": None,
        "colors": [color_code(index) for index in range(_COLORS)],
        "objects": [],
    }


def shown_mask(rle: dict[str, Any]) -> dict[str, Any] | None:
    """A COCO RLE as the player takes it; None for one without a pixel."""
    counts = rle["counts"]
    counts = counts.decode("ascii") if isinstance(counts, bytes) else counts
    if not coco.area({"size": rle["size"], "counts": counts.encode("ascii")}):
        return None
    return {"size": [int(side) for side in rle["size"]], "counts": counts}


def color_code(index: int) -> str:
    """The colour of an object, `#rrggbb`."""
    return "#{:02x}{:02x}{:02x}".format(*object_color(index))
