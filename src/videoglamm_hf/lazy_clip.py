"""A video file whose frames are decoded when they are asked for: an hour of video in the memory of a minute.

Frames are decoded a chunk at a time; while one chunk is worked on, a thread decodes the next.
"""

import contextlib
import math
import os
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import numpy as np
import torch

from .errors import MediaError
from .image_streams import grounding_stream
from .media_files import local_file, media_errors
from .video_decoding import PacketIndex, decode_positions, index_packets
from .video_io import check_options, sample_frame_indices

# Frames decoded at once; two chunks are held, about 90 MB at 720p.
CHUNK_FRAMES = 16


class LazyClip:
    """The sampled frames of a video file, on demand.

    Args:
        source: A video file or URL (downloaded once).
        fps, num_frames, max_frames, start_time, end_time: As in [`~video_io.read_clip`], without a limit on frames.

    Raises:
        InputError: If an option cannot be used.
        MediaError: If the file cannot be read.
    """

    def __init__(
        self,
        source: str | os.PathLike[str],
        *,
        fps: float | None = 1.0,
        num_frames: int | None = None,
        max_frames: int | None = None,
        start_time: float | None = None,
        end_time: float | None = None,
    ) -> None:
        check_options(fps, num_frames, max_frames, start_time, end_time)
        self.source = os.fspath(source)
        self._resources = contextlib.ExitStack()
        with media_errors(self.source):
            self._path = self._resources.enter_context(local_file(self.source))
            self._index: PacketIndex = index_packets(self._path, self.source)
        self.fps = self._index.rate
        self.positions = sample_frame_indices(
            self._index.total,
            self._index.rate,
            fps=fps,
            num_frames=num_frames,
            max_frames=max_frames,
            start_time=start_time,
            end_time=end_time,
        )
        first, seconds = self._decode(self.positions[:1])
        self.size: tuple[int, int] = first.shape[1:3]
        self.timestamps = self._timestamps(seconds[0])
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="videoglamm-decode")
        self._chunks: dict[int, Future] = {}

    def __len__(self) -> int:
        return len(self.positions)

    def frames_at(self, indices: Sequence[int]) -> np.ndarray:
        """Some sampled frames, by increasing index: uint8 `[n, H, W, 3]`.

        Raises:
            MediaError: If the file ends before one of them.
        """
        return self._decode([self.positions[i] for i in indices])[0]

    def start(self) -> None:
        """Has the first chunk decoded in the background, while the towers look at other frames."""
        self._request([0])

    def __getitem__(self, index: slice) -> np.ndarray:
        """Consecutive sampled frames, uint8 `[n, H, W, 3]`; the chunk after them is decoded ahead."""
        parts = []
        start, stop, _ = index.indices(len(self))
        while start < stop:
            chunk, offset = divmod(start, CHUNK_FRAMES)
            part = self._chunk(chunk)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return np.concatenate(parts) if len(parts) != 1 else parts[0]

    def close(self) -> None:
        """Stops decoding and removes a downloaded file."""
        self._worker.shutdown(cancel_futures=True)
        self._resources.close()

    def _chunk(self, number: int) -> np.ndarray:
        self._request([n for n in (number, number + 1) if n * CHUNK_FRAMES < len(self)])
        return self._chunks[number].result()[0]

    def _request(self, numbers: list[int]) -> None:
        """Has these chunks decoded, and forgets all others."""
        self._chunks = {
            n: self._chunks.get(n) or self._worker.submit(self._decode, self._chunk_positions(n)) for n in numbers
        }

    def _chunk_positions(self, number: int) -> list[int]:
        return self.positions[number * CHUNK_FRAMES : (number + 1) * CHUNK_FRAMES]

    def _decode(self, positions: list[int]) -> tuple[np.ndarray, list[float]]:
        with media_errors(self.source):
            frames, seconds = decode_positions(self._path, self.source, self._index, positions)
        if len(frames) < len(positions):
            raise MediaError(
                f"{self.source}: frame {positions[len(frames)]} and some after it cannot be decoded; the file is "
                "damaged or cut short. Read it with lazy=False to get the frames it has, or give an earlier end_time."
            )
        return frames, seconds

    def _timestamps(self, first: float) -> tuple[float, ...]:
        """Seconds of every sampled frame: from the packets, or from the rate where those have no times."""
        index = self._index
        if index.stamps:
            return tuple(float((index.stamps[p] - index.stamps[0]) * index.time_base) for p in self.positions)
        rate = index.rate if index.rate and math.isfinite(index.rate) else 1.0
        return tuple(first + (p - self.positions[0]) / rate for p in self.positions)


class LazyGroundingFrames:
    """A lazy clip as the pixel decoder takes it: slices are uint8 tensors `[n, 3, h, w]`.

    Args:
        clip: A [`LazyClip`].
        size: Longest side of the frames, in pixels.
    """

    def __init__(self, clip: Any, size: int) -> None:
        self.clip, self.size = clip, size

    def __len__(self) -> int:
        return len(self.clip)

    def __getitem__(self, index: slice) -> torch.Tensor:
        return grounding_stream(self.clip[index], self.size)
