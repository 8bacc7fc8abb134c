"""Masks of other tools to training data."""

import hashlib
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..data.jsonl import write_jsonl
from ..data.output_names import safe_name
from ..errors import InputError
from ..output_files import check_output, explained_writes, replacing_folder
from . import coco, cvat, label_studio, labelme, png, sam2_json, ytvos
from .annotated_video import AnnotatedVideo, check_object_count
from .choices import DEFAULT_PHRASE, IMPORT_FORMATS
from .detection import format_of
from .media import place_media
from .phrases import Phrases, checked_phrase
from .preview import write_preview
from .reading import Reading
from .samples import to_sample, unique_name

KIND = "training data"
NOTES = "notes.txt"
_MOST_PREVIEWS = 20
_READERS = {
    "png": png.read,
    "coco": coco.read,
    "ytvos": ytvos.read,
    "cvat": cvat.read,
    "label-studio": label_studio.read,
    "labelme": labelme.read,
    "sam2-json": sam2_json.read,
}


@dataclass
class ImportReport:
    """What was brought in.

    Attributes:
        format: The format that was read.
        files: The JSONL files written, with the number of samples in each.
        previews: Pictures of the first videos with their masks, to look at.
        videos, objects, masks: How many there are.
        notes: What was assumed, in sentences.
    """

    format: str
    previews: list[Path] = field(default_factory=list)
    files: dict[Path, int] = field(default_factory=dict)
    videos: int = 0
    objects: int = 0
    masks: int = 0
    notes: list[str] = field(default_factory=list)


def import_data(
    source: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    format: str = "auto",
    video: str | os.PathLike[str] | None = None,
    phrase: str = DEFAULT_PHRASE,
    phrases: str | os.PathLike[str] | None = None,
    ask: Callable[[str, str], str] | None = None,
    split: float | None = None,
    copy: bool = False,
    overwrite: bool = False,
    first_frame: int | None = None,
    frame_step: int | None = None,
    frames_from: str = "auto",
    objects: str = "auto",
    boxes_as_masks: bool = False,
    progress: bool = False,
) -> ImportReport:
    """Writes masks of another tool as training data: `samples.jsonl`, the videos below `media/`, and to look at
    `preview/` and `notes.txt`.

    A sample for each video, with a conversation for each object; `mask_frames` are numbers of frames in the source,
    from 0. `output` appears whole or not at all.

    Args:
        source: File or folder of annotations.
        output: Folder to write.
        format: One of `choices.IMPORT_FORMATS`; `"auto"` finds out.
        video: Video file, folder of frames, or folder of videos; by default what lies beside the annotations.
        phrase: How sentences name an object, with a place for `{label}`.
        phrases: CSV file with columns `label` and `phrase`, and `video` if wanted, in place of `phrase`.
        ask: Called with each label and what is proposed; gives the phrase.
        split: Part of the videos, between 0 and 1, that goes to `validation.jsonl`; the others go to `train.jsonl`.
            The same videos are always chosen.
        copy: Copy videos; otherwise they are linked, where the file system has hard links.
        overwrite: Replace a folder that an earlier import wrote.
        first_frame: Number that the annotations give to the first frame.
        frame_step: Frames of the video from one number of the annotations to the next.
        frames_from: What tells which frame is meant: `"names"` of pictures, `"numbers"`, `"order"`, or `"auto"`.
        objects: Where no track joins shapes over time: one object for each label (`"labels"`), or for each shape
            (`"shapes"`).
        boxes_as_masks: Take boxes for masks.
        progress: Show a bar.

    Raises:
        InputError, MediaError: annotations or videos cannot be used; the message names the record.
        OutputError: the folder cannot be written.
    """
    source, output = Path(source), Path(output)
    if format not in IMPORT_FORMATS:
        raise InputError(f"format must be one of {', '.join(IMPORT_FORMATS)}, not {format!r:.40}")
    if split is not None and not 0 < split < 1:
        raise InputError(f"split must be between 0 and 1, such as 0.2, not {split!r:.40}")
    reading = Reading(
        video=None if video is None else Path(video),
        first_frame=first_frame,
        frame_step=frame_step,
        frames_from=frames_from,
        objects=objects,
        boxes_as_masks=boxes_as_masks,
        progress=progress,
    )
    named = Phrases(phrase, phrases, ask)
    inputs = [path for path in (source, reading.video) if path is not None]
    check_output(output, overwrite=overwrite, inputs=inputs, kind=KIND)
    report = ImportReport(format_of(source) if format == "auto" else format, notes=reading.notes)
    if format == "auto":
        reading.note(f"{source.name}: read as {report.format} (say otherwise with --format)")
    elif not source.exists():
        raise InputError(f"{source}: no such file or folder; check the path")
    with replacing_folder(output, KIND, overwrite=overwrite) as folder:
        names: list[str] = []
        found = _READERS[report.format](source, reading)
        bar = tqdm(found, desc="importing", unit="video", disable=not progress)
        file = folder / "samples.jsonl"
        write_jsonl(file, _samples(bar, folder, named, copy, report, reading, names))
        if not names:
            raise InputError(f"{source}: has no video with objects in it, so there is nothing to learn from")
        report.files[output / file.name] = len(names)
        report.previews = [output / preview for preview in report.previews]
        if split is not None:
            for name, count in _split(file, names, split).items():
                report.files[output / name] = count
        notes = folder / NOTES
        with explained_writes(notes):
            notes.write_text(
                "".join(f"{note}\n" for note in report.notes), encoding="utf-8", errors="backslashreplace"
            )
    return report


def _samples(
    videos: Iterator[AnnotatedVideo],
    folder: Path,
    phrases: Phrases,
    copy: bool,
    report: ImportReport,
    reading: Reading,
    names: list[str],
) -> Iterator[dict[str, Any]]:
    """The sample of each video that has objects, its media put below the folder."""
    taken: set[str] = set()
    for video in videos:
        video.objects = [own for own in video.objects if own.masks]
        if not video.objects:
            reading.note(f"{video.name}: has no object in any frame, and was left out")
            continue
        check_object_count(len(video.objects), video.name)
        video.name = unique_name(video.name, taken)
        said: dict[str, int] = {}
        for own in video.objects:
            own.label = checked_phrase(own.label, f"{video.name}: the label {own.label!r:.80}")
            own.phrase = phrases.of(own.label, video.name)
            said[own.phrase] = said.get(own.phrase, 0) + 1
        for words, count in said.items():
            if count > 1:
                reading.note(
                    f"{video.name}: {count} objects are called {words!r:.80}, so no question tells them apart; rename "
                    "their labels, or name them in a table (--phrases)"
                )
        media, linked = place_media(video.media, folder / "media", video.name, copy)
        if not copy and not linked:
            reading.note("files could not be linked (another disk), and were copied")
        report.videos += 1
        report.objects += len(video.objects)
        report.masks += sum(len(own.masks) for own in video.objects)
        if report.videos <= _MOST_PREVIEWS:
            preview = Path("preview") / f"{safe_name(video.name)}.png"
            write_preview(video, folder / preview)
            report.previews.append(preview)
        names.append(video.name)
        yield to_sample(video, media)


def _split(file: Path, names: list[str], part: float) -> dict[str, int]:
    """Writes the lines of a file to two, by video; the same names always go to the same side.

    Raises:
        InputError: there is one video only.
    """
    if len(names) < 2:
        raise InputError("one video cannot be split into training and validation; import more, or leave out --split")
    held_out = min(max(round(part * len(names)), 1), len(names) - 1)
    order = sorted(names, key=lambda name: hashlib.sha256(name.encode("utf-8", "surrogatepass")).digest())
    validation = set(order[:held_out])
    counts = {"train.jsonl": 0, "validation.jsonl": 0}
    with explained_writes(file), file.open("rb") as lines:
        outputs = {name: file.with_name(name).open("wb") for name in counts}
        try:
            for name, line in zip(names, lines, strict=True):
                side = "validation.jsonl" if name in validation else "train.jsonl"
                outputs[side].write(line)
                counts[side] += 1
        finally:
            for one in outputs.values():
                one.close()
    return counts
