"""What COCO and YouTube-VIS have in common: lists of records with ids, categories, masks."""

from collections.abc import Callable, Iterator
from pathlib import Path, PurePosixPath
from typing import Any

from ..data.annotations import inner_name, load_json, member, typed
from ..data.polygons import segmentation_mask
from ..data.rle import is_whole, size_problem
from ..errors import InputError
from .annotated_video import AnnotatedVideo
from .folder_files import files_of
from .outlines import box_mask, number
from .reading import Reading


def records(document: dict[str, Any], key: str, where: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Place and record of each entry of a list, whose ids are all different.

    Raises:
        InputError: it is no list of objects with whole numbers as ids, or two have one id.
    """
    seen: dict[int, int] = {}
    for i, record in enumerate(member(document, key, list, f"{where}: ")):
        place = f"{where}: {key}[{i}]"
        identity = member(typed(record, dict, place), "id", int, f"{place}.")
        if identity in seen:
            raise InputError(f"{place}.id: {identity} is the id of {key}[{seen[identity]}], too; give each its own")
        seen[identity] = i
        yield place, record


def category_names(document: dict[str, Any], where: str) -> dict[int, str]:
    """Names by id."""
    return {entry["id"]: member(entry, "name", str, f"{at}.") for at, entry in records(document, "categories", where)}


def label_of(record: dict[str, Any], names: dict[int, str], where: str) -> str:
    """The name of a record's category."""
    identity = member(record, "category_id", int, f"{where}.")
    if identity not in names:
        raise InputError(f"{where}.category_id: there is no category {identity}; add it to categories")
    return names[identity]


def size_of(record: dict[str, Any], where: str) -> tuple[int, int]:
    """(height, width) that a record states."""
    size = [record.get("height"), record.get("width")]
    if problem := size_problem(size):
        raise InputError(f"{where}: its height and width {problem}")
    return int(size[0]), int(size[1])


def mask_or_box(
    segmentation: Any, box: Any, size: tuple[int, int], reading: Reading, where: str
) -> dict[str, Any] | None:
    """The mask of a segmentation, or of a box where it has none; None for a box that is not to be a mask.

    Raises:
        InputError: as of [`segmentation_mask`], or there is neither.
    """
    if segmentation is not None and segmentation != []:
        mask = segmentation_mask(segmentation, size, f"{where}.segmentation")
        return {"size": mask["size"], "counts": mask["counts"]}
    if not isinstance(box, list) or len(box) != 4:
        raise InputError(f"{where}: has neither segmentation nor bbox; take it out, or export it again")
    left, top, width, height = (number(side, f"{where}.bbox[{i}]") for i, side in enumerate(box))
    return box_mask(left, top, width, height, size, f"{where}.bbox") if reading.boxes_as_masks else None


def track_of(record: dict[str, Any]) -> int | str | None:
    """What joins a record to those of other frames, as CVAT and trackers write it."""
    attributes = record.get("attributes")
    for place in (record, attributes if isinstance(attributes, dict) else {}):
        for key in ("track_id", "instance_id"):
            value = place.get(key)
            if is_whole(value) or (isinstance(value, str) and value):
                return value
    return None


def folder_and_name(name: Any, reading: Reading, where: str) -> tuple[str, str]:
    """Folder and name of a frame's file. Paths of other machines are known by their last part, if a video is given.

    Raises:
        InputError: it leads out of the folder, and no video is given.
    """
    text = typed(name, str, where).replace("\\", "/")
    path = PurePosixPath(text)
    leads_out = text.startswith("/") or ":" in text.split("/")[0] or ".." in path.parts
    if leads_out and reading.video is not None and path.name not in ("", ".", ".."):
        reading.note(f"{where.split(':')[0]}: paths of frames lead elsewhere; frames are known by their names alone")
        return "", path.name
    if leads_out:
        raise InputError(
            f"{where}: {text!r:.80} is a path of another place; give the folder of frames or the video as --video: "
            "only the names of files are used"
        )
    path = PurePosixPath(inner_name(text, where))
    return "/".join(path.parent.parts), path.name


def json_files(source: Path, fits: Callable[[Any], bool]) -> list[Path]:
    """The file itself, or the JSON files in or one below a folder whose documents fit.

    Raises:
        InputError: there is none.
    """
    if source.is_file():
        return [source]
    found = [path for path in files_of(source, ".json", deeper=True) if fits(load_json(path, (dict, list)))]
    if not found:
        raise InputError(f"{source}: holds no such JSON file; give the file itself, or another --format")
    return found


def noted_json_files(source: Path, fits: Callable[[Any], bool], reading: Reading) -> list[Path]:
    """As [`json_files`]; that there are several is noted, for one alone may be meant."""
    paths = json_files(source, fits)
    if len(paths) > 1:
        reading.note(
            f"{source.name}: all of {', '.join(path.name for path in paths):.200} were read; one alone: give the file"
        )
    return paths


def category_ids(videos: list[AnnotatedVideo]) -> dict[str, int]:
    """An id from 1 for every label, in order of their appearance."""
    labels = dict.fromkeys(own.label for video in videos for own in video.objects)
    return {label: i + 1 for i, label in enumerate(labels)}
