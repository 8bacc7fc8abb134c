"""COCO instances on frames: a picture for each frame; `track_id` joins annotations of one object."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ..data.annotations import load_json, member
from ..data.output_names import safe_name
from ..data.rle import compress_rle
from ..errors import InputError
from ..output_files import explained_writes
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
    track_of,
)
from .gathering import Shape, gather
from .media import MediaFinder, check_size, write_frames
from .progress import shown
from .reading import Reading


def fits(document: Any) -> bool:
    """Whether a JSON document is one."""
    return isinstance(document, dict) and {"images", "annotations", "categories"} <= document.keys()


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The videos of a file: the pictures of one folder are the frames of one video.

    Raises:
        InputError, MediaError: a record is malformed, or its frames are missing; the message names it.
    """
    for path in noted_json_files(source, fits, reading):
        yield from _read(path, reading)


def _read(path: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    document = load_json(path)
    file = path.name
    names = category_names(document, file)
    places: dict[int, tuple[str, int]] = {}  # of each picture its video and position there
    frames: dict[str, list[str]] = {}
    sizes: dict[str, dict[str, Any]] = {}
    for where, record in records(document, "images", file):
        folder, name = folder_and_name(member(record, "file_name", str, f"{where}."), reading, f"{where}.file_name")
        own = frames.setdefault(folder, [])
        size = size_of(record, where)
        known = sizes.setdefault(folder, {"size": size, "where": where})
        if known["size"] != size:
            raise InputError(
                f"{where}: is {size[1]}x{size[0]}, but {known['where']} is {known['size'][1]}x{known['size'][0]}; the "
                "pictures of one folder are the frames of one video, so put those of each video into a folder"
            )
        places[record["id"]] = folder, len(own)
        own.append(name)
    if not frames:
        raise InputError(f"{file}: images: is empty; export it again with its pictures")
    shapes: dict[str, list[Shape]] = {folder: [] for folder in frames}
    tracks: dict[str, set[Any]] = {}
    for where, record in shown(records(document, "annotations", file), "reading", "mask", reading.progress):
        image = member(record, "image_id", int, f"{where}.")
        if image not in places:
            raise InputError(f"{where}.image_id: there is no image {image}; export it again with all its pictures")
        folder, frame = places[image]
        track = track_of(record)
        own = tracks.setdefault(folder, set())
        own.add(("shape", len(own)) if reading.objects == "shapes" else track)
        check_object_count(len(own), f"{where}")
        mask = mask_or_box(record.get("segmentation"), record.get("bbox"), sizes[folder]["size"], reading, where)
        shapes[folder].append(Shape(frame, label_of(record, names, where), track, mask, where))
    finder = MediaFinder(reading.video, [path.parent, path.parent.parent])
    for folder, own in frames.items():
        name = folder if folder and not (len(frames) == 1 and finder.is_single) else _single_name(reading, path)
        media = finder.find(name, f"{file}: {folder or 'images'}", own)
        check_size(sizes[folder]["size"], media, sizes[folder]["where"])
        yield gather(name, media, own, shapes[folder], reading, f"{file}: {name}")


def _single_name(reading: Reading, path: Path) -> str:
    """The name of the only video of a file that does not say it."""
    return path.stem if reading.video is None else reading.video.stem


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `annotations.json`, and pictures of the frames below `images/`; notes what cannot be told in it."""
    categories = category_ids(list(videos))
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    tracks = 0
    for video in videos:
        height, width = video.media.size
        files = write_frames(video.media, video.frames, folder / "images" / safe_name(video.name), progress)
        ids = {}
        for frame in video.frames:
            ids[frame] = len(images) + 1
            file = f"{safe_name(video.name)}/{files[frame]}"
            images.append({"id": ids[frame], "file_name": file, "height": height, "width": width})
        for own in video.objects:
            tracks += 1
            for frame, rle in sorted(own.masks.items()):
                annotation = {
                    "id": len(annotations) + 1,
                    "image_id": ids[frame],
                    "category_id": categories[own.label],
                    "segmentation": compress_rle(rle),
                    "area": area_of(rle),
                    "bbox": box_of(rle),
                    "iscrowd": 0,
                    "track_id": tracks,
                    "attributes": {"track_id": tracks},
                }
                annotations.append(annotation | ({} if own.score is None else {"score": own.score}))
    kinds = [{"id": identity, "name": label, "supercategory": ""} for label, identity in categories.items()]
    document = {"info": {}, "licenses": [], "images": images, "annotations": annotations, "categories": kinds}
    path = folder / "annotations.json"
    with explained_writes(path):
        path.write_text(json.dumps(document), encoding="utf-8")
    return []
