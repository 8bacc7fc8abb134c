"""labelme: a JSON file for each frame, with polygons, rectangles, circles and masks, drawn as labelme draws them."""

import base64
import binascii
import io
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from ..data.annotations import load_json, member, typed
from ..data.output_names import safe_name
from ..data.rle import decode_rle, encode_rle, is_whole, size_problem
from ..errors import InputError
from ..media_files import media_errors
from ..output_files import explained_writes
from .annotated_video import AnnotatedVideo
from .folder_files import files_of
from .gathering import Shape, gather
from .media import MediaFinder, check_size, write_frames
from .outlines import checked_points, drawn_mask
from .progress import shown
from .reading import Reading
from .row_rle import encode_rows

_VERSION = "5.5.0"  # of the format that is written
_OUTLINES = ("polygon", "oriented_rectangle", "circle")


def fits(document: Any) -> bool:
    """Whether a JSON document is one."""
    return isinstance(document, dict) and "shapes" in document and "imageHeight" in document


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The video of a folder of JSON files, or of each folder in it.

    Raises:
        InputError, MediaError: a record is malformed, or its frames are missing; the message names it.
    """
    folder = source if source.is_dir() else source.parent
    paths = files_of(folder, ".json") if source.is_dir() else [source]
    places = {folder: paths} if paths else {one: files_of(one, ".json") for one in sorted(folder.iterdir())}
    places = {one: files for one, files in places.items() if files}
    if not places:
        raise InputError(f"{source}: holds no JSON files; give the folder that labelme wrote")
    finder = MediaFinder(reading.video, [folder, folder.parent])
    for place, files in places.items():
        single = reading.video is not None and len(places) == 1 and finder.is_single
        yield _read(reading.video.stem if single else place.resolve().name, files, finder, reading)


def _read(name: str, files: Sequence[Path], finder: MediaFinder, reading: Reading) -> AnnotatedVideo:
    keys: list[str] = []
    shapes: list[Shape] = []
    sizes: set[tuple[int, int]] = set()
    where = str(files[0].parent)
    for i, path in enumerate(shown(files, "reading", "frame", reading.progress)):
        at = path.name
        document = load_json(path)
        size = (member(document, "imageHeight", int, f"{at}: "), member(document, "imageWidth", int, f"{at}: "))
        if problem := size_problem(list(size)):
            raise InputError(f"{at}: imageHeight and imageWidth {problem}")
        sizes.add(size)
        if len(sizes) > 1:
            raise InputError(f"{at}: is {size[1]}x{size[0]}, but the files before it are not; a video has one size")
        picture = document.get("imagePath")
        keys.append(_frame_name(picture, path))
        for j, shape in enumerate(member(document, "shapes", list, f"{at}: ")):
            drawn = _shape(typed(shape, dict, f"{at}: shapes[{j}]"), i, size, f"{at}: shapes[{j}]", reading)
            shapes += [] if drawn is None else [drawn]
    media = finder.find(name, where, _beside(keys, files[0].parent))
    check_size(next(iter(sizes)), media, where)
    return gather(name, media, keys, shapes, reading, name)


def _frame_name(picture: Any, path: Path) -> str:
    """The picture that a file is about: what it says, of which only the name counts, or the file's own name."""
    if not isinstance(picture, str) or not picture.strip():
        return path.stem
    name = picture.replace("\\", "/").rsplit("/", 1)[-1]
    return name if name not in ("", ".", "..") else path.stem


def _beside(keys: Sequence[str], folder: Path) -> list[str]:
    """The names by which a folder of frames is known."""
    return [key for key in keys if "." in key] if len(keys) == sum("." in key for key in keys) else []


def _shape(shape: dict[str, Any], frame: int, size: tuple[int, int], where: str, reading: Reading) -> Shape | None:
    label = member(shape, "label", str, f"{where}.")
    kind = shape.get("shape_type") or "polygon"
    group = shape.get("group_id")
    if group is not None and not is_whole(group):
        raise InputError(f"{where}.group_id: must be a whole number, not {group!r:.40}")
    track = None if group is None else (group, label)
    points = shape.get("points")
    if kind == "mask":
        return Shape(frame, label, track, _stored_mask(shape.get("mask"), points, size, where), where)
    if kind == "rectangle" and not reading.boxes_as_masks:
        checked_points(points, size, f"{where}.points", 2)
        return Shape(frame, label, track, None, where)
    if kind not in (*_OUTLINES, "rectangle"):
        reading.note(f"{where.split(':')[0]}: {kind!r:.40} is no mask, and was left out, as in other files")
        return None
    return Shape(frame, label, track, drawn_mask(kind, points, size, f"{where}.points"), where)


def _stored_mask(text: Any, points: Any, size: tuple[int, int], where: str) -> dict[str, Any]:
    """A mask that is kept as a PNG file in base64, with two corners, both of which belong to it."""
    (left, top), (right, bottom) = checked_points(points, size, f"{where}.points", 2)[:2]
    try:
        data = base64.b64decode(typed(text, str, f"{where}.mask"), validate=True)
    except (binascii.Error, ValueError) as error:
        if isinstance(error, InputError):
            raise
        raise InputError(f"{where}.mask: must be a PNG file in base64; save it with labelme again") from error
    try:
        with media_errors(f"{where}.mask"), Image.open(io.BytesIO(data), formats=["PNG"]) as picture:
            box = int(left), int(top), int(right) + 1, int(bottom) + 1
            if picture.size != (box[2] - box[0], box[3] - box[1]):
                raise InputError(f"{where}.mask: is {picture.width}x{picture.height}, which its points do not say")
            inside = np.asarray(picture.convert("L")) > 0
    except OSError as error:
        raise InputError(str(error)) from error
    if min(box[:2]) < 0 or box[2] > size[1] or box[3] > size[0]:
        raise InputError(f"{where}.points: lie outside of the picture of {size[1]}x{size[0]}")
    mask = np.zeros(size, bool)
    mask[box[1] : box[3], box[0] : box[2]] = inside
    return encode_rle(mask)


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes a folder for each video: its frames, and beside every annotated one a JSON file with masks.

    `group_id` is the number of an object.
    """
    for video in videos:
        place = folder / safe_name(video.name)
        files = write_frames(video.media, video.frames, place, progress)
        for frame in shown(video.frames, "writing", "frame", progress):
            shapes = [
                _written(own.label, i, own.masks[frame])
                for i, own in enumerate(video.objects, 1)
                if frame in own.masks
            ]
            document = {
                "version": _VERSION,
                "flags": {},
                "shapes": shapes,
                "imagePath": files[frame],
                "imageData": None,
                "imageHeight": video.media.size[0],
                "imageWidth": video.media.size[1],
            }
            path = place / f"{Path(files[frame]).stem}.json"
            with explained_writes(path):
                path.write_text(json.dumps(document, indent=1), encoding="utf-8")
    return []


def _written(label: str, group: int, rle: dict[str, Any]) -> dict[str, Any]:
    mask = decode_rle(rle)
    _, (left, top, width, height) = encode_rows(mask)
    file = io.BytesIO()
    Image.fromarray(mask[top : top + height, left : left + width]).save(file, format="PNG")
    return {
        "label": label,
        "points": [[left, top], [left + width - 1, top + height - 1]],
        "group_id": group,
        "description": "",
        "shape_type": "mask",
        "flags": {},
        "mask": base64.b64encode(file.getvalue()).decode("ascii"),
    }
