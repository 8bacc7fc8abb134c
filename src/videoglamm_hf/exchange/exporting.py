"""Training data and answers to the formats of other tools."""

import os
from dataclasses import dataclass, field
from pathlib import Path

from tqdm.auto import tqdm

from ..errors import InputError
from ..output_files import check_output, replacing_folder
from . import coco, cvat, label_studio, labelme, png, sam2_json, ytvos
from .answers import is_answer, read_answer
from .choices import EXPORT_FORMATS
from .samples import data_file, read_samples

KIND = "exported masks"
_WRITERS = {
    "png": png.write,
    "coco": coco.write,
    "ytvos": ytvos.write,
    "cvat": cvat.write,
    "cvat-video": cvat.write_video,
    "label-studio": label_studio.write,
    "labelme": labelme.write,
    "sam2-json": sam2_json.write,
}


@dataclass
class ExportReport:
    """What was written.

    Attributes:
        files: Names of the files of annotations, relative to the folder.
        videos, objects, masks: How many there are.
        notes: What the format cannot hold, and what to do next, in sentences.
    """

    files: list[str] = field(default_factory=list)
    videos: int = 0
    objects: int = 0
    masks: int = 0
    notes: list[str] = field(default_factory=list)


def export_data(
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str,
    video: str | os.PathLike[str] | None = None,
    overwrite: bool = False,
    progress: bool = False,
) -> ExportReport:
    """Writes masks in the format of another tool. `output` appears whole or not at all.

    Args:
        data: A folder that [`import_data`] wrote, a JSONL file, or an `answer.json`.
        output: Folder to write.
        format: One of `choices.EXPORT_FORMATS`.
        video: Of an answer, its video; by default the one it names.
        overwrite: Replace a folder that an earlier export wrote.
        progress: Show a bar.

    Raises:
        InputError, MediaError: the data cannot be read; the message names the record.
        OutputError: the folder cannot be written.
    """
    data, output = Path(data), Path(output)
    if format not in EXPORT_FORMATS:
        raise InputError(f"format must be one of {', '.join(EXPORT_FORMATS)}, not {format!r:.40}")
    if not data.exists():
        raise InputError(f"{data}: no such file or folder; check the path")
    inputs = [data, *([] if video is None else [Path(video)])]
    check_output(output, overwrite=overwrite, inputs=inputs, kind=KIND)
    if is_answer(data):
        videos = [read_answer(data, None if video is None else Path(video))]
    else:
        if video is not None:
            raise InputError("the samples of a data set name their videos themselves; leave out --video")
        bar = tqdm(read_samples(data_file(data)), desc="reading", unit="video", disable=not progress)
        videos = list(bar)
    if not videos:
        raise InputError(f"{data}: holds no samples")
    with replacing_folder(output, KIND, overwrite=overwrite) as folder:
        notes = _WRITERS[format](videos, folder, progress)
        files = [
            path.relative_to(folder).as_posix()
            for path in sorted(folder.rglob("*"))
            if path.suffix in (".json", ".xml") and not path.name.startswith(".")
        ]
    objects = [own for one in videos for own in one.objects]
    masks = sum(len(own.masks) for own in objects)
    return ExportReport(files, len(videos), len(objects), masks, notes)
