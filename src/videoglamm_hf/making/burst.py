"""BURST: videos of many data sets, some frames annotated with masks of tracked objects.

Source: `ANNOTATION_FORMAT.md` of github.com/Ali2500/BURST-benchmark.
"""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from ..data.annotations import existing_frames, inner_name, load_json, member, typed
from ..data.rle import compress_rle
from ..errors import InputError
from ..exchange.annotated_video import visible
from .gathered import GatheredObject, GatheredVideo, checked


def read(path: Path, frames: Path) -> Iterator[tuple[str, Callable[[], GatheredVideo]]]:
    """The sequences of a file.

    Args:
        path: JSON with `sequences` and `categories`.
        frames: Folder of `<dataset>/<seq_name>/<picture>`.

    Raises:
        InputError, MediaError: The file is malformed; a sequence is when it is read, or lacks frames.
    """
    document = load_json(path)
    names: dict[int, str] = {}
    for i, category in enumerate(member(document, "categories", list, f"{path}: ")):
        where = f"{path}: categories[{i}]"
        identity = member(typed(category, dict, where), "id", int, f"{where}.")
        names[identity] = member(category, "name", str, f"{where}.").replace("_", " ")
    for i, sequence in enumerate(member(document, "sequences", list, f"{path}: ")):
        where = f"{path}: sequences[{i}]"
        name = "/".join(
            inner_name(member(typed(sequence, dict, where), key, str, f"{where}."), f"{where}.{key}")
            for key in ("dataset", "seq_name")
        )

        def read_one(sequence: dict[str, Any] = sequence, where: str = where, name: str = name) -> GatheredVideo:
            return _sequence(sequence, f"{where}.", name, frames, names)

        yield name, read_one


def _sequence(sequence: dict[str, Any], where: str, name: str, frames: Path, names: dict[int, str]) -> GatheredVideo:
    """One sequence; its video is the pictures that are annotated."""
    pictures = [
        inner_name(picture, f"{where}annotated_image_paths[{i}]")
        for i, picture in enumerate(member(sequence, "annotated_image_paths", list, where))
    ]
    size = [member(sequence, side, int, where) for side in ("height", "width")]
    tracks = member(sequence, "track_category_ids", dict, where)
    shapes = member(sequence, "segmentations", list, where)
    if len(shapes) != len(pictures):
        raise InputError(f"{where}segmentations: {len(shapes)} for {len(pictures)} annotated pictures")
    for track, category in tracks.items():
        typed(category, int, f"{where}track_category_ids.{track}")
    masks: dict[str, list[dict[str, Any] | None]] = {track: [None] * len(pictures) for track in tracks}
    for i, shape in enumerate(shapes):
        for track, about in typed(shape, dict, f"{where}segmentations[{i}]").items():
            place = f"{where}segmentations[{i}].{track}"
            if track not in masks:
                raise InputError(f"{place}: is no track of track_category_ids")
            counts = member(typed(about, dict, place), "rle", str, f"{place}.")
            masks[track][i] = visible(compress_rle({"size": size, "counts": counts}))
    objects = [
        GatheredObject(names.get(category, "object"), masks=masks[track])
        for track, category in tracks.items()
        if any(masks[track])
    ]
    media = existing_frames(frames / name, pictures)
    return checked(GatheredVideo(name, media, list(range(len(media))), objects))
