"""Frames as they arrive: of a camera, a stream, a pipe, or a file that may still be growing.

A thread reads, and keeps the newest frame only: whoever is slower than the source misses frames, and is told how many.
"""

import contextlib
import io
import os
import platform
import sys
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import av
import numpy as np

from ..downloads import PUBLIC_ONLY, public_urls_only
from ..errors import InputError, MediaError
from ..frame_arrays import check_pixels
from ..media_files import is_url, reason_of, short_name
from ..video_decoding import MAX_PIXELS, display_width, pixel_aspect, upright_frame

# What FFmpeg calls cameras, by operating system, and how it names the one with a number.
_CAMERAS = {
    "Linux": ("v4l2", "/dev/video{}"),
    "Darwin": ("avfoundation", "{}"),
    "Windows": ("dshow", "video={}"),
}
_STREAMS = ("rtsp://", "rtsps://", "rtmp://", "rtmps://", "udp://", "srt://", "http://", "https://")
_PROTOCOLS = "rtsp,rtsps,rtmp,rtmps,rtp,udp,tcp,tls,srt,http,https,crypto,httpproxy"
# Between looks at a file that has not grown.
_LOOK_AGAIN = 0.05


@dataclass(frozen=True)
class ArrivedFrame:
    """A frame of a source.

    Attributes:
        picture: uint8 `[H, W, 3]`, RGB.
        seconds: Its time by the source, from 0; where it has none, by when it arrived. It never goes back.
        arrived: When it was read, by `time.monotonic()`.
        missed: How many frames before it nobody took.
    """

    picture: np.ndarray
    seconds: float
    arrived: float
    missed: int


class FrameSource:
    """The newest frame of a source, whenever it is asked for; a context manager.

    Args:
        source: Number of a camera, URL of a stream, `"-"` for a pipe on standard input, or a file.
        timeout: Seconds without a frame after which a camera or stream has stopped, and a file has ended.
        every: Keep every frame until it is taken, so that none is missed and the source may have to wait.
        pace: Give frames of a file at the speed of the video, as a camera would.

    Raises:
        InputError: The source is none of these.
        MediaError: It cannot be read. What goes wrong later is raised where frames are taken.
    """

    def __init__(self, source: str, *, timeout: float = 10.0, every: bool = False, pace: bool = True) -> None:
        self.name, self.timeout, self.every = "standard input" if source == "-" else short_name(source), timeout, every
        self._is_file = source != "-" and not source.isdigit() and not is_stream(source)
        self._pace = pace and self._is_file
        self._closed, self._change = False, threading.Condition()
        self._frame: ArrivedFrame | None = None
        self._missed, self._ended, self._error = 0, False, None
        self._container = self._opened(source)
        self._thread = threading.Thread(target=self._read, name="videoglamm-frames", daemon=True)
        self._thread.start()

    def __enter__(self) -> "FrameSource":
        return self

    def __exit__(self, *_: Any) -> None:
        self.close()

    def close(self) -> None:
        """Ends the reading."""
        with self._change:
            self._closed = True
            self._change.notify_all()
        self._thread.join(self.timeout)

    def __iter__(self) -> Iterator[ArrivedFrame]:
        """Frames until the source ends.

        Raises:
            MediaError: The source has stopped, or cannot be read on.
        """
        while True:
            with self._change:
                there = self._change.wait_for(lambda: self._frame or self._ended or self._closed, self.timeout)
                frame, self._frame = self._frame, None
                self._change.notify_all()
                if frame is None:
                    if self._error is not None:
                        raise self._error
                    if not there:
                        raise MediaError(
                            f"{self.name}: no frame for {self.timeout:g} seconds; check the camera or stream, or wait "
                            "longer (--timeout)"
                        )
                    return
            yield frame

    def _opened(self, source: str) -> Any:
        try:
            if source == "-":
                return av.open(_Pipe(sys.stdin.fileno()), options=self._limits())
            if source.isdigit():
                kind, name = _CAMERAS.get(platform.system(), _CAMERAS["Linux"])
                return av.open(name.format(source), format=kind, options=self._limits())
            if is_stream(source):
                if public_urls_only():
                    raise InputError(
                        f"{self.name}: streams lead where they want, and {PUBLIC_ONLY} is set; unset it to watch one."
                    )
                options = {**self._limits(), "protocol_whitelist": _PROTOCOLS}
                return av.open(source, options=options, timeout=(self.timeout, self.timeout))
            if is_url(source):
                raise InputError(f"{self.name}: of URLs, {', '.join(_STREAMS)} can be watched.")
            if not os.path.isfile(source):
                raise MediaError(f"{self.name}: no such file; give a file, the number of a camera, a URL, or -")
            return av.open(_GrowingFile(Path(source), self.timeout, lambda: self._closed), options=self._limits())
        except (av.error.FFmpegError, OSError, ValueError) as error:
            if isinstance(error, (MediaError, InputError)):
                raise
            raise MediaError(f"{self.name}: cannot be watched: {reason_of(error)}; check that it is there") from error

    @staticmethod
    def _limits() -> dict[str, str]:
        return {"max_pixels": str(MAX_PIXELS)}

    def _read(self) -> None:
        try:
            with self._container as container:
                self._decode(container)
        except MediaError as error:
            self._error = error
        except (av.error.FFmpegError, OSError, ValueError) as error:
            self._error = MediaError(f"{self.name}: cannot be read on: {reason_of(error)}")
        finally:
            with self._change:
                self._ended = True
                self._change.notify_all()

    def _decode(self, container: Any) -> None:
        stream = container.streams.best("video")
        if stream is None or stream.codec_context is None:
            raise MediaError(f"{self.name}: holds no video; give a source with a video track")
        check_pixels(self.name, stream.width, stream.height)
        aspect, first, started, last = pixel_aspect(stream), None, 0.0, -1.0
        for packet in container.demux(stream):
            if self._closed:
                return
            frames = []
            with contextlib.suppress(av.error.InvalidDataError):  # a damaged packet; the next key frame mends it
                frames = packet.decode()
            for frame in frames:
                now = time.monotonic()
                if first is None:
                    first, started = frame.time or 0.0, now
                seconds = now - started if frame.time is None else frame.time - first
                if seconds <= last:
                    # Times that go back, as where recordings are joined, go on from there.
                    step = 1 / float(stream.average_rate or 25)
                    first, seconds = (frame.time or 0.0) - last - step, last + step
                last = seconds
                if self._pace:
                    self._wait(started + seconds)
                self._give(upright_frame(frame, display_width(frame.width, aspect)), seconds)

    def _wait(self, until: float) -> None:
        with self._change:
            self._change.wait_for(lambda: self._closed, max(0.0, until - time.monotonic()))

    def _give(self, picture: np.ndarray, seconds: float) -> None:
        with self._change:
            if self.every:
                self._change.wait_for(lambda: self._frame is None or self._closed)
            missed = 0 if self._frame is None else self._frame.missed + 1
            self._frame = ArrivedFrame(picture, seconds, time.monotonic(), missed)
            self._change.notify_all()


def is_stream(source: str) -> bool:
    """Whether a source is the URL of a stream."""
    return source.lower().startswith(_STREAMS)


class _Pipe(io.RawIOBase):
    """A pipe, which cannot be wound back; read beside Python's own file, whose lock a reader that waits would hold."""

    def __init__(self, number: int) -> None:
        self.number = os.dup(number)

    def readable(self) -> bool:
        return True

    def read(self, size: int = -1) -> bytes:
        # What is there, rather than all that was asked for: a live pipe would be waited for.
        return os.read(self.number, size if size > 0 else io.DEFAULT_BUFFER_SIZE)

    def close(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self.number)
        super().close()


class _GrowingFile(io.RawIOBase):
    """A file that is read to its end and on, for as long as it grows.

    Args:
        path: The file.
        timeout: Seconds since it last grew after which it has ended.
        is_closed: Whether nobody reads any more.
    """

    def __init__(self, path: Path, timeout: float, is_closed: Any) -> None:
        self.file, self.timeout, self.is_closed = path.open("rb"), timeout, is_closed

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = 0) -> int:
        return self.file.seek(offset, whence)

    def tell(self) -> int:
        return self.file.tell()

    def read(self, size: int = -1) -> bytes:
        while not (data := self.file.read(size)):
            # By the file's own clock: one that was finished long ago is not waited for.
            if self.is_closed() or time.time() - os.fstat(self.file.fileno()).st_mtime > self.timeout:
                return b""
            time.sleep(_LOOK_AGAIN)
        return data

    def close(self) -> None:
        self.file.close()
        super().close()
