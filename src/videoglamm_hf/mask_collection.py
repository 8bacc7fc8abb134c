"""A stream of masks, frame by frame, gathered into one tensor per sequence."""

from collections.abc import Callable, Iterable, Sequence
from typing import Any

import torch

from .packed_masks import PackedMasks
from .tracking import FrameMasks


def collect_masks(
    stream: Iterable[FrameMasks],
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
    *,
    with_logits: bool = False,
    packed: bool = False,
    callback: Callable[[FrameMasks], None] | None = None,
) -> dict[str, list | None]:
    """Gathers the masks of every sequence.

    Args:
        stream: What a [`Tracker`] yields, frames in any order.
        prompts: Per sequence, what prompted its N objects.
        frames: Per sequence, its T frames.
        sizes: Per sequence, `(H, W)` of its masks.
        with_logits: Also keep low-resolution logits.
        packed: Masks as [`PackedMasks`].
        callback: Called with every frame first.

    Returns:
        `masks` (bool `[N, T, H, W]`), `object_scores`, `iou_scores` (float32 `[N, T]`) and `mask_logits` (float32
        `[N, T, s, s]`, or None) per sequence, all on the CPU.
    """
    counts = [(len(p), len(f)) for p, f in zip(prompts, frames, strict=True)]
    shapes = [(*count, *size) for count, size in zip(counts, sizes, strict=True)]
    masks = [PackedMasks.zeros(s) if packed else torch.zeros(s, dtype=torch.bool) for s in shapes]
    scores, ious = [torch.zeros(c) for c in counts], [torch.zeros(c) for c in counts]
    logits: list[torch.Tensor | None] = [None] * len(counts)
    for frame in stream:
        if callback is not None:
            callback(frame)
        i, t = frame.sequence_index, frame.frame_index
        masks[i][:, t] = frame.masks
        scores[i][:, t] = frame.object_scores
        ious[i][:, t] = frame.iou_scores
        if with_logits:
            if logits[i] is None:
                logits[i] = torch.zeros((*counts[i], *frame.logits.shape[1:]))
            logits[i][:, t] = frame.logits.float().cpu()
    return {
        "masks": masks,
        "object_scores": scores,
        "iou_scores": ious,
        "mask_logits": [torch.zeros((*c, 0, 0)) if ls is None else ls for ls, c in zip(logits, counts, strict=True)]
        if with_logits
        else None,
    }
