"""A video file whose frames are decoded when they are asked for."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from .clip import Clip
from .decord_decoding import decord_positions
from .errors import MediaError
from .frame_arrays import MAX_PIXELS
from .media_files import media_errors
from .options import check_decoder
from .video_decoding import PacketIndex, decode_positions, index_packets

logger = logging.getLogger(__name__)


class VideoFileClip(Clip):
    """The frames of a video file.

    Args:
        path: The file.
        source: See [`Clip`].
        decoder: One of `DECODERS`. What decord does not do right is left to av: turned or oddly encoded video,
            varying rates, other containers than mp4 and mkv.

    Raises:
        InputError: There is no such decoder.
        MediaError: The file cannot be read, or holds no video.
    """

    def __init__(self, path: Path, source: str, decoder: str = "av") -> None:
        self.source, self.decoder = source, check_decoder(decoder)
        self.path = path
        with media_errors(source):
            index: PacketIndex = index_packets(path, source, probe=decoder == "decord")
        self._index = index
        self.seconds, self.duration = index.seconds, index.duration
        self.rate, self.tick = index.rate, float(index.time_base)
        self.pixel_aspect, self.start = index.pixel_aspect, index.start

    @cached_property
    def size(self) -> tuple[int, int]:
        return self.frames([0]).shape[1:3]

    def frames(self, indices: Sequence[int]) -> np.ndarray:
        frames, _ = self._decode(indices)
        if len(frames) < len(indices):
            raise MediaError(
                f"{self.source}: frame {indices[len(frames)]} and some after it cannot be decoded; the file is "
                "damaged or cut short. Read it with lazy=False to get the frames it has, or give an earlier end_time."
            )
        return frames

    def read(self, indices: Sequence[int]) -> tuple[np.ndarray, list[float]]:
        frames, seconds = self._decode(indices)
        if not seconds:
            raise MediaError(
                f"{self.source}: none of the {len(indices)} frames asked for can be decoded; the file is damaged or "
                "cut short, the container promises frames it does not hold, or they have more than the "
                f"{MAX_PIXELS} pixels that VIDEOGLAMM_MAX_PIXELS allows"
            )
        if len(seconds) < len(indices):
            logger.warning(
                "%s: only %d of %d frames asked for could be decoded; the file is damaged or cut short",
                self.source,
                len(seconds),
                len(indices),
            )
        return frames, seconds

    def _decode(self, indices: Sequence[int]) -> tuple[np.ndarray, list[float]]:
        with media_errors(self.source):
            if self.decoder == "decord":
                frames = decord_positions(self.path, self._index, list(indices))
                if frames is not None:
                    return frames, [self.seconds[i] for i in indices]
            return decode_positions(self.path, self.source, self._index, list(indices))
