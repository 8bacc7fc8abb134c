"""SA-V's JSON: of each video a file with masklets, COCO run-length encodings by frame and object."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from ..data.annotations import load_json, member, typed
from ..data.masks import check_mask, compressed
from ..data.output_names import safe_name
from ..data.rle import compress_rle, encode_rle, is_whole
from ..errors import InputError
from ..output_files import explained_writes
from .annotated_video import AnnotatedVideo, area_of, check_object_count
from .categories import json_files
from .gathering import Shape, gather
from .media import MediaFinder, check_size
from .outlines import number
from .progress import shown
from .reading import Reading

_PUBLISHED_STEP = 4  # SA-V: videos of 24 frames per second, annotated at 6


def fits(document: Any) -> bool:
    """Whether a JSON document is one."""
    return isinstance(document, dict) and "masklet" in document


def read(source: Path, reading: Reading) -> Iterator[AnnotatedVideo]:
    """The video of a file, or of each such file in a folder.

    Raises:
        InputError, MediaError: a record is malformed, or its video is missing; the message names it.
    """
    for path in json_files(source, fits):
        yield _read(path, reading)


def _read(path: Path, reading: Reading) -> AnnotatedVideo:
    document = load_json(path)
    where = path.name
    name = member(document, "video_id", str, f"{where}: ")
    size = tuple(_count(document, f"video_{side}", where) for side in ("height", "width"))
    frames = member(document, "masklet", list, f"{where}: ")
    identities = document.get("masklet_id")
    labels = document.get("masklet_label")
    count = len(typed(frames[0], list, f"{where}: masklet[0]")) if frames else 0
    if identities is None:
        identities = list(range(count))
    for key, values, kind in (("masklet_id", identities, int), ("masklet_label", labels, str)):
        if values is not None and len(typed(values, list, f"{where}: {key}")) != count:
            raise InputError(f"{where}: {key}: has {len(values)} entries for {count} masklets")
        for i, value in enumerate(values or []):
            typed(value, kind, f"{where}: {key}[{i}]")
    if len(set(identities)) != count:
        raise InputError(f"{where}: masklet_id: names one masklet twice; give each its own number")
    check_object_count(count, f"{where}: masklet")
    media = MediaFinder(reading.video, [path.parent, path.parent.parent]).find(name, where)
    check_size(size, media, f"{where}: video_height and video_width")
    shapes = []
    for i, masks in enumerate(shown(frames, "reading", "frame", reading.progress)):
        if len(typed(masks, list, f"{where}: masklet[{i}]")) != count:
            raise InputError(f"{where}: masklet[{i}]: has {len(masks)} masks, but the first frame has {count}")
        for j, mask in enumerate(masks):
            at = f"{where}: masklet[{i}][{j}]"
            if mask is not None:
                rle = compressed(check_mask(typed(mask, dict, at), at, size))
                label = labels[j] if labels else f"object {identities[j]}"
                shapes.append(Shape(i, label, identities[j], {"size": rle["size"], "counts": rle["counts"]}, at))
    keys, step = _frames(document, len(frames), where, reading)
    return gather(name, media, keys, shapes, reading, where, first=0, step=step)


def _count(document: dict[str, Any], key: str, where: str) -> int:
    """A whole number, which SA-V writes as a floating point number."""
    found = number(document.get(key), f"{where}: {key}")
    if found != int(found) or found < 1:
        raise InputError(f"{where}: {key}: must be a whole number above 0, not {found:g}")
    return int(found)


def _frames(document: dict[str, Any], count: int, where: str, reading: Reading) -> tuple[list[int], int]:
    """What the frames are called, and how many frames of the source one is from the next."""
    stated = document.get("masklet_frame_numbers")
    if stated is not None:
        if not isinstance(stated, list) or len(stated) != count or not all(is_whole(one) for one in stated):
            raise InputError(f"{where}: masklet_frame_numbers: must be {count} whole numbers, one for each frame")
        return [int(one) for one in stated], 1
    total = _count(document, "video_frame_count", where)
    for step in (_PUBLISHED_STEP, 1):
        if -(-total // step) == count:
            return list(range(count)), step
    if reading.frame_step is None:
        raise InputError(
            f"{where}: masklet: has {count} frames of a video of {total}, which is neither every frame nor every "
            f"fourth, as in SA-V; say which with --frame-step"
        )
    return list(range(count)), 1


def write(videos: Sequence[AnnotatedVideo], folder: Path, progress: bool = False) -> list[str]:
    """Writes `NAME_manual.json` (`NAME_auto.json` of a model's answer) with SA-V's fields.

    `masklet_frame_numbers` and `masklet_label` are added, which SA-V does not have: which frames are annotated, and
    what objects are called.
    """
    for video in videos:
        height, width = video.media.size
        nothing = encode_rle(np.zeros((height, width), bool))
        masklets = [[compress_rle(own.masks.get(frame, nothing)) for own in video.objects] for frame in video.frames]
        sizes = [[area_of(mask) for mask in masks] for masks in masklets]
        firsts = [min(own.masks, default=-1) for own in video.objects]
        document = {
            "video_id": video.name,
            "video_frame_count": float(video.media.count),
            "video_height": float(height),
            "video_width": float(width),
            "video_resolution": float(height * width),
            "masklet_id": list(range(len(video.objects))),
            "masklet_label": [own.label for own in video.objects],
            "masklet_first_appeared_frame": [
                float(video.frames.index(first)) if first >= 0 else None for first in firsts
            ],
            "masklet_frame_count": [float(len(own.masks)) for own in video.objects],
            "masklet_size_abs": [
                sum(frame[i] for frame in sizes) / max(1, len(own.masks)) for i, own in enumerate(video.objects)
            ],
            "masklet_type": ["auto" if video.is_answer else "manual"] * len(video.objects),
            "masklet_num": len(video.objects),
            "masklet_frame_numbers": video.frames,
            "masklet": masklets,
        }
        kind = "auto" if video.is_answer else "manual"
        path = folder / f"{safe_name(video.name)}_{kind}.json"
        with explained_writes(path):
            path.write_text(json.dumps(document), encoding="utf-8")
    return []
