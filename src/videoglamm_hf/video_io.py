"""Videos and pictures in: RGB frames with their times. Frames out: mp4.

Design choices:

* One decoder, PyAV. Its frames equal decord's pixel for pixel on 8-bit video, and they are the right ones:
  decord 0.6 now and then hands out a neighbouring frame (often so in open-GOP streams), scales frames
  silently where the size changes, and turns phone videos in some containers only.
* Files are sampled exactly as the original model's loader does; arrays, lists and folders are clips that
  somebody has already sampled, so they are taken as they are.
* A file is read twice: a cheap pass over its packets counts the frames and notes their times (container
  headers lie), then only what is needed is decoded. Long stretches without a wanted frame are skipped by
  seeking, where the container has dependable times.
* Frames come out as a person sees them: turned and mirrored as the display matrix says, transparency on
  white. Non-square pixels stay as stored, and interlaced video stays interlaced, as in the original.
* Damage is survived where a player would survive it (a cut-off end, some bad packets): the frames that exist
  are returned with their true times and a warning is logged. Not a single good frame is an error.
* Whatever goes wrong inside a decoder comes out as one `MediaError` that names the source.
"""

from __future__ import annotations

import contextlib
import itertools
import logging
import math
import os
import re
import secrets
import stat
import struct
import sys
import tempfile
import time
import urllib.error
import urllib.request
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError

from .errors import InputError, MediaError, VideoGlammError

logger = logging.getLogger(__name__)

MAX_PIXELS = 2**28  # of one frame; real cameras stop at a quarter of this
MAX_CLIP_BYTES = 2**34  # of all frames of one clip
MAX_ANIMATION_BYTES = 2**32  # of all frames of a GIF or the like, which are all decoded
MAX_DOWNLOAD_BYTES = 2**32
DOWNLOAD_SILENCE = 30.0  # seconds without a byte before a download is given up
DOWNLOAD_DEADLINE = 1800.0  # seconds for a whole download

# Names of pictures in a folder of frames; hidden files (among them macOS's "._name.png") are left out.
_PICTURE_NAME = re.compile(r"[^.].*\.(avif|bmp|gif|jfif|jpe?g|png|p[gnp]m|tiff?|webp)", re.IGNORECASE)
# Formats Pillow reads itself: no external program, none that is really a video or a document.
_PICTURE_FORMATS = ("AVIF", "BMP", "GIF", "JPEG", "MPO", "PNG", "PPM", "TIFF", "WEBP")
_FIRST_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")
# Containers whose frame times and seeking can be relied on.
_INDEXED_CONTAINERS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})


@dataclass(frozen=True, eq=False)
class VideoClip:
    """Frames of one video, in order of presentation.

    Attributes:
        frames: uint8 [T, H, W, 3], RGB, T >= 1.
        timestamps: one number per frame. For files: seconds since the first frame of the file. For arrays,
            lists and folders, whose rate is unknown: the position of the frame in the source, as a float.
        fps: frames per second of the source itself (not of this sample), None if unknown.
        source: how messages name the source: a path, a URL or "array".
        grounding_frames: uint8 [T', H, W, 3], frames to segment where those are not the frames above; `timestamps`
            are then theirs.
    """

    frames: np.ndarray
    timestamps: tuple[float, ...]
    fps: float | None
    source: str
    grounding_frames: np.ndarray | None = None


def read_clip(
    source: Any,
    *,
    fps: float | None = 1.0,
    num_frames: int | None = None,
    max_frames: int | None = 64,
    start_time: float | None = None,
    end_time: float | None = None,
) -> VideoClip:
    """Read the frames of a video.

    Files (video, GIF, animated WebP/PNG/AVIF, a still picture as a video of one frame) and http(s) URLs are
    sampled as `sample_frame_indices` describes. If a file ends earlier than it promises, or parts of it
    cannot be decoded, fewer frames than asked for are returned (never none) and a warning is logged.

    Clips that are frames already are taken as they are, `fps` and `max_frames` do not apply: a folder of
    pictures (in natural order of their names), a uint8 array or tensor [T, H, W, 3] (a tensor may also be
    [T, 3, H, W]), a list of PIL images, uint8 arrays [H, W, 3], tensors or picture paths. Only an explicit
    `num_frames` < T takes that many, evenly spread.

    Args:
        source: one of the above.
        fps: frames per second to sample, None for every frame.
        num_frames: take this many frames evenly spread instead of sampling at `fps`.
        max_frames: never return more than this many (evenly thinned out), None for no limit.
        start_time, end_time: part of the file to sample from, in seconds.

    Raises:
        InputError: an option or an array cannot be used; the message names it.
        MediaError: the source cannot be read, or holds no video; the message names it and says why.
    """
    check_options(fps, num_frames, max_frames, start_time, end_time)
    options = {
        "fps": fps,
        "num_frames": num_frames,
        "max_frames": max_frames,
        "start_time": start_time,
        "end_time": end_time,
    }
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a video path must be text, not {type(name).__name__}")
        if not _is_url(name) and os.path.isdir(name):
            return _frames_as_they_are(_folder_pictures(name), name, options, mismatch=MediaError)
        with local_file(name) as path:
            return _read_file(path, name, options)
    array = _as_array(source)
    if array is not None:
        return _frames_as_they_are(_check_video_array(array, _is_tensor(source)), "array", options)
    if isinstance(source, Sequence) and not isinstance(source, (bytes, bytearray)):
        return _frames_as_they_are(source, "array", options)
    raise InputError(
        f"a video cannot be read from {type(source).__name__}: give a path, a URL, a folder of pictures, "
        "a uint8 array or tensor [T, H, W, 3], or a list of pictures"
    )


def read_image(source: Any) -> np.ndarray:
    """Read one picture as uint8 [H, W, 3], RGB.

    Args:
        source: path or http(s) URL of a picture file (turned as its EXIF orientation says; of an animation
            the first frame), PIL image, uint8 array [H, W, 3], or uint8 tensor [H, W, 3] or [3, H, W].
            Transparency is laid on white.

    Raises:
        InputError: an array or object that is not such a picture.
        MediaError: a file or URL that cannot be read as a picture.
    """
    if isinstance(source, (str, os.PathLike)):
        name = os.fspath(source)
        if not isinstance(name, str):
            raise InputError(f"a picture path must be text, not {type(name).__name__}")
        with local_file(name) as path, media_errors(name):
            picture = open_picture(path, name)
            if picture is None:
                raise MediaError(f"{name}: not a picture (videos are read by read_clip): {_diagnosis(path)}")
            with picture:
                return _rgb(ImageOps.exif_transpose(picture))
    if isinstance(source, Image.Image):
        with media_errors("picture"):
            return _rgb(source)
    array = _as_array(source)
    if array is None:
        raise InputError(
            f"a picture cannot be read from {type(source).__name__}: give a path, a URL, a PIL image, "
            "or a uint8 array or tensor [H, W, 3]"
        )
    if _is_tensor(source) and array.ndim == 3 and array.shape[0] == 3 and array.shape[2] != 3:
        array = array.transpose(1, 2, 0)
    _check_frame(array, "the picture")
    return np.ascontiguousarray(array)


def sample_frame_indices(
    total: int,
    native_fps: float | None,
    *,
    fps: float | None,
    num_frames: int | None,
    max_frames: int | None,
    start_time: float | None,
    end_time: float | None,
) -> list[int]:
    """Which frames of a video to take: strictly increasing positions in range(total), at least one.

    The rule of the original model: from frame int(start * native_fps) to frame int(end * native_fps), every
    max(1, round(native_fps / fps))-th frame; with `num_frames`, that many evenly spread over the same part
    (each at most once); if that is more than `max_frames`, that many evenly spread over these.

    Args:
        total: number of frames of the video.
        native_fps: its frame rate; None if unknown, then `fps` has no effect and times cannot be given.
        fps, num_frames, max_frames, start_time, end_time: see `read_clip`.

    Raises:
        InputError: an option is out of range; the message names it.
    """
    check_options(fps, num_frames, max_frames, start_time, end_time)
    _check_count("total", total)
    if native_fps is not None:
        _check_number("native_fps", native_fps, above=0)
    elif start_time is not None or end_time is not None:
        raise InputError("start_time and end_time need a video with a known frame rate")

    first, last = 0, total - 1
    if start_time:
        if start_time * native_fps >= total:
            raise InputError(
                f"start_time {start_time:g} s is not before the end of the video ({total / native_fps:g} s)"
            )
        first = int(start_time * native_fps)
    if end_time is not None:
        last = int(min(end_time * native_fps, total - 1))

    if num_frames is not None:
        positions = _spread(first, last, num_frames)
    else:
        stride = 1
        if fps is not None and native_fps is not None:
            stride = max(1, round(min(native_fps / fps, total)))
        positions = list(range(first, last + 1, stride))
    if max_frames is not None and len(positions) > max_frames:
        positions = [positions[i] for i in _spread(0, len(positions) - 1, max_frames)]
    return positions


def write_mp4(path: str | os.PathLike[str], frames: Iterable[np.ndarray], *, fps: float) -> None:
    """Write frames as an H.264 mp4 (yuv420p, BT.709) that players and browsers open.

    The file appears complete or not at all: it is written under another name in the same folder first. An
    existing file is replaced. Odd heights and widths are padded to even ones by repeating the last line.

    Args:
        path: the file to write; its folder must exist.
        frames: uint8 [H, W, 3] each, RGB, all of one size, at least one; taken one at a time.
        fps: frames per second, 0.01 to 1000.

    Raises:
        InputError: `fps` out of range, no frames, or a frame of another size or type.
        MediaError: the file cannot be written or encoded.
    """
    _check_number("fps", fps, above=0)
    if not 0.01 <= fps <= 1000:
        raise InputError(f"fps must be between 0.01 and 1000 to write a video, not {fps:g}")
    target = Path(path)
    name = str(target)
    if target.is_dir():
        raise MediaError(f"{name}: is a folder; give the path of a file to write")
    if not target.parent.is_dir():
        raise MediaError(f"{name}: the folder {target.parent} does not exist; create it first")
    aside = target.with_name(f".{secrets.token_hex(8)}.part")
    try:
        _encode(aside, name, frames, Fraction(float(fps)).limit_denominator(100_000))
        with media_errors(name):
            os.replace(aside, target)
    finally:
        with contextlib.suppress(OSError):
            aside.unlink(missing_ok=True)


# Options and arrays


def check_options(
    fps: float | None,
    num_frames: int | None,
    max_frames: int | None,
    start_time: float | None,
    end_time: float | None,
) -> None:
    if fps is not None:
        _check_number("fps", fps, above=0)
    if num_frames is not None:
        _check_count("num_frames", num_frames)
    if max_frames is not None:
        _check_count("max_frames", max_frames)
    if start_time is not None:
        _check_number("start_time", start_time)
        if start_time < 0:
            raise InputError(f"start_time must not be negative, not {start_time:g}")
    if end_time is not None:
        _check_number("end_time", end_time, above=0)
        if start_time is not None and start_time >= end_time:
            raise InputError(f"start_time ({start_time:g}) must be before end_time ({end_time:g})")


def _check_number(option: str, value: Any, above: float = -math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, float, np.integer, np.floating)):
        raise InputError(f"{option} must be a number, not {value!r}")
    if not math.isfinite(value) or value <= above:
        wanted = "finite" if above == -math.inf else f"finite and more than {above:g}"
        raise InputError(f"{option} must be {wanted}, not {value}")


def _check_count(option: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, (int, np.integer)) or value < 1:
        raise InputError(f"{option} must be a whole number of at least 1, not {value!r}")


def _spread(first: int, last: int, count: int) -> list[int]:
    """`count` whole numbers evenly from `first` to `last`, each once; all of them if there are no more."""
    if count > last - first:
        return list(range(first, last + 1))
    return sorted(set(np.linspace(first, last, num=count, dtype=int).tolist()))


def _is_tensor(source: Any) -> bool:
    # Whoever has a tensor has imported torch; whoever has none need not wait for the import.
    torch = sys.modules.get("torch")
    return torch is not None and isinstance(source, torch.Tensor)


def _as_array(source: Any) -> np.ndarray | None:
    if isinstance(source, np.ndarray):
        return source
    if not _is_tensor(source):
        return None
    try:
        return source.detach().cpu().numpy()
    except (TypeError, RuntimeError) as error:  # bfloat16, sparse, quantized: not pictures
        raise InputError(f"a tensor of type {source.dtype} is not a video or picture: {error}") from error


def _check_frame(array: np.ndarray, name: str) -> None:
    """Raise InputError unless `array` is uint8 [H, W, 3]."""
    if array.dtype != np.uint8:
        raise InputError(f"{name} has dtype {array.dtype}; convert it to uint8 with values from 0 to 255")
    if array.ndim != 3 or array.shape[2] != 3 or 0 in array.shape:
        raise InputError(f"{name} has shape {list(array.shape)}; expected [H, W, 3] in RGB")
    if array.shape[0] * array.shape[1] > MAX_PIXELS:
        raise InputError(f"{name} is {array.shape[1]}x{array.shape[0]}, more than {MAX_PIXELS} pixels")


def _check_video_array(array: np.ndarray, channels_may_lead: bool) -> np.ndarray:
    if channels_may_lead and array.ndim == 4 and array.shape[1] == 3 and array.shape[3] != 3:
        array = array.transpose(0, 2, 3, 1)
    if array.ndim != 4 or array.shape[3] != 3:
        raise InputError(f"the video array has shape {list(array.shape)}; expected [T, H, W, 3] in RGB")
    if len(array) == 0:
        raise InputError("the video array holds no frames")
    _check_frame(array[0], "the video array")
    return array


def _frames_as_they_are(
    items: Sequence[Any] | np.ndarray,
    name: str,
    options: dict[str, Any],
    mismatch: type[VideoGlammError] = InputError,
) -> VideoClip:
    """The clip of an array, or of a list of whatever `read_image` reads; `mismatch` tells of different sizes."""
    if options["start_time"] is not None or options["end_time"] is not None:
        raise InputError("start_time and end_time are for video files; frames given one by one have no times")
    if len(items) == 0:
        raise InputError("the list of frames is empty; a video needs at least one")
    positions = list(range(len(items)))
    if options["num_frames"] is not None:
        positions = _spread(0, len(items) - 1, options["num_frames"])
    if isinstance(items, np.ndarray):
        frames = np.ascontiguousarray(items if len(positions) == len(items) else items[positions])
    else:
        pictures: list[np.ndarray] = []
        for position in positions:
            item = items[position]
            try:
                picture = read_image(item)
            except InputError as error:
                raise InputError(f"frame {position} of the list: {error}") from error
            if pictures and picture.shape != pictures[0].shape:
                where = item if isinstance(item, (str, os.PathLike)) else f"frame {position} of the list"
                message = (
                    f"{where} is {_size(picture)}, but the first frame is {_size(pictures[0])}; "
                    "all frames of a video must have one size"
                )
                raise mismatch(message)
            _check_clip_bytes(name, len(positions), picture.shape)
            pictures.append(picture)
        frames = np.stack(pictures)
    return VideoClip(frames, tuple(float(p) for p in positions), None, name)


def _size(frame: np.ndarray) -> str:
    return f"{frame.shape[1]}x{frame.shape[0]}"


# Files and downloads


def _is_url(name: str) -> bool:
    return re.match(r"https?://", name, re.IGNORECASE) is not None


@contextlib.contextmanager
def media_errors(name: str) -> Iterator[None]:
    """Turn whatever a decoder, encoder or the system raises into a MediaError that names the source."""
    try:
        yield
    except VideoGlammError:
        raise
    except MemoryError as error:
        raise MediaError(f"{name}: does not fit into memory; ask for fewer frames") from error
    except Exception as error:  # on damage, decoders raise ValueError, IndexError, SyntaxError and more
        raise MediaError(f"{name}: {_reason(error)}; check that the file is whole and opens in a player") from error


def _reason(error: BaseException) -> str:
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return str(text).strip().rstrip(".")


@contextlib.contextmanager
def local_file(name: str) -> Iterator[Path]:
    """The readable, non-empty file behind a path or URL; a download lives as long as the context."""
    with contextlib.ExitStack() as stack:
        if _is_url(name):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="videoglamm-"))) / "download"
            _download(name, path)
        elif re.match(r"[a-z][a-z0-9+.-]+://", name, re.IGNORECASE):
            raise MediaError(f"{name}: only http and https URLs can be read; download it and give the path")
        else:
            path = Path(name)
        if not name:
            raise MediaError("the path is empty; give the path of a video or picture file")
        try:
            status = path.stat()
            if not stat.S_ISREG(status.st_mode):  # a folder, a device, a pipe that opening would wait for
                raise MediaError(f"{name}: is not a regular file; give the path of a video or picture file")
            path.open("rb").close()
        except FileNotFoundError as error:
            raise MediaError(f"{name}: no such file; check the path") from error
        except MediaError:
            raise
        except (OSError, ValueError) as error:
            raise MediaError(f"{name}: cannot be opened: {_reason(error)}; check the path") from error
        if status.st_size == 0:
            raise MediaError(f"{name}: the file is empty (0 bytes); copy or download it again")
        yield path


def _download(url: str, path: Path) -> None:
    deadline = time.monotonic() + DOWNLOAD_DEADLINE
    try:
        request = urllib.request.Request(url, headers={"User-Agent": "videoglamm-hf"})
        with urllib.request.urlopen(request, timeout=DOWNLOAD_SILENCE) as response, path.open("wb") as file:
            expected = int(response.headers.get("Content-Length") or 0)
            received = 0
            # read1 returns what has arrived, so that a server dripping bytes cannot outlast the deadline
            while chunk := response.read1(1 << 20):
                received += file.write(chunk)
                if max(received, expected) > MAX_DOWNLOAD_BYTES:
                    raise MediaError(f"{url}: larger than {MAX_DOWNLOAD_BYTES >> 30} GiB; give a shorter video")
                if time.monotonic() > deadline:
                    raise MediaError(f"{url}: not downloaded after {DOWNLOAD_DEADLINE:.0f} s; given up")
    except urllib.error.HTTPError as error:
        raise MediaError(f"{url}: the server answered {error.code} {error.reason}; check the URL") from error
    except MediaError:
        raise
    except Exception as error:  # refused, unknown host, timeout, malformed URL, broken protocol, full disk
        reason = getattr(error, "reason", None)
        reason = _reason(reason if isinstance(reason, BaseException) else error)
        raise MediaError(f"{url}: the download failed: {reason}; check the URL and the connection") from error
    if received < expected:
        raise MediaError(f"{url}: the download broke off after {received} of {expected} bytes; try again")


def is_frame_file(path: Path) -> bool:
    """Whether a file in a folder is a frame, by its name."""
    return bool(_PICTURE_NAME.fullmatch(path.name)) and path.is_file()


def _folder_pictures(name: str) -> list[str]:
    """Paths of the pictures in a folder, in natural order of their names (2.png before 10.png)."""
    with media_errors(name):
        paths = [p for p in Path(name).iterdir() if is_frame_file(p)]
    if not paths:
        raise MediaError(f"{name}: the folder holds no pictures (*.png, *.jpg, *.webp and the like)")
    return [str(path) for path in sorted(paths, key=_natural_key)]


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)], path.name


def _check_clip_bytes(name: str, count: int, shape: Sequence[int]) -> None:
    size = count * math.prod(shape)
    if size > MAX_CLIP_BYTES:
        raise MediaError(
            f"{name}: {count} frames of {shape[1]}x{shape[0]} take {size / 2**30:.0f} GiB, more than the "
            f"{MAX_CLIP_BYTES >> 30} GiB a clip may have; lower fps, num_frames or max_frames"
        )


def _diagnosis(path: Path) -> str:
    """What a file that no decoder opens seems to be, and what to do."""
    with path.open("rb") as file:
        head = file.read(512)
    if re.match(rb"\s*<(!doctype|html)", head, re.IGNORECASE):
        return "the file is a web page; download the media itself"
    if not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head):
        return "the file is text; check the path"
    if _lacks_mp4_index(path):
        return "the mp4 was cut short (its index, the moov box, is not whole); copy or download it again"
    return "the format is unknown or the file is damaged; check that it opens, or convert it to mp4"


def _lacks_mp4_index(path: Path) -> bool:
    """Whether this is an mp4 none of whose outermost boxes is a whole `moov`."""
    end = path.stat().st_size
    position = 0
    with path.open("rb") as file:
        while position + 8 <= end:
            file.seek(position)
            header = file.read(16)
            if position == 0 and header[4:8] not in _FIRST_MP4_BOXES:
                return False
            length = int.from_bytes(header[:4], "big")
            if length == 1:
                length = int.from_bytes(header[8:16], "big")
            if length < 8 or position + length > end:
                return True
            if header[4:8] == b"moov":
                return False
            position += length
    return True


# Pictures and animations


def open_picture(path: Path, name: str) -> Image.Image | None:
    """The picture or animation in a file, not decoded yet; None if it is not one."""
    Image.init()
    formats = [f for f in _PICTURE_FORMATS if f in Image.OPEN]
    try:
        picture = Image.open(path, formats=formats)
    except UnidentifiedImageError:
        return None
    except Image.DecompressionBombError as error:
        raise MediaError(f"{name}: the picture has too many pixels: {error}") from error
    if picture.width * picture.height > MAX_PIXELS:
        picture.close()
        raise MediaError(f"{name}: {picture.width}x{picture.height} is more than {MAX_PIXELS} pixels")
    return picture


def _rgb(picture: Image.Image) -> np.ndarray:
    """uint8 [H, W, 3] of the current frame, transparency laid on white."""
    if picture.mode.startswith("I"):  # 16 bits per pixel: Pillow's own conversion clips at 255
        grey = np.clip(np.asarray(picture), 0, 2**16 - 1) >> 8
        return np.repeat(grey.astype(np.uint8)[:, :, None], 3, axis=2)
    if picture.has_transparency_data:
        picture = picture.convert("RGBA")
        picture = Image.alpha_composite(Image.new("RGBA", picture.size, "white"), picture)
    return np.array(picture.convert("RGB"))


def _read_file(path: Path, name: str, options: dict[str, Any]) -> VideoClip:
    with media_errors(name):
        picture = open_picture(path, name)
        if picture is not None:
            with picture:
                return _read_animation(picture, name, options)
        return _read_video(path, name, options)


def _read_animation(picture: Image.Image, name: str, options: dict[str, Any]) -> VideoClip:
    count = getattr(picture, "n_frames", 1)
    if count > 1 and count * picture.width * picture.height * 3 > MAX_ANIMATION_BYTES:
        raise MediaError(
            f"{name}: an animation of {count} frames of {picture.width}x{picture.height} is too large; "
            "convert it to mp4"
        )
    # Only decoding tells how long each frame stays, so all are decoded once before any is kept.
    starts: list[float] = []  # milliseconds, as are the delays
    elapsed = 0.0
    for position in range(count):
        try:
            picture.seek(position)
            picture.load()
        except (OSError, EOFError, SyntaxError, ValueError, struct.error) as error:
            if not starts:
                raise
            logger.warning("%s: frames after the first %d cannot be decoded: %s", name, position, error)
            break
        starts.append(elapsed)
        delay = picture.info.get("duration") or 0
        elapsed += delay if 10 < delay < math.inf else 100  # as browsers play "no delay"; damage may say NaN
    rate = len(starts) / elapsed * 1000 if len(starts) > 1 else None
    positions = sample_frame_indices(len(starts), rate, **options)
    frames = []
    for position in positions:
        picture.seek(position)
        frames.append(_rgb(ImageOps.exif_transpose(picture)))
        if frames[-1].shape != frames[0].shape:
            raise MediaError(
                f"{name}: frame {position} is {_size(frames[-1])}, but the first is {_size(frames[0])}; "
                "all frames of a video must have one size"
            )
    return VideoClip(np.stack(frames), tuple(starts[p] / 1000 for p in positions), rate, name)


# Videos


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of a video stream tell without decoding."""

    total: int
    rate: float | None
    stamps: list[int]  # presentation time of each frame, sorted; empty if they cannot be relied on
    keys: list[int]  # presentation times of frames that decode without others, sorted
    timed: bool  # whether the times of decoded frames can be relied on
    time_base: Fraction  # seconds of one unit of the presentation times


class LostPlace(Exception):
    """Seeking led past the wanted frame, as where key frames become whole only over the next frames."""


@contextlib.contextmanager
def _opened(path: Path, name: str) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    try:  # by its absolute path, for a colon in a relative one could look like a protocol
        container = av.open(str(path.absolute()), metadata_errors="replace")
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{name}: not a video: {_diagnosis(path)} ({_reason(error)})") from error
    with container:
        if container.format.name == "tty":  # FFmpeg draws text files as terminal art
            raise MediaError(f"{name}: not a video: the file is text; check the path")
        stream = container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            if _lacks_mp4_index(path):
                raise MediaError(f"{name}: not a video: {_diagnosis(path)}")
            kinds = sorted({other.type for other in container.streams if other is not stream})
            held = f"only {' and '.join(kinds)}" if kinds else "nothing"
            raise MediaError(f"{name}: holds no video, {held} is inside; give a file with a video track")
        if stream.codec_context is None:
            raise MediaError(f"{name}: no decoder for its video format; convert it to H.264 mp4")
        if stream.width * stream.height > MAX_PIXELS:
            raise MediaError(f"{name}: {stream.width}x{stream.height} is more than {MAX_PIXELS} pixels")
        stream.thread_type = "AUTO"
        yield container, stream


def _read_video(path: Path, name: str, options: dict[str, Any]) -> VideoClip:
    index = index_packets(path, name)
    positions = sample_frame_indices(index.total, index.rate, **options)
    try:
        frames, seconds = decode_positions(path, name, index, positions, index.keys)
    except LostPlace:
        frames, seconds = decode_positions(path, name, index, positions, [])
    if not seconds:
        raise MediaError(
            f"{name}: none of the {len(positions)} frames asked for can be decoded; the file is damaged or "
            "cut short, or the container promises frames it does not hold"
        )
    if len(seconds) < len(positions):
        logger.warning(
            "%s: only %d of %d frames asked for could be decoded; the file is damaged or cut short",
            name,
            len(seconds),
            len(positions),
        )
    return VideoClip(frames, tuple(seconds), index.rate, name)


def index_packets(path: Path, name: str) -> PacketIndex:
    stamps: list[int | None] = []
    keys: list[int] = []
    timed = True
    with _opened(path, name) as (container, stream):
        last = -math.inf
        for packet in _packets(container, stream):
            if packet.size and not packet.is_discard:
                stamps.append(packet.pts)
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
                if packet.dts is not None:
                    timed = timed and packet.dts >= last  # times start anew where recordings were concatenated
                    last = packet.dts
        rate = stream.average_rate or stream.guessed_rate
        time_base = stream.time_base
        indexed = container.format.name in _INDEXED_CONTAINERS
        timed = timed and container.format.name != "avi"  # AVI has no presentation times, FFmpeg makes some up
    if not stamps:
        raise MediaError(f"{name}: the video holds no frames; the file is damaged or was never finished")
    distinct = sorted({stamp for stamp in stamps if stamp is not None})
    if None in stamps or not indexed:
        return PacketIndex(len(stamps), float(rate) if rate else None, [], [], timed, time_base)
    return PacketIndex(len(distinct), float(rate) if rate else None, distinct, sorted(keys), timed, time_base)


def decode_positions(
    path: Path, name: str, index: PacketIndex, positions: list[int], keys: list[int]
) -> tuple[np.ndarray, list[float]]:
    """The frames at `positions` and their seconds; fewer, even none, if they cannot be decoded."""
    frames = np.empty((0, 0, 0, 3), np.uint8)
    seconds: list[float | None] = []
    places: list[int] = []
    wanted = [index.stamps[p] for p in positions] if index.stamps else positions
    with _opened(path, name) as (container, stream):
        for place, frame in _wanted_frames(container, stream, wanted, keys, counted=not index.stamps):
            if frame.width * frame.height > MAX_PIXELS:
                raise MediaError(f"{name}: {frame.width}x{frame.height} is more than {MAX_PIXELS} pixels")
            picture = _upright(frame)
            count = len(seconds)
            if count == 0:
                _check_clip_bytes(name, len(positions), picture.shape)
                frames = np.empty((len(positions), *picture.shape), np.uint8)
            if picture.shape != frames.shape[1:]:
                position = bisect_left(index.stamps, place) if index.stamps else place
                raise MediaError(
                    f"{name}: frame {position} is {_size(picture)}, but frames before it are "
                    f"{_size(frames[0])}; convert the video to one size, or set end_time before that frame"
                )
            frames[count] = picture
            places.append(place)
            if index.stamps:
                seconds.append(float((place - index.stamps[0]) * stream.time_base))
            else:
                known = index.timed and frame.pts is not None
                seconds.append(float((frame.pts - (stream.start_time or 0)) * stream.time_base) if known else None)
    frames = frames[: len(seconds)]
    if None in seconds or not all(a < b for a, b in itertools.pairwise([-math.inf, *seconds])):
        return frames, [place / (index.rate or 1.0) for place in places]
    return frames, seconds


def _wanted_frames(
    container: av.container.InputContainer,
    stream: av.VideoStream,
    wanted: list[int],
    keys: list[int],
    counted: bool,
) -> Iterator[tuple[int, av.VideoFrame]]:
    """For each of `wanted` (increasing) the first frame at or after it, with its place; each frame once.

    A place is the frame's presentation time, or its number from 0 if `counted`.
    """
    place = -1 if counted else min([wanted[0], *keys[:1]]) - 1
    todo = 0
    while todo < len(wanted):
        jump = _key_to_jump_to(keys, wanted[todo], place)
        if jump is not None:
            container.seek(jump, stream=stream)
        for frame in _decoded_frames(container, stream):
            if not counted and frame.pts is None:
                continue
            place = place + 1 if counted else frame.pts
            if jump is not None and place > wanted[todo]:
                raise LostPlace
            jump = None
            if place < wanted[todo]:
                continue
            yield place, frame
            todo = bisect_right(wanted, place)
            if todo == len(wanted) or _key_to_jump_to(keys, wanted[todo], place) is not None:
                break
        else:
            return


def _key_to_jump_to(keys: list[int], target: int, place: int) -> int | None:
    """The key frame to seek to on the way from `place` to `target`, None if decoding on is as quick."""
    at = bisect_right(keys, target) - 1
    return keys[at] if at > 0 and keys[at] > place else None


def _packets(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.Packet]:
    """The packets from the current position to the end, or to where the file breaks off."""
    while True:
        try:
            yield from container.demux(stream)
        except IndexError:  # PyAV's way of meeting a track that only begins here; the next packet is fine
            continue
        except av.error.FFmpegError:
            pass
        return


def _decoded_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames from the current position on, skipping packets that cannot be decoded."""
    for packet in _packets(container, stream):
        with contextlib.suppress(av.error.FFmpegError):
            yield from packet.decode()


def _upright(frame: av.VideoFrame) -> np.ndarray:
    """uint8 [H, W, 3] of a decoded frame, turned and mirrored as its display matrix says."""
    picture = frame.to_ndarray(format="rgb24")
    matrix = frame.side_data.get("DISPLAYMATRIX")
    if matrix is None:
        return picture
    a, b, _, c, d = struct.unpack("<5i", bytes(matrix)[:20])  # x' = a x + c y, y' = b x + d y
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _encode(path: Path, name: str, frames: Iterable[np.ndarray], rate: Fraction) -> None:
    """Encode into the file `path`, calling it `name` in messages."""
    shape: tuple[int, ...] | None = None
    with contextlib.ExitStack() as stack:
        for position, picture in enumerate(frames):
            array = _as_array(picture)
            if array is None:
                raise InputError(f"frame {position} is {type(picture).__name__}; expected uint8 [H, W, 3]")
            _check_frame(array, f"frame {position}")
            with media_errors(name):
                if shape is None:
                    shape = array.shape
                    container = stack.enter_context(
                        av.open(str(path.absolute()), "w", format="mp4", options={"movflags": "faststart"})
                    )
                    stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
                    stream.height, stream.width = shape[0] + shape[0] % 2, shape[1] + shape[1] % 2
                    stream.pix_fmt = "yuv420p"
                    context = stream.codec_context
                    context.color_range, context.colorspace = 1, 1  # limited range, BT.709
                    context.color_primaries, context.color_trc = 1, 1
                if array.shape != shape:
                    raise InputError(
                        f"frame {position} is {_size(array)}, but the first is {shape[1]}x{shape[0]}; "
                        "all frames of a video must have one size"
                    )
                padded = np.pad(array, ((0, shape[0] % 2), (0, shape[1] % 2), (0, 0)), mode="edge")
                frame = av.VideoFrame.from_ndarray(padded, format="rgb24").reformat(
                    format="yuv420p", dst_colorspace="ITU709", dst_color_range="MPEG"
                )
                container.mux(stream.encode(frame))
        if shape is None:
            raise InputError("there are no frames to write")
        with media_errors(name):
            container.mux(stream.encode(None))
            stack.close()  # writes the index of the file
