"""The mask losses of training: prompt embeddings and ground-truth masks to four numbers.

Two modes: `framewise` decides every frame on its own with the single-mask token, as the original trained;
`video` goes through the tracker that inference uses, memory and all, and keeps its gradients.

Shapes: N prompted objects and M ground-truth masks of one sample, T frames, H x W size of its ground truth,
K (object, frame) pairs of a batch, s side of low-resolution masks, m candidate masks of a pair.
Source of the rules: the original's `VideoGLaMM.py` and `dice_loss`, `sigmoid_ce_loss` (reference section 7); the
two further losses are SAM 2's (`loss_fns.py`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from .errors import InputError
from .mask_overlap import mask_iou
from .pixel_decoder import decode_framewise, resize_mask_logits
from .tracking import Tracker, TrackingOptions, encode_places

MASK_TRAINING_MODES = ("framewise", "video")
IGNORED = -1
DICE_SCALE = 1000.0
DICE_EPSILON = 1e-6


class MaskLosses(NamedTuple):
    """Means over the (object, frame) pairs of a batch; zeros without gradients if there are none.

    Attributes:
        bce: Binary cross-entropy of pixels.
        dice: Dice loss.
        iou: L1 error of the predicted IoU of every candidate mask.
        object_score: Binary cross-entropy of the object being in the frame.
        num_pairs: How many pairs there were.
    """

    bce: torch.Tensor
    dice: torch.Tensor
    iou: torch.Tensor
    object_score: torch.Tensor
    num_pairs: int


@dataclass
class _Pairs:
    """Decoded pairs of one sample: logits `[k, s, s]`, candidates `[k, m, s, s]`, predicted IoUs `[k, m]`, object
    scores `[k]`, and their ground truth `[k, H, W]`."""

    logits: torch.Tensor
    candidates: torch.Tensor
    ious: torch.Tensor
    scores: torch.Tensor
    labels: torch.Tensor


def mask_bce(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Binary cross-entropy of masks `[K, H, W]`, mean over all pixels; ignored ones (-1) count as zero. `[K]`."""
    kept = labels != IGNORED
    loss = F.binary_cross_entropy_with_logits(logits, labels.clamp(min=0).to(logits.dtype), reduction="none")
    return (loss * kept).flatten(1).mean(dim=1)


def mask_dice(logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    """Dice loss of masks `[K, H, W]` over the pixels that are not ignored. `[K]`."""
    kept = labels != IGNORED
    probabilities = (logits.sigmoid() * kept).flatten(1)
    targets = labels.clamp(min=0).to(logits.dtype).flatten(1)
    overlap = 2 * (probabilities / DICE_SCALE * targets).sum(-1)
    total = (probabilities / DICE_SCALE).sum(-1) + (targets / DICE_SCALE).sum(-1)
    return 1 - (overlap + DICE_EPSILON) / (total + DICE_EPSILON)


def mask_losses(
    decoder: Sam2VideoModel,
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    labels: Sequence[torch.Tensor],
    *,
    mode: str,
    frames_per_batch: int,
    padding_slots: int = 0,
    gradient_frames: int | None = None,
    scores_decide: bool = False,
    blank_passes: bool = False,
) -> MaskLosses:
    """Decodes every prompted object that has a ground truth, in every frame, and scores it.

    Args:
        prompts: Per sample, prompt embeddings `[N, C]`.
        frames: Per sample, uint8 frames `[T, 3, h, w]` or their [`FrameFeatures`].
        labels: Per sample, ground truth `[M, T, H, W]`: 1 object, 0 background, -1 ignored.
        mode: One of `MASK_TRAINING_MODES`.
        frames_per_batch: Frames the image encoder takes at once.
        padding_slots: Mask slots that a sample has at least (twice as many without any [SEG]): ground truth beyond
            its [SEG] tokens is scored against slots with empty prompts, as the original did with 4. With 0, the
            n-th [SEG] and the n-th mask are a pair, and counts must agree. `framewise` only.
        gradient_frames: See [`TrackingOptions`].
        scores_decide: Whether the object score is trained to say that an object is absent: frames without the
            object then count for the object score only.
        blank_passes: Whether a batch that leaves a part of the decoder out also decodes an empty object in black
            frames, zero times whose losses are added: every process then gives the same parameters a gradient.

    Raises:
        InputError: If shapes or counts do not fit; names the sample.
    """
    if mode not in MASK_TRAINING_MODES:
        raise InputError(f"mask_training_mode is {mode!r}; it must be one of {MASK_TRAINING_MODES}.")
    if mode == "video" and padding_slots:
        raise InputError("mask_padding_slots belong to mask_training_mode 'framewise'; set them to 0 for 'video'.")
    counts = [
        _scored_pairs(i, prompt, own_frames, truth, padding_slots)
        for i, (prompt, own_frames, truth) in enumerate(zip(prompts, frames, labels, strict=True))
    ]
    if not any(counts):
        zero = prompts[0].new_zeros((), dtype=torch.float32) if prompts else torch.zeros(())
        losses = MaskLosses(zero, zero, zero, zero, 0)
    elif mode == "framewise":
        losses = _score(_framewise_pairs(decoder, prompts, frames, labels, counts, frames_per_batch), scores_decide)
    else:
        options = TrackingOptions(
            mask_mode="video", frames_per_batch=frames_per_batch, gradient_frames=gradient_frames
        )
        losses = _score(_tracked_pairs(decoder, prompts, frames, labels, counts, options), scores_decide)
    # Memory is only used from the second frame on.
    needed_frames = 1 if mode == "framewise" else 2
    if blank_passes and not any(
        n and truth.shape[1] >= needed_frames for n, truth in zip(counts, labels, strict=True)
    ):
        losses = _with_blank(losses, decoder, prompts, mode, needed_frames)
    return losses


def _with_blank(
    losses: MaskLosses, decoder: Sam2VideoModel, prompts: Sequence[torch.Tensor], mode: str, num_frames: int
) -> MaskLosses:
    """Adds zero times the losses of an empty object in black frames."""
    side = decoder.image_size
    device = decoder.device
    blank = mask_losses(
        decoder,
        [torch.cat([*prompts, prompts[0].new_zeros(1, prompts[0].shape[1])])[:1] * 0],
        [torch.zeros(num_frames, 3, side, side, dtype=torch.uint8, device=device)],
        [torch.zeros(1, num_frames, 1, 1, dtype=torch.int8, device=device)],
        mode=mode,
        frames_per_batch=num_frames,
    )
    *kept, num_pairs = losses
    return MaskLosses(*(loss + 0 * empty for loss, empty in zip(kept, blank, strict=False)), num_pairs)


def _scored_pairs(sample: int, prompts: torch.Tensor, frames: Any, labels: torch.Tensor, padding_slots: int) -> int:
    """How many objects of a sample are scored."""
    if labels.ndim != 4:
        raise InputError(
            f"mask_labels of sample {sample} have shape {tuple(labels.shape)}; give [objects, frames, height, width]."
        )
    if len(labels) == 0:
        return 0
    if len(frames) != labels.shape[1]:
        raise InputError(
            f"Sample {sample} has {len(frames)} frames to segment but mask_labels of {labels.shape[1]} frames."
        )
    if padding_slots:
        slots = max(padding_slots, len(prompts)) if len(prompts) else 2 * padding_slots
        return min(slots, len(labels))
    if len(prompts) != len(labels):
        raise InputError(
            f"Sample {sample} has {len(prompts)} [SEG] in its answers but {len(labels)} ground-truth masks."
        )
    return len(labels)


def _framewise_pairs(
    decoder: Sam2VideoModel,
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    labels: Sequence[torch.Tensor],
    counts: Sequence[int],
    frames_per_batch: int,
) -> Iterator[_Pairs]:
    """All pairs of a batch in one pass of the mask decoder; every frame is encoded once."""
    samples = [i for i, count in enumerate(counts) if count]
    places = [(i, t) for i in samples for t in range(labels[i].shape[1])]
    features = encode_places(decoder, frames, places, frames_per_batch)
    first_row = {i: places.index((i, 0)) for i in samples}
    rows, slots, padding = [], [], []
    for i in samples:
        num_frames, width = labels[i].shape[1], prompts[i].shape[1]
        missing = max(0, counts[i] - len(prompts[i]))
        own = torch.cat([prompts[i][: counts[i]], prompts[i].new_zeros(missing, width)])
        slots.append(own.repeat_interleave(num_frames, dim=0))
        padding += [slot >= len(prompts[i]) for slot in range(counts[i]) for _ in range(num_frames)]
        rows += [first_row[i] + t for _ in range(counts[i]) for t in range(num_frames)]
    device = features.embedding.device
    decided = decode_framewise(
        decoder,
        features.select(torch.tensor(rows, device=device)),
        torch.cat(slots),
        torch.tensor(padding, device=device) if any(padding) else None,
    )
    start = 0
    for i in samples:
        truth = labels[i][: counts[i]].flatten(0, 1).to(device)
        own = slice(start, start + len(truth))
        start += len(truth)
        yield _Pairs(
            decided.logits[own], decided.candidates[own], decided.iou_scores[own], decided.object_scores[own], truth
        )


def _tracked_pairs(
    decoder: Sam2VideoModel,
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    labels: Sequence[torch.Tensor],
    counts: Sequence[int],
    options: TrackingOptions,
) -> Iterator[_Pairs]:
    """The pairs of every frame as the tracker reaches it. A blanked mask has no gradient: the candidate counts."""
    scored = [prompt[:count] for prompt, count in zip(prompts, counts, strict=True)]
    for decided in Tracker(decoder, scored, frames, options).decided():
        candidates, ious, scores, chosen = (
            decided.joined(name) for name in ("candidates", "iou_scores", "object_scores", "chosen")
        )
        for i, own_rows in decided.rows().items():
            rows = torch.tensor(own_rows, device=candidates.device)
            own = candidates[rows]
            yield _Pairs(
                own[torch.arange(len(rows), device=rows.device), chosen[rows]],
                own,
                ious[rows],
                scores[rows],
                labels[i][:, decided.frame_index].to(candidates.device),
            )


def _score(decoded: Iterator[_Pairs], scores_decide: bool) -> MaskLosses:
    """Sums the losses of all pairs and divides by their number (and the original's 1e-8)."""
    sums: list[torch.Tensor] = []
    count = 0
    for pairs in decoded:
        size = tuple(pairs.labels.shape[-2:])
        present = (pairs.labels == 1).flatten(1).any(dim=1)
        weight = present.float() if scores_decide else torch.ones_like(pairs.scores, dtype=torch.float32)
        logits = resize_mask_logits(pairs.logits, size)
        object_loss = F.binary_cross_entropy_with_logits(pairs.scores.float(), present.float(), reduction="sum")
        sums.append(
            torch.stack(
                [
                    (mask_bce(logits, pairs.labels) * weight).sum(),
                    (mask_dice(logits, pairs.labels) * weight).sum(),
                    ((pairs.ious.float() - _true_ious(pairs)).abs().mean(dim=1) * weight).sum(),
                    object_loss,
                ]
            )
        )
        count += len(pairs.labels)
    means = torch.stack(sums).sum(dim=0) / (count + 1e-8)
    # Copies: FSDP hangs its backward hooks on these, which views can lose.
    return MaskLosses(*(mean.clone() for mean in means), num_pairs=count)


@torch.no_grad()
def _true_ious(pairs: _Pairs) -> torch.Tensor:
    """IoU of every candidate with the ground truth, at low resolution, `[k, m]`."""
    side = tuple(pairs.candidates.shape[-2:])
    truth = F.interpolate(pairs.labels[:, None].clamp(min=0).float(), size=side, mode="bilinear") > 0.5
    return mask_iou(pairs.candidates > 0, truth)
