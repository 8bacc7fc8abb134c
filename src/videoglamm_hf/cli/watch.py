"""`videoglamm watch`: asks about what is going on, and follows what is named, frame by frame."""

import argparse
import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TextIO

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from ..data.rle import encode_rle
from ..errors import InputError, VideoGlammError
from ..frame_sampling import check_number
from ..live.frame_sources import ArrivedFrame, FrameSource
from ..live.live_session import LiveSession
from ..loading.models import load_model, load_processor
from ..output_files import check_output, explained_writes, replacing_file, replacing_folder
from ..output_marker import write_marker
from ..render.colors import BACKGROUND, object_color
from ..render.legend import font_size_for, legend_strip
from ..render.overlay import overlay_masks
from ..render.video_encoding import write_mp4
from ..tracking import FrameMasks
from .model_choice import model_or_small, take_calibration
from .screen import library_bars, say, shows_progress
from .wording import counted, with_sureness

WATCH = "watch"
# Frames a second of the overlay, which shows the newest frame there was.
_OVERLAY_RATE = 15.0
# Seconds between pictures of how things are.
_PICTURE_EVERY = 1.0
# Of how many frames delays are kept.
_DELAYS = 100_000


@dataclass
class _Seen:
    """What has been seen so far."""

    frames: int = 0
    missed: int = 0
    seconds: float = 0.0
    delays: list[float] = field(default_factory=list)
    pictured: float = float("-inf")
    error: VideoGlammError | None = None

    def add(self, arrived: ArrivedFrame) -> None:
        self.frames, self.missed, self.seconds = self.frames + 1, self.missed + arrived.missed, arrived.seconds
        if len(self.delays) < _DELAYS:
            self.delays.append(time.monotonic() - arrived.arrived)

    def summary(self) -> str:
        words = f"{counted(self.frames, 'frame')} in {self.seconds:.1f} s"
        if self.missed:
            words += f", {self.missed} missed because frames came faster than they could be followed"
        if self.delays:
            middle, most = np.percentile(self.delays, [50, 95])
            words += f"; from a frame to its masks {1000 * middle:.0f} ms (95 %: {1000 * most:.0f} ms)"
        return words


def run(arguments: argparse.Namespace) -> None:
    """Watches until the source ends, the time is over, or somebody interrupts."""
    for name in ("window", "timeout"):
        check_number(f"--{name}", getattr(arguments, name), above=0)
    for name in ("every", "duration"):
        if getattr(arguments, name) is not None:
            check_number(f"--{name}", getattr(arguments, name), above=0)
    if arguments.max_new_tokens < 1:
        raise InputError(f"--max-new-tokens is {arguments.max_new_tokens}; it must be at least 1.")
    output = None if arguments.output is None else Path(arguments.output)
    arguments.model = model_or_small(arguments)
    if output is not None:
        check_output(output, overwrite=arguments.overwrite, kind=WATCH)
    with library_bars(shows_progress(arguments.quiet)):
        processor = load_processor(arguments.model)
        model = load_model(arguments.model, arguments.dtype, arguments.device, arguments.quantization)
    take_calibration(model, arguments.calibration, "video")
    session = LiveSession(
        model,
        processor,
        arguments.question,
        window=arguments.window,
        ask_every=arguments.every,
        background=arguments.background,
        max_new_tokens=arguments.max_new_tokens,
    )
    seen = _Seen()
    options = {"timeout": arguments.timeout, "every": arguments.every_frame, "pace": not arguments.every_frame}
    with FrameSource(arguments.source, **options) as source:
        say(f"watching {source.name}; the first answer comes after {arguments.window:g} s", arguments.quiet)
        if output is None:
            for _ in _watched(session, source, seen, arguments):
                pass
        else:
            _write(session, source, seen, arguments, output)
    print(seen.summary() + ("" if output is None else f" -> {output}/masks.jsonl, overlay.mp4, latest.png"))
    if seen.error is not None:
        raise seen.error
    if session.answer is None:
        say(f"warning: it ended before a window of {arguments.window:g} s was there: nothing was asked (--window)")


def _watched(
    session: LiveSession, source: FrameSource, seen: _Seen, arguments: argparse.Namespace
) -> Iterator[tuple[ArrivedFrame, FrameMasks]]:
    """Frames with masks, until it is enough; answers are printed as they come."""
    told = None
    shown = shows_progress(arguments.quiet)
    with (
        contextlib.suppress(KeyboardInterrupt),
        tqdm(desc="watching", unit="frame", leave=False, disable=not shown) as bar,
    ):
        frames = iter(source)
        while True:
            # What was followed so far is written whole, whatever ends it.
            try:
                arrived = next(frames, None)
                if arrived is None:
                    return
                found = session.push(arrived.picture, arrived.seconds)
            except VideoGlammError as error:
                seen.error = error
                return
            seen.add(arrived)
            if session.answer is not told:
                told = session.answer
                labels = with_sureness(session.labels, session.probabilities)
                named = ", ".join(f"{number} {label}" for number, label in zip(told.numbers, labels, strict=True))
                bar.write(f"{told.seconds:.1f} s: {told.answer.text}" + (f" [{named}]" if named else ""))
            bar.update()
            bar.set_postfix(missed=seen.missed, delay=f"{1000 * seen.delays[-1]:.0f}ms", refresh=False)
            yield arrived, found
            if arguments.duration is not None and arrived.seconds >= arguments.duration:
                return


def _write(
    session: LiveSession, source: FrameSource, seen: _Seen, arguments: argparse.Namespace, output: Path
) -> None:
    """Writes masks line by line as they are found, a picture every second, and an overlay at the end."""
    with replacing_folder(output, WATCH, overwrite=arguments.overwrite):
        pass
    with explained_writes(output), (output / "masks.jsonl").open("w", encoding="utf-8") as lines:
        frames = _pictures(session, source, seen, arguments, output, lines)
        first = next(frames, None)
        if first is not None:
            write_mp4(output / "overlay.mp4", _chained(first, frames), fps=_OVERLAY_RATE)
    with explained_writes(output):
        write_marker(output, WATCH)


def _chained(first: np.ndarray, rest: Iterator[np.ndarray]) -> Iterator[np.ndarray]:
    yield first
    yield from rest


def _pictures(
    session: LiveSession,
    source: FrameSource,
    seen: _Seen,
    arguments: argparse.Namespace,
    output: Path,
    lines: TextIO,
) -> Iterator[np.ndarray]:
    """Pictures of the overlay at its own rate; writes lines and the newest picture on the way."""
    given = 0
    for arrived, found in _watched(session, source, seen, arguments):
        lines.write(json.dumps(_line(session, arrived, found), ensure_ascii=False) + "\n")
        lines.flush()
        picture = _overlay(session, arrived, found)
        if arrived.seconds - seen.pictured >= _PICTURE_EVERY:
            seen.pictured = arrived.seconds
            with replacing_file(output / "latest.png") as aside:
                Image.fromarray(picture).save(aside, format="PNG")
        while given <= arrived.seconds * _OVERLAY_RATE:
            given += 1
            yield picture


def _line(session: LiveSession, arrived: ArrivedFrame, found: FrameMasks) -> dict[str, Any]:
    """What a line of masks.jsonl says: a frame, and every object in it."""
    sure, presence = session.probabilities, session.presence_probability
    objects = [
        {
            "number": number,
            "phrase": label,
            "object_score": round(float(found.object_scores[i]), 4),
            "iou_score": round(float(found.iou_scores[i]), 4),
            **({} if sure is None else {"probability": round(float(sure[i]), 4)}),
            "mask": encode_rle(found.masks[i].numpy()),
        }
        for i, (number, label) in enumerate(zip(session.numbers, session.labels, strict=True))
    ]
    return {
        "frame": found.frame_index,
        "seconds": round(arrived.seconds, 4),
        "missed": arrived.missed,
        "asked_at": None if session.answer is None else session.answer.seconds,
        **({} if presence is None else {"presence_probability": round(presence, 4)}),
        "objects": objects,
    }


def _overlay(session: LiveSession, arrived: ArrivedFrame, found: FrameMasks) -> np.ndarray:
    """The frame with its masks and what they are called; an object keeps its colour."""
    colors = [object_color(number) for number in session.numbers]
    picture = overlay_masks(arrived.picture, found.masks.numpy(), colors=colors)
    width, font = picture.shape[1], font_size_for(picture)
    # One row, whatever is named: the overlay has one size.
    empty = legend_strip(width, [" "], [BACKGROUND], font)
    labels = with_sureness(session.labels, session.probabilities)
    strip = legend_strip(width, labels, colors, font)[: len(empty)]
    return np.concatenate([picture, strip if len(strip) else empty])
