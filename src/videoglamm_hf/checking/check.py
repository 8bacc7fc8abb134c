"""Training data checked: what keeps it from being trained on, and what makes the training worse."""

import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..data.jsonl_validation import validate_jsonl
from ..frame_sampling import FrameSampling
from .finding import ERROR, LEVELS, NOTE, Finding
from .objects import facts_of, object_findings
from .records import Record, data_files, records_of
from .whole import balance_findings, leak_findings

# Of the published model: the side of the pixel decoder's square, and the frames that the towers see.
PUBLISHED_SIDE, PUBLISHED_TOWER_FRAMES = 1024, 16
# Pictures for a person to look at.
_SHOWN = 48


@dataclass
class DataCheck:
    """What a check found.

    Attributes:
        files: The files that were read, by what they are for.
        findings: Everything found: first what keeps the data from being trained on.
        samples, videos, objects: How many there are, of those without errors of their own.
        pictures: Samples to look at: the record, a frame (uint8 `[H, W, 3]`), and its number.
    """

    files: dict[str, Path]
    findings: list[Finding] = field(default_factory=list)
    samples: int = 0
    videos: int = 0
    objects: int = 0
    pictures: list[tuple[Record, np.ndarray, int]] = field(default_factory=list)

    @property
    def errors(self) -> list[Finding]:
        """What keeps the data from being trained on."""
        return [finding for finding in self.findings if finding.level == ERROR]

    def counts(self) -> dict[str, int]:
        """How many findings there are of each level."""
        found = Counter(finding.level for finding in self.findings)
        return {level: found[level] for level in LEVELS}


def check_data(
    data: str | os.PathLike[str],
    *,
    processor: Any = None,
    progress: bool = False,
) -> DataCheck:
    """Checks training data as a first trainer would wish they had.

    Beside what [`validate_jsonl`] finds: objects that never appear or cover a few pixels of what the model sees, one
    phrase for two objects, objects that show only between the frames that the model is asked with, validation videos
    that are trained on, phrases named far more often than others.

    Args:
        data: A JSONL file, or a folder with `samples.jsonl`, or `train.jsonl` and `validation.jsonl`.
        processor: The [`VideoGlammProcessor`] of the model that will be trained, whose sizes and sampling count; by
            default those of the published model.
        progress: Whether to show a bar.

    Raises:
        InputError: There is no such file or folder, or no data in it.
    """
    videos = None if processor is None else processor.video_processor
    side = PUBLISHED_SIDE if videos is None else videos.grounding_image_size
    towers = PUBLISHED_TOWER_FRAMES if videos is None else videos.num_tower_frames
    sampling = FrameSampling() if videos is None else videos.sampling
    found = DataCheck(data_files(Path(data)))
    parts: dict[str, list[Record]] = {}
    # By their media, what was seen of them; None of what cannot be read.
    known: dict[tuple[str, ...], Any] = {}
    for part, path in found.files.items():
        found.findings += _invalid(path)
        records = parts[part] = list(records_of(path))
        for record in tqdm(records, desc=f"checking {path.name}", unit="sample", leave=False, disable=not progress):
            objects = [facts_of(named) for named in record.objects]
            found.findings += object_findings(record, objects, side)
            if not record.is_here:
                continue
            # Imported where something is opened: records alone need neither Pillow nor PyAV.
            from .media import look_at_media, sampling_findings

            # Many samples may be of one video, which is opened again for a picture only.
            if record.media not in known or len(found.pictures) < _SHOWN:
                places = [place for own in objects for place in own.seen[len(own.seen) // 2 :][:1]]
                frame = record.mask_frames[places[0]] if places else 0
                seen = look_at_media(record, sampling, towers, frame)
                known[record.media] = None if seen is None else seen[0]
                if seen is not None and len(found.pictures) < _SHOWN:
                    found.pictures.append((record, *seen[1:]))
            media = known[record.media]
            if media is not None:
                found.findings += sampling_findings(record, objects, media)
        found.findings += [*balance_findings(records, path.name), *_unopened(records, path.name)]
    hashes = {media: seen.hashes for media, seen in known.items() if seen is not None}
    found.findings += leak_findings(parts, hashes)
    found.findings.sort(key=lambda finding: LEVELS.index(finding.level))
    everything = [record for records in parts.values() for record in records]
    found.samples, found.videos = len(everything), len({record.media for record in everything if record.media})
    found.objects = sum(len(record.objects) for record in everything)
    return found


def _unopened(records: Sequence[Record], name: str) -> Iterator[Finding]:
    count = sum(bool(record.media) and not record.is_here for record in records)
    if count:
        yield Finding(
            NOTE,
            "not opened",
            name,
            f"{count} samples are of URLs, which are not opened here",
            "whether they can be read, and whether their sizes are those of the masks, is not known",
            "download them, and name the files",
        )


def _invalid(path: Path) -> Iterator[Finding]:
    for problem in validate_jsonl(path):
        place, _, text = problem.removeprefix(str(path.parent)).lstrip("/").partition(": ")
        yield Finding(
            ERROR,
            "invalid record",
            place,
            text,
            "it cannot be trained on",
            "mend the record, or leave it out",
        )


def shown_frames(check: DataCheck) -> Sequence[tuple[Record, np.ndarray, int]]:
    """Samples to look at: those with findings first."""
    named = {finding.record for finding in check.findings}
    return sorted(check.pictures, key=lambda shown: shown[0].name not in named)
