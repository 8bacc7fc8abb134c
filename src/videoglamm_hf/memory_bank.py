"""What the tracker remembers of the frames it has seen: bounded, whatever the length of the video.

Shapes: N objects, P = h * w positions of the lowest-resolution feature map, M memory channels, C channels.
Per object the bank holds its conditioning frames, `num_maskmem - 1` recent frames and `max_object_pointers - 1`
recent pointers (SAM 2, section 4; original `sam2_base.py`).
"""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field

import torch

from .memory_attention import AttentionTables


@dataclass
class FrameMemory:
    """What one frame leaves behind.

    Attributes:
        features: Memory features `[P, N, M]`, bfloat16.
        position: Their spatial position encoding `[P, 1, M]`; the same for every frame and object.
        object_pointers: `[N, C]`.
        keys: Per layer of memory attention, their rotated keys `[N, P, C]`, once they were needed; never in training.
    """

    features: torch.Tensor
    position: torch.Tensor
    object_pointers: torch.Tensor
    keys: Sequence[torch.Tensor] | None = None

    def select(self, rows: torch.Tensor) -> "FrameMemory":
        rows = rows.to(self.features.device)
        keys = None if self.keys is None else [key[rows] for key in self.keys]
        return FrameMemory(self.features[:, rows], self.position, self.object_pointers[rows], keys)

    def detach(self) -> "FrameMemory":
        return FrameMemory(self.features.detach(), self.position, self.object_pointers.detach())


@dataclass
class MemoryBank:
    """Memories of N objects that are tracked in step, in one direction of time.

    Args:
        num_maskmem: Memory slots: the conditioning frame and the newest `num_maskmem - 1` others. Further
            conditioning frames come on top, as in SAM 2.
        max_object_pointers: Object pointers of conditioning frames and the newest `max_object_pointers - 1` others.
        gradient_frames: In training, how many of the newest tracked frames keep their gradients (None: all those
            remembered); conditioning frames always do.
        tables: What memory attention computes from its weights once; banks of one track share it.
    """

    num_maskmem: int
    max_object_pointers: int
    gradient_frames: int | None = None
    tables: AttentionTables = field(default_factory=AttentionTables)
    conditioning: dict[int, FrameMemory] = field(default_factory=dict)
    recent: deque = field(init=False)
    recent_pointers: deque = field(init=False)

    def __post_init__(self) -> None:
        self.recent = deque(maxlen=self.num_maskmem - 1)
        self.recent_pointers = deque(maxlen=self.max_object_pointers - 1)

    def condition(self, frame_index: int, memory: FrameMemory) -> None:
        """Remembers a prompted frame, which is never forgotten."""
        self.conditioning[frame_index] = memory

    def append(self, frame_index: int, memory: FrameMemory) -> None:
        """Remembers a tracked frame; the oldest one beyond the bound is forgotten."""
        self.recent.append((frame_index, memory))
        self.recent_pointers.append((frame_index, memory.object_pointers))
        if self.gradient_frames is not None:
            self._detach_older(self.gradient_frames)

    def _detach_older(self, newest: int) -> None:
        """Cuts the gradients of all tracked frames but the newest."""
        for place in range(len(self.recent) - newest):
            t, memory = self.recent[place]
            self.recent[place] = (t, memory.detach())
        for place in range(len(self.recent_pointers) - newest):
            t, pointers = self.recent_pointers[place]
            self.recent_pointers[place] = (t, pointers.detach())

    def forget_tracked(self) -> None:
        """Keeps the conditioning frames only, to set out from them again."""
        self.recent.clear()
        self.recent_pointers.clear()

    def keep(self, rows: torch.Tensor) -> None:
        """Forgets every object but `rows` (int64 `[n]`): the others' videos have ended."""
        self.conditioning = {t: memory.select(rows) for t, memory in self.conditioning.items()}
        self.recent = deque(((t, memory.select(rows)) for t, memory in self.recent), self.recent.maxlen)
        self.recent_pointers = deque(
            ((t, p[rows.to(p.device)]) for t, p in self.recent_pointers), self.recent_pointers.maxlen
        )

    def memories(self, frame_index: int) -> list[tuple[int, FrameMemory]]:
        """`(distance, memory)` pairs in the order attention reads them: conditioning frames with distance 0, then
        the recent frames, farthest (in frames) first. A conditioning frame between takes the place of a recent one."""
        conditioning = [(0, memory) for memory in self.conditioning.values()]
        recent = [(abs(frame_index - t), memory) for t, memory in self.recent]
        return conditioning + [(distance, memory) for distance, memory in recent if distance < self.num_maskmem]

    def pointers(self, frame_index: int, backward: bool = False) -> list[tuple[int, torch.Tensor]]:
        """`(distance, pointers [N, C])` pairs: those of conditioning frames already passed in the direction of
        tracking, then the recent ones, nearest first."""
        passed = [
            (abs(frame_index - t), memory.object_pointers)
            for t, memory in self.conditioning.items()
            if (t >= frame_index if backward else t <= frame_index)
        ]
        recent = [(abs(frame_index - t), pointers) for t, pointers in reversed(self.recent_pointers)]
        return passed + [(distance, own) for distance, own in recent if distance < self.max_object_pointers]
