"""A sample to look at closely: the player's document of an answer, and of the truth to compare it with."""

from collections.abc import Sequence
from typing import Any

from ..cli.answer_file import phrase_documents
from ..data.masks import decode_masks
from ..data.rle import encode_rle
from ..grounded_answer import parse_grounded_text
from ..player.document import color_code, empty_document, shown_mask
from ..player.view import picture_url
from .animations import places_shown, sample_frames
from .prediction import Prediction

_SIDE = 320


def closer_look(sample: dict[str, Any], truth: Sequence[Any], prediction: Prediction | None) -> dict[str, Any]:
    """What the player shows of a sample, some of its frames.

    Args:
        sample: A sample, see [`sample`]; `mask_frames` say which frames masks belong to.
        truth: The true tracks, COCO RLE or None per mask frame.
        prediction: The answer.

    Returns:
        `{"answer", "truth"}`, each as [`player_document`] gives it.

    Raises:
        InputError, MediaError: Frames or masks cannot be read.
    """
    numbers, places = places_shown(sample)
    frames = list(sample_frames(sample, [numbers[place] for place in places]))
    size = frames[0].shape[:2]
    shown = empty_document([picture_url(frame, _SIDE) for frame in frames], places, size)
    answer = shown | {"objects": _objects([] if prediction is None else prediction.masks, places, size)}
    if prediction is not None:
        answer["text"], phrases = parse_grounded_text(prediction.text, len(prediction.masks))
        answer["phrases"] = phrase_documents(phrases)
    return {"answer": answer, "truth": shown | {"objects": _objects(truth, places, size)}}


def _objects(tracks: Sequence[Any], places: Sequence[int], size: tuple[int, int]) -> list[dict[str, Any]]:
    found = []
    for index, track in enumerate(tracks):
        pixels = decode_masks([[track[place] for place in places]], size)[0] == 1
        masks = [shown_mask(encode_rle(mask)) for mask in pixels]
        name, color = f"object {index + 1}", color_code(index)
        # Sure where it is seen: files of predictions say no more.
        scores = [-9.0 if mask is None else 9.0 for mask in masks]
        found.append({"name": name, "color": color, "masks": masks, "scores": scores, "probability": None})
    return found
