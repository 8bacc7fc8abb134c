"""From an original checkpoint to a VideoGlammConfig.

Sizes come from the shapes of the tensors. What shapes cannot tell comes from the user's own configuration,
else from the checkpoint's `config.json` and the CLIP folder's, else from the published model.
"""

import re
from collections.abc import Callable, Mapping
from typing import Any

from transformers import CLIPVisionConfig, PreTrainedConfig

from ..configuration_videoglamm import VideoGlammConfig, fill_in
from ..errors import CheckpointError
from .original_keys import EMBEDDINGS, GROUNDING_PREFIX, SPATIAL_PREFIX, TEMPORAL_PREFIX

# Fields of the original's config.json that mean the same in transformers.
_TEXT_FIELDS = (
    "num_attention_heads",
    "num_key_value_heads",
    "hidden_act",
    "rms_norm_eps",
    "max_position_embeddings",
    "original_max_position_embeddings",
    "attention_dropout",
    "resid_pdrop",
    "embd_pdrop",
    "initializer_range",
    "bos_token_id",
    "eos_token_id",
    "pad_token_id",
)
_LLAMA_FIELDS = ("attention_bias", "mlp_bias", "head_dim", "pretraining_tp")
_ROPE_FIELDS = ("rope_parameters", "rope_scaling", "rope_theta", "partial_rotary_factor")
_CLIP_FIELDS = (
    "num_attention_heads",
    "hidden_act",
    "layer_norm_eps",
    "attention_dropout",
    "projection_dim",
    "initializer_range",
    "initializer_factor",
)
# Saved in every config.json, but no fields of the class.
_BOOKKEEPING = {"architectures", "auto_map", "dtype", "torch_dtype", "transformers_version", "_name_or_path"}
_PARTS = (
    "text_config",
    "spatial_config",
    "temporal_config",
    "grounding_config",
    "grounding_config.prompt_encoder_config",
    "grounding_config.mask_decoder_config",
    "grounding_config.vision_config",
    "grounding_config.vision_config.backbone_config",
)
_TRUNK = "grounding_config.vision_config.backbone_config"
# SAM 2's published image encoders: what shapes do not tell of them, by width and number of blocks.
# Source: sam2_hiera_{t,s,b+,l}.yaml of SAM 2.0 and 2.1.
_PUBLISHED_TRUNKS: dict[tuple[int, int], dict[str, Any]] = {
    (96, 12): {"heads": [1, 2, 4, 8], "windows": [8, 4, 14, 7], "global": [5, 7, 9]},
    (96, 16): {"heads": [1, 2, 4, 8], "windows": [8, 4, 14, 7], "global": [7, 10, 13]},
    (112, 24): {"heads": [2, 4, 8, 16], "windows": [8, 4, 14, 7], "global": [12, 16, 20]},
    (144, 48): {"heads": [2, 4, 8, 16], "windows": [8, 4, 16, 8], "global": [23, 33, 43]},
}
# Per part: a width, and what neither shapes nor the original's config.json tell of the part.
_UNTOLD = (
    ("text_config.hidden_size", ("text_config.num_attention_heads",)),
    ("spatial_config.hidden_size", ("spatial_config.num_attention_heads",)),
    ("temporal_config.hidden_size", ("temporal_config.num_attention_heads",)),
    (
        f"{_TRUNK}.hidden_size",
        (
            f"{_TRUNK}.num_attention_heads_per_stage",
            f"{_TRUNK}.window_size_per_stage",
            f"{_TRUNK}.global_attention_blocks",
        ),
    ),
)

Shapes = Mapping[str, tuple[int, ...]]
Sizes = dict[str, tuple[Any, str]]


def build_config(
    shapes: Shapes,
    *,
    original: Mapping[str, Any],
    clip: Mapping[str, Any] | None,
    given: Mapping[str, Any],
    vocabulary: Mapping[str, Any],
) -> tuple[VideoGlammConfig, list[str]]:
    """The configuration of a checkpoint.

    Args:
        shapes: Shape of every tensor by its key in the original's state dict, all parts included.
        original: The checkpoint's `config.json`.
        clip: The CLIP folder's `config.json`, if there is such a folder.
        given: The user's VideoGlammConfig, complete or in part, as a dict.
        vocabulary: What the tokenizer tells, as dotted fields: `text_config.vocab_size`, `seg_token_id`, ...

    Returns:
        The configuration, and the fields (`name = value`) that were taken from the published model although
        the sizes of their part differ from it.

    Raises:
        CheckpointError: If a part is missing, `given` contradicts tensors or tokenizer, or values do not fit
            together.
    """
    _check_given(given)
    sizes = sizes_from_shapes(shapes, lambda field: _get(given, field))
    sizes |= {field: (value, "the tokenizer") for field, value in vocabulary.items()}
    contradictions = [
        f"{field} is {_get(given, field)!r} in --config, but {source} says {value!r}"
        for field, (value, source) in sizes.items()
        if _get(given, field) not in (None, value)
    ]
    if contradictions:
        raise CheckpointError(
            "--config contradicts the checkpoint: " + "; ".join(contradictions) + ". Leave these fields out."
        )
    published = VideoGlammConfig().to_dict()
    try:
        stated = fill_in(_stated(original, clip, given), _trunk_of_published_size(sizes))
        if sizes["text_config.model_type"][0] == "llama":
            stated["text_config"].pop("sliding_window", None)
        merged = fill_in(_without_derived_sizes(given), stated)
        for field, (value, _) in sizes.items():
            _set(merged, field, value)
        assumed = [
            f"{field} = {_get(published, field)}"
            for width, fields in _UNTOLD
            if _get(merged, width) != _get(published, width)
            for field in fields
            if _get(merged, field) is None
        ]
        # Checked first: the classes of the parts complain less clearly, or divide by zero.
        problems = _head_problems(merged, published) or _stage_problems(merged, published, shapes)
        if not problems:
            config = _as_config(merged)
            problems = _problems(config.to_dict(), shapes)
    except CheckpointError:
        raise
    except Exception as error:
        raise CheckpointError(f"config.json or --config holds a value that cannot be used: {error}") from error
    if problems:
        also = f" Only assumed, too: {', '.join(assumed)}." if assumed else ""
        raise CheckpointError(
            f"The configuration does not fit the checkpoint: {'; '.join(problems)}.{also} Give the right "
            "values in --config, a JSON file with any part of a VideoGlammConfig."
        )
    return config, assumed


def part_config(
    part: str, shapes: Shapes, *, clip: Mapping[str, Any] | None = None, given: Mapping[str, Any]
) -> PreTrainedConfig:
    """The configuration of one part from its own file.

    Args:
        part: `spatial_config`, `temporal_config` or `grounding_config`.
        shapes: Shape of every tensor of the part by its key in the original's state dict.
        clip: The CLIP folder's `config.json`, for the spatial tower.
        given: The user's VideoGlammConfig, in part.

    Raises:
        CheckpointError: As [`build_config`] does.
    """
    _check_given(given)
    stated: dict[str, Any] = {}
    if part == "temporal_config":
        sizes = _temporal_sizes(shapes, _get(given, "temporal_config.image_size") or 224)
    elif part == "spatial_config":
        sizes, stated = _spatial_sizes(shapes), _stated({}, clip, given)
    else:
        sizes = _grounding_sizes(shapes)
        stated = _trunk_of_published_size(sizes)
    merged = fill_in(_without_derived_sizes({part: given.get(part) or {}}), {part: stated.get(part) or {}})
    for field, (value, _) in sizes.items():
        _set(merged, field, value)
    return getattr(_as_config(merged), part)


def _as_config(fields: dict[str, Any]) -> VideoGlammConfig:
    try:
        return VideoGlammConfig.from_dict(fields)
    except Exception as error:
        raise CheckpointError(f"config.json or --config holds a value that cannot be used: {error}") from error


def sizes_from_shapes(shapes: Shapes, given: Callable[[str], Any] = lambda field: None) -> Sizes:
    """Every field of a VideoGlammConfig that the shapes of the tensors tell.

    Args:
        shapes: Shape of every tensor by its key in the original's state dict.
        given: Looks up a dotted field of the user's configuration, None if it is not there.

    Returns:
        By dotted field: the value, and the key it was read from.

    Raises:
        CheckpointError: If a tensor that tells a size is missing or has an impossible shape.
    """
    # Shapes give frames times patches only: the image size of the temporal tower has to be known.
    return {
        **_text_sizes(shapes),
        **_spatial_sizes(shapes),
        **_temporal_sizes(shapes, given("temporal_config.image_size") or 224),
        **_grounding_sizes(shapes),
    }


def _text_sizes(shapes: Shapes) -> Sizes:
    layer = "model.layers.0."
    sizes: Sizes = {
        "text_config.hidden_size": (_dims(shapes, EMBEDDINGS, 2)[1], EMBEDDINGS),
        "text_config.num_hidden_layers": _count(shapes, "model.layers."),
    }
    # Phi-3 fuses what Llama keeps apart.
    if layer + "self_attn.q_proj.weight" in shapes and layer + "mlp.gate_up_proj.weight" not in shapes:
        gate = layer + "mlp.gate_proj.weight"
        sizes["text_config.model_type"] = ("llama", layer + "self_attn.q_proj.weight")
        sizes["text_config.intermediate_size"] = (_dims(shapes, gate, 2)[0], gate)
    else:
        gate = layer + "mlp.gate_up_proj.weight"
        sizes["text_config.intermediate_size"] = (_dims(shapes, gate, 2)[0] // 2, gate)
        sizes["text_config.model_type"] = ("phi3", gate)
    return sizes


def _spatial_sizes(shapes: Shapes) -> Sizes:
    prefix = SPATIAL_PREFIX
    if any(key.startswith(f"{prefix}vision_model.") for key in shapes):
        prefix += "vision_model."
    patches = prefix + "embeddings.patch_embedding.weight"
    positions = prefix + "embeddings.position_embedding.weight"
    mlp = prefix + "encoder.layers.0.mlp.fc1.weight"
    width, channels, patch, _ = _dims(shapes, patches, 4)
    grid = _square_root(_dims(shapes, positions, 2)[0] - 1, positions)
    return {
        "spatial_config.hidden_size": (width, patches),
        "spatial_config.num_channels": (channels, patches),
        "spatial_config.patch_size": (patch, patches),
        "spatial_config.image_size": (grid * patch, positions),
        "spatial_config.num_hidden_layers": _count(shapes, prefix + "encoder.layers."),
        "spatial_config.intermediate_size": (_dims(shapes, mlp, 2)[0], mlp),
    }


def _temporal_sizes(shapes: Shapes, image_size: int) -> Sizes:
    prefix = TEMPORAL_PREFIX + "vision_encoder."
    patches, positions = prefix + "patch_embed.proj.weight", prefix + "pos_embed"
    mlp = prefix + "blocks.0.mlp.fc1.weight"
    width, channels, depth, patch, _ = _dims(shapes, patches, 5)
    if depth != 1:
        raise CheckpointError(f"{patches} spans {depth} frames; only patches of one frame are supported.")
    if not isinstance(image_size, int):
        raise CheckpointError(f"temporal_config.image_size = {image_size!r} in --config is no whole number.")
    tokens, grid = _dims(shapes, positions, 3)[1] - 1, image_size // patch
    if grid < 1 or tokens < 1 or tokens % grid**2:
        raise CheckpointError(
            f"{positions} has {tokens} positions besides the class token, which is no whole number of frames "
            f"of {grid} x {grid} patches (image size {image_size}, patch size {patch}). Give "
            "temporal_config.image_size in --config."
        )
    return {
        "temporal_config.hidden_size": (width, patches),
        "temporal_config.num_channels": (channels, patches),
        "temporal_config.patch_size": (patch, patches),
        "temporal_config.num_frames": (tokens // grid**2, positions),
        "temporal_config.num_hidden_layers": _count(shapes, prefix + "blocks."),
        "temporal_config.intermediate_size": (_dims(shapes, mlp, 2)[0], mlp),
    }


def _grounding_sizes(shapes: Shapes) -> Sizes:
    sizes: Sizes = {}

    def tell(field: str, key: str, ndim: int, value: int | Callable[[tuple[int, ...]], Any]) -> None:
        """Reads one field: `value` is the dimension that tells it, or computes it from the shape."""
        key = GROUNDING_PREFIX + key
        shape = _dims(shapes, key, ndim)
        sizes[f"grounding_config.{field}"] = (shape[value] if isinstance(value, int) else value(shape), key)

    def count(field: str, prefix: str) -> None:
        sizes[f"grounding_config.{field}"] = _count(shapes, GROUNDING_PREFIX + prefix)

    backbone, trunk = "vision_config.backbone_config.", "image_encoder.trunk."
    patches, positions = trunk + "patch_embed.proj.weight", trunk + "pos_embed"
    tell(backbone + "hidden_size", patches, 4, 0)
    tell(backbone + "num_channels", patches, 4, 1)
    tell(backbone + "patch_kernel_size", patches, 4, lambda shape: list(shape[2:]))
    tell(backbone + "window_positional_embedding_background_size", positions, 4, lambda shape: list(shape[2:]))
    tell(backbone + "mlp_ratio", trunk + "blocks.0.mlp.layers.0.weight", 2, lambda shape: shape[0] / shape[1])
    dims, blocks, key = _stages(shapes)
    sizes[f"{_TRUNK}.embed_dim_per_stage"] = (dims, key)
    sizes[f"{_TRUNK}.blocks_per_stage"] = (blocks, key)
    neck = "image_encoder.neck.convs."
    levels, key = _count(shapes, GROUNDING_PREFIX + neck)
    channels = [_dims(shapes, f"{GROUNDING_PREFIX}{neck}{i}.conv.weight", 4)[1] for i in range(levels)]
    sizes["grounding_config.vision_config.backbone_channel_list"] = (channels, key)
    tell("vision_config.fpn_hidden_size", neck + "0.conv.weight", 4, 0)

    tell("num_maskmem", "maskmem_tpos_enc", 4, 0)
    tell("memory_encoder_output_channels", "maskmem_tpos_enc", 4, 3)
    # From SAM 2.1 on.
    for field, key in (
        ("enable_occlusion_spatial_embedding", "no_obj_embed_spatial"),
        ("enable_temporal_pos_encoding_for_object_pointers", "obj_ptr_tpos_proj.weight"),
    ):
        sizes[f"grounding_config.{field}"] = (GROUNDING_PREFIX + key in shapes, GROUNDING_PREFIX + key)
    attention = "memory_attention.layers."
    count("memory_attention_num_layers", attention)
    tell("memory_attention_hidden_size", attention + "0.linear1.weight", 2, 1)
    tell("memory_attention_feed_forward_hidden_size", attention + "0.linear1.weight", 2, 0)
    tell("memory_attention_downsample_rate", attention + "0.self_attn.q_proj.weight", 2, _ratio)
    tell("memory_encoder_hidden_size", "memory_encoder.pix_feat_proj.weight", 4, 0)
    tell("mask_downsampler_embed_dim", "memory_encoder.mask_downsampler.encoder.12.weight", 4, 0)
    fuser = "memory_encoder.fuser.layers."
    count("memory_fuser_num_layers", fuser)
    tell("memory_fuser_embed_dim", fuser + "0.dwconv.weight", 4, 0)
    tell("memory_fuser_kernel_size", fuser + "0.dwconv.weight", 4, 2)
    tell("memory_fuser_padding", fuser + "0.dwconv.weight", 4, lambda shape: shape[2] // 2)
    tell("memory_fuser_intermediate_dim", fuser + "0.pwconv1.weight", 2, 0)

    prompt = "sam_prompt_encoder."
    tell("prompt_encoder_config.hidden_size", prompt + "no_mask_embed.weight", 2, 1)
    tell("prompt_encoder_config.mask_input_channels", prompt + "mask_downscaling.3.weight", 4, 0)
    count("prompt_encoder_config.num_point_embeddings", prompt + "point_embeddings.")

    config, decoder = "mask_decoder_config.", "sam_mask_decoder."
    layers = decoder + "transformer.layers."
    tell(config + "hidden_size", decoder + "mask_tokens.weight", 2, 1)
    tell(config + "num_multimask_outputs", decoder + "mask_tokens.weight", 2, lambda shape: shape[0] - 1)
    count(config + "num_hidden_layers", layers)
    tell(config + "mlp_dim", layers + "0.mlp.layers.0.weight", 2, 0)
    tell(config + "attention_downsample_rate", layers + "0.cross_attn_token_to_image.q_proj.weight", 2, _ratio)
    tell(config + "iou_head_hidden_dim", decoder + "iou_prediction_head.layers.0.weight", 2, 0)
    return sizes


def _stages(shapes: Shapes) -> tuple[list[int], list[int], str]:
    """Width and number of blocks of the trunk's stages: a stage starts where `proj` changes the width."""
    prefix = GROUNDING_PREFIX + "image_encoder.trunk.blocks."
    total, _ = _count(shapes, prefix)
    dims = [_dims(shapes, f"{prefix}0.norm1.weight", 1)[0]]
    blocks = [0]
    for i in range(total):
        projection = f"{prefix}{i}.proj.weight"
        if projection in shapes and i > 0:
            dims.append(_dims(shapes, projection, 2)[0])
            blocks.append(0)
        blocks[-1] += 1
    return dims, blocks, f"{prefix}*.proj.weight"


def _stated(original: Mapping[str, Any], clip: Mapping[str, Any] | None, given: Mapping[str, Any]) -> dict[str, Any]:
    """What the configurations of the original and of CLIP say that shapes do not tell."""
    text: dict[str, Any] = {field: original[field] for field in _TEXT_FIELDS if original.get(field) is not None}
    if "sliding_window" in original:
        window = original["sliding_window"]
        # Position i of the original sees W + 1 keys; transformers counts the keys.
        text["sliding_window"] = window + 1 if isinstance(window, int) else window
    text |= {field: original[field] for field in _LLAMA_FIELDS if original.get(field) is not None}
    scaling = original.get("rope_scaling") or original.get("rope_parameters") or {}
    rope = {"rope_theta": original.get("rope_theta"), **scaling}
    rope = {key: value for key, value in rope.items() if value is not None}
    if rope and not any(field in (given.get("text_config") or {}) for field in _ROPE_FIELDS):
        kind = rope.pop("type", None) or rope.get("rope_type", "default")
        # Phi-3's first releases call LongRoPE so.
        rope["rope_type"] = "longrope" if kind in ("su", "yarn") else kind
        text["rope_parameters"] = rope
    stated: dict[str, Any] = {"text_config": text}
    for source, target in (
        ("tie_word_embeddings", "tie_word_embeddings"),
        ("mm_vision_select_layer", "spatial_feature_layer"),
    ):
        if original.get(source) is not None:
            stated[target] = original[source]
    if original.get("tie_word_embeddings") is not None:
        text["tie_word_embeddings"] = original["tie_word_embeddings"]
    if clip is not None:
        nested = clip.get("vision_config")
        vision = nested if isinstance(nested, dict) else clip
        # What a CLIP folder leaves out has the library's default, not the published model's value.
        library = CLIPVisionConfig()
        stated["spatial_config"] = {field: vision.get(field, getattr(library, field)) for field in _CLIP_FIELDS}
    return stated


def _trunk_of_published_size(sizes: Sizes) -> dict[str, Any]:
    """What shapes do not tell of an image encoder, if it has the size of a published one."""
    width, blocks = sizes[f"{_TRUNK}.hidden_size"][0], sum(sizes[f"{_TRUNK}.blocks_per_stage"][0])
    known = _PUBLISHED_TRUNKS.get((width, blocks))
    if known is None:
        return {}
    told: dict[str, Any] = {}
    _set(told, f"{_TRUNK}.num_attention_heads", known["heads"][0])
    _set(told, f"{_TRUNK}.num_attention_heads_per_stage", known["heads"])
    _set(told, f"{_TRUNK}.window_size_per_stage", known["windows"])
    _set(told, f"{_TRUNK}.global_attention_blocks", known["global"])
    return told


def _check_given(given: Mapping[str, Any]) -> None:
    if given.get("model_type", "videoglamm") != "videoglamm":
        raise CheckpointError(
            f"--config is of type {given['model_type']!r}; it must be a VideoGlammConfig or a part of one. "
            "The checkpoint's own config.json is read from its folder."
        )
    unknown = set(given) - set(VideoGlammConfig().to_dict()) - _BOOKKEEPING
    if unknown:
        raise CheckpointError(f"--config has fields that VideoGlammConfig does not know: {sorted(unknown)}.")
    for part in _PARTS:
        parent, _, name = part.rpartition(".")
        holder = (_get(given, parent) or {}) if parent else given
        if not isinstance(holder.get(name, {}), dict):
            raise CheckpointError(f"{part} in --config must be a JSON object.")


def _without_derived_sizes(given: Mapping[str, Any]) -> dict[str, Any]:
    """`given` without sizes that follow from the pixel decoder's image size, which may be of another one."""
    given = dict(given)
    grounding = given.get("grounding_config") or {}
    if grounding.get("image_size") is None:
        return given
    grounding = dict(grounding)
    grounding.pop("memory_attention_rope_feat_sizes", None)
    for part, field in (("vision_config", "backbone_feature_sizes"), ("prompt_encoder_config", "image_size")):
        if isinstance(grounding.get(part), dict):
            grounding[part] = {key: value for key, value in grounding[part].items() if key != field}
    backbone = (grounding.get("vision_config") or {}).get("backbone_config")
    if isinstance(backbone, dict):
        grounding["vision_config"]["backbone_config"] = {k: v for k, v in backbone.items() if k != "image_size"}
    return {**given, "grounding_config": grounding}


def _head_problems(config: Mapping[str, Any], published: Mapping[str, Any]) -> list[str]:
    """Head counts of the towers and the language model that do not divide their widths."""
    problems = []
    for part in ("text_config", "spatial_config", "temporal_config"):
        field, width = f"{part}.num_attention_heads", config[part]["hidden_size"]
        heads = _get(config, field)
        heads = _get(published, field) if heads is None else heads
        if not _divides(heads, width):
            problems.append(f"{field} = {heads} does not divide the width {width}")
    return problems


def _stage_problems(merged: Mapping[str, Any], published: Mapping[str, Any], shapes: Shapes) -> list[str]:
    """What does not fit of the trunk's stages, before the class of its configuration complains less clearly."""
    names = ("embed_dim_per_stage", "num_attention_heads_per_stage", "window_size_per_stage", "num_attention_heads")
    dims, heads, windows, first = (
        _get(published, f"{_TRUNK}.{name}") if (own := _get(merged, f"{_TRUNK}.{name}")) is None else own
        for name in names
    )
    if not all(isinstance(values, (list, tuple)) for values in (dims, heads, windows)):
        return []
    if any(len(values) != len(dims) for values in (heads, windows)):
        return [
            f"the trunk has {len(dims)} stages: give that many {_TRUNK}.num_attention_heads_per_stage and "
            f"window_size_per_stage, not {heads} and {windows}"
        ]
    problems = []
    if not all(_divides(count, width) for width, count in zip(dims, heads, strict=True)):
        problems.append(f"{_TRUNK}.num_attention_heads_per_stage = {heads} do not divide the widths {dims}")
    if heads[0] != first:
        problems.append(
            f"{_TRUNK}.num_attention_heads = {first} is not the first of num_attention_heads_per_stage = {heads}"
        )
    window_key = GROUNDING_PREFIX + "image_encoder.trunk.pos_embed_window"
    window = _dims(shapes, window_key, 4)[2]
    if windows[0] != window:
        problems.append(f"{_TRUNK}.window_size_per_stage = {windows} should start with the {window} of {window_key}")
    return problems


def _problems(config: Mapping[str, Any], shapes: Shapes) -> list[str]:
    """What is wrong with other values that shapes cannot tell, each with the field to give."""
    problems: list[str] = []

    def require(holds: bool, message: str) -> None:
        if not holds:
            problems.append(message)

    text, spatial, temporal = config["text_config"], config["spatial_config"], config["temporal_config"]
    heads, kv_heads = text["num_attention_heads"], text["num_key_value_heads"]
    fused = text["model_type"] == "phi3"
    names = ("qkv_proj",) if fused else ("q_proj", "k_proj", "v_proj")
    rows = sum(_dims(shapes, f"model.layers.0.self_attn.{name}.weight", 2)[0] for name in names)
    head_size = (None if fused else text.get("head_dim")) or text["hidden_size"] // heads
    require(
        (heads + 2 * kv_heads) * head_size == rows and _divides(kv_heads, heads),
        f"text_config.num_attention_heads = {heads} and num_key_value_heads = {kv_heads} do not give the "
        f"{rows} rows of model.layers.0.self_attn.{', '.join(names)}.weight",
    )
    frames, chunk = config["num_tower_frames"], temporal["num_frames"]
    require(
        frames > 0 and frames % chunk == 0,
        f"num_tower_frames = {frames} is no multiple of the {chunk} of a chunk",
    )
    for part, tower in (("spatial", spatial), ("temporal", temporal)):
        grid, pool = tower["image_size"] // tower["patch_size"], config[f"{part}_pool_size"]
        require(0 < pool <= grid, f"{part}_pool_size = {pool} is not between 1 and the {grid} patches of a side")
        layer, layers = config[f"{part}_feature_layer"], tower["num_hidden_layers"]
        require(-layers - 1 <= layer <= layers, f"{part}_feature_layer = {layer} is beyond {layers} layers")

    grounding = config["grounding_config"]
    size = grounding["image_size"]
    require(
        isinstance(size, int) and size > 0 and size % 32 == 0,
        f"grounding_config.image_size = {size} is no multiple of 32",
    )
    width, heads = grounding["memory_attention_hidden_size"], grounding["memory_attention_num_attention_heads"]
    require(
        _divides(heads, width // grounding["memory_attention_downsample_rate"]),
        f"grounding_config.memory_attention_num_attention_heads = {heads} does not divide the width",
    )
    decoder = grounding["mask_decoder_config"]
    width, heads = decoder["hidden_size"], decoder["num_attention_heads"]
    require(
        _divides(heads, width // decoder["attention_downsample_rate"]),
        f"grounding_config.mask_decoder_config.num_attention_heads = {heads} does not divide the width",
    )
    backbone = grounding["vision_config"]["backbone_config"]
    blocks = backbone["blocks_per_stage"]
    beyond = [block for block in backbone["global_attention_blocks"] if not 0 <= block < sum(blocks)]
    require(not beyond, f"{_TRUNK}.global_attention_blocks names blocks {beyond} of {sum(blocks)}")
    return problems


def _dims(shapes: Shapes, key: str, ndim: int) -> tuple[int, ...]:
    """The shape of a tensor with `ndim` dimensions."""
    if key not in shapes:
        raise CheckpointError(f"The checkpoint has no {key}. {_where_from(key)}")
    if len(shapes[key]) != ndim or 0 in shapes[key]:
        raise CheckpointError(f"{key} has shape {tuple(shapes[key])}, but {ndim} dimensions were expected.")
    return tuple(shapes[key])


def _count(shapes: Shapes, prefix: str) -> tuple[int, str]:
    """How many numbered modules there are behind a prefix, and the keys that tell."""
    pattern = re.compile(re.escape(prefix) + r"([0-9]+)\.")
    numbers = {int(match[1]) for match in map(pattern.match, shapes) if match}
    if not numbers:
        raise CheckpointError(f"The checkpoint has no {prefix}0. {_where_from(prefix)}")
    gaps = [i for i in range(min(max(numbers), 10**5)) if i not in numbers]
    if gaps:
        raise CheckpointError(
            f"The checkpoint has {prefix}{max(numbers)} but not "
            f"{', '.join(prefix + str(i) for i in gaps[:5])}. Are shards missing?"
        )
    return len(numbers), f"{prefix}*"


def _where_from(key: str) -> str:
    if key.startswith(GROUNDING_PREFIX):
        return "If it has no pixel decoder at all, give SAM 2's own file with --sam2."
    if key.startswith(TEMPORAL_PREFIX):
        return "If it has no temporal tower at all, give InternVideo2's own file with --internvideo2."
    if key.startswith(SPATIAL_PREFIX):
        return "If it has no spatial tower at all, give a CLIP folder with --clip."
    return "Is this a checkpoint of the original, or a Phi-3 or Llama, complete?"


def _divides(heads: Any, width: int) -> bool:
    return isinstance(heads, int) and heads > 0 and width % heads == 0


def _ratio(shape: tuple[int, ...]) -> int:
    """How much narrower a linear layer's output is than its input."""
    return max(1, shape[1] // shape[0])


def _square_root(number: int, key: str) -> int:
    root = round(max(number, 0) ** 0.5)
    if root < 1 or root**2 != number:
        raise CheckpointError(f"{key} has {number} positions besides the class token, which are no square grid.")
    return root


def _get(nested: Mapping[str, Any], field: str) -> Any:
    """The value of a dotted field, None if any part of the path is missing."""
    value: Any = nested
    for name in field.split("."):
        value = value.get(name) if isinstance(value, Mapping) else None
    return value


def _set(nested: dict[str, Any], field: str, value: Any) -> None:
    *parents, name = field.split(".")
    for parent in parents:
        nested[parent] = dict(nested.get(parent) or {})
        nested = nested[parent]
    nested[name] = value
