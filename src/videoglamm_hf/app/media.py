"""Videos and pictures of a session: taken in, described, and shown frame by frame."""

import hashlib
import json
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from ..cli.asking import clip_frames, every_frame
from ..clip import SampledClip
from ..clip_sources import open_clip
from ..errors import InputError, MediaError, VideoGlammError
from ..frame_sampling import FrameSampling
from ..player.document import empty_document
from ..player.view import jpeg
from ..processing_videoglamm import VideoGlammProcessor
from .sessions import ABOUT, Session, now, read_json, write_json
from .settings import AppSettings

# What a page may say of which frames it wants.
_SAMPLING = ("fps", "num_frames", "start_time", "end_time")
_SHOWN_SIDE = 1280
_SOURCE = "source"


def take_in(session: Session, file: Path, name: str, processor: VideoGlammProcessor, settings: AppSettings) -> dict:
    """Makes a medium of a file, which is moved; what it is, its content says.

    Args:
        session: Whose it becomes.
        file: The file, on the same disk.
        name: What a person calls it; only ever shown.
        processor: Decodes it.
        settings: What is allowed.

    Returns:
        What the medium is, as `about.json` keeps it.

    Raises:
        MediaError, InputError: It is no video or picture, or larger or longer than allowed.
    """
    key, folder = session.new("media")
    try:
        shutil.move(file, folder / _SOURCE)
        with open_clip(folder / _SOURCE, decoder=processor.video_processor.decoder) as clip:
            height, width = clip.size
            if height * width > settings.most_pixels:
                raise MediaError(
                    f"{name} is {width}x{height}; at most {settings.most_pixels / 1e6:.1f} million pixels are taken. "
                    "Make it smaller, and upload it again."
                )
            if clip.duration > settings.most_seconds:
                raise MediaError(
                    f"{name} is {clip.duration:.0f} seconds long; at most {settings.most_seconds:.0f} are taken. Cut "
                    "out the part that matters, and upload that."
                )
            clip.frames([0])
            about = {
                "id": key,
                "name": name,
                "made": now(),
                "kind": "picture" if clip.total == 1 else "video",
                "width": width,
                "height": height,
                "seconds": round(clip.duration, 3),
                "frames": clip.total,
                "fps": clip.rate,
            }
        write_json(folder / ABOUT, about)
        return about
    except BaseException as error:
        shutil.rmtree(folder, ignore_errors=True)
        if isinstance(error, VideoGlammError):
            raise _named(error, folder, name) from error
        raise


def checked_sampling(given: Any, settings: AppSettings) -> dict[str, Any]:
    """Which frames are asked for: `fps`, `num_frames`, `start_time`, `end_time`, `every`.

    Raises:
        InputError: Something else is given, or a number cannot be used.
    """
    if not isinstance(given or {}, dict):
        raise InputError("Frames are chosen by names and numbers.")
    given = {name: value for name, value in (given or {}).items() if value is not None}
    every = given.pop("every", False)
    if not isinstance(every, bool) or set(given) - set(_SAMPLING):
        raise InputError("Frames are chosen by fps, num_frames, start_time, end_time and every.")
    FrameSampling(**given)
    if given.get("num_frames", 0) > settings.most_frames:
        raise InputError(f"At most {settings.most_frames} frames get masks here; give fewer.")
    return dict(sorted(given.items())) | ({"every": True} if every else {})


@contextmanager
def opened(
    folder: Path, sampling: dict[str, Any], processor: VideoGlammProcessor, settings: AppSettings
) -> Iterator[SampledClip]:
    """The frames of a medium that are asked about.

    Raises:
        InputError: They are more than allowed.
        MediaError: The file cannot be read.
    """
    own = {name: value for name, value in sampling.items() if name != "every"}
    about = read_json(folder / ABOUT)
    try:
        if sampling.get("every"):
            clip = every_frame(processor, folder / _SOURCE, part=True, **own)
        else:
            own.setdefault("max_frames", min(settings.most_frames, own.get("num_frames", 64)))
            clip = processor.video_processor.sample(folder / _SOURCE, **own)
        with clip.clip:
            if len(clip) > settings.most_frames:
                raise InputError(
                    f"{about['name']} has {len(clip)} frames, and at most {settings.most_frames} get masks here. "
                    "Leave “every frame” out, or ask about fewer seconds."
                )
            yield clip
    except VideoGlammError as error:
        raise _named(error, folder, about["name"]) from error


def shown_frames(
    folder: Path, sampling: dict[str, Any], processor: VideoGlammProcessor, settings: AppSettings
) -> tuple[str, dict[str, Any]]:
    """Writes the frames as pictures for the page, unless they are there already.

    Returns:
        The key of these frames, and what they are: `count`, `timestamps`, `numbers`, `width`, `height`.
    """
    key = hashlib.sha256(json.dumps(sampling, sort_keys=True).encode()).hexdigest()[:16]
    place = folder / "frames" / key
    if not (place / ABOUT).is_file():
        shutil.rmtree(place, ignore_errors=True)
        aside = None
        try:
            place.parent.mkdir(exist_ok=True)
            # Written aside: another tab may ask for the same ones at the same time.
            aside = Path(tempfile.mkdtemp(dir=place.parent))
            with opened(folder, sampling, processor, settings) as clip:
                for number, frame in enumerate(clip_frames(clip)):
                    (aside / f"{number}.jpg").write_bytes(jpeg(frame, _SHOWN_SIDE))
                about = {
                    "count": len(clip),
                    "timestamps": [round(second, 3) for second in clip.seconds],
                    "numbers": list(clip.numbers),
                    "height": clip.size[0],
                    "width": clip.size[1],
                }
            write_json(aside / ABOUT, about)
            with suppress(OSError):  # the other one was quicker
                aside.rename(place)
            return key, about
        except OSError:
            if (folder / ABOUT).is_file():
                raise
            raise InputError("That video was removed while its frames were read.") from None
        finally:
            if aside is not None:
                shutil.rmtree(aside, ignore_errors=True)
    return key, read_json(place / ABOUT)


def frame_urls(media: str, key: str, count: int) -> list[str]:
    """Where a page finds the pictures of frames."""
    return [f"frames/{media}/{key}/{number}.jpg" for number in range(count)]


def frames_document(media: str, key: str, frames: dict[str, Any], *, title: str) -> dict[str, Any]:
    """Frames as the player shows them before anything is said of them; see [`shown_frames`]."""
    size = (frames["height"], frames["width"])
    return empty_document(frame_urls(media, key, frames["count"]), frames["timestamps"], size, title=title)


def frame_file(folder: Path, key: str, number: int) -> Path:
    """The picture of a frame.

    Raises:
        InputError: There is none.
    """
    places = {path.name: path for path in (folder / "frames").glob("*")}
    file = places[key] / f"{number:d}.jpg" if key in places else None
    if file is None or not file.is_file():
        raise InputError("There is no such frame.")
    return file


def source_of(folder: Path) -> Path:
    """The file that was uploaded."""
    return folder / _SOURCE


def _named(error: VideoGlammError, folder: Path, name: str) -> VideoGlammError:
    """The same error, calling the file what its owner calls it."""
    words = str(error)
    for path in (folder / _SOURCE, folder, _SOURCE):
        words = words.replace(str(path), name)
    return type(error)(words)
