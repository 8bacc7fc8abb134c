"""Objects tracked again from what was said of them: by words, by clicks, a box or a mask, in any frames.

The frames of which something is said are decided first, each on its own, and remembered; then every other frame,
forward from the first of them and after that backward from it, as SAM 2's session does. What comes out depends on what
is said, and not on the order in which it was.

Shapes: N objects, C channels of a prompt embedding, T frames, H x W size of the video, s side of low-resolution masks.
"""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from transformers import Sam2VideoModel

from .memory_attention import AttentionTables
from .memory_bank import FrameMemory
from .pixel_decoder import (
    FrameFeatures,
    ObjectMasks,
    decode_first_frame,
    decode_framewise,
    decode_region,
    decode_tracked_frame,
    look_at_frames,
    new_memory_bank,
    remember,
    start_from_masks,
)
from .region_prompts import RegionPrompt
from .tracking import DecidedFrame, FrameEncoder, FrameMasks, MaskReadout, TrackingOptions, objects_at_once


@dataclass(frozen=True)
class SaidOfObject:
    """What is known of one object.

    Attributes:
        number: Its name; comes back as `FrameMasks.sequence_index`.
        prompts: By frame, a prompt embedding `[C]` or a [`RegionPrompt`].
        previous: Low-resolution logits `[s, s]` that clicks in a frame correct, or None if they start anew.
        alone: Whether nothing is carried to other frames.
    """

    number: int
    prompts: Mapping[int, torch.Tensor | RegionPrompt]
    previous: Callable[[int], torch.Tensor | None]
    alone: bool = False


def retrack(
    decoder: Sam2VideoModel,
    frames: Any,
    size: tuple[int, int],
    objects: Sequence[SaidOfObject],
    options: TrackingOptions,
) -> Iterator[FrameMasks]:
    """Masks of every frame of every object, or of those of which something is said alone.

    Args:
        decoder: The pixel decoder.
        frames: uint8 frames `[T, 3, h, w]` or [`FrameFeatures`] of all frames, as for [`Tracker`].
        size: `(H, W)` of the masks.
        objects: What is said of each, of one frame at least.
        options: How many frames and objects are taken at once, and which `mask_mode` a prompt embedding is decided by.

    Yields:
        [`FrameMasks`] of one object each; `sequence_index` is its number.
    """
    alike: dict[tuple, list[SaidOfObject]] = {}
    for one in objects:
        alike.setdefault((tuple(sorted(one.prompts)), one.alone), []).append(one)
    at_once = objects_at_once(decoder, options)
    sizes = {one.number: size for one in objects}
    for (prompted, alone), group in alike.items():
        for start in range(0, len(group), at_once or len(group)):
            part = group[start : start + (at_once or len(group))]
            for decided in _tracked(decoder, frames, size, part, prompted, alone, options):
                yield from MaskReadout(decided, sizes).masks()


def _tracked(
    decoder: Sam2VideoModel,
    frames: Any,
    size: tuple[int, int],
    objects: Sequence[SaidOfObject],
    prompted: Sequence[int],
    alone: bool,
    options: TrackingOptions,
) -> Iterator[DecidedFrame]:
    """The loop of objects of which something is said in the same frames."""
    encoder, tables = FrameEncoder(decoder, [frames], options.frames_per_batch), AttentionTables()
    bank = new_memory_bank(decoder, None, len(frames), tables)
    for places, features in encoder.walk([(0, t)] for t in prompted):
        t = places[0][1]
        decided = [_decide(decoder, features, one, t, size, options.mask_mode) for one in objects]
        if not alone:
            bank.condition(t, _joined([memory for _, memory in decided]))
        yield DecidedFrame(t, [([one.number], masks) for one, (masks, _) in zip(objects, decided, strict=True)])
    if alone:
        return
    numbers = [one.number for one in objects]
    rows = torch.zeros(len(objects), dtype=torch.long, device=decoder.device)
    first = min(prompted)
    for order, backward in ((range(first + 1, len(frames)), False), (range(first - 1, -1, -1), True)):
        bank.forget_tracked()
        for places, features in encoder.walk([(0, t)] for t in order if t not in bank.conditioning):
            t = places[0][1]
            own = decoder(features, tables, step=look_at_frames).select(rows)
            masks = decoder(own, bank, t, backward, step=decode_tracked_frame)
            if t != order[-1]:
                bank.append(t, decoder(own, masks, prompted=False, step=remember))
            yield DecidedFrame(t, [(numbers, masks)])


def _decide(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    said: SaidOfObject,
    t: int,
    size: tuple[int, int],
    mask_mode: str,
) -> tuple[ObjectMasks, FrameMemory]:
    """One object in one frame of which something is said of it."""
    prompt = said.prompts[t]
    if torch.is_tensor(prompt):
        # As the mode decides its prompted frames.
        step = decode_first_frame if mask_mode == "video" else decode_framewise
        masks = decoder(features, prompt[None], step=step)
    elif prompt.is_mask:
        given = prompt.mask_in(size, decoder.image_size).to(decoder.device)
        return decoder(features, given[None], step=start_from_masks)
    else:
        points, labels = (own[None].to(decoder.device) for own in prompt.points_in(size, decoder.image_size))
        # A box says where the object is, whatever was there before.
        previous = said.previous(t) if prompt.box is None else None
        previous = None if previous is None else previous[None].to(decoder.device)
        masks = decoder(features, points, labels, previous, step=decode_region)
    return masks, decoder(features, masks, prompted=True, step=remember)


def _joined(memories: Sequence[FrameMemory]) -> FrameMemory:
    """Memories of the same frame, of one object each, as one of all."""
    return FrameMemory(
        torch.cat([memory.features for memory in memories], dim=1),
        memories[0].position,
        torch.cat([memory.object_pointers for memory in memories]),
    )
