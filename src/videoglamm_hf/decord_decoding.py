"""Frames out of video files with decord, where it gives the frames that PyAV gives."""

from __future__ import annotations

import logging
from bisect import bisect_right
from pathlib import Path

import numpy as np

from .frame_arrays import check_clip_bytes
from .frame_sampling import is_even
from .video_decoding import PacketIndex

logger = logging.getLogger(__name__)
# Once a process, not once a file.
_warned = False


def decord_positions(path: Path, index: PacketIndex, positions: list[int]) -> np.ndarray | None:
    """The frames at increasing `positions`, uint8 `[n, H, W, 3]`; None where PyAV must decode this file.

    decord 0.6 ignores how a video is turned, loses transparency, counts frames that were trimmed away, breaks off at
    damage, and seeks to frames that do not decode alone. It is used where none of this can be: upright 4:2:0 video of
    a constant rate in mp4 or mkv, whose frames it counts as its packets do, and it seeks in H.264 only.
    """
    if not (index.stamps and index.is_plain and is_even(index.seconds, index.rate, float(index.time_base))):
        return None
    decord = _decord()
    if decord is None:
        return None
    try:
        # One thread: with several, one read in ten gave a neighbouring frame.
        reader = decord.VideoReader(str(path.absolute()), num_threads=1)
        if len(reader) != index.total:
            return None
        keys = [bisect_right(index.stamps, stamp) - 1 for stamp in index.keys]
        frames: np.ndarray | None = None
        place = 0
        for row, position in enumerate(positions):
            key = bisect_right(keys, position) - 1
            if index.keys_stand_alone and key >= 0 and keys[key] > place:
                reader.seek(keys[key])
                place = keys[key]
            for _ in range(position - place):
                # Not skip_frames, which seeks by itself where the way is long.
                reader.next()
            picture = reader.next().asnumpy()
            place = position + 1
            if frames is None:
                check_clip_bytes(path.name, len(positions), picture.shape)
                frames = np.empty((len(positions), *picture.shape), np.uint8)
            frames[row] = picture
        return frames
    except (RuntimeError, StopIteration, decord.DECORDError) as error:
        logger.warning("%s: decord cannot read it (%s); PyAV does", path.name, str(error).splitlines()[0])
        return None


def _decord():
    """The library, or None with one warning where it is not installed."""
    global _warned
    try:
        import decord
    except ImportError:
        if not _warned:
            logger.warning("decord is not installed; PyAV decodes instead")
        _warned = True
        return None
    return decord
