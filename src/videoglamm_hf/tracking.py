"""From prompt embeddings and frames to masks over time: one tracker with one loop.

`video`, `framewise` and `anchored` differ only in the order of frames, in how the prompted ones are decided and in
what is remembered. All objects of all samples are one batch; frames are encoded a few at a time, on demand, and
forgotten. Memory does not grow with the length of the video.

Shapes: N objects of one sample, C channels of a prompt embedding, T frames, H x W size of the masks, s side of
low-resolution masks.
"""

import itertools
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Sam2VideoModel

from .errors import InputError, ResourceError, is_out_of_memory
from .finite import NotFiniteError
from .frame_sampling import spread
from .memory_attention import AttentionTables
from .memory_bank import MemoryBank
from .options import MASK_MODES, check_whole_number
from .pixel_decoder import (
    FrameFeatures,
    ObjectMasks,
    concatenate_features,
    decode_first_frame,
    decode_framewise,
    decode_tracked_frame,
    encode_pixels,
    look_at_frames,
    new_memory_bank,
    remember,
    resize_mask_logits,
    start_from_masks,
)
from .short_repr import short_repr
from .tracking_inputs import check_counts, check_frames, check_prompts, mask_size

# Feature-map positions of all objects of a batch; beyond, a CPU's allocator costs more than batching saves.
CPU_POSITIONS_PER_BATCH = 1024

# Devices that compute while this process goes on.
ASYNCHRONOUS_DEVICES = ("cuda",)

# A frame of a sample: (sample index, frame index).
Place = tuple[int, int]


@dataclass(repr=False)
class FrameMasks:
    """Masks of one frame of one sample.

    Attributes:
        sequence_index: Which sample (which returned sequence, for `generate`).
        frame_index: Which of its frames.
        masks: bool `[N, H, W]` on the CPU.
        object_scores: float32 `[N]`, logits of the object being in the frame.
        iou_scores: float32 `[N]`, predicted IoU of the chosen mask.
        logits: Low-resolution logits `[N, s, s]`, on the model's device.
    """

    sequence_index: int
    frame_index: int
    masks: torch.Tensor
    object_scores: torch.Tensor
    iou_scores: torch.Tensor
    logits: torch.Tensor

    __repr__ = short_repr


@dataclass(frozen=True)
class TrackingOptions:
    """How masks are decoded.

    Attributes:
        mask_mode: One of `MASK_MODES`.
        prompt_frame: Frame that `video` prompts; it tracks forward from there, then backward. The last frame of
            a shorter clip.
        num_anchors: Frames that `anchored` decides without memory.
        frames_per_batch: Frames the image encoder takes at once.
        objects_per_batch: Objects the decoder takes at once; None takes all (on a CPU, as many as is fastest). A
            smaller number lowers the peak of memory and gives the same masks.
        gradient_frames: In training, how many of the newest tracked frames keep their gradients; None: all.
    """

    mask_mode: str = "video"
    prompt_frame: int = 0
    num_anchors: int = 5
    frames_per_batch: int = 4
    objects_per_batch: int | None = None
    gradient_frames: int | None = None

    def __post_init__(self) -> None:
        if self.mask_mode not in MASK_MODES:
            raise InputError(f"mask_mode is {self.mask_mode!r}; it must be one of {MASK_MODES}.")
        check_whole_number("prompt_frame", self.prompt_frame, 0, "it is the index of a frame, from 0")
        for name in ("num_anchors", "frames_per_batch", "objects_per_batch"):
            value = getattr(self, name)
            if value is not None or name != "objects_per_batch":
                check_whole_number(name, value, 1, "it must be a whole number of at least 1")


@dataclass
class _Group:
    """Objects that the decoder takes at once: whose they are, their prompts, and what is remembered of them."""

    owners: list[int]
    prompts: torch.Tensor
    bank: MemoryBank

    def keep(self, samples: set[int]) -> None:
        """Forgets the objects of other samples."""
        rows = [row for row, owner in enumerate(self.owners) if owner in samples]
        if len(rows) == len(self.owners):
            return
        index = torch.tensor(rows, dtype=torch.long, device=self.prompts.device)
        self.owners = [self.owners[row] for row in rows]
        self.prompts = self.prompts[index]
        self.bank.keep(index)


class FrameEncoder:
    """Features of frames on demand; a sample's frames are pixels, or features encoded before."""

    def __init__(self, decoder: Sam2VideoModel, frames: Sequence[Any], frames_per_batch: int) -> None:
        self.decoder, self.frames, self.frames_per_batch = decoder, frames, frames_per_batch

    def walk(self, steps: Iterable[list[Place]]) -> Iterator[tuple[list[Place], FrameFeatures]]:
        """`(places, their features)` step by step, encoded over as many steps as one batch holds."""
        pending: list[list[Place]] = []
        for step in steps:
            if pending and sum(map(len, pending)) + len(step) > self.frames_per_batch:
                yield from self._encode(pending)
                pending = []
            pending.append(step)
        if pending:
            yield from self._encode(pending)

    def _encode(self, steps: list[list[Place]]) -> Iterator[tuple[list[Place], FrameFeatures]]:
        places = [place for step in steps for place in step]
        features = encode_places(self.decoder, self.frames, places, self.frames_per_batch)
        first = 0
        for step in steps:
            yield step, features.select(slice(first, first + len(step)))
            first += len(step)


def encode_places(
    decoder: Sam2VideoModel, frames: Sequence[Any], places: Sequence[Place], frames_per_batch: int
) -> FrameFeatures:
    """Features of some frames of some samples, encoded a few at a time.

    Args:
        frames: As in [`Tracker`].
        places: `(sample index, frame index)` of every frame wanted.
    """
    starts = range(0, len(places), frames_per_batch)
    parts = []
    for start in starts:
        wanted = [
            frames[i].select(slice(t, t + 1)) if hasattr(frames[i], "embedding") else frames[i][t : t + 1]
            for i, t in places[start : start + frames_per_batch]
        ]
        for frame, (i, t) in zip(wanted, places[start : start + frames_per_batch], strict=True):
            check_frames(frame, decoder.image_size, f"grounding_frames of sample {i}, frame {t},")
        parts.append(decoder(wanted, step=_features))
    return parts[0] if len(parts) == 1 else concatenate_features(parts)


def _features(decoder: Sam2VideoModel, frames: Sequence[Any]) -> FrameFeatures:
    """Features of single frames `[1, 3, h, w]`, each of its own size, or features encoded before."""
    if any(hasattr(frame, "embedding") for frame in frames):
        return concatenate_features([frame.to(decoder.device, decoder.dtype) for frame in frames])
    return encode_pixels(decoder, frames)


@dataclass
class DecidedFrame:
    """One frame of some samples, as the pixel decoder decided it.

    Attributes:
        frame_index: Which frame.
        groups: `(owners, masks)`: the sample of every object, and the objects' masks.
    """

    frame_index: int
    groups: list[tuple[list[int], ObjectMasks]]

    def rows(self) -> dict[int, list[int]]:
        """Per sample, the rows of its objects in [`joined`]."""
        owners = [owner for group_owners, _ in self.groups for owner in group_owners]
        return {
            sample: [row for row, owner in enumerate(owners) if owner == sample] for sample in dict.fromkeys(owners)
        }

    def joined(self, name: str) -> torch.Tensor:
        """One attribute of [`ObjectMasks`], of the objects of all groups."""
        return torch.cat([getattr(masks, name) for _, masks in self.groups])


@dataclass(frozen=True)
class _Run:
    """Frames that are decided one after another: from the prompt, or from memory in one direction of time."""

    order: Sequence[int]
    prompted: bool = False
    backward: bool = False


class Tracker:
    """Objects on their way through videos: whose they are, their prompts, and what is remembered of them.

    Args:
        decoder: The pixel decoder.
        prompts: Per sample, prompt embeddings `[N, C]`, or masks `[N, H, W]` of the prompted frame (`video` only).
        frames: Per sample, uint8 frames `[T, 3, h, w]` (a tensor, or anything with a length whose slices are such
            tensors) or [`FrameFeatures`] of all frames.
        options: How masks are decoded, and which frame is prompted.

    Raises:
        InputError: If the prompts are masks that this mode cannot start from, there are more or fewer of them than
            of frames, or frames are not as the pixel decoder takes them.
    """

    def __init__(
        self,
        decoder: Sam2VideoModel,
        prompts: Sequence[torch.Tensor],
        frames: Sequence[Any],
        options: TrackingOptions,
    ) -> None:
        check_counts(prompts=prompts, grounding_frames=frames)
        for i, own in enumerate(frames):
            check_frames(own, decoder.image_size, f"grounding_frames of sample {i}")
        for i, prompt in enumerate(prompts):
            check_prompts(prompt, decoder.hidden_dim, f"prompts of sample {i}")
        if options.mask_mode != "video" and any(prompt.ndim != 2 for prompt in prompts):
            raise InputError(f"Masks can start a track, but mask_mode {options.mask_mode!r} takes prompt embeddings.")
        self.decoder, self.prompts, self.options = decoder, prompts, options
        self.lengths = [len(own) for own in frames]
        self._encoder = FrameEncoder(decoder, frames, options.frames_per_batch)
        self._tables = AttentionTables()

    def masks(self, sizes: Sequence[tuple[int, int]]) -> Iterator[FrameMasks]:
        """Masks of every frame of every sample that has objects, as they are decided.

        Args:
            sizes: Per sample, `(H, W)` of its masks.

        Yields:
            [`FrameMasks`]: in order of frames, samples in turn, for `framewise` and `video` from frame 0; otherwise
            sample by sample, each frame when it is reached.

        Raises:
            InputError: If there are more or fewer sizes than samples, or one is no size.
            ResourceError: If the device runs out of memory.
        """
        check_counts(prompts=self.prompts, original_sizes=sizes)
        sizes = [
            mask_size(size, f"original_sizes of sample {i}") if self.lengths[i] else (0, 0)
            for i, size in enumerate(sizes)
        ]
        waiting: deque[MaskReadout] = deque()
        # A GPU is told of the next frame before it is asked for the last one, so that it never waits for this process.
        ahead = 1 if self.decoder.device.type in ASYNCHRONOUS_DEVICES else 0
        for decided in self.decided():
            waiting.append(MaskReadout(decided, sizes))
            if len(waiting) > ahead:
                yield from waiting.popleft().masks()
        while waiting:
            yield from waiting.popleft().masks()

    def decided(self) -> Iterator[DecidedFrame]:
        """What the pixel decoder decides of every frame of every sample that has objects; differentiable.

        Yields:
            [`DecidedFrame`]; the objects of a sample are always in their order.

        Raises:
            ResourceError: If the device runs out of memory.
        """
        active = [i for i, length in enumerate(self.lengths) if len(self.prompts[i]) and length]
        try:
            for samples in [active] if self._in_step else [[i] for i in active]:
                if samples:
                    yield from self._track(samples)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            options = self.options
            raise ResourceError(
                f"Out of memory while tracking {sum(map(len, self.prompts))} objects. Lower max_objects_per_batch "
                f"(now {options.objects_per_batch or 'the default'}) or config.grounding_batch_size (now "
                f"{options.frames_per_batch} frames); neither changes the masks."
            ) from error

    @property
    def _in_step(self) -> bool:
        """Whether all samples are tracked as one batch, frame by frame."""
        # SAM 2.1 encodes the distance to a pointer relative to the length of the video: no two videos in one batch.
        relative = self.decoder.config.enable_temporal_pos_encoding_for_object_pointers
        # Masks as prompts may be of the size of their own video.
        alike = len({prompt.shape[1:] for prompt in self.prompts if len(prompt)}) <= 1
        return alike and self.options.prompt_frame == 0 and self.options.mask_mode != "anchored" and not relative

    def _track(self, samples: Sequence[int]) -> Iterator[DecidedFrame]:
        """The loop: run by run, frame by frame, group by group."""
        lengths = {i: self.lengths[i] for i in samples}
        longest = max(lengths.values())
        groups = self._groups(samples, longest)
        for run in _plan(self.options, longest):
            for group in groups:
                group.bank.forget_tracked()
            for places, features in self._encoder.walk(_steps(lengths, run.order)):
                t = places[0][1]
                if not run.prompted:
                    features = self.decoder(features, self._tables, step=look_at_frames)
                decided = []
                for group in groups:
                    group.keep({i for i, _ in places})
                    if group.owners:
                        own = features.select(_rows(group, places, features))
                        decided.append((group.owners, self._decide(group, own, t, run)))
                yield DecidedFrame(t, decided)

    def _decide(self, group: _Group, features: FrameFeatures, t: int, run: _Run) -> ObjectMasks:
        """The masks of one frame of a group, which are then remembered."""
        decoder, bank, mode = self.decoder, group.bank, self.options.mask_mode
        if not run.prompted:
            masks = decoder(features, bank, t, run.backward, step=decode_tracked_frame)
            # Nobody looks back at the last one.
            if t != run.order[-1]:
                bank.append(t, decoder(features, masks, prompted=False, step=remember))
            return masks
        if group.prompts.ndim == 3:
            masks, memory = decoder(features, group.prompts, step=start_from_masks)
            bank.condition(t, memory)
            return masks
        masks = decoder(features, group.prompts, step=decode_first_frame if mode == "video" else decode_framewise)
        if mode != "framewise":
            bank.condition(t, decoder(features, masks, prompted=True, step=remember))
        return masks

    def _groups(self, samples: Sequence[int], num_frames: int) -> list[_Group]:
        """Objects in groups of the size that the decoder takes at once."""
        owners = [i for i in samples for _ in range(len(self.prompts[i]))]
        prompts = torch.cat([self.prompts[i] for i in samples])
        size = objects_at_once(self.decoder, self.options) or len(owners)
        return [
            _Group(
                owners[start : start + size],
                prompts[start : start + size],
                new_memory_bank(self.decoder, self.options.gradient_frames, num_frames, self._tables),
            )
            for start in range(0, len(owners), size)
        ]


def objects_at_once(decoder: Sam2VideoModel, options: TrackingOptions) -> int | None:
    """Objects that the decoder takes at once; None for all."""
    if options.objects_per_batch is not None or decoder.device.type != "cpu":
        return options.objects_per_batch
    height, width = decoder.backbone_feature_sizes[-1]
    return max(1, CPU_POSITIONS_PER_BATCH // (height * width))


def _plan(options: TrackingOptions, length: int) -> Iterator[_Run]:
    """The order of frames: the prompted ones, then every other one from the nearest of them, forward and backward."""
    if options.mask_mode == "framewise":
        yield _Run(range(length), prompted=True)
        return
    prompted = [min(options.prompt_frame, length - 1)]
    if options.mask_mode == "anchored":
        prompted = spread(0, length - 1, options.num_anchors)
    yield _Run(prompted, prompted=True)
    middles = [(a + b) // 2 for a, b in itertools.pairwise(prompted)]
    for first, frame, last in zip([-1, *middles], prompted, [*middles, length - 1], strict=True):
        yield _Run(range(frame + 1, last + 1))
        yield _Run(range(frame - 1, first, -1), backward=True)


def _steps(lengths: dict[int, int], order: Iterable[int]) -> Iterator[list[Place]]:
    """The samples that have a frame, frame by frame."""
    for t in order:
        yield [(i, t) for i, length in lengths.items() if t < length]


def _rows(group: _Group, places: list[Place], features: FrameFeatures) -> torch.Tensor:
    """For every object of a group, the row of its sample's frame among the features, int64 `[n]`."""
    row_of = {sample: row for row, (sample, _) in enumerate(places)}
    return torch.tensor([row_of[owner] for owner in group.owners], device=features.embedding.device)


class MaskReadout:
    """The masks of one frame on their way to the CPU: to their samples, at each one's own size."""

    def __init__(self, decided: DecidedFrame, sizes: Sequence[tuple[int, int]]) -> None:
        self.frame_index = decided.frame_index
        self.logits = decided.joined("logits")
        self.rows = decided.rows()
        scores = decided.joined("object_scores").float()
        ious = torch.cat([masks.iou_scores.amax(dim=-1) for _, masks in decided.groups]).float()
        finite = torch.stack([torch.isfinite(tensor).all() for tensor in (self.logits, scores, ious)])
        binary = [resize_mask_logits(self.logits[rows], sizes[sample]) > 0 for sample, rows in self.rows.items()]
        apart = self.logits.device.type in ASYNCHRONOUS_DEVICES
        self._copies = [tensor.to("cpu", non_blocking=apart) for tensor in (finite, scores, ious, *binary)]
        self._done = None
        if apart:
            self._done = torch.Event(self.logits.device.type)
            self._done.record()

    def masks(self) -> Iterator[FrameMasks]:
        """One [`FrameMasks`] per sample; waits for the copies.

        Raises:
            NotFiniteError: If something is NaN or infinite.
        """
        if self._done is not None:
            self._done.synchronize()
        finite, scores, ious, *binary = self._copies
        for good, what in zip(finite.tolist(), ("mask logits", "object scores", "predicted IoUs"), strict=True):
            if not good:
                raise NotFiniteError(f"Some of the {what} of frame {self.frame_index} are NaN or infinite.")
        for (sample, rows), own in zip(self.rows.items(), binary, strict=True):
            yield FrameMasks(sample, self.frame_index, own, scores[rows], ious[rows], self.logits[rows])
