"""Our own format: a JSONL file, one sample per line.

A line is a sample as [`sample`] describes it, in JSON: media are paths (or http(s) or data URLs), relative ones
starting from the file's folder, and masks are COCO run-length encodings. Empty lines are passed over.
"""

import json
import os
from array import array
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO

from torch.utils.data import Dataset

from ..errors import InputError, MediaError, VideoGlammError
from ..media_files import is_url
from ..messages import VISUALS
from ..output_files import explained_writes, replacing_file
from .annotations import checked_index
from .jsonl_lines import lines_of, located, missing_media, parse_line
from .masks import compressed
from .sample import check_sample, is_path, listed, sample_problems


class JsonlDataset(Dataset[dict[str, Any]]):
    """The samples of a JSONL file.

    `dataset[i]` finds its line by an index of offsets, made when it is first needed; `for sample in dataset` reads
    line by line and needs none. Paths come out joined with the file's folder, masks with compressed counts.

    Args:
        path: the file.

    Raises:
        InputError: there is no such file; (when a sample is asked for) its line is not a sample. The message names
            file, line and field, as [`validate_jsonl`] does.
        MediaError: (when a sample is asked for) its video or image does not exist.
    """

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        if not os.path.isfile(self.path):
            raise InputError(f"{self.path}: no such file; check the path")
        self._offsets: array[int] | None = None
        self._numbers: array[int] = array("q")

    def __len__(self) -> int:
        return len(self._index())

    def __getitem__(self, index: int) -> dict[str, Any]:
        offsets = self._index()
        index = checked_index(index, len(offsets))
        with self._opened() as file:
            file.seek(offsets[index])
            _, _, line = next(lines_of(file), (0, 0, b""))
        return self._sample(line, self._numbers[index])

    def __iter__(self) -> Iterator[dict[str, Any]]:
        with self._opened() as file:
            for _, number, line in lines_of(file):
                yield self._sample(line, number)

    def _opened(self) -> BinaryIO:
        try:
            return self.path.open("rb")
        except OSError as error:
            raise InputError(f"{self.path}: cannot be read: {error.strerror or error}; check the path") from error

    def _index(self) -> "array[int]":
        if self._offsets is None:
            offsets, numbers = array("q"), array("q")
            with self._opened() as file:
                for offset, number, _ in lines_of(file):
                    offsets.append(offset)
                    numbers.append(number)
            self._offsets, self._numbers = offsets, numbers
        return self._offsets

    def _sample(self, line: bytes | None, number: int) -> dict[str, Any]:
        where = f"{self.path}:{number}"
        sample, problem = parse_line(line)
        for field, message in [problem] if problem else sample_problems(sample):
            raise InputError(f"{where}: {field}: {message}")
        sample = _with_media(sample, lambda path: located(path, self.path.parent))
        for field, message in missing_media(sample):
            raise MediaError(f"{where}: {field}: {message}")
        return _with_masks(sample)


def write_jsonl(path: str | os.PathLike[str], samples: Iterable[dict[str, Any]]) -> int:
    """Writes samples as a JSONL file, which appears complete or not at all; an existing one is replaced.

    Paths of media in or below the file's folder are written relative to it, others as absolute ones. Masks are
    written with compressed counts.

    Args:
        path: the file; its folder must exist.
        samples: taken one at a time. Videos and images must be paths: arrays do not go into JSON.

    Returns:
        How many samples were written.

    Raises:
        InputError: a sample is not one, or cannot be written as JSON; the message says which and why.
        OutputError: the file cannot be written.
    """
    path = Path(path)
    folder = Path(os.path.abspath(path.parent))
    count = 0
    try:
        with replacing_file(path) as aside, aside.open("w", encoding="utf-8", newline="\n") as file:
            for sample in samples:
                file.write(_line(sample, folder, f"sample {count}"))
                count += 1
    except VideoGlammError:  # of a sample, or of the reader it comes from
        raise
    except OSError:
        with explained_writes(path):
            raise
    return count


def _with_media(sample: dict[str, Any], change: Callable[[Any], str]) -> dict[str, Any]:
    """A sample with every path changed by a function."""
    changed = dict(sample)
    for kind in VISUALS:
        media = sample.get(kind)
        if media is not None:
            changed[kind] = [change(path) for path in media] if isinstance(media, (list, tuple)) else change(media)
    return changed


def _with_masks(sample: dict[str, Any]) -> dict[str, Any]:
    """A sample with every mask compressed."""
    masks = sample.get("masks")
    return sample if masks is None else {**sample, "masks": _compressed(listed(masks))}


def _compressed(masks: Any) -> Any:
    return [_compressed(each) for each in masks] if isinstance(masks, (list, tuple)) else compressed(masks)


def _line(sample: Any, folder: Path, where: str) -> str:
    try:
        check_sample(sample)
    except InputError as error:
        raise InputError(f"{where}: {error}") from error
    for kind in VISUALS:
        media = sample.get(kind)
        if media is not None and not is_path(media) and not isinstance(media, (list, tuple)):
            raise InputError(f"{where}: {kind}: is not a path; write it to a file and give its path")
    sample = _with_masks(_with_media(sample, lambda path: _relative(path, folder)))
    if sample.get("mask_frames") is not None:
        sample["mask_frames"] = [int(frame) for frame in sample["mask_frames"]]
    try:
        line = json.dumps(sample, ensure_ascii=False, allow_nan=False)
        line.encode()
    except (TypeError, ValueError, RecursionError) as error:
        raise InputError(f"{where}: cannot be written as JSON: {error}") from error
    return line + "\n"


def _relative(path: str | os.PathLike[str], folder: Path) -> str:
    name = os.fspath(path)
    if is_url(name):
        return name
    absolute = os.path.abspath(name)
    try:
        return Path(absolute).relative_to(folder).as_posix()
    except ValueError:
        return absolute
