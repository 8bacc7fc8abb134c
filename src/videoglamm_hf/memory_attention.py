"""SAM 2's memory attention at inference: its own weights, without doing again at every frame what has not changed.

transformers' module projects and rotates every memory's keys and values at every frame. Here

- a memory's keys are projected and rotated once. The frame's distance in time only adds one of `num_maskmem` vectors
  before a rotation that is linear, hence a table of rotated vectors after it;
- values are projected after they are attended to, not before: weights of a softmax sum to one, so
  `attention @ v_proj(memory)` is `v_proj(attention @ memory)`, at a quarter of the width;
- what comes before the first look at a memory depends on the frame alone, and is shared by all objects in it.

All of it is equal to the module's result but for rounding. Training, which drops out attention weights, takes the
module itself.

Shapes: F frames, N objects, P positions of the lowest feature map, C channels (256), M memory channels (64), L
memory tokens, D distances in time.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
import torch.nn.functional as F
from torch import nn
from transformers import Sam2VideoModel

# Attention scores (float32) that a CPU works on at once: more no longer fit its cache.
CPU_SCORES = 2**20


class Rotation(NamedTuple):
    """The rotary encoding, float32 `[P, C / 2]`: cosines and sines, and on a CPU both as complex numbers."""

    cos: torch.Tensor
    sin: torch.Tensor
    turns: torch.Tensor | None


@dataclass
class AttentionTables:
    """What of memory attention depends on the weights only, filled when it is first needed, and memory to work in.

    Attributes:
        rotation: The rotary encoding.
        temporal: Per layer, what a distance in time adds to rotated keys, `[D, P, C]`.
        image_position: What the mask decoder adds to a frame's positions, `[1, C, h, h]`.
        buffers: Memory that is written anew for every frame, for joining in place: a CPU maps what is
            allocated anew page by page.
    """

    rotation: Rotation | None = None
    temporal: Sequence[torch.Tensor] = ()
    image_position: torch.Tensor | None = None
    buffers: dict[str, torch.Tensor] = field(default_factory=dict)

    def buffer(self, name: str, shape: tuple[int, ...], like: torch.Tensor) -> torch.Tensor:
        """Memory of a shape, with what was last written there, of the dtype and on the device of another tensor."""
        needed, kept = math.prod(shape), self.buffers.get(name)
        fits = kept is not None and (kept.dtype, kept.device) == (like.dtype, like.device) and len(kept) >= needed
        # What was made in inference mode cannot be written outside of it.
        if not fits or kept.is_inference() != torch.is_inference_mode_enabled():
            kept = self.buffers[name] = like.new_empty(needed)
        return kept[:needed].view(shape)

    def fill(self, decoder: Sam2VideoModel) -> None:
        attention = decoder.memory_attention
        cos, sin = attention.rotary_emb(attention.position_ids.float(), attention.position_ids)
        cos, sin = (table[0, :, ::2].contiguous() for table in (cos, sin))
        # Not every device computes with complex numbers.
        self.rotation = Rotation(cos, sin, torch.complex(cos, sin) if _turns_pairs(cos) else None)
        self.image_position = decoder.get_image_wide_positional_embeddings()
        vectors = decoder.memory_temporal_positional_encoding[:, 0].detach()
        self.temporal = []
        for layer in attention.layers:
            project = layer.cross_attn_image.k_proj
            # Without the bias, which is in the keys already.
            added = project(vectors) - project(torch.zeros_like(vectors))
            self.temporal.append(rotated(added.expand(-1, len(cos), -1), self.rotation))


def is_cacheable(decoder: Sam2VideoModel) -> bool:
    """Whether keys of memories may be kept: not while weights are trained."""
    one_head = decoder.config.memory_attention_num_attention_heads == 1
    return one_head and not decoder.training and not torch.is_grad_enabled()


def _turns_pairs(states: torch.Tensor) -> bool:
    return states.device.type == "cpu" and not torch.compiler.is_compiling()


def rotated(states: torch.Tensor, rotation: Rotation) -> torch.Tensor:
    """Rotates neighbouring pairs of channels of `[..., P, C]`, in float32 as the original does."""
    cos, sin, turns = rotation
    pairs = states.float().unflatten(-1, (-1, 2))
    if turns is not None and _turns_pairs(states):
        # One pass over memory instead of seven.
        turned = torch.view_as_real(torch.view_as_complex(pairs.contiguous()) * turns)
    else:
        first, second = pairs.unbind(-1)
        turned = torch.stack((first * cos - second * sin, first * sin + second * cos), dim=-1)
    return turned.flatten(-2).to(states.dtype)


def attend(query: torch.Tensor, key: torch.Tensor, value: torch.Tensor) -> torch.Tensor:
    """Attention of one head: `[N, P, C]` to `[N, L, C]` with values `[N, L, M]`, `[N, P, M]`."""
    if query.device.type != "cpu" or query.dtype != torch.float32 or torch.compiler.is_compiling():
        return F.scaled_dot_product_attention(query[:, None], key[:, None], value[:, None])[:, 0]
    # Two matrix products: on a CPU the fused kernel takes twice as long, and more where widths differ.
    # The first one scales as it goes; with beta 0 nothing is added.
    key, scale, nothing = key.transpose(1, 2), query.shape[-1] ** -0.5, query.new_zeros(1, 1, 1)
    rows = max(1, CPU_SCORES // (key.shape[0] * key.shape[2]))
    parts = [
        torch.baddbmm(nothing, some, key, beta=0, alpha=scale).softmax(dim=-1) @ value
        for some in query.split(rows, dim=1)
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts, dim=1)


def look_at_frame(
    decoder: Sam2VideoModel, embedding: torch.Tensor, position: torch.Tensor, tables: AttentionTables
) -> tuple[torch.Tensor, torch.Tensor]:
    """Memory attention up to its first look at a memory, of frames `[F, C, h, h]` with positions `[1, C, h, h]`.

    Returns states `[F, P, C]` and the queries of the first cross-attention `[F, P, C]`.
    """
    if tables.rotation is None:
        tables.fill(decoder)
    states = (embedding + 0.1 * position).flatten(2).transpose(1, 2)
    return _attend_to_itself(decoder.memory_attention.layers[0], states, tables.rotation)


def keys_of(decoder: Sam2VideoModel, memory: Any, tables: AttentionTables) -> list[torch.Tensor]:
    """Per layer, rotated keys `[N, P, C]` of a [`FrameMemory`], without its distance in time."""
    features = memory.features.to(memory.position.dtype) + memory.position
    features = features.transpose(0, 1)
    return [
        rotated(layer.cross_attn_image.k_proj(features), tables.rotation) for layer in decoder.memory_attention.layers
    ]


def attend_to_memories(
    decoder: Sam2VideoModel,
    seen: tuple[torch.Tensor, torch.Tensor],
    memories: Sequence[tuple[int, Any]],
    pointers: torch.Tensor,
    pointer_positions: torch.Tensor,
    tables: AttentionTables,
) -> torch.Tensor:
    """The rest of memory attention.

    Args:
        seen: What [`look_at_frame`] returned, a row for each object: `[N, P, C]` twice.
        memories: `(distance, memory)`; every [`FrameMemory`] with its keys.
        pointers: Object pointers, in pieces of the memory's width `[N, L', M]`.
        pointer_positions: Their positions `[1, L', M]`.

    Returns:
        Frame features conditioned on memory `[N, P, C]`.
    """
    states, query = seen
    value = _joined([memory.features.transpose(0, 1) for _, memory in memories] + [pointers], states, tables, "values")
    placed = pointers + pointer_positions
    layers = decoder.memory_attention.layers
    for number, layer in enumerate(layers):
        if number:
            states, query = _attend_to_itself(layer, states, tables.rotation)
        keys = [memory.keys[number] for _, memory in memories] + [layer.cross_attn_image.k_proj(placed)]
        # Distance 0 (a conditioning frame) takes the last row, distance d the row d - 1.
        since = [tables.temporal[number][distance - 1] for distance, _ in memories]
        key = _joined(keys, query, tables, "keys", since)
        states = look_at_memories(layer, states, query, key, value)
    return decoder.memory_attention.layer_norm(states)


def _joined(
    parts: Sequence[torch.Tensor],
    like: torch.Tensor,
    tables: AttentionTables,
    name: str,
    added: Sequence[torch.Tensor] = (),
) -> torch.Tensor:
    """Parts `[N, L', C]` behind each other, of the dtype of `like`, with what is added to the first ones `[L', C]`; in
    memory that the next ones of this name take again."""
    plain = parts[len(added) :]
    if torch.compiler.is_compiling():
        # A compiler decides itself where things lie, and what is done in place.
        sums = [part + more for part, more in zip(parts, added, strict=False)]
        return torch.cat(sums + [part.to(like.dtype) for part in plain], dim=1)
    lengths = [part.shape[1] for part in parts]
    joined = tables.buffer(name, (len(like), sum(lengths), parts[0].shape[2]), like)
    places = joined.split(lengths, dim=1)
    for place, part, more in zip(places, parts, added, strict=False):
        torch.add(part, more, out=place)
    for place, part in zip(places[len(added) :], plain, strict=True):
        place.copy_(part)
    return joined


def _attend_to_itself(layer: nn.Module, states: torch.Tensor, rotation: Rotation) -> tuple[torch.Tensor, torch.Tensor]:
    """The self-attention of a layer, and the queries of its cross-attention."""
    own, normal = layer.self_attn, layer.layer_norm1(states)
    query, key = (rotated(project(normal), rotation) for project in (own.q_proj, own.k_proj))
    states = states + own.o_proj(attend(query, key, own.v_proj(normal)))
    return states, rotated(layer.cross_attn_image.q_proj(layer.layer_norm2(states)), rotation)


def look_at_memories(
    layer: nn.Module, states: torch.Tensor, query: torch.Tensor, key: torch.Tensor, value: torch.Tensor
) -> torch.Tensor:
    """The cross-attention of a layer and what follows it; tensors only, so that one graph fits any number of memories.

    Args:
        states, query: `[N, P, C]`.
        key, value: `[N, L, C]` and `[N, L, M]`.
    """
    cross = layer.cross_attn_image
    states = states + cross.o_proj(cross.v_proj(attend(query, key, value)))
    return states + layer.linear2(layer.activation(layer.linear1(layer.layer_norm3(states))))
