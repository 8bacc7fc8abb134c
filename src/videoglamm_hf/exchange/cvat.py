"""CVAT for images 1.1 and CVAT for video 1.1: XML with masks, polygons and boxes, the latter as tracks, too."""

import math
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element, ElementTree, SubElement, indent

from ..cli.wording import counted
from ..data.output_names import safe_name
from ..data.rle import decode_rle, encode_rle, size_problem
from ..errors import InputError
from ..output_files import explained_writes
from .annotated_video import AnnotatedVideo, check_object_count
from .categories import category_ids, folder_and_name
from .folder_files import files_of
from .gathering import Shape, gather
from .keyframes import Keyframe, between
from .media import Media, MediaFinder, check_size
from .outlines import box_mask, number, polygon_mask
from .progress import shown
from .reading import Reading
from .row_rle import decode_rows, encode_rows
from .xml_files import read_xml

_DRAWN = ("mask", "polygon", "box")
_CORNERS = ("xtl", "ytl", "xbr", "ybr")
_NOT_XML = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The videos of an XML file, of the zip archive that CVAT exports, or of the XML files of a folder.

    Raises:
        InputError, MediaError: a record is malformed, or its frames are missing; the message names it.
    """
    paths = files_of(source, ".xml") if source.is_dir() else [source]
    if not paths:
        raise InputError(f"{source}: holds no XML files; give the annotations.xml that CVAT exports")
    for path in paths:
        root = read_xml(path)
        finder = MediaFinder(reading.video, [path.parent, path.parent.parent])
        if root.tag != "annotations" or (root.find("image") is None and root.find("track") is None):
            raise InputError(
                f"{path}: holds neither <image> nor <track> in <annotations>; export from CVAT as CVAT for images 1.1 "
                "or CVAT for video 1.1"
            )
        if root.find("image") is not None:
            yield from _read_images(path, root, finder, reading)
        if root.find("track") is not None:
            yield _read_tracks(path, root, finder, reading)


def _read_images(path: Path, root: Element, finder: MediaFinder, reading: Reading) -> Iterator[AnnotatedVideo]:
    """Of pictures of one folder one video."""
    frames: dict[str, list[str]] = {}
    shapes: dict[str, list[Shape]] = {}
    sizes: dict[str, tuple[int, int]] = {}
    for i, image in enumerate(shown(root.findall("image"), "reading", "frame", reading.progress)):
        where = f"{path.name}: image {image.get('name') or i!r:.80}"
        folder, name = folder_and_name(image.get("name"), reading, where)
        size = _size(image, where)
        if sizes.setdefault(folder, size) != size:
            raise InputError(
                f"{where}: is {size[1]}x{size[0]}, but the pictures before it are not; a video has one size"
            )
        own, drawn = frames.setdefault(folder, []), shapes.setdefault(folder, [])
        for j, element in enumerate(image):
            at = f"{where}: {element.tag}[{j}]"
            if element.tag not in _DRAWN:
                reading.note(f"{path.name}: <{element.tag}> is no mask, and was left out")
                continue
            label, group = _label(element, at), _group(element, at)
            mask = _mask(element.tag, _numbers(element, at), size, at, element, reading)
            drawn.append(Shape(len(own), label, None if group is None else (group, label), mask, at))
        own.append(name)
    for folder, own in frames.items():
        name = folder if folder and not (len(frames) == 1 and finder.is_single) else _task_name(root, path, reading)
        where = f"{path.name}: {name}"
        media = finder.find(name, where, own)
        check_size(sizes[folder], media, where)
        yield gather(name, media, own, shapes[folder], reading, where)


def _read_tracks(path: Path, root: Element, finder: MediaFinder, reading: Reading) -> AnnotatedVideo:
    name = _task_name(root, path, reading)
    where = f"{path.name}: {name}"
    media = finder.find(name, where)
    task = next((one for one in root.iterfind("meta/*") if one.tag in ("task", "job")), None)
    size = media.size
    stated = None if task is None else task.find("original_size")
    if stated is not None:
        found = [_whole(stated.findtext(side), f"{path.name}: original_size.{side}") for side in ("height", "width")]
        check_size(found, media, f"{path.name}: original_size")
    frames = _task_frames(task, media, path.name)
    drawn: list[tuple[int, Shape]] = []
    known: set[int] = set()
    identities: set[Any] = set()
    for i, track in enumerate(shown(root.findall("track"), "reading", "track", reading.progress)):
        at = f"{path.name}: track {track.get('id') or i!r:.40}"
        label, group = _label(track, at), _group(track, at)
        kinds = {element.tag for element in track}
        if not kinds <= set(_DRAWN):
            reading.note(f"{path.name}: <{min(kinds - set(_DRAWN))}> is no mask, and was left out")
        if not kinds & set(_DRAWN):
            continue
        of_masks = "mask" in kinds
        identity = (group, label) if group is not None and of_masks else ("track", track.get("id") or i)
        if of_masks and kinds & {"polygon", "box"}:
            raise InputError(f"{at}: has masks and outlines; make them two tracks of one group")
        found = _masks_of_track(track, size, at, reading) if of_masks else _moving(track, frames, size, at, reading)
        known |= found.keys()
        for frame, mask in found.items():
            if mask is not None:
                drawn.append((frame, Shape(0, label, identity, mask[0], f"{at}, frame {frame}")))
        identities.add(identity)
        check_object_count(len(identities), at)
    keys = sorted(known)
    places = {frame: i for i, frame in enumerate(keys)}
    for frame, shape in drawn:
        shape.frame = places[frame]
    return gather(name, media, keys, [shape for _, shape in drawn], reading, where, first=0)


# Of each frame the mask in a tuple of one (None in it for a box that is to be no mask), or None where it is not seen.
_Found = dict[int, "tuple[dict[str, Any] | None] | None"]


def _masks_of_track(track: Element, size: tuple[int, int], where: str, reading: Reading) -> _Found:
    """Masks stand for themselves: CVAT moves none, and writes one for each frame that has one."""
    found: _Found = {}
    for element in track.iterfind("mask"):
        frame = _whole(element.get("frame"), f"{where}.frame")
        at = f"{where}, frame {frame}"
        if frame in found:
            raise InputError(f"{at}: has two masks in one track; remove one")
        if element.get("outside") != "1":
            found[frame] = (_mask("mask", _numbers(element, at), size, at, element, reading),)
    return found


def _moving(track: Element, frames: range, size: tuple[int, int], where: str, reading: Reading) -> _Found:
    keyframes: dict[int, Keyframe] = {}
    kinds: dict[int, str] = {}
    for element in track:
        if element.tag not in ("polygon", "box"):
            continue
        frame = _whole(element.get("frame"), f"{where}.frame")
        if frame in keyframes:
            raise InputError(f"{where}: has frame {frame} twice; remove one")
        inside = element.get("outside") != "1"
        keyframes[frame] = Keyframe(tuple(_numbers(element, f"{where}, frame {frame}")), inside, inside)
        kinds[frame] = element.tag
    if len(set(kinds.values())) > 1:
        raise InputError(f"{where}: has polygons and boxes; make them two tracks")
    kind = next(iter(kinds.values()))
    moved = between(keyframes, {*frames, *keyframes}, where)
    if any(frame not in keyframes and values is not None for frame, values in moved.items()):
        reading.note(f"{where.split(':')[0]}: between keyframes every point moves evenly")
    return {
        frame: None if values is None else (_mask(kind, values, size, f"{where}, frame {frame}", None, reading),)
        for frame, values in moved.items()
    }


def _mask(
    kind: str,
    values: Sequence[float],
    size: tuple[int, int],
    where: str,
    element: Element | None,
    reading: Reading,
) -> dict[str, Any] | None:
    """The mask of a shape; None for a box that is to be no mask."""
    if kind == "mask":
        assert element is not None
        box = [_whole(element.get(side), f"{where}.{side}") for side in ("left", "top", "width", "height")]
        return encode_rle(decode_rows([int(value) for value in values], box, size, where))
    if kind == "polygon":
        return polygon_mask(values, size, where)
    if not reading.boxes_as_masks:
        return None
    left, top, right, bottom = values[:4]
    return box_mask(left, top, right - left, bottom - top, size, where, values[4] if len(values) > 4 else 0.0)


def _numbers(element: Element, where: str) -> list[float]:
    """Coordinates of a polygon or box, or lengths of runs of a mask."""
    if element.tag == "polygon":
        pairs = [point.split(",") for point in (element.get("points") or "").split(";") if point.strip()]
        if len(pairs) < 3 or any(len(pair) != 2 for pair in pairs):
            raise InputError(f"{where}.points: must be at least three points, as in 1.0,2.0;3.0,4.0;5.0,6.0")
        return [number(value, f"{where}.points") for pair in pairs for value in pair]
    if element.tag == "mask":
        return [_whole(run, f"{where}.rle") for run in (element.get("rle") or "").split(",")]
    corners = [number(element.get(side), f"{where}.{side}") for side in _CORNERS]
    turned = element.get("rotation")
    return _turned(corners, number(turned, f"{where}.rotation")) if turned is not None else corners


def _turned(corners: list[float], rotation: float) -> list[float]:
    """A box turned about its middle, as CVAT does, by where its left upper corner comes to lie, and by how much."""
    if rotation == 0:
        return corners
    left, top, right, bottom = corners
    width, height = right - left, bottom - top
    turn = math.radians(rotation)
    x, y = (left + right) / 2, (top + bottom) / 2
    new_left = x - width / 2 * math.cos(turn) + height / 2 * math.sin(turn)
    new_top = y - width / 2 * math.sin(turn) - height / 2 * math.cos(turn)
    return [new_left, new_top, new_left + width, new_top + height, rotation]


def _whole(text: str | None, where: str) -> int:
    stripped = (text or "").strip()
    if not (stripped.isascii() and stripped.isdecimal() and len(stripped) < 16):
        raise InputError(f"{where}: must be a whole number from 0, not {text!r:.40}")
    return int(stripped)


def _label(element: Element, where: str) -> str:
    label = element.get("label")
    if not label:
        raise InputError(f"{where}: has no label; export it again")
    return label


def _group(element: Element, where: str) -> int | None:
    """The number of a group, which joins masks of one object; None for none."""
    text = element.get("group_id")
    return None if text is None else _whole(text, f"{where}.group_id") or None


def _size(element: Element, where: str) -> tuple[int, int]:
    size = [_whole(element.get(side), f"{where}.{side}") for side in ("height", "width")]
    if problem := size_problem(size):
        raise InputError(f"{where}: its height and width {problem}")
    return size[0], size[1]


def _task_name(root: Element, path: Path, reading: Reading) -> str:
    if reading.video is not None and reading.video.is_file():
        return reading.video.stem
    name = root.findtext("meta/task/name") or path.stem
    # A task is often called by the file of its video.
    last = name.replace("\\", "/").rsplit("/", 1)[-1].strip()
    return path.stem if last in ("", ".", "..") else last


def _task_frames(task: Element | None, media: Media, where: str) -> range:
    """The frames of a task: some tasks leave frames out."""
    if task is None or task.find("stop_frame") is None:
        return range(media.count)
    start = _whole(task.findtext("start_frame") or "0", f"{where}: start_frame")
    stop = _whole(task.findtext("stop_frame"), f"{where}: stop_frame")
    found = re.fullmatch(r"\s*(?:step\s*=\s*([1-9]\d{0,8}))?\s*", task.findtext("frame_filter") or "")
    if found is None:
        raise InputError(f"{where}: frame_filter: must be step=N, not {task.findtext('frame_filter')!r:.40}")
    if stop >= media.count:
        raise InputError(
            f"{where}: stop_frame: is {stop}, but the video has {media.count} frames, numbered from 0; check that the "
            "video is whole"
        )
    return range(start, stop + 1, int(found[1] or 1))


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `NAME.xml` as CVAT for images 1.1, which CVAT takes for tasks of pictures and of videos.

    `group_id` joins the masks of one object.
    """
    for video in videos:
        root = _root(video, "annotation")
        for frame in shown(video.frames, "writing", "frame", progress):
            media = video.media
            name = f"frame_{frame:06d}" if media.pictures is None else media.pictures[frame].name
            sizes = {"width": str(media.size[1]), "height": str(media.size[0])}
            image = SubElement(root, "image", {"id": str(frame), "name": _text(name), **sizes})
            for i, own in enumerate(video.objects, 1):
                if frame in own.masks:
                    attributes = {"label": _text(own.label), "source": _source(video), "occluded": "0"}
                    mask = _rows(own.masks[frame])
                    SubElement(image, "mask", {**attributes, **mask, "z_order": "0", "group_id": str(i)})
        _save(root, folder / f"{safe_name(video.name)}.xml")
    return []


def write_video(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `NAME.xml` as CVAT for video 1.1: of every mask a track of one frame, as CVAT itself exports masks.

    `group_id` joins the masks of one object. An annotated frame without any object cannot be told.
    """
    notes = []
    for video in videos:
        root = _root(video, "interpolation")
        tracks = 0
        for i, own in enumerate(shown(video.objects, "writing", "object", progress), 1):
            for frame, rle in sorted(own.masks.items()):
                named = {"id": str(tracks), "label": _text(own.label), "source": _source(video), "group_id": str(i)}
                track = SubElement(root, "track", named)
                tracks += 1
                for at, outside in ((frame, "0"), (frame + 1, "1")):
                    if at < video.media.count:
                        states = {"keyframe": "1", "outside": outside, "occluded": "0"}
                        SubElement(track, "mask", {"frame": str(at), **states, **_rows(rle), "z_order": "0"})
        empty = len(video.frames) - len({frame for own in video.objects for frame in own.masks})
        if empty:
            without = f"{counted(empty, 'annotated frame')} without any object"
            notes.append(f"{video.name}: {without}, which CVAT for video cannot tell")
        if not tracks:
            raise InputError(f"{video.name}: has no masks, so there is nothing that CVAT for video could hold")
        _save(root, folder / f"{safe_name(video.name)}.xml")
    return notes


def _root(video: AnnotatedVideo, mode: str) -> Element:
    root = Element("annotations")
    SubElement(root, "version").text = "1.1"
    task = SubElement(SubElement(root, "meta"), "task")
    stop = video.media.count - 1
    for key, value in (
        ("name", _text(video.name)),
        ("size", str(video.media.count)),
        ("mode", mode),
        ("start_frame", "0"),
        ("stop_frame", str(stop)),
        ("frame_filter", ""),
    ):
        SubElement(task, key).text = value
    labels = SubElement(task, "labels")
    for label in category_ids([video]):
        SubElement(SubElement(labels, "label"), "name").text = _text(label)
    size = SubElement(task, "original_size")
    SubElement(size, "width").text, SubElement(size, "height").text = map(str, video.media.size[::-1])
    return root


def _rows(rle: dict[str, Any]) -> dict[str, str]:
    runs, (left, top, width, height) = encode_rows(decode_rle(rle))
    box = {"left": left, "top": top, "width": width, "height": height}
    return {"rle": ", ".join(map(str, runs)), **{side: str(value) for side, value in box.items()}}


def _source(video: AnnotatedVideo) -> str:
    return "auto" if video.is_answer else "manual"


def _text(text: str) -> str:
    """A text without characters that XML cannot hold."""
    return _NOT_XML.sub(" ", text)


def _save(root: Element, path: Path) -> None:
    indent(root)
    with explained_writes(path):
        ElementTree(root).write(path, encoding="utf-8", xml_declaration=True)
