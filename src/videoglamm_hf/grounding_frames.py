"""Frames for the pixel decoder that are decoded when masks need them: an hour of video in the memory of a minute."""

import operator
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import torch

from .errors import InputError
from .image_streams import grounding_stream

# Frames decoded at once; two chunks are held, about 90 MB at 720p.
CHUNK_FRAMES = 16


class LazyGroundingFrames:
    """A sampled clip as the pixel decoder takes it: a slice is a uint8 tensor `[n, 3, h, w]`, a frame `[3, h, w]`.

    Frames are decoded a chunk at a time; while one chunk is worked on, a thread decodes the next.

    Args:
        clip: A [`SampledClip`]; it is closed with this.
        size: Longest side of the frames, in pixels.
    """

    def __init__(self, clip: Any, size: int) -> None:
        self.clip, self.size = clip, size
        self._worker = ThreadPoolExecutor(max_workers=1, thread_name_prefix="videoglamm-decode")
        self._chunks: dict[int, Future] = {}

    def start(self) -> None:
        """Has the first chunk decoded in the background, while the towers look at other frames."""
        self._request([0])

    def close(self) -> None:
        """Stops decoding, and frees the clip."""
        self._worker.shutdown(cancel_futures=True)
        self.clip.clip.close()

    def __len__(self) -> int:
        return len(self.clip)

    def __reduce_ex__(self, protocol: int) -> Any:
        raise InputError(
            "Frames that are decoded on demand cannot be copied or pickled, for they hold an open video; `frames[:]` "
            "gives all of them as a tensor, and so does the processor with lazy=False."
        )

    def __getitem__(self, index: int | slice) -> torch.Tensor:
        """Some frames; the chunk after them is decoded ahead.

        Raises:
            IndexError: If there is no such single frame.
            MediaError: If the file ends before one of them.
        """
        if not isinstance(index, slice):
            place = range(len(self))[operator.index(index)]
            return self[place : place + 1][0]
        start, stop, step = index.indices(len(self))
        places = range(start, stop, step)
        if not places:
            return self[:1][:0]
        if step != 1:
            return torch.stack([self[place] for place in places])
        parts = []
        while start < stop:
            number, offset = divmod(start, CHUNK_FRAMES)
            part = self._chunk(number)[offset : offset + stop - start]
            parts.append(part)
            start += len(part)
        return parts[0] if len(parts) == 1 else torch.cat(parts)

    def _chunk(self, number: int) -> torch.Tensor:
        self._request([n for n in (number, number + 1) if n * CHUNK_FRAMES < len(self)])
        return self._chunks[number].result()

    def _request(self, numbers: Sequence[int]) -> None:
        """Has these chunks decoded, and forgets all others."""
        self._chunks = {n: self._chunks.get(n) or self._worker.submit(self._read, n) for n in numbers}

    def _read(self, number: int) -> torch.Tensor:
        places = range(len(self))[number * CHUNK_FRAMES : (number + 1) * CHUNK_FRAMES]
        return grounding_stream(self.clip.frames(places), self.size)
