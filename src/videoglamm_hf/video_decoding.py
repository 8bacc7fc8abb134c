"""Frames out of video files with PyAV: packets counted, stretches skipped by seeking, the rest decoded."""

from __future__ import annotations

import contextlib
import itertools
import math
import struct
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path

# Not decord 0.6: it may hand out a neighbouring frame, scales silently, and turns phone videos in some files only.
import av
import numpy as np
from av.sidedata.sidedata import SideDataContainer
from PIL import Image

from .errors import MediaError
from .frame_arrays import MAX_PIXELS, check_clip_bytes, check_pixels, size_text
from .media_files import diagnosis, lacks_mp4_index, reason_of

# What holds its frames itself. FFmpeg knows other formats that name files or addresses to open (playlists, scripts,
# numbered pictures, SDP), devices, and text as terminal art: nothing of that is read.
_FORMATS = (
    "3g2,3gp,apng,apv,asf,av1,avi,avs2,avs3,bink,cavsvideo,cine,dhav,dirac,dnxhd,dv,evc,flic,flv,gif,gxf,h261,h263,h264,"
    "hevc,ingenient,ivf,ivr,j2k_pipe,jpegxl_anim,jpegxl_pipe,live_flv,m4v,matroska,mjpeg,mjpeg_2000,mov,mp4,mpeg,mpegts,"
    "mpegvideo,mxf,mxg,nsv,nut,nuv,obu,ogg,png_pipe,pva,rl2,rm,roq,smk,swf,ty,vc1,vc1test,viv,vivo,vvc,webm,webp_pipe,"
    "wtv,xmv,yuv4mpegpipe,"
    "aac,ac3,aiff,amr,ape,au,caf,dts,eac3,flac,mp3,tta,w64,wav,wv"  # to say that there is only sound
)

# Containers whose frame times and seeking can be relied on.
_INDEXED_CONTAINERS = frozenset({"mov,mp4,m4a,3gp,3g2,mj2", "matroska,webm"})


@dataclass(frozen=True)
class PacketIndex:
    """What the packets of a video stream tell without decoding."""

    total: int
    rate: float | None
    stamps: list[int]  # presentation time of each frame, sorted; empty if they cannot be relied on
    keys: list[int]  # presentation times of frames that decode without others, sorted
    timed: bool  # whether the times of decoded frames can be relied on
    time_base: Fraction  # seconds of one unit of the presentation times
    start: float  # when the first frame appears by the file's own clock, in seconds
    seconds: list[float]  # when each frame appears, from 0; by the rate where no times can be relied on
    duration: float  # when the last one leaves the screen
    pixel_aspect: float  # width of a pixel over its height
    is_plain: bool  # upright 4:2:0 video of square pixels, which every decoder shows alike
    keys_stand_alone: bool  # whether each of `keys` is known to start anew: nothing after it needs what was before


class _LostPlace(Exception):
    """Seeking led past the wanted frame, as where key frames become whole only over the next frames."""


def index_packets(path: Path, name: str, probe: bool = False) -> PacketIndex:
    """Count the frames of a video and note their times by its packets, for container headers lie.

    Args:
        path: The file.
        name: What messages call it.
        probe: Also find out whether another decoder may read it; otherwise it counts as one that may not.
    """
    stamps: list[int | None] = []
    keys: list[int] = []
    lasting: dict[int, int] = {}
    timed, stand_alone = True, probe
    with opened_video(path, name) as (container, stream):
        last = -math.inf
        for packet in packets_of(container, stream):
            if packet.size and not packet.is_discard:
                stamps.append(packet.pts)
                if packet.pts is not None:
                    lasting[packet.pts] = packet.duration or 0
                if packet.is_keyframe and packet.pts is not None:
                    keys.append(packet.pts)
                    stand_alone = stand_alone and _is_idr(packet, stream)
                if packet.dts is not None:
                    timed = timed and packet.dts >= last  # times start anew where recordings were concatenated
                    last = packet.dts
        rate = stream.average_rate or stream.guessed_rate
        time_base = stream.time_base
        indexed = container.format.name in _INDEXED_CONTAINERS
        timed = timed and container.format.name != "avi"  # AVI has no presentation times, FFmpeg makes some up
        aspect = pixel_aspect(stream)
        plain = (
            probe
            and aspect == 1
            and stream.pix_fmt == "yuv420p"
            and min(stream.width, stream.height) >= 16
            and not _is_turned(container, stream)
        )
    if not stamps:
        raise MediaError(f"{name}: the video holds no frames; the file is damaged or was never finished")
    rate = float(rate) if rate else None
    distinct = sorted(lasting)
    relied_on = None not in stamps and indexed
    total = len(distinct) if relied_on else len(stamps)
    if relied_on or (timed and None not in stamps and len(distinct) == total):
        seconds = [float((stamp - distinct[0]) * time_base) for stamp in distinct]
        last = float(lasting[distinct[-1]] * time_base)
    else:
        seconds, last = [i / _usable(rate) for i in range(total)], 0.0
    return PacketIndex(
        total,
        rate,
        distinct if relied_on else [],
        sorted(keys) if relied_on else [],
        timed,
        time_base,
        float(distinct[0] * time_base) if distinct else 0.0,
        seconds,
        seconds[-1] + (last or 1 / _usable(rate)),
        aspect,
        plain,
        stand_alone,
    )


def _is_idr(packet: av.Packet, stream: av.VideoStream) -> bool:
    """Whether a key packet is an H.264 picture after which nothing looks back."""
    extradata = stream.codec_context.extradata
    if stream.codec_context.name != "h264" or not extradata or extradata[0] != 1:
        return False
    data, place, width = bytes(packet), 0, (extradata[4] & 3) + 1
    while place + width < len(data):
        if data[place + width] & 31 == 5:
            return True
        place += width + int.from_bytes(data[place : place + width], "big")
    return False


def _is_turned(container: av.container.InputContainer, stream: av.VideoStream) -> bool:
    """Whether the first frame that can be decoded carries a display matrix."""
    with contextlib.suppress(av.error.FFmpegError):
        container.seek(0)
        for frame in container.decode(stream):
            return _display_matrix(frame) is not None
    return False


def _usable(rate: float | None) -> float:
    """A rate to divide by."""
    return rate if rate and math.isfinite(rate) else 1.0


def decode_positions(
    path: Path, name: str, index: PacketIndex, positions: list[int]
) -> tuple[np.ndarray, list[float]]:
    """The frames at `positions` and their seconds; fewer, even none, if they cannot be decoded."""
    try:
        return _decode(path, name, index, positions, index.keys)
    except _LostPlace:
        return _decode(path, name, index, positions, [])


def _decode(
    path: Path, name: str, index: PacketIndex, positions: list[int], keys: list[int]
) -> tuple[np.ndarray, list[float]]:
    """Seeks to `keys` where that saves decoding."""
    frames = np.empty((0, 0, 0, 3), np.uint8)
    seconds: list[float | None] = []
    places: list[int] = []
    wanted = [index.stamps[p] for p in positions] if index.stamps else positions
    with opened_video(path, name) as (container, stream):
        for place, frame in _wanted_frames(container, stream, wanted, keys, counted=not index.stamps):
            width = display_width(frame.width, index.pixel_aspect)
            check_pixels(name, max(width, frame.width), frame.height)
            picture = upright_frame(frame, width)
            count = len(seconds)
            if count == 0:
                check_clip_bytes(name, len(positions), picture.shape)
                frames = np.empty((len(positions), *picture.shape), np.uint8)
            if picture.shape != frames.shape[1:]:
                position = bisect_left(index.stamps, place) if index.stamps else place
                raise MediaError(
                    f"{name}: frame {position} is {size_text(picture)}, but frames before it are "
                    f"{size_text(frames[0])}; convert the video to one size, or set end_time before that frame"
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


@contextlib.contextmanager
def opened_video(path: Path, name: str) -> Iterator[tuple[av.container.InputContainer, av.VideoStream]]:
    """A file with its video stream; formats that open other files are refused."""
    try:  # by its absolute path, for a colon in a relative one could look like a protocol
        container = av.open(
            str(path.absolute()),
            metadata_errors="replace",
            container_options={"format_whitelist": _FORMATS, "protocol_whitelist": "file"},
            options={"max_pixels": str(MAX_PIXELS)},
        )
    except av.error.ArgumentError as error:
        raise MediaError(
            f"{name}: not a video: {diagnosis(path)} (playlists, scripts and what else opens further files are "
            "not read)"
        ) from error
    except (av.error.FFmpegError, ValueError) as error:
        raise MediaError(f"{name}: not a video: {diagnosis(path)} ({reason_of(error)})") from error
    with container:
        stream = container.streams.best("video")
        if stream is None or stream.disposition & av.stream.Disposition.attached_pic:
            if lacks_mp4_index(path):
                raise MediaError(f"{name}: not a video: {diagnosis(path)}")
            kinds = sorted({other.type for other in container.streams if other is not stream})
            held = f"only {' and '.join(kinds)}" if kinds else "nothing"
            raise MediaError(f"{name}: holds no video, {held} is inside; give a file with a video track")
        if stream.codec_context is None:
            raise MediaError(f"{name}: no decoder for its video format; convert it to H.264 mp4")
        check_pixels(name, stream.width, stream.height)
        stream.thread_type = "AUTO"
        # Of every frame, before it is decoded: one may be larger than the first.
        stream.codec_context.options = {**stream.codec_context.options, "max_pixels": str(MAX_PIXELS)}
        yield container, stream


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
                raise _LostPlace
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


def packets_of(container: av.container.InputContainer, *streams: av.stream.Stream) -> Iterator[av.Packet]:
    """The packets from the current position to the end, or to where the file breaks off."""
    while True:
        try:
            yield from container.demux(*streams)
        except IndexError:  # PyAV's way of meeting a track that only begins here; the next packet is fine
            continue
        except av.error.FFmpegError:
            pass
        return


def _decoded_frames(container: av.container.InputContainer, stream: av.VideoStream) -> Iterator[av.VideoFrame]:
    """Frames from the current position on, skipping packets that cannot be decoded."""
    for packet in packets_of(container, stream):
        with contextlib.suppress(av.error.FFmpegError):
            yield from packet.decode()


def pixel_aspect(stream: av.VideoStream) -> float:
    """Width of a pixel over its height; 1 where the file does not know."""
    aspect = stream.sample_aspect_ratio
    return float(aspect) if aspect and math.isfinite(aspect) and aspect > 0 else 1.0


def display_width(width: int, pixel_aspect: float) -> int:
    """Square pixels in a row that is `width` pixels wide as stored."""
    return max(1, round(width * pixel_aspect))


def upright_frame(frame: av.VideoFrame, width: int) -> np.ndarray:
    """uint8 [H, W, 3] of a decoded frame as players show it: stretched to square pixels, then turned and mirrored.

    This is the only place where the geometry of a display is applied. Interlaced video stays interlaced, as in the
    original.
    """
    picture = frame.to_ndarray(format="rgb24")
    if width != frame.width:
        picture = np.asarray(Image.fromarray(picture).resize((width, frame.height), Image.Resampling.BICUBIC))
    matrix = _display_matrix(frame)
    if matrix is None:
        return picture
    a, b, _, c, d = struct.unpack("<5i", matrix[:20])  # x' = a x + c y, y' = b x + d y
    if abs(b) + abs(c) > abs(a) + abs(d):
        picture, a, d = picture.transpose(1, 0, 2), c, b
    return picture[:: -1 if d < 0 else 1, :: -1 if a < 0 else 1]


def _display_matrix(frame: av.VideoFrame) -> bytes | None:
    # Not `frame.side_data`: frame and container would hold each other, and with them FFmpeg's threads, until a garbage
    # collection; in a process forked before that, it waits for threads that are not there.
    matrix = SideDataContainer(frame).get("DISPLAYMATRIX")
    return None if matrix is None else bytes(matrix)
