"""What a model answered (`answer.json`) as an annotated video."""

import json
from pathlib import Path
from typing import Any

from ..cli.answer_file import answer_problems
from ..data.rle import compress_rle
from ..errors import InputError, MediaError
from ..media_files import is_url
from .annotated_video import AnnotatedObject, AnnotatedVideo, visible
from .media import Media, check_size, open_media


def is_answer(path: Path) -> bool:
    """Whether a file is to be read as an answer, by its name."""
    return path.is_file() and path.suffix.lower() == ".json"


def read_answer(path: Path, video: Path | None) -> AnnotatedVideo:
    """The objects of an answer, called by their phrases.

    Args:
        path: `answer.json` of `videoglamm segment`.
        video: Its video; None for the one it names, if that is there. Without it, formats that need no pictures can
            be written.

    Raises:
        InputError: the file is no answer, or its video has another size.
        MediaError: a video that was given cannot be read.
    """
    for place, problem in answer_problems(path):
        raise InputError(f"{path}: {place}: {problem}; check it with `videoglamm check-answer`")
    document: dict[str, Any] = json.loads(path.read_bytes())
    size = (document["size"]["height"], document["size"]["width"])
    media = Media(size, document["num_frames"])
    named = document["settings"].get("video")
    found = video
    if found is None and isinstance(named, str) and not is_url(named):
        found = next((one for one in (Path(named), path.parent / named) if one.exists()), None)
    if found is not None:
        media = open_media(found)
        check_size(size, media, f"{path}: size")
        frames = document["frame_indices"]
        if frames and frames[-1] >= media.count:
            raise MediaError(f"{path}: frame_indices: {frames[-1]}, but {found} has {media.count} frames")
    objects = []
    for entry in document["objects"]:
        masks = {}
        for frame, mask in zip(document["frame_indices"], entry["masks"], strict=True):
            rle = visible(compress_rle(mask))
            if rle is not None:
                masks[frame] = rle
        label = entry["phrase"].strip() or f"object {entry['index'] + 1}"
        objects.append(AnnotatedObject(label, masks, label, entry.get("probability", entry["score"])))
    name = Path(named).stem if isinstance(named, str) and Path(named).stem else path.parent.resolve().name
    return AnnotatedVideo(name, media, list(document["frame_indices"]), objects, is_answer=True)
