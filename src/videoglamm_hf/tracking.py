"""From prompt embeddings and frames to masks over time: three short drivers over one pixel-decoder step.

`video`, `framewise` and `anchored` differ only in the order of frames and in what they remember. All objects of
all samples are one batch; frames are encoded a few at a time, on demand, and forgotten. Memory does not grow
with the length of the video.

Shapes: N objects of one sample, C channels of a prompt embedding, T frames, H x W size of the masks, s side of
low-resolution masks.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from transformers import Sam2VideoModel

from .errors import InputError, ResourceError, is_out_of_memory
from .memory_bank import MemoryBank
from .pixel_decoder import (
    FrameFeatures,
    ObjectMasks,
    concatenate_features,
    decode_first_frame,
    decode_framewise,
    decode_tracked_frame,
    encode_pixels,
    new_memory_bank,
    remember,
    resize_mask_logits,
    start_from_masks,
)

MASK_MODES = ("video", "framewise", "anchored")
# Feature-map positions of all objects of a batch; beyond, a CPU's allocator costs more than batching saves.
CPU_POSITIONS_PER_BATCH = 1024

# A frame of a sample: (sample index, frame index).
Place = tuple[int, int]


@dataclass
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
        if self.prompt_frame < 0:
            raise InputError(f"prompt_frame is {self.prompt_frame}; it is the index of a frame, from 0.")
        for name in ("num_anchors", "frames_per_batch", "objects_per_batch"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1.")


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


class _FrameEncoder:
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
        frames: As in [`iter_decided`].
        places: `(sample index, frame index)` of every frame wanted.
    """
    starts = range(0, len(places), frames_per_batch)
    parts = []
    for start in starts:
        wanted = [
            frames[i].select(slice(t, t + 1)) if hasattr(frames[i], "embedding") else frames[i][t : t + 1]
            for i, t in places[start : start + frames_per_batch]
        ]
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


def iter_masks(
    decoder: Sam2VideoModel,
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
    options: TrackingOptions,
) -> Iterator[FrameMasks]:
    """Masks of every frame of every sample that has objects, as they are decided.

    Args:
        prompts, frames, options: As in [`iter_decided`].
        sizes: Per sample, `(H, W)`.

    Yields:
        [`FrameMasks`]: in order of frames, samples in turn, for `framewise` and `video` from frame 0; otherwise
        sample by sample, each frame when it is reached.

    Raises:
        ResourceError: If the device runs out of memory.
    """
    for decided in iter_decided(decoder, prompts, frames, options):
        yield from _split(decided, sizes)


def iter_decided(
    decoder: Sam2VideoModel, prompts: Sequence[torch.Tensor], frames: Sequence[Any], options: TrackingOptions
) -> Iterator[DecidedFrame]:
    """What the pixel decoder decides of every frame of every sample that has objects; differentiable.

    Args:
        prompts: Per sample, prompt embeddings `[N, C]`, or masks `[N, H, W]` of the prompted frame (`video` only).
        frames: Per sample, uint8 frames `[T, 3, h, w]` (a tensor, or anything with a length whose slices are such
            tensors) or [`FrameFeatures`] of all frames.

    Yields:
        [`DecidedFrame`]; the objects of a sample are always in their order.

    Raises:
        ResourceError: If the device runs out of memory.
    """
    if options.mask_mode != "video" and any(prompt.ndim != 2 for prompt in prompts):
        raise InputError(f"Masks can start a track, but mask_mode {options.mask_mode!r} takes prompt embeddings.")
    active = [i for i, embeddings in enumerate(prompts) if len(embeddings) and len(frames[i])]
    # SAM 2.1 encodes the distance to a pointer relative to the length of the video: no two videos in one batch.
    relative = decoder.config.enable_temporal_pos_encoding_for_object_pointers
    in_step = options.prompt_frame == 0 and options.mask_mode != "anchored" and not relative
    driver = {"video": _video, "framewise": _framewise, "anchored": _anchored}[options.mask_mode]
    encoder = _FrameEncoder(decoder, frames, options.frames_per_batch)
    try:
        for samples in [active] if in_step else [[i] for i in active]:
            if samples:
                longest = max(len(frames[i]) for i in samples)
                groups = _groups(decoder, prompts, samples, options, longest)
                yield from driver(decoder, encoder, groups, {i: len(frames[i]) for i in samples}, options)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise ResourceError(
            f"Out of memory while tracking {sum(map(len, prompts))} objects. Lower max_objects_per_batch "
            f"(now {options.objects_per_batch or 'the default'}) or config.grounding_batch_size (now "
            f"{options.frames_per_batch} frames); neither changes the masks."
        ) from error


def _groups(
    decoder: Sam2VideoModel,
    prompts: Sequence[torch.Tensor],
    samples: Sequence[int],
    options: TrackingOptions,
    num_frames: int,
) -> list[_Group]:
    owners = [i for i in samples for _ in range(len(prompts[i]))]
    embeddings = torch.cat([prompts[i] for i in samples])
    size = options.objects_per_batch
    if size is None:
        height, width = decoder.backbone_feature_sizes[-1]
        on_cpu = embeddings.device.type == "cpu"
        size = max(1, CPU_POSITIONS_PER_BATCH // (height * width)) if on_cpu else len(owners)
    return [
        _Group(
            owners[start : start + size],
            embeddings[start : start + size],
            new_memory_bank(decoder, options.gradient_frames, num_frames),
        )
        for start in range(0, len(owners), size)
    ]


def _steps(lengths: dict[int, int], order: Iterable[int]) -> Iterator[list[Place]]:
    """The samples that have a frame, frame by frame."""
    for t in order:
        yield [(i, t) for i, length in lengths.items() if t < length]


def _framewise(
    decoder: Sam2VideoModel,
    encoder: _FrameEncoder,
    groups: list[_Group],
    lengths: dict[int, int],
    options: TrackingOptions,
) -> Iterator[DecidedFrame]:
    """Every frame on its own, without memory, as in training."""
    for places, features in encoder.walk(_steps(lengths, range(max(lengths.values())))):
        decided = []
        for group in groups:
            group.keep({i for i, _ in places})
            if group.owners:
                rows = _rows(group, places, features)
                decided.append((group.owners, decoder(features.select(rows), group.prompts, step=decode_framewise)))
        yield DecidedFrame(places[0][1], decided)


def _video(
    decoder: Sam2VideoModel,
    encoder: _FrameEncoder,
    groups: list[_Group],
    lengths: dict[int, int],
    options: TrackingOptions,
) -> Iterator[DecidedFrame]:
    """One frame is prompted; memory carries the objects forward to the end, then backward to the start."""
    start = min(options.prompt_frame, max(lengths.values()) - 1)
    for places, features in encoder.walk(_steps(lengths, [start])):
        decided = []
        for group in groups:
            own = features.select(_rows(group, places, features))
            if group.prompts.ndim == 2:
                masks = decoder(own, group.prompts, step=decode_first_frame)
                memory = decoder(own, masks, prompted=True, step=remember)
            else:
                masks, memory = decoder(own, group.prompts, step=start_from_masks)
            group.bank.condition(start, memory)
            decided.append((group.owners, masks))
        yield DecidedFrame(start, decided)
    yield from _propagate(decoder, encoder, groups, lengths, range(start + 1, max(lengths.values())))
    for group in groups:
        group.bank.forget_tracked()
    yield from _propagate(decoder, encoder, groups, lengths, range(start - 1, -1, -1), backward=True)


def _anchored(
    decoder: Sam2VideoModel,
    encoder: _FrameEncoder,
    groups: list[_Group],
    lengths: dict[int, int],
    options: TrackingOptions,
) -> Iterator[DecidedFrame]:
    """Evenly spread frames are decided without memory, as in training, and condition all others; every other
    frame is tracked from its nearest anchor."""
    ((sample, length),) = lengths.items()
    anchors = sorted(set(np.linspace(0, length - 1, min(options.num_anchors, length)).astype(int).tolist()))
    for places, features in encoder.walk([[(sample, t)] for t in anchors]):
        t = places[0][1]
        decided = []
        for group in groups:
            own = features.select(_rows(group, places, features))
            masks = decoder(own, group.prompts, step=decode_framewise)
            group.bank.condition(t, decoder(own, masks, prompted=True, step=remember))
            decided.append((group.owners, masks))
        yield DecidedFrame(t, decided)
    bounds = [-1, *anchors, 2 * length]
    for before, anchor, after in zip(bounds, bounds[1:], bounds[2:], strict=False):
        middle_before = (before + anchor) // 2 if before >= 0 else -1
        middle_after = (anchor + after) // 2 if after < length else length - 1
        for order, backward in (
            (range(anchor + 1, middle_after + 1), False),
            (range(anchor - 1, middle_before, -1), True),
        ):
            yield from _propagate(decoder, encoder, groups, lengths, order, backward)
            for group in groups:
                group.bank.forget_tracked()


def _propagate(
    decoder: Sam2VideoModel,
    encoder: _FrameEncoder,
    groups: list[_Group],
    lengths: dict[int, int],
    order: Iterable[int],
    backward: bool = False,
) -> Iterator[DecidedFrame]:
    """Tracks all objects through frames, in the given order."""
    for places, features in encoder.walk(_steps(lengths, order)):
        t = places[0][1]
        decided = []
        for group in groups:
            group.keep({i for i, _ in places})
            if not group.owners:
                continue
            own = features.select(_rows(group, places, features))
            masks = decoder(own, group.bank, t, backward, step=decode_tracked_frame)
            group.bank.append(t, decoder(own, masks, prompted=False, step=remember))
            decided.append((group.owners, masks))
        yield DecidedFrame(t, decided)


def _rows(group: _Group, places: list[Place], features: FrameFeatures) -> torch.Tensor:
    """For every object of a group, the row of its sample's frame among the features, int64 `[n]`."""
    row_of = {sample: row for row, (sample, _) in enumerate(places)}
    return torch.tensor([row_of[owner] for owner in group.owners], device=features.embedding.device)


def _split(decided: DecidedFrame, sizes: Sequence[tuple[int, int]]) -> Iterator[FrameMasks]:
    """Hands the masks of one frame to their samples, at each one's own size."""
    logits = decided.joined("logits")
    scores = decided.joined("object_scores").float().cpu()
    ious = torch.cat([masks.iou_scores.amax(dim=-1) for _, masks in decided.groups]).float().cpu()
    for sample, rows in decided.rows().items():
        own = logits[rows]
        binary = (resize_mask_logits(own, sizes[sample]) > 0).cpu()
        yield FrameMasks(sample, decided.frame_index, binary, scores[rows], ious[rows], own)
