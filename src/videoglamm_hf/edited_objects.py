"""Objects whose masks are corrected by hand: what is said of each, and the masks that follow from it.

Shapes: T frames, H x W size of the video, s side of low-resolution masks, C channels of a prompt embedding.
"""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from .packed_masks import PackedMasks
from .region_prompts import RegionPrompt
from .retracking import SaidOfObject, retrack
from .short_repr import short_repr
from .tracking import FrameMasks, TrackingOptions

# Logits of given masks, inside and outside (SAM 2's `_use_mask_as_output`).
INSIDE, OUTSIDE = 10.0, -10.0


@dataclass(frozen=True, repr=False)
class ObjectTrack:
    """One object through a video.

    Attributes:
        masks: `[1, T, H, W]`, at one bit a pixel.
        object_scores: float32 `[T]`, logits of the object being in the frame.
        iou_scores: float32 `[T]`, predicted IoU of the mask; 1 where it was given.
        logits: `[T, s, s]`, where they were kept.
    """

    masks: PackedMasks
    object_scores: torch.Tensor
    iou_scores: torch.Tensor
    logits: torch.Tensor | None = None

    __repr__ = short_repr

    @classmethod
    def empty(cls, num_frames: int, size: tuple[int, int]) -> "ObjectTrack":
        """An object that is nowhere."""
        scores = torch.full((num_frames,), OUTSIDE)
        return cls(PackedMasks.zeros((1, num_frames, *size)), scores, torch.zeros(num_frames))

    def copy(self) -> "ObjectTrack":
        """One to write into."""
        masks = PackedMasks(self.masks.bits.copy(), self.masks.size)
        return ObjectTrack(masks, self.object_scores.clone(), self.iou_scores.clone())

    def take(self, frame: int, other: "ObjectTrack") -> None:
        """Takes one frame of another track."""
        self.masks.bits[:, frame] = other.masks.bits[:, frame]
        self.object_scores[frame], self.iou_scores[frame] = other.object_scores[frame], other.iou_scores[frame]


@dataclass(frozen=True, repr=False)
class EditedObject:
    """One object, as it is now.

    Attributes:
        number: What it is called by, for as long as the session lasts.
        label: What a person reads of it.
        track: Its masks.
        start: By frame, what it started from: a prompt embedding `[C]`, or what was said of it first.
        corrections: By frame, what was said of it since.
        original: What followed from the start alone, which clicks correct: the masks of the answer; None of an object
            that was added and not yet followed through the video.
        framewise: Whether a correction stays in its frame.
        behind: Frames of which something was said that has not been carried to the others yet.
    """

    number: int
    label: str
    track: ObjectTrack
    start: Mapping[int, torch.Tensor | RegionPrompt] = field(default_factory=dict)
    corrections: Mapping[int, RegionPrompt] = field(default_factory=dict)
    original: ObjectTrack | None = None
    framewise: bool = False
    behind: frozenset[int] = frozenset()

    __repr__ = short_repr

    def with_corrections(self, corrections: Mapping[int, RegionPrompt]) -> "EditedObject":
        """The same object with other things said of it, which are not yet decided."""
        frames = {*self.corrections, *corrections}
        changed = {t for t in frames if corrections.get(t) is not self.corrections.get(t)}
        return replace(self, corrections=dict(corrections), behind=self.behind | changed)

    def with_masks(self, masks: PackedMasks, other: "EditedObject | None" = None) -> "EditedObject":
        """The same object with masks that are given, `[1, T, H, W]`, from which whatever is said of it now starts: in
        the frames in which something was said of it (or of another object that became part of it)."""
        parts = [self, *([] if other is None else [other])]
        frames = sorted({t for part in parts for t in (*part.start, *part.corrections)})
        there = torch.from_numpy(masks.bits.any(-1)[0])
        scores = torch.stack([part.track.object_scores for part in parts]).amax(0)
        ious = torch.stack([part.track.iou_scores for part in parts]).amin(0)
        track = ObjectTrack(masks, torch.where(there, scores, torch.full_like(scores, OUTSIDE)), ious)
        start = {t: RegionPrompt(mask=masks[0, t]) for t in frames}
        return EditedObject(self.number, self.label, track, start, {}, track, self.framewise)

    def previous(self, frame: int, side: tuple[int, int]) -> torch.Tensor | None:
        """Logits `[s, s]` that clicks in a frame correct: what followed from the start, whatever was said since."""
        if self.original is None:
            return None
        if self.original.logits is not None:
            return self.original.logits[frame]
        mask = self.original.masks[0, frame].float() * (INSIDE - OUTSIDE) + OUTSIDE
        return F.interpolate(mask[None, None], side, mode="bilinear", align_corners=False, antialias=True)[0, 0]


@torch.no_grad()
def decide_again(
    decoder: Sam2VideoModel,
    frames: Any,
    objects: Iterable[EditedObject],
    options: TrackingOptions,
    propagate: bool,
    callback: Callable[[FrameMasks], None] | None = None,
) -> dict[int, EditedObject]:
    """Objects with the masks that follow from what is said of them, by number.

    Args:
        decoder, frames, options: As for [`retrack`].
        objects: The objects; others are not touched.
        propagate: Whether what is said of a frame is carried to the others; otherwise that frame alone is decided.
        callback: Called with every frame of every object as soon as it is decided.
    """
    side = tuple(decoder.prompt_encoder.mask_input_size)
    found, said, size = {}, [], (0, 0)
    # Of objects that are new: what is said of them first is where they start, and what follows is what clicks correct.
    new: dict[int, torch.Tensor] = {}
    for one in objects:
        size, alone = one.track.masks.size, one.framewise or not propagate
        track = one.track.copy()
        # Of what nothing is said any more, the answer's own masks are left.
        original = one.original or ObjectTrack.empty(len(frames), size)
        prompts = _prompts(one)
        if alone:
            prompts = {t: prompt for t, prompt in prompts.items() if t in one.behind and t in one.corrections}
            for t in one.behind - set(prompts):
                track.take(t, original)
        elif not one.corrections:
            prompts, track = {}, original.copy()
        elif one.original is None:
            new[one.number] = torch.zeros(len(frames), *side, dtype=torch.float16)
        if prompts:
            said.append(SaidOfObject(one.number, prompts, lambda t, own=one: own.previous(t, side), alone))
        behind = frozenset() if propagate or one.framewise else one.behind
        found[one.number] = replace(one, track=track, behind=behind)
    for step in retrack(decoder, frames, size, said, options):
        if callback is not None:
            callback(step)
        number, t = step.sequence_index, step.frame_index
        track = found[number].track
        track.masks[:, t] = step.masks
        track.object_scores[t], track.iou_scores[t] = step.object_scores[0], step.iou_scores[0]
        if number in new:
            new[number][t] = step.logits[0].to("cpu", torch.float16)
    for number, logits in new.items():
        one = found[number]
        original = replace(one.track, logits=logits)
        found[number] = replace(one, start=one.corrections, corrections={}, original=original)
    return found


def _prompts(one: EditedObject) -> dict[int, Any]:
    """By frame, what decides it: what was said since, behind the clicks that the object started from."""
    if one.framewise:
        return dict(one.corrections)
    prompts: dict[int, Any] = {**one.start, **one.corrections}
    for t in set(one.start) & set(one.corrections):
        if not torch.is_tensor(one.start[t]):
            prompts[t] = one.start[t].with_more(one.corrections[t])
    return prompts
