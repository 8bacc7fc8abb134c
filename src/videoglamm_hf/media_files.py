"""Paths, URLs and folders of frames as files to read, and what is wrong with one that cannot be read."""

from __future__ import annotations

import base64
import contextlib
import re
import stat
import tempfile
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from .downloads import open_url
from .errors import MediaError, VideoGlammError
from .limits import lift, limit

MAX_DOWNLOAD_BYTES = limit("VIDEOGLAMM_MAX_DOWNLOAD_BYTES", 2**32)
DOWNLOAD_SILENCE = 30.0  # seconds without a byte before a download is given up
DOWNLOAD_DEADLINE = 1800.0  # seconds for a whole download

LONGEST_NAME = 200  # of a path or URL in a message; a data URL is as long as its file

# Names of pictures in a folder of frames; hidden files (among them macOS's "._name.png") are left out.
_PICTURE_NAME = re.compile(r"[^.].*\.(avif|bmp|gif|jfif|jpe?g|a?png|p[gnp]m|tiff?|webp)", re.IGNORECASE)
# What moves a cursor or colours a terminal.
_CONTROLS = re.compile("[\x00-\x1f\x7f-\x9f]")
_FIRST_MP4_BOXES = (b"ftyp", b"moov", b"mdat", b"wide", b"free", b"skip")


@contextlib.contextmanager
def media_errors(name: str) -> Iterator[None]:
    """Turn whatever a decoder, encoder or the system raises into a MediaError that names the source."""
    name = short_name(name)
    try:
        yield
    except VideoGlammError:
        raise
    except MemoryError as error:
        raise MediaError(f"{name}: does not fit into memory; ask for fewer frames") from error
    except Exception as error:  # on damage, decoders raise ValueError, IndexError, SyntaxError and more
        raise MediaError(f"{name}: {reason_of(error)}; check that the file is whole and opens in a player") from error


def reason_of(error: BaseException) -> str:
    """What an exception says, as a part of a sentence."""
    text = getattr(error, "strerror", None) or str(error) or type(error).__name__
    return short_name(str(text).strip().rstrip("."))  # some repeat the URL


def is_url(name: str) -> bool:
    """Whether a source is to be downloaded, or a `data:` URL that holds it."""
    return re.match(r"https?://|data:", name, re.IGNORECASE) is not None


def short_name(name: str) -> str:
    """A path, URL or what else may be long as messages repeat it: on one line, of a long one the two ends."""
    name = _CONTROLS.sub(lambda match: match[0].encode("unicode_escape").decode(), name)
    if len(name) <= LONGEST_NAME:
        return name
    end = LONGEST_NAME // 4
    return f"{name[: LONGEST_NAME - end - 3]}...{name[-end:]}"


def without_file_scheme(name: str) -> str:
    """The path of a `file:` URL of this machine; anything else as it is."""
    found = re.fullmatch(r"file:(?://(?:localhost)?(?=/))?(/.*)", name, re.IGNORECASE | re.DOTALL)
    return urllib.request.url2pathname(found[1]) if found else name


def holds_file(source: Any) -> bool:
    """Whether something is the content of a file: bytes, or an open binary file."""
    return isinstance(source, (bytes, bytearray, memoryview)) or hasattr(source, "readable")


def shown_name(source: Any) -> str:
    """What messages call a path, a URL, or the content of a file."""
    return short_name(source) if isinstance(source, str) else type(source).__name__


@contextlib.contextmanager
def local_file(source: Any) -> Iterator[Path]:
    """The readable, non-empty file behind a path, a URL or its content, which lives as long as the context."""
    name = shown_name(source)
    with contextlib.ExitStack() as stack:
        if isinstance(source, str):
            source = without_file_scheme(source)
        if not isinstance(source, str):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="videoglamm-"))) / "content"
            _write(source, name, path)
        elif is_url(source):
            path = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="videoglamm-"))) / "download"
            (_decode if source[:5].lower() == "data:" else _download)(source, name, path)
        elif re.match(r"[a-z][a-z0-9+.-]+://", source, re.IGNORECASE):
            raise MediaError(
                f"{name}: only file, http, https and data URLs can be read; download it and give the path"
            )
        else:
            path = Path(source)
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
            raise MediaError(f"{name}: cannot be opened: {reason_of(error)}; check the path") from error
        if status.st_size == 0:
            raise MediaError(f"{name}: the file is empty (0 bytes); copy or download it again")
        yield path


def _write(content: Any, name: str, path: Path) -> None:
    """Write what bytes or an open file hold; an open one is read from where it stands."""
    if hasattr(content, "readable"):
        with media_errors(name):
            content = content.read(MAX_DOWNLOAD_BYTES + 1)
        if not isinstance(content, bytes):
            raise MediaError(f"{name}: holds text, not bytes; open the file with mode 'rb'")
    if len(content) > MAX_DOWNLOAD_BYTES:
        raise MediaError(_too_large(name))
    _write_bytes(content, name, path)


def _write_bytes(data: Any, name: str, path: Path) -> None:
    try:
        path.write_bytes(data)
    except OSError as error:
        raise MediaError(f"{name}: cannot be written to {path.parent}: {reason_of(error)}; free some space") from error


def _decode(url: str, name: str, path: Path) -> None:
    """Write what a data URL holds, as base64 or percent-encoded."""
    kind, comma, content = url[len("data:") :].partition(",")
    if not comma:
        raise MediaError(f"{name}: a data URL needs a comma before its data, as in data:image/png;base64,...")
    try:
        data = urllib.parse.unquote_to_bytes(content)
        if kind.rstrip().lower().endswith(";base64"):
            data = b"".join(data.split()).rstrip(b"=")
            data = base64.b64decode(data + b"=" * (-len(data) % 4), validate=True)
    except ValueError as error:
        reason = reason_of(error)
        raise MediaError(f"{name}: the data URL cannot be decoded: {reason}; encode the file again") from error
    if len(data) > MAX_DOWNLOAD_BYTES:
        raise MediaError(_too_large(name))
    _write_bytes(data, name, path)


def _too_large(name: str) -> str:
    return (
        f"{name}: larger than {MAX_DOWNLOAD_BYTES / 2**30:.3g} GiB; give a shorter video, or "
        f"{lift('VIDEOGLAMM_MAX_DOWNLOAD_BYTES')}"
    )


def _download(url: str, name: str, path: Path) -> None:
    deadline = time.monotonic() + DOWNLOAD_DEADLINE
    try:
        with open_url(url, name, DOWNLOAD_SILENCE) as response, path.open("wb") as file:
            expected = int(response.headers.get("Content-Length") or 0)
            received = 0
            # read1 returns what has arrived, so that a server dripping bytes cannot outlast the deadline
            while chunk := response.read1(1 << 20):
                received += file.write(chunk)
                if max(received, expected) > MAX_DOWNLOAD_BYTES:
                    raise MediaError(_too_large(name))
                if time.monotonic() > deadline:
                    raise MediaError(f"{name}: not downloaded after {DOWNLOAD_DEADLINE:.0f} s; given up")
    except urllib.error.HTTPError as error:
        raise MediaError(f"{name}: the server answered {error.code} {error.reason}; check the URL") from error
    except MediaError:
        raise
    except Exception as error:  # refused, unknown host, timeout, malformed URL, broken protocol, full disk
        reason = getattr(error, "reason", None)
        if isinstance(reason, MediaError):
            raise reason from error
        reason = reason_of(reason if isinstance(reason, BaseException) else error)
        raise MediaError(f"{name}: the download failed: {reason}; check the URL and the connection") from error
    if received < expected:
        raise MediaError(f"{name}: the download broke off after {received} of {expected} bytes; try again")


def is_frame_file(path: Path) -> bool:
    """Whether a file in a folder is a frame, by its name."""
    return bool(_PICTURE_NAME.fullmatch(path.name)) and path.is_file()


def folder_pictures(name: str) -> list[str]:
    """Paths of the pictures in a folder, in natural order of their names (2.png before 10.png)."""
    with media_errors(name):
        paths = [p for p in Path(name).iterdir() if is_frame_file(p)]
    if not paths:
        raise MediaError(f"{short_name(name)}: the folder holds no pictures (*.png, *.jpg, *.webp and the like)")
    return [str(path) for path in sorted(paths, key=_natural_key)]


def _natural_key(path: Path) -> tuple[list[tuple[int, str]], str]:
    parts = re.split(r"([0-9]+)", path.name.lower())
    return [(int(part), "") if i % 2 else (-1, part) for i, part in enumerate(parts)], path.name


def diagnosis(path: Path) -> str:
    """What a file that no decoder opens seems to be, and what to do."""
    with path.open("rb") as file:
        head = file.read(512)
    if re.match(rb"\s*<(!doctype|html)", head, re.IGNORECASE):
        return "the file is a web page; download the media itself"
    if not any(byte < 9 or 13 < byte < 32 or byte == 127 for byte in head):
        return "the file is text; check the path"
    if lacks_mp4_index(path):
        return "the mp4 was cut short (its index, the moov box, is not whole); copy or download it again"
    return "the format is unknown or the file is damaged; check that it opens, or convert it to mp4"


def lacks_mp4_index(path: Path) -> bool:
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
