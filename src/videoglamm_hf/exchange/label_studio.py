"""Label Studio's JSON: pictures with brush masks, polygons and boxes; videos with boxes, moved between keyframes."""

import json
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit
from xml.sax.saxutils import quoteattr

from ..data.annotations import load_json, member, typed
from ..data.output_names import safe_name
from ..data.rle import decode_rle, encode_rle, is_whole, size_problem
from ..errors import InputError
from ..output_files import explained_writes
from .annotated_video import AnnotatedVideo, check_object_count
from .brush_rle import decode_brush, encode_brush
from .folder_files import files_of
from .gathering import Shape, gather
from .keyframes import Keyframe, between
from .media import MediaFinder, write_frames
from .outlines import box_mask, number, polygon_mask
from .progress import shown
from .reading import Reading

_UPLOADED = re.compile(r"[0-9a-f]{8}-(?=.)")  # put before the name of a file that was uploaded
_OBJECT = re.compile(r"object (\d{1,9})")
_SIDES = ("x", "y", "width", "height")


def fits(document: Any) -> bool:
    """Whether a JSON document is one: a list of tasks, or a task."""
    first = document[0] if isinstance(document, list) and document else document
    return isinstance(first, dict) and "data" in first and bool({"annotations", "predictions"} & first.keys())


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The videos of an export (JSON, not JSON-MIN): tasks of videos, and the pictures of its other tasks as frames.

    Raises:
        InputError, MediaError: a record is malformed, or its frames are missing; the message names it.
    """
    paths = files_of(source, ".json") if source.is_dir() else [source]
    for path in paths:
        document = load_json(path, (list, dict))
        tasks = document if isinstance(document, list) else [document]
        finder = MediaFinder(reading.video, [path.parent, path.parent.parent])
        yield from _read(path, tasks, finder, reading)


def _read(path: Path, tasks: list[Any], finder: MediaFinder, reading: Reading) -> Iterator[AnnotatedVideo]:
    pictures: dict[str, list[tuple[str, str, dict[str, Any], list[Any]]]] = {}
    for i, task in enumerate(tasks):
        where = f"{path.name}: [{i}]"
        data = member(typed(task, dict, where), "data", dict, f"{where}.")
        results = _results(task, where, reading)
        if results is None:
            reading.note(f"{where}: is not annotated, and was left out, as others may be")
            continue
        of_video = any(isinstance(one, dict) and one.get("type") == "videorectangle" for one in results)
        if of_video or ("image" not in data and "video" in data):
            yield _read_video(_file_name(data.get("video"), f"{where}.data.video"), results, where, finder, reading)
            continue
        given = [value for value in (data.get("image"), *data.values()) if isinstance(value, str)]
        name = data.get("video_name")
        frame = _file_name(given[0] if given else None, f"{where}.data")
        pictures.setdefault(name if isinstance(name, str) else "", []).append((where, frame, data, results))
    for name, frames in pictures.items():
        single = reading.video.stem if reading.video is not None else path.stem
        yield _read_pictures(name or single, frames, path, finder, reading)


def _results(task: dict[str, Any], where: str, reading: Reading) -> list[Any] | None:
    """What was drawn in a task: its first annotation that was not cancelled, else its first prediction."""
    for kind in ("annotations", "predictions"):
        found = task.get(kind) or []
        kept = [one for one in typed(found, list, f"{where}.{kind}") if isinstance(one, dict)]
        kept = [one for one in kept if not one.get("was_cancelled")]
        if len(kept) != len(found) and kind == "predictions":
            raise InputError(f"{where}.{kind}: must be a list of objects; export as JSON, not as JSON-MIN")
        if len(kept) > 1:
            reading.note(f"{where}: has {len(kept)} {kind}, of which the first was taken, as in others")
        if kept:
            return member(kept[0], "result", list, f"{where}.{kind}[0].")
    return None


def _file_name(url: Any, where: str) -> str:
    """The name of the file that a task shows, of an URL, a path or what Label Studio makes of local files."""
    if not isinstance(url, str) or not url.strip():
        raise InputError(f"{where}: names no picture or video; export as JSON, not as JSON-MIN")
    parts = urlsplit(url.replace("\\", "/"))
    local = parse_qs(parts.query).get("d")
    name = PurePosixPath(unquote(local[0] if local else parts.path)).name
    if name in ("", ".", ".."):
        raise InputError(f"{where}: {url!r:.80} names no file")
    return _UPLOADED.sub("", name, count=1) if "/upload/" in url else name


def _read_pictures(
    name: str,
    tasks: list[tuple[str, str, dict[str, Any], list[Any]]],
    path: Path,
    finder: MediaFinder,
    reading: Reading,
) -> AnnotatedVideo:
    numbered = all(is_whole(data.get("frame")) for _, _, data, _ in tasks)
    names = [frame for _, frame, _, _ in tasks]
    media = finder.find(name, f"{path.name}: {name}", names)
    by_number = numbered and media.pictures is None
    keys = [int(data["frame"]) for _, _, data, _ in tasks] if by_number else names
    shapes: list[Shape] = []
    for frame, (where, _, _, results) in enumerate(shown(tasks, "reading", "frame", reading.progress)):
        for j, result in enumerate(results):
            shape = _shape(result, frame, f"{where}.result[{j}]", reading, media.size)
            shapes += [] if shape is None else [shape]
    return gather(name, media, keys, shapes, reading, f"{path.name}: {name}", first=0 if by_number else None)


def _shape(result: Any, frame: int, where: str, reading: Reading, video_size: tuple[int, int]) -> Shape | None:
    """What was drawn; None of what is no shape."""
    kind = typed(result, dict, where).get("type")
    value = result.get("value")
    kinds = ("brushlabels", "polygonlabels", "rectanglelabels", "brush", "polygon", "rectangle")
    if not isinstance(value, dict) or kind not in kinds:
        reading.note(f"{where.split(':')[0]}: results of type {str(kind)[:40]!r} are no masks, and were left out")
        return None
    size = [result.get("original_height"), result.get("original_width")]
    if problem := size_problem(size):
        raise InputError(f"{where}: original_height and original_width {problem}")
    if tuple(size) != tuple(video_size):
        raise InputError(
            f"{where}: is drawn on a picture of {size[1]}x{size[0]}, but the video is {video_size[1]}x{video_size[0]}"
            "; give the frames that were annotated as --video"
        )
    height, width = size
    label, track = _label(value, kind, where), _track(result)
    if kind.startswith("brush"):
        mask: dict[str, Any] | None = encode_rle(decode_brush(value.get("rle"), (height, width), f"{where}.value.rle"))
    elif kind.startswith("polygon"):
        points = typed(value.get("points"), list, f"{where}.value.points")
        if not all(isinstance(point, list) and len(point) == 2 for point in points):
            raise InputError(f"{where}.value.points: must be pairs of percents")
        percents = [number(side, f"{where}.value.points") for point in points for side in point]
        outline = [one * (height if i % 2 else width) / 100 for i, one in enumerate(percents)]
        mask = polygon_mask(outline, (height, width), f"{where}.value.points")
    else:
        mask = _box(value, (height, width), where, reading)
    return Shape(frame, label, track, mask, where)


def _box(value: Any, size: tuple[int, int], where: str, reading: Reading) -> dict[str, Any] | None:
    """The mask of a box in percents; None if boxes are to be no masks."""
    sides = [number(value.get(side), f"{where}.{side}") for side in _SIDES]
    rotation = number(value.get("rotation") or 0, f"{where}.rotation")
    return _box_of((*sides, rotation), size, where) if reading.boxes_as_masks else None


def _box_of(values: Sequence[float], size: tuple[int, int], where: str) -> dict[str, Any]:
    height, width = size
    x, y, across, down, rotation = values
    return box_mask(
        x * width / 100, y * height / 100, across * width / 100, down * height / 100, size, where, rotation
    )


def _label(value: dict[str, Any], kind: str, where: str) -> str:
    labels = value.get(kind) or value.get("labels") or []
    if not isinstance(labels, list) or not all(isinstance(label, str) for label in labels):
        raise InputError(f"{where}.value.{kind}: must be a list of labels")
    return labels[0] if labels else "object"


def _track(result: dict[str, Any]) -> int | None:
    """The object that a shape belongs to, by the note that our own export makes."""
    meta = result.get("meta")
    texts = meta.get("text") if isinstance(meta, dict) else None
    found = _OBJECT.fullmatch(texts[0]) if isinstance(texts, list) and texts and isinstance(texts[0], str) else None
    return int(found[1]) if found else None


def _read_video(file: str, results: list[Any], where: str, finder: MediaFinder, reading: Reading) -> AnnotatedVideo:
    """Boxes of a video; Label Studio counts its frames from 1."""
    name = Path(file).stem
    media = finder.find(name if not finder.is_single else finder.video.stem, where)
    size = media.size
    tracks: list[tuple[str, str, dict[int, Sequence[float] | None]]] = []
    for j, result in enumerate(results):
        at = f"{where}.result[{j}]"
        if not isinstance(result, dict) or result.get("type") != "videorectangle":
            reading.note(f"{where.split(':')[0]}: what is no box of a video was left out of tasks of videos")
            continue
        value = member(result, "value", dict, f"{at}.")
        keyframes: dict[int, Keyframe] = {}
        for k, entry in enumerate(member(value, "sequence", list, f"{at}.value.")):
            place = f"{at}.value.sequence[{k}]"
            frame = member(typed(entry, dict, place), "frame", int, f"{place}.")
            if frame in keyframes:
                raise InputError(f"{place}.frame: {frame} is there twice; remove one")
            sides = [number(entry.get(side), f"{place}.{side}") for side in _SIDES]
            rotation = number(entry.get("rotation") or 0, f"{place}.rotation")
            keyframes[frame] = Keyframe((*sides, rotation), True, bool(entry.get("enabled", True)))
        check_object_count(len(tracks) + 1, at)
        frames = range(1, media.count + 1)
        tracks.append((at, _label(value, "labels", at), between(keyframes, {*frames, *keyframes}, at)))
    keys = sorted({frame for _, _, found in tracks for frame in found})
    places = {frame: i for i, frame in enumerate(keys)}
    if tracks:
        reading.note(f"{where}: Label Studio counts frames of videos from 1; between keyframes boxes move evenly")
    shapes = []
    for i, (at, label, found) in enumerate(tracks):
        for frame, values in found.items():
            if values is not None:
                mask = _box_of(values, size, f"{at}, frame {frame}") if reading.boxes_as_masks else None
                shapes.append(Shape(places[frame], label, i, mask, f"{at}, frame {frame}"))
    return gather(name, media, keys, shapes, reading, where, first=1)


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `tasks.json`, a task with brush masks for each annotated frame, its picture below `images/`, and
    `labels.xml`, the labelling interface that they belong to.

    Answers of a model are predictions, other masks annotations. Label Studio has no masks of videos, so that frames
    are pictures; `meta.text` says which object a mask belongs to.
    """
    tasks = []
    for video in videos:
        name = safe_name(video.name)
        files = write_frames(video.media, video.frames, folder / "images" / name, progress)
        height, width = video.media.size
        for frame in shown(video.frames, "writing", "frame", progress):
            results = []
            for i, own in enumerate(video.objects, 1):
                if frame not in own.masks:
                    continue
                value = {
                    "format": "rle",
                    "rle": encode_brush(decode_rle(own.masks[frame])),
                    "brushlabels": [own.label],
                }
                result = {
                    "id": f"{name}-{frame}-{i}"[-60:],
                    "type": "brushlabels",
                    "from_name": "label",
                    "to_name": "image",
                    "original_width": width,
                    "original_height": height,
                    "image_rotation": 0,
                    "value": value,
                    "meta": {"text": [f"object {i}"]},
                }
                results.append(result | ({} if own.score is None else {"score": own.score}))
            scores = [own.score for own in video.objects if own.score is not None and frame in own.masks]
            drawn: dict[str, Any] = {"result": results}
            if video.is_answer:
                drawn |= {"model_version": "videoglamm", "score": sum(scores) / len(scores) if scores else 0.0}
            url = f"/data/local-files/?d=images/{name}/{files[frame]}"
            data = {"image": url, "video_name": video.name, "frame": frame}
            tasks.append({"data": data, "predictions" if video.is_answer else "annotations": [drawn]})
    labels = dict.fromkeys(own.label for video in videos for own in video.objects)
    for path, text in ((folder / "tasks.json", json.dumps(tasks)), (folder / "labels.xml", _interface(labels))):
        with explained_writes(path):
            path.write_text(text, encoding="utf-8")
    return [
        "Label Studio has no masks of videos, so every annotated frame is a task. Set up local files "
        "(LABEL_STUDIO_LOCAL_FILES_DOCUMENT_ROOT) to the folder written, and labels.xml as the labelling interface"
    ]


def _interface(labels: Any) -> str:
    rows = "\n".join(f"    <Label value={quoteattr(label)}/>" for label in labels)
    return (
        f'<View>\n  <Image name="image" value="$image" zoom="true"/>\n  <BrushLabels name="label" toName="image">\n'
        f"{rows}\n  </BrushLabels>\n</View>\n"
    )
