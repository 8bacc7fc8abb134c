"""The pixel decoder: prompt embeddings and frame features to mask logits, with and without memory.

These functions drive transformers' SAM 2 video model unchanged; they only replace its prompt (an embedding
instead of clicks) and its loop (all objects of all samples are one batch). Nothing here keeps state: a
tracked object's past lives in a [`MemoryBank`]. Whoever drives them calls the decoder itself,
`decoder(features, prompts, step=decode_framewise)`: weights that are offloaded to disk, placed on another device or
sharded over processes are at hand inside a module's own `forward` only.

Shapes: F frames, N objects, C channels (256), S side of the square input, s = S / 4 side of the low-resolution
masks, h = S / 16 side of the lowest feature map, P = h * h.
Source of the rules: SAM 2.0's `sam2_base.py`, `mask_decoder.py` as modified by the original VideoGLaMM.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from transformers import Sam2VideoModel

from .image_streams import normalize_grounding_frames
from .memory_attention import AttentionTables, attend_to_memories, is_cacheable, keys_of, look_at_frame
from .memory_bank import FrameMemory, MemoryBank
from .placement import weights_in_place
from .short_repr import short_repr

# Logit of every pixel of an object that is not in the frame (SAM 2's NO_OBJ_SCORE).
NO_OBJECT_LOGIT = -1024.0
# Beyond it, logits of a mask that clicks correct are cut off (SAM 2's `add_new_points_or_box`).
MOST_LOGIT = 32.0


class VideoGlammPixelDecoder(Sam2VideoModel):
    """SAM 2's video model, unchanged, that also runs the functions of this file inside its `forward`."""

    def __init__(self, config: Any) -> None:
        super().__init__(config)
        # A new model is in float32 here too, whatever dtype it is made in; see `_keep_in_fp32_modules_strict`.
        self.shared_image_embedding.float()
        self.prompt_encoder.shared_embedding.float()

    def get_image_wide_positional_embeddings(self) -> torch.Tensor:
        """Computed in float32, then of the decoder's dtype: SAM 2 hands them on as they are."""
        return super().get_image_wide_positional_embeddings().to(self.dtype)

    def forward(self, *args: Any, step: Callable | None = None, **kwargs: Any) -> Any:
        r"""
        Args:
            step: What to run, `step(decoder, *args, **kwargs)`; without it, this is `Sam2VideoModel.forward`.
        """
        if step is None:
            return super().forward(*args, **kwargs)
        decoder, prompts = self.mask_decoder, self.prompt_encoder
        # SAM 2 reads these without, or before, calling them.
        read = (decoder.obj_score_token, decoder.iou_token, decoder.mask_tokens)
        read += (prompts.no_mask_embed, prompts.not_a_point_embed, self.shared_image_embedding)
        with weights_in_place(read):
            return step(_InForward(self), *args, **kwargs)


class _InForward:
    """The decoder while its `forward` runs: a step within a step is an ordinary call."""

    def __init__(self, decoder: Sam2VideoModel) -> None:
        self._decoder = decoder

    def __getattr__(self, name: str) -> Any:
        return getattr(self._decoder, name)

    def __call__(self, *args: Any, step: Callable, **kwargs: Any) -> Any:
        return step(self, *args, **kwargs)


@dataclass(repr=False)
class FrameFeatures:
    """Image-encoder features of F frames.

    Attributes:
        embedding: `[F, C, h, h]`, raw: no memory or no-memory embedding added.
        high_resolution: `[F, C / 8, 4h, 4h]` and `[F, C / 4, 2h, 2h]`.
        position: `[1, C, h, h]`, the same for every frame.
        seen: What memory attention makes of the frames before it looks at memories (`look_at_frame`), once it did.
    """

    embedding: torch.Tensor
    high_resolution: tuple[torch.Tensor, torch.Tensor]
    position: torch.Tensor
    seen: tuple[torch.Tensor, torch.Tensor] | None = None

    __repr__ = short_repr

    def select(self, rows: torch.Tensor | slice) -> "FrameFeatures":
        """The features of the frames `rows`, repeated as often as they are named."""
        first, second = self.high_resolution
        seen = None if self.seen is None else (self.seen[0][rows], self.seen[1][rows])
        return FrameFeatures(self.embedding[rows], (first[rows], second[rows]), self.position, seen)

    def to(self, *args: Any, **kwargs: Any) -> "FrameFeatures":
        """Like `torch.Tensor.to`."""
        first, second = self.high_resolution
        return FrameFeatures(
            self.embedding.to(*args, **kwargs),
            (first.to(*args, **kwargs), second.to(*args, **kwargs)),
            self.position.to(*args, **kwargs),
        )

    def __len__(self) -> int:
        return len(self.embedding)


@dataclass(repr=False)
class ObjectMasks:
    """What the pixel decoder says of N objects in one frame each.

    Attributes:
        logits: Low-resolution mask logits `[N, s, s]`.
        iou_scores: Predicted IoU of every candidate mask `[N, candidates]` (one candidate framewise).
        object_scores: Logits of the object being in the frame `[N]`.
        tokens: Mask token of the chosen mask `[N, C]`.
        candidates: Logits of every candidate mask `[N, candidates, s, s]`, whether or not the object is present.
        chosen: Which candidate was chosen, int64 `[N]`.
    """

    logits: torch.Tensor
    iou_scores: torch.Tensor
    object_scores: torch.Tensor
    tokens: torch.Tensor
    candidates: torch.Tensor
    chosen: torch.Tensor

    __repr__ = short_repr


def concatenate_features(parts: Sequence[FrameFeatures]) -> FrameFeatures:
    """Features of several groups of frames as one."""
    first, second = zip(*(part.high_resolution for part in parts), strict=True)
    return FrameFeatures(
        torch.cat([part.embedding for part in parts]), (torch.cat(first), torch.cat(second)), parts[0].position
    )


def encode_frames(decoder: Sam2VideoModel, pixel_values: torch.Tensor) -> FrameFeatures:
    """Runs the image encoder on normalised frames `[F, 3, S, S]`."""
    output = decoder.get_image_features(pixel_values, return_dict=True)
    maps = [
        level.permute(1, 2, 0).unflatten(2, tuple(size))
        for level, size in zip(output.fpn_hidden_states, decoder.backbone_feature_sizes, strict=True)
    ]
    position = output.fpn_position_encoding[-1][:, :1].permute(1, 2, 0)
    position = position.unflatten(2, tuple(decoder.backbone_feature_sizes[-1]))
    return FrameFeatures(embedding=maps[-1], high_resolution=(maps[0], maps[1]), position=position)


def encode_pixels(decoder: Sam2VideoModel, frames: Sequence[torch.Tensor]) -> FrameFeatures:
    """Runs the image encoder on uint8 frames `[n, 3, h, w]` of any sizes."""
    pixels = [normalize_grounding_frames(_sent(f, decoder.device), decoder.image_size, decoder.dtype) for f in frames]
    return encode_frames(decoder, torch.cat(pixels))


def _sent(frames: torch.Tensor, device: torch.device) -> torch.Tensor:
    """Frames on a device; a GPU is not waited for."""
    if device.type == "cuda" and frames.device.type == "cpu":
        frames = frames.pin_memory()
    return frames.to(device, non_blocking=True)


def decode_framewise(
    decoder: Sam2VideoModel, features: FrameFeatures, prompts: torch.Tensor, padding: torch.Tensor | None = None
) -> ObjectMasks:
    """Masks without memory, as in training: the only sparse prompt is the [SEG] embedding.

    The mask is that of token 0; in evaluation mode, an unstable one (stability below 0.98) is replaced by the
    best of tokens 1 to 3 by predicted IoU.

    Args:
        features: Features of N frames, one per object.
        prompts: Prompt embeddings `[N, C]`.
        padding: bool `[N]`, rows whose sparse and dense embeddings are zero (the original's unused mask slots).
    """
    sparse, dense = prompts[:, None], _no_mask(decoder, features)
    if padding is not None:
        sparse = sparse.masked_fill(padding[:, None, None], 0)
        dense = dense.masked_fill(padding[:, None, None, None], 0)
    masks, ious, tokens, scores = _decode(
        decoder, features, _without_memory(decoder, features), sparse, dense, multimask=False
    )
    return ObjectMasks(masks[:, 0], ious, scores, tokens[:, 0], masks, torch.zeros_like(scores, dtype=torch.long))


def decode_first_frame(decoder: Sam2VideoModel, features: FrameFeatures, prompts: torch.Tensor) -> ObjectMasks:
    """Masks of the frame that starts a track: two not-a-point tokens and the [SEG] embedding as sparse prompt.

    Args:
        features: Features of N frames, one per object.
        prompts: Prompt embeddings `[N, C]`.
    """
    sparse = torch.cat([_no_points(decoder, features), prompts[:, None]], dim=1)
    return _decode_best(decoder, features, _without_memory(decoder, features), sparse)


def decode_region(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    points: torch.Tensor,
    labels: torch.Tensor,
    previous: torch.Tensor | None = None,
) -> ObjectMasks:
    """Masks of what is clicked on in a frame, without memory, as SAM 2 decides a frame that starts a track.

    One click may mean several things, so the best of mask tokens 1 to 3 is taken (`multimask_max_pt_num`); more of
    them, or a box, mean one thing: token 0.

    Args:
        features: Features of N frames, one per object.
        points: float32 `[N, P, 2]`, in pixels of the decoder's square.
        labels: int64 `[N, P]`: 1 on the object, 0 beside it, 2 and 3 the corners of a box.
        previous: Low-resolution logits `[N, s, s]` that the clicks correct.
    """
    if previous is not None:
        previous = previous[:, None].clamp(-MOST_LOGIT, MOST_LOGIT).to(features.embedding.dtype)
    sparse, dense = decoder.prompt_encoder(points[:, None], labels[:, None], None, previous)
    dense = _no_mask(decoder, features) if previous is None else dense
    embedding = _without_memory(decoder, features)
    if decoder._use_multimask(True, {"point_labels": labels[:, None]}):
        return _decode_best(decoder, features, embedding, sparse[:, 0], dense=dense)
    masks, ious, tokens, scores = _decode(decoder, features, embedding, sparse[:, 0], dense, multimask=False)
    logits = torch.where((scores > 0)[:, None, None], masks[:, 0], NO_OBJECT_LOGIT)
    return ObjectMasks(logits, ious, scores, tokens[:, 0], masks, torch.zeros_like(scores, dtype=torch.long))


def decode_tracked_frame(
    decoder: Sam2VideoModel, features: FrameFeatures, bank: MemoryBank, frame_index: int, backward: bool = False
) -> ObjectMasks:
    """Masks of another frame: no [SEG] any more, the image embedding is conditioned on the memory bank.

    Args:
        features: Features of N frames, one per object of the bank.
        frame_index: Place of the frame in its video.
        backward: Whether time runs backwards.
    """
    embedding = _with_memory(decoder, features, bank, frame_index, backward)
    position = bank.tables.image_position if is_cacheable(decoder) else None
    return _decode_best(decoder, features, embedding, _no_points(decoder, features), position)


def remember(decoder: Sam2VideoModel, features: FrameFeatures, masks: ObjectMasks, prompted: bool) -> FrameMemory:
    """Encodes a frame and its masks into memory.

    Args:
        features: Features of N frames, one per object.
        masks: What was decoded from them.
        prompted: Whether this frame was prompted: its mask is then binarised (in evaluation mode), a tracked
            one goes through a sigmoid.
    """
    high = resize_mask_logits(masks.logits, (decoder.image_size, decoder.image_size))[:, None]
    pointers = decoder.object_pointer_proj(masks.tokens)
    present = (masks.object_scores > 0)[:, None]
    pointers = torch.where(present, pointers, decoder.no_object_pointer.to(pointers.dtype))
    return _encode_memory(decoder, features, high, masks.object_scores, prompted, pointers)


def start_from_masks(
    decoder: Sam2VideoModel, features: FrameFeatures, given: torch.Tensor
) -> tuple[ObjectMasks, FrameMemory]:
    """Takes given masks as those of the frame that starts a track, and remembers them as SAM 2 does.

    Args:
        features: Features of N frames, one per object.
        given: Masks of the objects `[N, H, W]`, 0 or 1, of any size.
    """
    output = decoder._use_mask_as_output(
        features.embedding, list(features.high_resolution), given[:, None].to(features.embedding.dtype)
    )
    scores = output.object_score_logits[:, 0, 0]
    memory = _encode_memory(decoder, features, output.high_res_masks, scores, True, output.object_pointer[:, 0])
    masks, pointers = output.pred_masks, output.object_pointer[:, 0]
    chosen = torch.zeros_like(scores, dtype=torch.long)
    return ObjectMasks(masks[:, 0], output.iou_scores, scores, pointers, masks, chosen), memory


def _encode_memory(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    mask_logits: torch.Tensor,
    object_scores: torch.Tensor,
    prompted: bool,
    pointers: torch.Tensor,
) -> FrameMemory:
    """Memory features of mask logits `[N, 1, S, S]`; the memory encoder sees the raw frame features."""
    memory, position = decoder._encode_new_memory(
        current_vision_feats=features.embedding.flatten(2).permute(2, 0, 1),
        pred_masks_high_res=mask_logits.to(features.embedding.dtype),
        object_score_logits=object_scores[:, None, None],
        is_mask_from_pts=prompted,
    )
    return FrameMemory(memory, position[:, :1], pointers)


def new_memory_bank(
    decoder: Sam2VideoModel,
    gradient_frames: int | None = None,
    num_frames: int | None = None,
    tables: AttentionTables | None = None,
) -> MemoryBank:
    """An empty bank of the size the decoder was trained with, at most that of a video of `num_frames`."""
    most = decoder.config.max_object_pointers_in_encoder
    most = most if num_frames is None else min(num_frames, most)
    return MemoryBank(decoder.num_maskmem, most, gradient_frames, tables or AttentionTables())


def resize_mask_logits(logits: torch.Tensor, size: tuple[int, int]) -> torch.Tensor:
    """Low-resolution logits `[N, s, s]` to the frame's `(height, width)` by one bilinear resize, in float32."""
    if len(logits) == 0:
        return logits.new_zeros((0, *size), dtype=torch.float32)
    return F.interpolate(logits[:, None].float(), size=size, mode="bilinear", align_corners=False)[:, 0]


def _no_mask(decoder: Sam2VideoModel, features: FrameFeatures) -> torch.Tensor:
    """The prompt encoder's answer to "no mask": one dense embedding everywhere, `[N, C, h, w]`."""
    return decoder.prompt_encoder.no_mask_embed.weight.reshape(1, -1, 1, 1).expand_as(features.embedding)


def _no_points(decoder: Sam2VideoModel, features: FrameFeatures) -> torch.Tensor:
    """The prompt encoder's answer to "no clicks": two not-a-point tokens, `[N, 2, C]`."""
    return decoder.prompt_encoder.not_a_point_embed.weight.expand(len(features), 2, -1)


def _without_memory(decoder: Sam2VideoModel, features: FrameFeatures) -> torch.Tensor:
    return features.embedding + decoder.no_memory_embedding[0, 0, :, None, None]


def look_at_frames(decoder: Sam2VideoModel, features: FrameFeatures, tables: AttentionTables) -> FrameFeatures:
    """Features that also hold what memory attention makes of their frames before it looks at memories: whoever
    decodes several objects of a frame lets them share it."""
    if not is_cacheable(decoder):
        return features
    return replace(features, seen=look_at_frame(decoder, features.embedding, features.position, tables))


def _with_memory(
    decoder: Sam2VideoModel, features: FrameFeatures, bank: MemoryBank, frame_index: int, backward: bool
) -> torch.Tensor:
    """The frame embedding after memory attention, `[N, C, h, h]`."""
    embedding = features.embedding
    num_objects, num_channels, height, width = embedding.shape
    memories = bank.memories(frame_index)
    distances, pointers = zip(*bank.pointers(frame_index, backward), strict=True)
    pointers, pointer_positions = decoder._process_object_pointers(
        list(distances), list(pointers), bank.max_object_pointers, num_objects, num_channels, embedding.device
    )
    pointers = pointers.to(embedding.dtype)
    # Positions are the same for every object, and stay one row until they are added.
    pointer_positions = pointer_positions[:, :1].to(embedding.dtype)
    if is_cacheable(decoder):
        tables = bank.tables
        seen = features.seen or look_at_frame(decoder, embedding, features.position, tables)
        for _, memory in memories:
            memory.keys = memory.keys or keys_of(decoder, memory, tables)
        attended = attend_to_memories(
            decoder, seen, memories, pointers.transpose(0, 1), pointer_positions.transpose(0, 1), tables
        )
    else:
        attended = _with_memory_module(decoder, features, memories, pointers, pointer_positions)
    return attended.transpose(1, 2).unflatten(2, (height, width))


def _with_memory_module(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    memories: Sequence[tuple[int, FrameMemory]],
    pointers: torch.Tensor,
    pointer_positions: torch.Tensor,
) -> torch.Tensor:
    """Memory attention by transformers' own module, which training takes; `[N, P, C]`.

    Args:
        memories: `(distance, memory)`.
        pointers: `[L', N, M]`.
        pointer_positions: `[L', 1, M]`.
    """
    embedding, temporal = features.embedding, decoder.memory_temporal_positional_encoding
    # Distance 0 (a conditioning frame) takes the last row, distance d the row d - 1.
    positions = torch.cat([memory.position + temporal[distance - 1] for distance, memory in memories])
    # Cast first: float16 autocast joins no bfloat16.
    memory = torch.cat([memory.features.to(embedding.dtype) for _, memory in memories])
    attended = decoder.memory_attention(
        embedding.flatten(2).permute(2, 0, 1),
        torch.cat([memory, pointers]),
        features.position.flatten(2).permute(2, 0, 1),
        torch.cat([positions.to(embedding.dtype), pointer_positions]),
        pointers.shape[0],
    )
    return attended.reshape(len(embedding), -1, embedding.shape[1])


def _decode_best(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    embedding: torch.Tensor,
    sparse: torch.Tensor,
    position: torch.Tensor | None = None,
    dense: torch.Tensor | None = None,
) -> ObjectMasks:
    """The best of mask tokens 1 to 3 by predicted IoU, blanked where the object is judged absent."""
    dense = _no_mask(decoder, features) if dense is None else dense
    masks, ious, tokens, scores = _decode(
        decoder, features, embedding, sparse, dense, multimask=True, position=position
    )
    rows = torch.arange(len(masks), device=masks.device)
    best = ious.argmax(dim=-1)
    logits = torch.where((scores > 0)[:, None, None], masks[rows, best], NO_OBJECT_LOGIT)
    return ObjectMasks(logits, ious, scores, tokens[rows, best], masks, best)


def _decode(
    decoder: Sam2VideoModel,
    features: FrameFeatures,
    embedding: torch.Tensor,
    sparse: torch.Tensor,
    dense: torch.Tensor,
    multimask: bool,
    position: torch.Tensor | None = None,
) -> tuple[torch.Tensor, torch.Tensor, torch.Tensor, torch.Tensor]:
    """One pass of the mask decoder over N (frame, object) pairs, `position` that of its positions if it is known.

    Returns masks `[N, m, s, s]`, predicted IoUs `[N, m]`, mask tokens `[N, m, C]`, object scores `[N]`, with
    m = 3 for `multimask`, else 1.
    """
    position = decoder.get_image_wide_positional_embeddings() if position is None else position
    position = position.to(embedding.dtype)
    masks, ious, tokens, scores = decoder.mask_decoder(
        image_embeddings=embedding,
        image_positional_embeddings=position.expand(len(embedding), -1, -1, -1),
        sparse_prompt_embeddings=sparse[:, None].to(embedding.dtype),
        dense_prompt_embeddings=dense,
        multimask_output=multimask,
        high_resolution_features=list(features.high_resolution),
    )
    return masks[:, 0], ious[:, 0], tokens[:, 0], scores[:, 0, 0]
