"""Grounded sentences made of data sets without them, in stages that go on where they were ended."""

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..errors import InputError, OutputError, ResourceError, VideoGlammError
from ..file_locks import locked
from ..loading.identity import weights_identity
from ..output_files import explained_writes
from .choices import BOXES_ONLY
from .estimate import Estimate, estimated
from .gathered import GatheredVideo, visible
from .pictures import pictures_of
from .records import placed, write_records
from .sentences import question
from .sources import videos_of
from .stage import Stage, read_json, write_json
from .writer import Unreachable, Writer

_NAMES = "names.json"
_OURS = (_NAMES, "gathered.json", "failed.json")
_MOST_SILENT = 3  # videos in a row without any reply, before the others are not asked about


@dataclass
class MakeReport:
    """What was made.

    Attributes:
        estimate: What was left to do, before it was done.
        file: The JSONL file; None if nothing was written, for there was no writer or no consent.
        samples, objects: How many are in it.
        tokens: Read and written in this run, as the endpoint counts; zeros if it does not.
        empty: How many videos have no object, and were left out.
        failures: By video, why nothing was made of it.
    """

    estimate: Estimate
    file: Path | None = None
    samples: int = 0
    objects: int = 0
    tokens: tuple[int, int] = (0, 0)
    empty: int = 0
    failures: dict[str, str] = field(default_factory=dict)


def make_data(
    source: str,
    data: str | os.PathLike[str],
    output: str | os.PathLike[str],
    *,
    split: str | None = None,
    model: str | None = None,
    dtype: str = "auto",
    device: str | None = None,
    writer: Writer | None = None,
    pictures: int = 0,
    limit: int | None = None,
    price_in: float | None = None,
    price_out: float | None = None,
    copy: bool = False,
    confirm: Callable[[Estimate], bool] | None = None,
    progress: bool = False,
) -> MakeReport:
    """Makes training data with grounded sentences: gathers, makes masks from boxes, has sentences written.

        gathered/    what is known of each video
        masks/       of videos with boxes only: masks, by the pixel decoder of a model
        written/     the sentence of each video, and the replies it comes from
        failed/      why nothing was made of a video; tried again by the next run
        media/       the videos, linked or copied
        samples.jsonl

    Everything is a file as soon as it is there; the same call again goes on.

    Args:
        source: One of `choices.SOURCES`.
        data: Folder of the data set, laid out as docs/make_data.md says.
        output: Folder to write.
        split: Which part of the data set.
        model: Folder or Hub id of the model whose pixel decoder makes masks of boxes. The small one that ships does
            not know boxes.
        dtype, device: Of the model.
        writer: Who writes the sentences; without one there is only an estimate.
        pictures: How many frames of each video the writer is shown, objects in boxes with their numbers.
        limit: How many videos, the first ones with objects.
        price_in, price_out: Of a million tokens read and written, for the estimate.
        copy: Copy videos; otherwise they are linked, where the file system has hard links.
        confirm: Called with the estimate before the pixel decoder or the writer is asked; false ends it there.
        progress: Show bars.

    Raises:
        InputError, MediaError: Annotations cannot be used, the output was made with other settings, the writer cannot
            be reached, or nothing could be made of any video. What is finished stays.
        OutputError: The folder is not of this kind, is being written, or cannot be.
    """
    if limit is not None and limit < 1:
        raise InputError(f"limit is {limit}; it must be at least 1")
    if pictures < 0:
        raise InputError(f"pictures is {pictures}; it must be 0 or more")
    for name, price in (("price_in", price_in), ("price_out", price_out)):
        if price is not None and not 0 <= price < float("inf"):
            raise InputError(f"{name} is {price}; give what a million tokens cost")
    if source in BOXES_ONLY and model is None:
        raise InputError(
            f"{source} has boxes and no masks: give --model, whose pixel decoder makes them (the small one that ships "
            "does not know boxes)"
        )
    making = _Making(Path(output), pictures, progress)
    with making.alone():
        names = making.gather(source, data, split, limit)
        making.choose(source, model, writer)
        estimate = making.estimate(names, price_in, price_out)
        report = MakeReport(estimate, empty=making.empty, failures=making.failures)
        if writer is None or (confirm is not None and not confirm(estimate)):
            return report
        making.decode(names, dtype, device)
        report.tokens = making.write(names, writer)
        report.file, report.samples, report.objects = making.records(names, copy)
    return report


class _Making:
    """The stages of one output folder."""

    def __init__(self, output: Path, pictures: int, progress: bool) -> None:
        self.output, self.pictures, self.progress = output, pictures, progress
        self.failures: dict[str, str] = {}
        self.empty = 0
        self.masks: Stage | None = None

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Holds the folder for the block.

        Raises:
            OutputError: It holds something else, or another process writes it.
        """
        with explained_writes(self.output):
            self.output.mkdir(parents=True, exist_ok=True)
            others = [entry.name for entry in self.output.iterdir() if not entry.name.startswith(".")]
        if others and not any((self.output / name).exists() for name in _OURS):
            raise OutputError(f"{self.output}: holds {others[0]} and is no folder of make-data; give another --output")
        with locked(self.output / ".lock") as free:
            if not free:
                raise OutputError(f"Another process is writing {self.output}; wait for it, or give another --output.")
            yield

    def gather(self, source: str, data: Any, split: str | None, limit: int | None) -> list[str]:
        """Names of the videos, each of which is gathered or has failed."""
        videos = videos_of(source, data, split)
        self.settings: dict[str, Any] = {"source": source, "data": os.path.abspath(data), "split": split}
        self.gathered = Stage(self.output, "gathered", self.settings)
        self.failed = Stage(self.output, "failed", {})
        index = read_json(self.output / _NAMES)
        if index is not None and index.get("limit") == limit and all(map(self.gathered.has, index.get("names", [""]))):
            self.empty = index.get("empty", 0)
            return list(index["names"])
        names: list[str] = []
        with tqdm(videos, "gathering", unit="video", total=limit, leave=False, disable=not self.progress) as bar:
            for name, read in bar:
                if not self.gathered.has(name):
                    with self.failing(name, "gathering"):
                        video = read()
                        video.name = name
                        self.gathered.write(name, video.to_json())
                if self.gathered.has(name) and not visible(self.video(name)):
                    self.empty += 1
                    continue
                names.append(name)
                if len(names) == limit:
                    break
        if not names:
            raise InputError(f"{data}: has no video with an object in it, so there is nothing to make data of")
        write_json(self.output / _NAMES, {"limit": limit, "names": names, "empty": self.empty})
        return names

    def choose(self, source: str, model: str | None, writer: Writer | None) -> None:
        """Who makes what the data set lacks."""
        self.model = model or ""
        if model is not None and source in BOXES_ONLY:
            self.settings = {**self.settings, "model": model, "weights": weights_identity(model)}
            self.masks = Stage(self.output, "masks", self.settings)
        self.written: Stage | None = None
        if writer is not None:
            by = {"writer_model": writer.model, "pictures": self.pictures}
            self.written = Stage(self.output, "written", {**self.settings, **by})

    def estimate(self, names: list[str], price_in: float | None, price_out: float | None) -> Estimate:
        """What is left to do."""
        questions: list[tuple[str, int]] = []
        to_decode = pictures = 0
        for name in self.shown(names, "estimating"):
            if not self.gathered.has(name):
                continue
            video = self.video(name)
            to_decode += video.needs_masks and not (self.masks is not None and self.masks.has(name))
            if self.written is None or not self.written.has(name):
                own = visible(video)
                own_pictures = min(self.pictures, len(video.frames))
                questions.append((question(video, own, own_pictures), len(own)))
                pictures += own_pictures
        return estimated(questions, len(names), to_decode, pictures, price_in, price_out)

    def decode(self, names: list[str], dtype: str, device: str | None) -> None:
        """Masks of videos that have boxes only."""
        masks = self.masks
        if masks is None:
            return
        left = [name for name in names if self.gathered.has(name) and not masks.has(name)]
        if not left:
            return
        # Imported and loaded only where something is to be decoded.
        from ..loading.models import load_model, load_processor
        from .boxes_to_masks import masks_of

        processor, model = load_processor(self.model), load_model(self.model, dtype, device)
        for name in self.shown(left, "masks from boxes"):
            with self.failing(name, "masks"):
                masks.write(name, {"masks": masks_of(self.video(name), model, processor)})

    def write(self, names: list[str], writer: Writer) -> tuple[int, int]:
        """Sentences; gives the tokens read and written."""
        written = self.written
        assert written is not None
        tokens, silent = [0, 0], 0
        for name in self.shown([name for name in names if self.is_ready(name) and not written.has(name)], "writing"):
            with self.failing(name, "writing") as note:
                video = self.video(name)
                shown = visible(video)
                if not shown:
                    raise InputError("none of its objects has a mask")
                seen = pictures_of(video, shown, self.pictures) if self.pictures else []
                asked = question(video, shown, len(seen))
                try:
                    found = writer.write(asked, shown, seen)
                except Unreachable as error:
                    raise _stopped(str(error), names, written) from error
                tokens = [tokens[0] + found.tokens[0], tokens[1] + found.tokens[1]]
                note |= {"replies": found.replies}
                silent = silent + 1 if not found.replies else 0
                if silent == _MOST_SILENT:
                    raise _stopped(found.problem, names, written)
                if found.sentence is None:
                    raise InputError(found.problem)
                said = {"text": found.sentence.text, "objects": found.sentence.objects}
                written.write(name, {**said, "question": asked, "replies": found.replies})
        return tokens[0], tokens[1]

    def records(self, names: list[str], copy: bool) -> tuple[Path, int, int]:
        """The JSONL file, and how many samples and objects are in it."""
        written = self.written
        assert written is not None
        done = [name for name in names if self.is_ready(name) and written.has(name)]
        if not done:
            name, reason = next(iter(self.failures.items()))
            raise InputError(f"nothing could be made of any of {len(names)} videos; the first, {name}: {reason}")
        places: dict[str, str | list[str]] = {}
        for name in self.shown(done, "linking videos"):
            with self.failing(name, "media"):
                places[name] = placed(self.video(name), self.output, copy)
        return write_records(
            (
                (self.video(name), written.read(name, "text", "objects"), places[name])
                for name in done
                if name in places
            ),
            self.output / "samples.jsonl",
        )

    def video(self, name: str) -> GatheredVideo:
        """What is known of a video by now."""
        video = GatheredVideo.from_json(self.gathered.read(name), str(self.gathered.folder))
        if self.masks is not None and self.masks.has(name):
            for own, track in zip(video.objects, self.masks.read(name, "masks")["masks"], strict=True):
                own.masks = track
        return video

    def is_ready(self, name: str) -> bool:
        """Whether a video has masks."""
        return self.gathered.has(name) and (self.masks is None or self.masks.has(name))

    def shown(self, names: list[str], what: str) -> Iterator[str]:
        return iter(tqdm(names, what, unit="video", leave=False, disable=not self.progress))

    @contextmanager
    def failing(self, name: str, stage: str) -> Iterator[dict[str, Any]]:
        """Notes why nothing came of a video, and lets the others go on; what is noted takes more facts."""
        note: dict[str, Any] = {"name": name, "stage": stage}
        try:
            yield note
        except (OutputError, ResourceError, _Stopped):
            raise
        except VideoGlammError as error:
            self.failures[name] = f"{stage}: {error}"
            self.failed.write(name, {**note, "reason": str(error)})
        else:
            self.failed.remove(name)


class _Stopped(InputError):
    """The writer gives no replies at all."""


def _stopped(reason: str, names: list[str], written: Stage) -> _Stopped:
    count = sum(map(written.has, names))
    return _Stopped(
        f"{reason}. Check the address, the name of the model and the key; {count} of {len(names)} sentences are "
        "written, and the same command again goes on from there"
    )
