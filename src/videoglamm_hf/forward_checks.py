"""Whether a batch can be read: types, dtypes and shapes of what `forward` is given, before anything is computed.

Values are looked at where no graph is traced; whether visual tokens fit their placeholders is asked where both are
known ([`embed_inputs`]).
"""

from collections.abc import Sequence
from typing import Any

import torch
from transformers.utils.import_utils import is_tracing

from .errors import InputError

_WHOLE = (torch.int32, torch.int64)
NO_LABEL = -100

# Wanted number of dimensions of what is made of pictures and videos, and what these are.
_VISUAL = {
    "pixel_values": (4, "[pictures, 3, height, width]"),
    "pixel_values_videos": (5, "[videos, frames, 3, height, width]"),
    "temporal_pixel_values_videos": (5, "[videos, frames, 3, height, width]"),
    "image_patches": (3, "[pictures, patches, width]"),
    "video_patches": (4, "[videos, frames, patches, width]"),
    "temporal_video_patches": (4, "[videos, frames, patches, width]"),
}


def check_model_inputs(
    config: Any,
    is_meta: bool,
    input_ids: Any,
    inputs_embeds: Any,
    attention_mask: Any,
    position_ids: Any,
    sample_index: Any,
    **visual: Any,
) -> None:
    """Raises InputError unless these are tensors of the shapes that [`VideoGlammModel`] takes.

    Args:
        config: Of the model.
        is_meta: Whether the model itself has no data, and its inputs need none.
        visual: Pixels and patches by their argument names; those without pictures or videos are empty or None.
    """
    width = config.text_config.hidden_size
    tokens = input_ids if inputs_embeds is None else inputs_embeds
    if inputs_embeds is None:
        _check_tensor("input_ids", input_ids, 2, "[batch, length]", is_meta)
        _check_whole("input_ids", input_ids)
    else:
        _check_tensor("inputs_embeds", inputs_embeds, 3, f"[batch, length, {width}]", is_meta)
        if inputs_embeds.shape[2] != width or not inputs_embeds.is_floating_point():
            raise _refused("inputs_embeds", inputs_embeds, f"floating-point [batch, length, {width}]")
    if 0 in tokens.shape[:2]:
        raise InputError(f"The batch has no tokens: its shape is {list(tokens.shape)}.")
    # Whatever generation makes of a mask (a dict, a mask of blocks) is its own.
    if isinstance(attention_mask, torch.Tensor) and attention_mask.ndim == 2:
        _check_tensor("attention_mask", attention_mask, 2, "[batch, length]", is_meta)
        rows, columns = attention_mask.shape
        if rows != tokens.shape[0] or (columns < tokens.shape[1]) or attention_mask.is_complex():
            raise _refused(
                "attention_mask", attention_mask, f"[batch, length] of the tokens, {list(tokens.shape[:2])}"
            )
    elif isinstance(attention_mask, torch.Tensor) and attention_mask.ndim != 4:
        raise _refused("attention_mask", attention_mask, "[batch, length]")
    elif _is_plain(attention_mask) or not _is_by_layer(attention_mask):
        raise _refused("attention_mask", attention_mask, "a tensor [batch, length]")
    if position_ids is not None:
        if not isinstance(position_ids, torch.Tensor) or position_ids.ndim < 1:
            raise _refused("position_ids", position_ids, "a tensor [batch, length]")
        _check_whole("position_ids", position_ids)
        if position_ids.shape[-1] != tokens.shape[1] or (position_ids.is_meta and not is_meta):
            raise _refused("position_ids", position_ids, f"[batch, length] of the tokens, {list(tokens.shape[:2])}")
    _check_visual(config, visual, is_meta)
    if sample_index is not None:
        _check_sample_index(sample_index, tokens.shape[0], is_meta)


def check_tower_frames(wanted: int, spatial: torch.Tensor, temporal: torch.Tensor | None) -> None:
    """Raises InputError unless both streams `[V, F, ...]` of videos have the wanted number of frames."""
    if temporal is None:
        raise InputError(
            "temporal_pixel_values_videos are missing beside pixel_values_videos; pass everything the processor "
            "returned."
        )
    if spatial.shape[1] != wanted or temporal.shape[1] != wanted:
        raise InputError(
            f"The towers take {wanted} frames of a video, got {spatial.shape[1]} in the spatial and "
            f"{temporal.shape[1]} in the temporal stream."
        )


def refuse_inner_states(output_hidden_states: bool, output_attentions: bool) -> None:
    """Raises InputError if inner states of the towers are asked for together with visual tokens."""
    if output_hidden_states or output_attentions:
        raise InputError(
            "output_hidden_states and output_attentions are not given with visual tokens: the towers run only "
            "as far as needed; call spatial_tower or temporal_tower with them."
        )


def check_labels(labels: Any, input_ids: Any, inputs_embeds: Any, is_meta: bool) -> None:
    """Raises InputError unless labels are int64, of the tokens' shape, and ids or -100."""
    tokens = input_ids if inputs_embeds is None else inputs_embeds
    _check_tensor("labels", labels, 2, "[batch, length]", is_meta)
    if labels.dtype != torch.int64 or not isinstance(tokens, torch.Tensor) or labels.shape != tokens.shape[:2]:
        shape = list(getattr(tokens, "shape", ()))[:2]
        raise _refused("labels", labels, f"int64 [batch, length] of the tokens, {shape}")
    if not (is_meta or is_tracing()) and ((labels < 0) & (labels != NO_LABEL)).any():
        raise InputError(
            f"labels hold {int(labels[(labels < 0) & (labels != NO_LABEL)][0])}; only -100 says no label."
        )


def check_mask_labels(mask_labels: Any, frames: Any, sample_index: Any, prompts: int) -> None:
    """Raises InputError unless there is, of every sample, a tensor of masks and its frames.

    Args:
        mask_labels: Should be a list of `[objects, frames, height, width]`, values from -1 to 1.
        frames: Should be a list of uint8 `[frames, 3, height, width]`, or of frame features.
        sample_index: Already checked.
        prompts: How many there are.
    """
    for name, given in (("mask_labels", mask_labels), ("grounding_frames", frames)):
        if not isinstance(given, (list, tuple, torch.Tensor)):
            raise InputError(f"{name} is a {type(given).__name__}; give a list with one for each sample.")
    samples = prompts if sample_index is None else len(frames)
    if not len(mask_labels) == len(frames) == samples:
        raise InputError(
            f"There are {len(mask_labels)} mask_labels and {len(frames)} grounding_frames for {prompts} "
            "prompts; give one of each per sample, and sample_index if samples have several prompts."
        )
    if sample_index is not None and not is_tracing() and int(sample_index.max()) >= samples:
        raise InputError(f"sample_index names sample {int(sample_index.max())}, but there are {samples} samples.")
    for i, (masks, own) in enumerate(zip(mask_labels, frames, strict=True)):
        where = f"mask_labels of sample {i}"
        _check_tensor(where, masks, 4, "[objects, frames, height, width]", False)
        if masks.dtype == torch.bool or masks.is_complex():
            raise _refused(where, masks, "whole or floating-point numbers: 1 object, 0 background, -1 ignored")
        if len(masks) and 0 in masks.shape:
            raise _refused(where, masks, "[objects, frames, height, width] without empty sides")
        if not is_tracing() and not ((masks >= -1) & (masks <= 1)).all():
            raise InputError(f"{where} have values other than 1 (object), 0 (background) and -1 (ignored).")
        # Frame features, and frames that are decoded when they are needed, are no tensors.
        if isinstance(own, torch.Tensor) or not (hasattr(own, "high_resolution") or hasattr(own, "clip")):
            _check_tensor(f"grounding_frames of sample {i}", own, 4, "uint8 [frames, 3, height, width]", False)
            if own.dtype != torch.uint8 or own.shape[1] != 3 or (len(own) and 0 in own.shape):
                raise _refused(f"grounding_frames of sample {i}", own, "uint8 [frames, 3, height, width]")


def _check_visual(config: Any, visual: dict[str, Any], is_meta: bool) -> None:
    spatial, temporal = config.spatial_config, config.temporal_config
    for name, (dims, wanted) in _VISUAL.items():
        given = visual.get(name)
        if given is None or (isinstance(given, torch.Tensor) and given.ndim and given.shape[0] == 0):
            continue
        _check_tensor(name, given, dims, wanted, is_meta)
        if not given.is_floating_point():
            raise _refused(name, given, f"floating-point {wanted}")
        tower = temporal if name.startswith("temporal") else spatial
        if name.endswith("patches"):
            shape, wanted = given.shape[-2:], [(tower.image_size // tower.patch_size) ** 2, tower.hidden_size]
        else:
            shape, wanted = given.shape[-3:], [tower.num_channels, tower.image_size, tower.image_size]
        if list(shape) != wanted:
            raise InputError(
                f"{name} have shape {list(given.shape)}, and must end with {wanted}, the sizes of their tower."
            )
    for name, other in (
        ("pixel_values_videos", "temporal_pixel_values_videos"),
        ("video_patches", "temporal_video_patches"),
    ):
        one, two = visual.get(name), visual.get(other)
        counts = [0 if own is None else own.shape[0] for own in (one, two)]
        # Generation drops the spatial stream alone once its frames are in the cache.
        if counts[0] != counts[1] and (all(counts) or name == "video_patches"):
            raise InputError(f"There are {counts[0]} videos in {name}, but {counts[1]} in {other}; give both of each.")
        if counts[0] and name == "video_patches":
            frames = config.num_tower_frames
            if one.shape[1] != frames or two.shape[1] != frames:
                raise InputError(f"The towers take {frames} frames of a video, got {one.shape[1]} and {two.shape[1]}.")


def _check_sample_index(index: Any, prompts: int, is_meta: bool) -> None:
    _check_tensor("sample_index", index, 1, "[batch]", is_meta)
    _check_whole("sample_index", index)
    if len(index) != prompts:
        raise InputError(f"sample_index has {len(index)} numbers for {prompts} prompts; give one for each.")
    if not (is_meta or is_tracing()) and (bool((index < 0).any()) or bool((index[1:] < index[:-1]).any())):
        raise InputError(f"sample_index is {index.tolist()!r:.80}; the numbers must be from 0 and never decrease.")


def _is_by_layer(given: Any) -> bool:
    """Whether a dict holds a mask for each kind of attention layer; anything that is no dict may be one."""
    return not isinstance(given, dict) or (bool(given) and all(str(kind).endswith("_attention") for kind in given))


def _is_plain(given: Any) -> bool:
    """Whether something is a number, a list or an array, which no mask of a library is."""
    plain = isinstance(given, (list, tuple, str, bool, int, float)) or hasattr(given, "__array__")
    return plain and not isinstance(given, torch.Tensor)


def _check_tensor(name: str, given: Any, dims: int, wanted: str, is_meta: bool) -> None:
    if not isinstance(given, torch.Tensor) or given.ndim != dims or (given.is_meta and not is_meta):
        raise _refused(name, given, f"a tensor {wanted}")


def _check_whole(name: str, given: torch.Tensor) -> None:
    if given.dtype not in _WHOLE:
        raise _refused(name, given, "whole numbers, int64")


def _refused(name: str, given: Any, wanted: str) -> InputError:
    if not isinstance(given, torch.Tensor):
        return InputError(f"{name}: got {type(given).__name__}; it must be {wanted}.")
    where = " without data (meta)" if given.is_meta else ""
    return InputError(f"{name}: got {given.dtype} {list(given.shape)}{where}; it must be {wanted}.")


def count_samples(sample_index: torch.Tensor, having: torch.Tensor, features: Sequence[Any], kind: str) -> None:
    """Raises InputError if more samples have a placeholder of a kind than there are features of it."""
    if is_tracing() or sample_index.is_meta:
        return
    count = len(torch.unique_consecutive(sample_index[having]))
    if count > len(features):
        raise InputError(f"{count} samples have {kind} placeholders, but there are {len(features)} {kind}s.")
