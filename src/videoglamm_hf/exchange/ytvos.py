"""Videos in COCO's form (YouTube-VIS), and YouTube-VOS' `meta.json` with indexed PNGs; which one is found out."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data.annotations import load_json, member, typed
from ..data.output_names import safe_name
from ..data.rle import compress_rle
from ..errors import InputError
from ..output_files import explained_writes
from . import png
from .annotated_video import AnnotatedVideo, area_of, box_of, check_object_count
from .categories import (
    category_ids,
    category_names,
    folder_and_name,
    label_of,
    mask_or_box,
    noted_json_files,
    records,
    size_of,
)
from .gathering import Shape, gather
from .media import MediaFinder, check_size, write_frames
from .reading import Reading


def fits(document: Any) -> bool:
    """Whether a JSON document is one of YouTube-VIS'."""
    return isinstance(document, dict) and {"videos", "annotations", "categories"} <= document.keys()


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The videos of a file or folder.

    Raises:
        InputError, MediaError: a record is malformed, or its frames are missing; the message names it.
    """
    if source.is_dir() and (source / "meta.json").is_file():
        yield from png.read(source, reading)
        return
    if source.name == "meta.json":
        yield from png.read(source.parent, reading)
        return
    for path in noted_json_files(source, fits, reading):
        yield from _read(path, reading)


def _read(path: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    document = load_json(path)
    file = path.name
    names = category_names(document, file)
    videos: dict[int, tuple[str, dict[str, Any], list[tuple[str, str]]]] = {}
    for where, record in records(document, "videos", file):
        files = [
            folder_and_name(name, reading, f"{where}.file_names[{i}]")
            for i, name in enumerate(member(record, "file_names", list, f"{where}."))
        ]
        if not files:
            raise InputError(f"{where}.file_names: is empty; a video has at least one frame")
        videos[record["id"]] = where, record, files
    if not videos:
        raise InputError(f"{file}: videos: is empty; export it again")
    tracks: dict[int, list[tuple[str, dict[str, Any]]]] = {identity: [] for identity in videos}
    for where, record in records(document, "annotations", file):
        video = member(record, "video_id", int, f"{where}.")
        if video not in videos:
            raise InputError(f"{where}.video_id: there is no video {video}; export it again with all its videos")
        tracks[video].append((where, record))
        check_object_count(len(tracks[video]), where)
    finder = MediaFinder(reading.video, [path.parent, path.parent.parent])
    for identity, (where, record, files) in videos.items():
        size = size_of(record, where)
        folder = files[0][0]
        name = folder or (str(identity) if reading.video is None or len(videos) > 1 else reading.video.stem)
        media = finder.find(name, where, [one for _, one in files])
        check_size(size, media, where)
        shapes = []
        for at, annotation in tracks[identity]:
            label = label_of(annotation, names, at)
            masks = member(annotation, "segmentations", list, f"{at}.")
            boxes = annotation.get("bboxes") or [None] * len(masks)
            if len(masks) != len(files) or len(typed(boxes, list, f"{at}.bboxes")) != len(files):
                raise InputError(f"{at}.segmentations: {len(masks)} masks for the {len(files)} frames of its video")
            for frame, (mask, box) in enumerate(zip(masks, boxes, strict=True)):
                if mask is not None or (not any(masks) and box is not None):
                    one = mask_or_box(mask, box, size, reading, f"{at}.segmentations[{frame}]")
                    shapes.append(Shape(frame, label, annotation["id"], one, f"{at}.segmentations[{frame}]"))
        yield gather(name, media, [one for _, one in files], shapes, reading, f"{file}: {name}")


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `instances.json` as YouTube-VIS has it, and pictures of the frames below `JPEGImages/`."""
    categories = category_ids(list(videos))
    entries: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    for number, video in enumerate(videos, 1):
        height, width = video.media.size
        name = safe_name(video.name)
        files = write_frames(video.media, video.frames, folder / "JPEGImages" / name, progress)
        file_names = [f"{name}/{files[frame]}" for frame in video.frames]
        sizes = {"height": height, "width": width, "length": len(file_names)}
        entries.append({"id": number, "file_names": file_names, **sizes})
        for own in video.objects:
            masks = [own.masks.get(frame) for frame in video.frames]
            annotation = {
                "id": len(annotations) + 1,
                "video_id": number,
                "category_id": categories[own.label],
                "segmentations": [None if mask is None else compress_rle(mask) for mask in masks],
                "areas": [None if mask is None else area_of(mask) for mask in masks],
                "bboxes": [None if mask is None else box_of(mask) for mask in masks],
                "iscrowd": 0,
                **sizes,
            }
            annotations.append(annotation | ({} if own.score is None else {"score": own.score}))
    kinds = [{"id": identity, "name": label, "supercategory": "object"} for label, identity in categories.items()]
    document = {"info": {}, "licenses": [], "videos": entries, "annotations": annotations, "categories": kinds}
    path = folder / "instances.json"
    with explained_writes(path):
        path.write_text(json.dumps(document), encoding="utf-8")
    return []
