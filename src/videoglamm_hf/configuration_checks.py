"""Whether a configuration can be true: types, ranges, and fields that must agree with one another.

Libraries check types where they check at all. Shapes of weights say whether widths are right
([`weight_checks`]); here is what no shape tells, and what must be bounded before anything is built.
"""

import math
from collections.abc import Iterator
from typing import Any

from .errors import InputError
from .options import MASK_MODES, MAX_FRAMES, MAX_SIDE, is_json_integer

# No model comes near these; what lies beyond is a slip or a lie that would fill the memory.
MAX_LAYERS = 2**11
MAX_WIDTH = 2**20
MAX_TOKENS = 2**26

_LOSS_WEIGHTS = (
    "ce_loss_weight",
    "mask_bce_loss_weight",
    "mask_dice_loss_weight",
    "iou_loss_weight",
    "object_score_loss_weight",
)
_TEMPORAL_NUMBERS = ("rms_norm_eps", "attention_dropout", "layer_scale_init_value", "initializer_range")

# Fields that are whole numbers, with their bounds; a part may lack some.
_LANGUAGE = {
    "vocab_size": (1, MAX_TOKENS),
    "hidden_size": (1, MAX_WIDTH),
    "intermediate_size": (1, 8 * MAX_WIDTH),
    "num_hidden_layers": (1, MAX_LAYERS),
    "num_attention_heads": (1, MAX_WIDTH),
    "num_key_value_heads": (1, MAX_WIDTH),
    "head_dim": (1, MAX_WIDTH),
    "max_position_embeddings": (1, 2**31),
    "original_max_position_embeddings": (1, 2**31),
    "sliding_window": (1, 2**31),
}
_TOWER = {
    "hidden_size": (1, MAX_WIDTH),
    "intermediate_size": (1, 8 * MAX_WIDTH),
    "num_hidden_layers": (1, MAX_LAYERS),
    "num_attention_heads": (1, MAX_WIDTH),
    "num_channels": (3, 3),
    "image_size": (1, MAX_SIDE),
    "patch_size": (1, MAX_SIDE),
}
_OWN = {
    "num_tower_frames": (1, MAX_FRAMES),
    "spatial_pool_size": (1, MAX_SIDE),
    "temporal_pool_size": (1, MAX_SIDE),
    "seg_token_id": (0, MAX_TOKENS),
    "image_token_id": (0, MAX_TOKENS),
    "video_token_id": (0, MAX_TOKENS),
    "grounding_batch_size": (1, 2**20),
    "mask_padding_slots": (0, 2**16),
}
_DECODER = {
    "image_size": (32, MAX_SIDE),
    "num_maskmem": (1, 2**10),
    "max_object_pointers_in_encoder": (1, 2**16),
    "memory_attention_hidden_size": (1, MAX_WIDTH),
    "memory_attention_num_layers": (1, MAX_LAYERS),
    "memory_attention_num_attention_heads": (1, MAX_WIDTH),
    "memory_attention_downsample_rate": (1, MAX_WIDTH),
    "memory_attention_feed_forward_hidden_size": (1, MAX_WIDTH),
    "memory_encoder_hidden_size": (1, MAX_WIDTH),
    "memory_encoder_output_channels": (1, MAX_WIDTH),
    "mask_downsampler_embed_dim": (1, MAX_WIDTH),
    "mask_downsampler_kernel_size": (1, 64),
    "mask_downsampler_stride": (2, 64),
    "mask_downsampler_padding": (0, 64),
    "mask_downsampler_total_stride": (2, 2**10),
    "memory_fuser_num_layers": (1, MAX_LAYERS),
    "memory_fuser_embed_dim": (1, MAX_WIDTH),
    "memory_fuser_intermediate_dim": (1, MAX_WIDTH),
    "memory_fuser_kernel_size": (1, 64),
    "memory_fuser_padding": (0, 64),
}
_DECODER_PARTS = {
    "prompt_encoder_config": {
        "hidden_size": (1, MAX_WIDTH),
        "image_size": (32, MAX_SIDE),
        "patch_size": (1, MAX_SIDE),
        "mask_input_channels": (4, MAX_WIDTH),
        "num_point_embeddings": (1, 2**10),
    },
    "mask_decoder_config": {
        "hidden_size": (1, MAX_WIDTH),
        "mlp_dim": (1, MAX_WIDTH),
        "num_hidden_layers": (1, MAX_LAYERS),
        "num_attention_heads": (1, MAX_WIDTH),
        "attention_downsample_rate": (1, MAX_WIDTH),
        "num_multimask_outputs": (1, 2**6),
        "iou_head_depth": (2, MAX_LAYERS),
        "iou_head_hidden_dim": (1, MAX_WIDTH),
    },
    "vision_config": {"fpn_hidden_size": (1, MAX_WIDTH), "fpn_kernel_size": (1, 64), "fpn_stride": (1, 1)},
}
_STAGES = ("blocks_per_stage", "embed_dim_per_stage", "num_attention_heads_per_stage", "window_size_per_stage")


def check_configuration(config: Any) -> None:
    """Raises InputError for the first field of a [`VideoGlammConfig`] that cannot be; the message names it."""
    for field, problem in configuration_problems(config):
        raise InputError(f"{field} {problem}; correct config.json, or download it again.")


def check_seg_token(config: Any) -> None:
    """Raises InputError if the language model of a configuration can never say [SEG]."""
    vocabulary = config.text_config.vocab_size
    if config.seg_token_id >= vocabulary:
        raise InputError(
            f"seg_token_id is {config.seg_token_id}, outside the vocabulary of {vocabulary} (text_config.vocab_size); "
            "give the id of [SEG]."
        )


def configuration_problems(config: Any) -> Iterator[tuple[str, str]]:
    """Field and what is wrong with it. Each group of fields can rely on those before it."""
    parts = {
        "": (config, _OWN),
        "text_config": (config.text_config, _LANGUAGE),
        "spatial_config": (config.spatial_config, _TOWER),
        "temporal_config": (config.temporal_config, {**_TOWER, "num_frames": (1, MAX_FRAMES)}),
        "grounding_config": (config.grounding_config, _DECODER),
    }
    for name, bounds in _DECODER_PARTS.items():
        parts[f"grounding_config.{name}"] = (getattr(config.grounding_config, name), bounds)
    backbone = config.grounding_config.vision_config.backbone_config
    parts["grounding_config.vision_config.backbone_config"] = (backbone, {"num_query_pool_stages": (0, 16)})
    for name, (part, bounds) in parts.items():
        yield from _number_problems(part, f"{name}." if name else "", bounds)
    yield from _own_problems(config)
    for name, tower in (("spatial", config.spatial_config), ("temporal", config.temporal_config)):
        yield from _tower_problems(config, name, tower)
    yield from _language_problems(config)
    yield from _decoder_problems(config.grounding_config)
    yield from _backbone_problems(config.grounding_config, "grounding_config.vision_config")


def _number_problems(part: Any, where: str, bounds: dict[str, tuple[int, int]]) -> Iterator[tuple[str, str]]:
    for field, (least, most) in bounds.items():
        value = getattr(part, field, None)
        # A language model may lack some, or take None for a default; one that has a size per layer gives a list.
        if where == "text_config." and (value is None or isinstance(value, (list, tuple))):
            continue
        if not is_json_integer(value) or not least <= value <= most:
            wanted = str(least) if least == most else f"a whole number from {least} to {most}"
            yield f"{where}{field}", f"is {value!r:.80}, and must be {wanted}"
    for field, value in list(vars(part).items()):
        if not isinstance(value, float):
            continue
        if math.isnan(value) or (math.isinf(value) and where != "text_config."):
            yield f"{where}{field}", f"is {value}, and must be a finite number"
        elif field.endswith(("dropout", "pdrop")) and not 0 <= value <= 1:
            yield f"{where}{field}", f"is {value:g}, and must be from 0 to 1"
        elif field.endswith(("_eps", "initializer_range")) and value < 0:
            yield f"{where}{field}", f"is {value:g}, and must not be negative"
    if where and getattr(part, "return_dict", True) is not True:
        yield (
            f"{where}return_dict",
            f"is {part.return_dict!r:.80}, and must be true: outputs of parts are read by name",
        )
    for field in ("output_hidden_states", "output_attentions", "use_cache"):
        value = getattr(part, field, None)
        # Which hidden states, where transformers can choose them.
        several = value if isinstance(value, list) and field == "output_hidden_states" else [value]
        if value is not None and not all(isinstance(one, int) for one in several):
            yield f"{where}{field}", f"is {value!r:.80}, and must be true or false"
    dtype = getattr(part, "dtype", None)
    # Without importing torch: a dtype says whether it has fractions.
    if dtype is not None and not hasattr(dtype, "is_floating_point"):
        yield f"{where}dtype", f"is {dtype!r:.80}, which is no dtype of torch"
    elif dtype is not None and not dtype.is_floating_point:
        yield f"{where}dtype", f"is {dtype}; weights are floating-point numbers"


def _own_problems(config: Any) -> Iterator[tuple[str, str]]:
    for field in (*_LOSS_WEIGHTS, "initializer_range"):
        value = getattr(config, field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            yield field, f"is {value!r:.80}, and must be a finite number from 0"
    for field, known in (("mask_mode", MASK_MODES), ("mask_training_mode", ("video", "framewise"))):
        if getattr(config, field) not in known:
            yield field, f"is {getattr(config, field)!r:.80}, and must be one of {', '.join(known)}"
    if not isinstance(config.projector_hidden_act, str):
        yield "projector_hidden_act", f"is {config.projector_hidden_act!r:.80}, and must be the name of an activation"
    frames = config.memory_gradient_frames
    if frames is not None and not (is_json_integer(frames) and frames >= 0):
        yield "memory_gradient_frames", f"is {frames!r:.80}, and must be a whole number from 0, or null"
    if len({config.seg_token_id, config.image_token_id, config.video_token_id}) < 3:
        yield "seg_token_id, image_token_id, video_token_id", "must be three different ids"
    for field in _TEMPORAL_NUMBERS:
        value = getattr(config.temporal_config, field)
        if isinstance(value, bool) or not isinstance(value, (int, float)) or not 0 <= value < math.inf:
            yield f"temporal_config.{field}", f"is {value!r:.80}, and must be a finite number from 0"
    chunk = config.temporal_config.num_frames
    if config.num_tower_frames % chunk:
        yield "num_tower_frames", f"is {config.num_tower_frames}, no multiple of temporal_config.num_frames, {chunk}"


def _tower_problems(config: Any, name: str, tower: Any) -> Iterator[tuple[str, str]]:
    if tower.patch_size > tower.image_size:
        yield f"{name}_config.patch_size", f"is {tower.patch_size}, more than image_size, {tower.image_size}"
    if tower.hidden_size % tower.num_attention_heads:
        yield (
            f"{name}_config.num_attention_heads",
            f"is {tower.num_attention_heads}, which does not divide hidden_size, {tower.hidden_size}",
        )
    layer, count = getattr(config, f"{name}_feature_layer"), tower.num_hidden_layers
    if not is_json_integer(layer) or not -count - 1 <= layer <= count:
        yield f"{name}_feature_layer", f"is {layer!r:.80}, but the tower has {count} layers"


def _language_problems(config: Any) -> Iterator[tuple[str, str]]:
    text = config.text_config
    if text.model_type != "phi3":
        return
    heads, key_heads = text.num_attention_heads, text.num_key_value_heads
    if text.hidden_size % heads:
        yield "text_config.num_attention_heads", f"is {heads}, which does not divide hidden_size, {text.hidden_size}"
    elif key_heads is not None and heads % key_heads:
        yield "text_config.num_key_value_heads", f"is {key_heads}, which does not divide num_attention_heads, {heads}"


def _decoder_problems(decoder: Any) -> Iterator[tuple[str, str]]:
    where, side = "grounding_config", decoder.image_size
    if side % 32:
        yield f"{where}.image_size", f"is {side}, no multiple of 32"
    prompts, masks = decoder.prompt_encoder_config, decoder.mask_decoder_config
    if prompts.image_size != side:
        yield f"{where}.prompt_encoder_config.image_size", f"is {prompts.image_size}, not grounding_config's, {side}"
    if prompts.patch_size != 16:
        yield f"{where}.prompt_encoder_config.patch_size", f"is {prompts.patch_size}, and must be 16"
    width = decoder.memory_attention_hidden_size
    for field, own in (
        ("prompt_encoder_config.hidden_size", prompts.hidden_size),
        ("mask_decoder_config.hidden_size", masks.hidden_size),
        ("vision_config.fpn_hidden_size", decoder.vision_config.fpn_hidden_size),
        ("memory_encoder_hidden_size", decoder.memory_encoder_hidden_size),
        ("mask_downsampler_embed_dim", decoder.mask_downsampler_embed_dim),
        ("memory_fuser_embed_dim", decoder.memory_fuser_embed_dim),
    ):
        if own != width:
            yield f"{where}.{field}", f"is {own}, not memory_attention_hidden_size, {width}"
    for field, size, heads in (
        ("memory_attention_num_attention_heads", width, decoder.memory_attention_num_attention_heads),
        ("mask_decoder_config.num_attention_heads", masks.hidden_size, masks.num_attention_heads),
    ):
        rate = decoder.memory_attention_downsample_rate if "memory" in field else masks.attention_downsample_rate
        if size % rate or (size // rate) % heads:
            yield f"{where}.{field}", f"is {heads}, which does not divide the width of attention, {size} / {rate}"
    # Rotary positions of pixels turn pairs, of rows and of columns.
    if width % (4 * decoder.memory_attention_downsample_rate * decoder.memory_attention_num_attention_heads):
        yield f"{where}.memory_attention_num_attention_heads", f"leaves no multiple of 4 of the width {width} to each"
    if width % decoder.memory_encoder_output_channels:
        channels = decoder.memory_encoder_output_channels
        yield f"{where}.memory_encoder_output_channels", f"is {channels}, which does not divide {width}"
    for part in ("mask_downsampler", "memory_fuser"):
        kernel, padding = getattr(decoder, f"{part}_kernel_size"), getattr(decoder, f"{part}_padding")
        if kernel != 2 * padding + 1:
            yield f"{where}.{part}_padding", f"is {padding}, which does not suit {part}_kernel_size, {kernel}"
    if decoder.mask_downsampler_total_stride != 16:
        yield f"{where}.mask_downsampler_total_stride", f"is {decoder.mask_downsampler_total_stride}, and must be 16"
    if decoder.mask_downsampler_stride not in (2, 4, 16):
        yield f"{where}.mask_downsampler_stride", f"is {decoder.mask_downsampler_stride}; its powers must reach 16"
    grid = [side // 16] * 2
    if list(decoder.memory_attention_rope_feat_sizes) != grid:
        sizes = decoder.memory_attention_rope_feat_sizes
        yield f"{where}.memory_attention_rope_feat_sizes", f"is {sizes!r:.80}, not image_size / 16, {grid}"


def _backbone_problems(decoder: Any, where: str) -> Iterator[tuple[str, str]]:
    vision, side = decoder.vision_config, decoder.image_size
    backbone = vision.backbone_config
    own = f"{where}.backbone_config"
    if backbone.model_type != "sam2_hiera_det_model":
        yield f"{own}.model_type", f"is {backbone.model_type!r:.80}, and must be 'sam2_hiera_det_model'"
        return
    if vision.fpn_kernel_size != 2 * vision.fpn_padding + 1:
        yield f"{where}.fpn_padding", f"is {vision.fpn_padding}, which does not suit fpn_kernel_size"
    for field in _STAGES:
        sizes = getattr(backbone, field)
        if len(sizes) != 4 or not all(is_json_integer(n) and 1 <= n <= MAX_WIDTH for n in sizes):
            yield f"{own}.{field}", f"is {sizes!r:.80}, and must be four whole numbers from 1"
            return
    if sum(backbone.blocks_per_stage) > MAX_LAYERS:
        yield f"{own}.blocks_per_stage", f"is {backbone.blocks_per_stage}, more than {MAX_LAYERS} blocks"
    for field, wanted in (
        ("image_size", [side, side]),
        ("patch_stride", [4, 4]),
        ("query_stride", [2, 2]),
    ):
        value = getattr(backbone, field)
        if _pair(value) != wanted:
            yield f"{own}.{field}", f"is {value!r:.80}, and must be {wanted}"
    kernel, padding = _pair(backbone.patch_kernel_size), _pair(backbone.patch_padding)
    if not kernel or not padding or any(k != 2 * p + 1 for k, p in zip(kernel, padding, strict=True)):
        yield f"{own}.patch_padding", f"is {padding}, which does not suit patch_kernel_size, {kernel}"
    background = _pair(backbone.window_positional_embedding_background_size)
    if not background or not all(1 <= n <= MAX_SIDE for n in background):
        yield f"{own}.window_positional_embedding_background_size", f"is {background!r:.80}, and must be two sizes"
    elif (side // 4) % backbone.window_size_per_stage[0]:
        yield f"{own}.window_size_per_stage", f"{backbone.window_size_per_stage[0]} does not divide {side // 4}"
    if backbone.num_query_pool_stages != 3:
        yield f"{own}.num_query_pool_stages", f"is {backbone.num_query_pool_stages}, and must be 3"
    for width, heads in zip(backbone.embed_dim_per_stage, backbone.num_attention_heads_per_stage, strict=True):
        if width % heads:
            yield f"{own}.num_attention_heads_per_stage", f"{heads} does not divide the width {width} of its stage"
    if backbone.hidden_size != backbone.embed_dim_per_stage[0]:
        yield f"{own}.hidden_size", f"is {backbone.hidden_size}, not the first of embed_dim_per_stage"
    if backbone.num_channels != 3:
        yield f"{own}.num_channels", f"is {backbone.num_channels}, and must be 3"
    if not 0 < backbone.mlp_ratio <= 64:
        yield f"{own}.mlp_ratio", f"is {backbone.mlp_ratio}, and must be from 0 to 64"
    if list(vision.backbone_channel_list) != list(reversed(backbone.embed_dim_per_stage)):
        yield (
            f"{where}.backbone_channel_list",
            f"is {vision.backbone_channel_list!r:.80}, not embed_dim_per_stage reversed",
        )
    grids = [[side // stride] * 2 for stride in (4, 8, 16)]
    if [_pair(grid) for grid in vision.backbone_feature_sizes] != grids:
        yield (
            f"{where}.backbone_feature_sizes",
            f"is {vision.backbone_feature_sizes!r:.80}, not {grids}, by image_size",
        )
    if vision.num_feature_levels != 3:
        yield f"{where}.num_feature_levels", f"is {vision.num_feature_levels}, and must be 3"
    if not all(0 <= level <= 3 for level in vision.fpn_top_down_levels):
        yield f"{where}.fpn_top_down_levels", f"is {vision.fpn_top_down_levels!r:.80}, and must be levels from 0 to 3"


def _pair(value: Any) -> list[int] | None:
    """Two sizes, of which one may stand for both; None for anything else."""
    if is_json_integer(value):
        return [value, value]
    is_pair = isinstance(value, (list, tuple)) and len(value) == 2 and all(map(is_json_integer, value))
    return list(value) if is_pair else None
