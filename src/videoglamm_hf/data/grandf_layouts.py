"""The three layouts of GranD-f's files, as captions with spans and their masks."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import InputError
from .annotations import inner_name, load_json, member, typed
from .grounded_captions import Span, checked_caption


@dataclass(frozen=True)
class GroundedPicture:
    """A caption of a picture.

    Attributes:
        file_name: Of the picture, from its folder.
        caption: The text.
        groundings: (span of the caption, its masks as the file has them: RLE or polygons, where they are) each.
    """

    file_name: str
    caption: str
    groundings: list[tuple[Span, list[Any], str]]


def read_grandf(path: Path) -> list[GroundedPicture]:
    """All pictures of one of GranD-f's files, by the layout that it has; see [`GrandFDataset`].

    Raises:
        InputError: the file cannot be read, or lacks something; the message names file and field.
    """
    content = load_json(path, (dict, list))
    if isinstance(content, dict):
        return _of_coco(content, path)
    pictures = []
    for i, entry in enumerate(content):
        where = f"{path}: [{i}]"
        entry = typed(entry, dict, where)
        # RefCOCOg's entries have one member, named by the number of the picture.
        if len(entry) == 1 and "groundings" not in entry:
            (key,) = entry
            pictures.append(_of_references(typed(entry[key], dict, f"{where}.{key}"), f"{where}.{key}."))
        else:
            pictures.append(_of_groundings(entry, f"{where}."))
    return pictures


def _of_groundings(entry: dict[str, Any], where: str) -> GroundedPicture:
    caption = _caption(entry, where)
    groundings = []
    for phrase, about in member(entry, "groundings", dict, where).items():
        place = f"{where}groundings.{phrase:.80}"
        span = _span(member(typed(about, dict, place), "token_positives", list, f"{place}."), caption, place)
        masks = member(about, "rle_masks", list, f"{place}.")
        groundings.append((span, masks, f"{place}.rle_masks"))
    return GroundedPicture(_name(entry, "file_name", where), caption, groundings)


def _of_references(entry: dict[str, Any], where: str) -> GroundedPicture:
    caption = _caption(entry, where).lower()
    groundings = []
    for i, about in enumerate(member(entry, "refs", list, where)):
        place = f"{where}refs[{i}]"
        phrase = member(typed(about, dict, place), "sentence", str, f"{place}.").lower().strip()
        start = caption.find(phrase)
        if phrase and start >= 0:
            outlines = member(about, "segmentation", list, f"{place}.")
            groundings.append(((start, start + len(phrase)), [outlines], f"{place}.segmentation"))
    return GroundedPicture(_name(entry, "img_file_name", where), caption, groundings)


def _of_coco(content: dict[str, Any], path: Path) -> list[GroundedPicture]:
    pictures: dict[int, GroundedPicture] = {}
    for i, entry in enumerate(member(content, "images", list, f"{path}: ")):
        where = f"{path}: images[{i}]."
        number = member(typed(entry, dict, where[:-1]), "id", int, where)
        if number in pictures:
            raise InputError(f"{where}id: {number} is there twice; of two of one id one would be lost")
        caption = checked_caption(member(entry, "caption", str, where), f"{where}caption")
        pictures[number] = GroundedPicture(_name(entry, "file_name", where), caption, [])
    for i, about in enumerate(member(content, "annotations", list, f"{path}: ")):
        where = f"{path}: annotations[{i}]"
        picture = pictures.get(member(typed(about, dict, where), "image_id", int, f"{where}."))
        if picture is None:
            raise InputError(f"{where}.image_id: there is no image {about['image_id']}")
        if about.get("ignore"):
            continue
        spans = member(about, "tokens_positive", list, f"{where}.")
        span = _span(typed(spans[0] if spans else None, list, f"{where}.tokens_positive[0]"), picture.caption, where)
        mask = member(about, "sam_mask", dict, f"{where}.")
        picture.groundings.append((span, [mask], f"{where}.sam_mask"))
    return list(pictures.values())


def _caption(entry: dict[str, Any], where: str) -> str:
    # Spans count from the first character behind the quotation marks that some captions have around them.
    return checked_caption(member(entry, "caption", str, where).strip('"').strip(), f"{where}caption")


def _name(entry: dict[str, Any], key: str, where: str) -> str:
    return inner_name(member(entry, key, str, where), f"{where}{key}")


def _span(span: list[Any], caption: str, where: str) -> Span:
    whole = len(span) == 2 and all(type(end) is int for end in span)
    if not whole or not 0 <= span[0] < span[1] <= len(caption):
        raise InputError(f"{where}: its span {span!r:.80} is not in the caption's {len(caption)} characters")
    return span[0], span[1]
