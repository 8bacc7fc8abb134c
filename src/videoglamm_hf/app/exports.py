"""What a person takes away: an answer as files that other programs open."""

import shutil
import tempfile
import threading
from collections.abc import Callable, Iterator
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image

from ..cli.answer_file import answer_masks
from ..cli.asking import clip_frames
from ..clip import SampledClip
from ..data.output_names import safe_name
from ..errors import InputError, ResourceError
from ..exchange import export_data
from ..player.page import player_page
from ..player.view import picture_url
from ..render.overlay_video import render_video
from ..render.video_encoding import write_mp4
from .answer_state import current_answer
from .engine import Engine
from .media import opened, source_of
from .reproduce import as_python
from .sessions import ABOUT, Session, read_json

# Formats of other tools, zipped as `export-data` writes them.
_TOOLS = ("png", "coco", "cvat", "cvat-video", "ytvos", "label-studio", "labelme", "sam2-json")
_NAMES = {
    "json": "answer.json",
    "html": "answer.html",
    "mp4": "overlay.mp4",
    "cutout-png": "cutout_png.zip",
    "cutout-webm": "cutout.webm",
    "python": "answer.py",
    **{tool: f"{tool}.zip" for tool in _TOOLS},
}
FORMATS = tuple(_NAMES)
_MILLISECOND = Fraction(1, 1000)
# Encoding takes a core; more at once would take the answers' time.
_AT_ONCE = threading.Semaphore(2)
# Whoever waits holds one of the server's threads, of which there are 40.
_WAITING = threading.Semaphore(16)


def exported(engine: Engine, session: Session, question: str, format: str) -> tuple[Path, str]:
    """An answer as a file, as it is now.

    Args:
        engine: Decodes the video.
        session: Whose answer it is.
        question: Its id.
        format: One of [`FORMATS`].

    Returns:
        The file, in a folder of its own, which is to be removed when the file has been sent; and what a person saves
        it as.

    Raises:
        InputError: There is no such answer or format.
        ResourceError: Too many are being written.
    """
    place = session.question(question)
    if format not in _NAMES:
        raise InputError(f"There is no format {format!r:.40}; there are {', '.join(FORMATS)}.")
    about = read_json(place / ABOUT)
    medium = read_json(session.medium(about["media"]) / ABOUT)
    name = f"{safe_name(Path(medium['name']).stem)}_{_NAMES[format]}"
    if not _WAITING.acquire(blocking=False):
        raise ResourceError("Too many files are being written at the moment. Try again in a minute.")
    try:
        with _AT_ONCE:
            (place / "exports").mkdir(exist_ok=True)
            # A folder of its own: another tab may take the same away at the same time.
            folder = Path(tempfile.mkdtemp(dir=place / "exports"))
            try:
                file = folder / _NAMES[format]
                _WRITERS[format](engine, session, place, about, file)
            except BaseException:
                shutil.rmtree(folder, ignore_errors=True)
                raise
    finally:
        _WAITING.release()
    return file, name


def _json(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    shutil.copyfile(current_answer(place), file)


def _html(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    document = read_json(place / "shown.json")
    with _clip(engine, session, about) as clip:
        document["frames"] = [picture_url(frame) for frame in clip_frames(clip)]
    file.write_text(player_page(document), encoding="utf-8", errors="backslashreplace")


def _mp4(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    masks, labels = answer_masks(read_json(current_answer(place)))
    sampling = about["sampling"]
    # The sound is that of the whole file.
    every = bool(sampling.get("every")) and not {"start_time", "end_time"} & set(sampling)
    with _clip(engine, session, about) as clip:
        source = clip.clip
        like = {"tick": source.tick, "start": source.start, "sound": source.path} if every else {}
        rendered = render_video(clip_frames(clip), masks, labels, legend=not every, enlarge=not every)
        write_mp4(file, rendered, seconds=clip.seconds, duration=clip.duration, **like)


def _cutouts(clip: SampledClip, masks: np.ndarray) -> Iterator[np.ndarray]:
    """Frames, uint8 `[H, W, 4]`, transparent where no object is."""
    for frame, own in zip(clip_frames(clip), masks.swapaxes(0, 1), strict=True):
        yield np.dstack([frame, own.any(axis=0).astype(np.uint8) * 255])


def _cutout_png(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    masks, _ = answer_masks(read_json(current_answer(place)))
    folder = file.with_suffix("")
    folder.mkdir()
    with _clip(engine, session, about) as clip:
        for number, frame in zip(clip.numbers, _cutouts(clip, masks), strict=True):
            Image.fromarray(frame).save(folder / f"{number:05d}.png")
    _zipped(folder, file)


def _cutout_webm(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    masks, _ = answer_masks(read_json(current_answer(place)))
    with _clip(engine, session, about) as clip, av.open(file, "w", format="webm") as container:
        height, width = clip.size
        stream = container.add_stream("libvpx-vp9", rate=30, options={"auto-alt-ref": "0", "crf": "24", "b": "0"})
        # Half the colours have half the sides, which must be whole.
        stream.width, stream.height, stream.pix_fmt = width + width % 2, height + height % 2, "yuva420p"
        stream.codec_context.time_base = _MILLISECOND
        for second, frame in zip(clip.seconds, _cutouts(clip, masks), strict=True):
            padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)))
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(padded), format="rgba")
            picture.pts, picture.time_base = round(1000 * second), _MILLISECOND
            container.mux(stream.encode(picture))
        container.mux(stream.encode())


def _tool(format: str) -> Callable[..., None]:
    def write(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
        folder = file.with_suffix("")
        video = source_of(session.medium(about["media"]))
        export_data(current_answer(place), folder, format=format, video=video, overwrite=True)
        _zipped(folder, file)

    return write


def _python(engine: Engine, session: Session, place: Path, about: dict[str, Any], file: Path) -> None:
    file.write_text(as_python(engine, session, place, about), encoding="utf-8")


def _clip(engine: Engine, session: Session, about: dict[str, Any]) -> Any:
    return opened(session.medium(about["media"]), about["sampling"], engine.processor, engine.settings)


def _zipped(folder: Path, file: Path) -> None:
    shutil.make_archive(str(file.with_suffix("")), "zip", folder)
    shutil.rmtree(folder, ignore_errors=True)


_WRITERS: dict[str, Callable[..., None]] = {
    "json": _json,
    "html": _html,
    "mp4": _mp4,
    "cutout-png": _cutout_png,
    "cutout-webm": _cutout_webm,
    "python": _python,
    **{tool: _tool(tool) for tool in _TOOLS},
}
