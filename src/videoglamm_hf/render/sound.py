"""The sound of a video file into another one, packet by packet as it is."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from pathlib import Path

import av

from ..video_decoding import opened_video, packets_of

logger = logging.getLogger(__name__)


def copied_sound(
    stack: contextlib.ExitStack, source: Path, container: av.container.OutputContainer, name: str
) -> Callable[[float], None]:
    """Adds a stream to a container for every sound track of a file.

    Args:
        stack: What closes the file.
        source: The file.
        container: What is written, whose header is not written yet.
        name: What messages call it.

    Returns:
        A function that copies what is heard before a time, in seconds; what is beside it in the file stays near it.

    Raises:
        MediaError: The file cannot be read.
    """
    given, _ = stack.enter_context(opened_video(source, str(source)))
    targets = {}
    for track in given.streams.audio:
        codec = track.codec_context.codec.canonical_name if track.codec_context is not None else "an unknown format"
        if codec not in container.supported_codecs:
            logger.warning("%s: is written without sound track %d: no mp4 holds %s", name, track.index, codec)
            continue
        targets[track.index] = container.add_stream_from_template(track)
    packets = packets_of(given, *(given.streams[index] for index in targets)) if targets else iter(())
    pending: list[av.Packet] = []

    def copy_until(second: float) -> None:
        while packet := pending.pop() if pending else next(packets, None):
            if packet.dts is None:  # the end of a track
                continue
            if float(packet.dts * packet.time_base) > second:
                pending.append(packet)
                return
            packet.stream = targets[packet.stream.index]
            container.mux(packet)

    return copy_until
