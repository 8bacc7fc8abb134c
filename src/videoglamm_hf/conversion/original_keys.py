"""Names of the original's tensors, and what becomes of each.

Everything is expressed in one namespace, the state dict of the original `VideoGLaMMForCausalLM`; the parts'
own files (CLIP, InternVideo2, SAM 2) are brought into it by putting a prefix before their keys. Source of the
names: state dicts of the original implementation and, on the other side, of the modules of transformers.
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

SPATIAL_PREFIX = "model.image_vision_tower.vision_tower."
TEMPORAL_PREFIX = "model.vision_tower."
GROUNDING_PREFIX = "model.visual_model."

EMBEDDINGS = "model.embed_tokens.weight"
LM_HEAD = "lm_head.weight"

# `{}` stands for a number. The first rule that fits the start of a key renames it and leaves the rest alone.
_LANGUAGE = [
    ("model.embed_tokens.", "model.language_model.embed_tokens."),
    ("model.layers.{}.", "model.language_model.layers.{}."),
    ("model.norm.", "model.language_model.norm."),
    ("lm_head.", "lm_head."),
]
_ADAPTERS = [
    ("model.image_mm_projector.0.", "model.spatial_projector.linear_1."),
    ("model.image_mm_projector.2.", "model.spatial_projector.linear_2."),
    ("model.mm_projector.0.", "model.temporal_projector.linear_1."),
    ("model.mm_projector.2.", "model.temporal_projector.linear_2."),
    ("model.text_hidden_fcs.0.0.", "seg_projection.linear_1."),
    ("model.text_hidden_fcs.0.2.", "seg_projection.linear_2."),
]
_SPATIAL = [
    ("vision_model.", ""),
    # Newer transformers save the tower without that prefix.
    ("embeddings.", "embeddings."),
    ("pre_layrnorm.", "pre_layrnorm."),
    ("encoder.", "encoder."),
    ("post_layernorm.", "post_layernorm."),
]
_TEMPORAL = [
    ("cls_token", "cls_token"),
    ("pos_embed", "position_embedding"),
    ("patch_embed.proj.", "patch_embedding."),
    ("blocks.{}.attn.", "layers.{}.self_attn."),
    ("blocks.{}.ls{}.gamma", "layers.{}.layer_scale{}.weight"),
    ("blocks.{}.", "layers.{}."),
]
_THREE_LAYERS = (("layers.0.", "proj_in."), ("layers.1.", "layers.0."), ("layers.2.", "proj_out."))
_TWO_LAYERS = (("mlp.layers.0.", "mlp.proj_in."), ("mlp.layers.1.", "mlp.proj_out."))
_TRUNK, _BACKBONE = "image_encoder.trunk.", "vision_encoder.backbone."
_TWO_WAY, _TRANSFORMER = "sam_mask_decoder.transformer.", "mask_decoder.transformer."
_DOWNSAMPLER = "memory_encoder.mask_downsampler."
_GAUSSIAN = "sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
_GROUNDING = [
    ("maskmem_tpos_enc", "memory_temporal_positional_encoding"),
    ("no_mem_embed", "no_memory_embedding"),
    ("no_mem_pos_enc", "no_memory_positional_encoding"),
    ("no_obj_ptr", "no_object_pointer"),
    # These two exist from SAM 2.1 on.
    ("no_obj_embed_spatial", "occlusion_spatial_embedding_parameter"),
    ("obj_ptr_tpos_proj.", "temporal_positional_encoding_projection_layer."),
    ("mask_downsample.", "mask_downsample."),
    *((f"obj_ptr_proj.{old}", f"object_pointer_proj.{new}") for old, new in _THREE_LAYERS),
    # Image encoder
    (f"{_TRUNK}patch_embed.proj.", f"{_BACKBONE}patch_embed.projection."),
    (f"{_TRUNK}blocks.{{}}.norm{{}}.", f"{_BACKBONE}blocks.{{}}.layer_norm{{}}."),
    *((f"{_TRUNK}blocks.{{}}.{old}", f"{_BACKBONE}blocks.{{}}.{new}") for old, new in _TWO_LAYERS),
    (_TRUNK, _BACKBONE),
    ("image_encoder.neck.convs.{}.conv.", "vision_encoder.neck.convs.{}."),
    # Memory attention
    ("memory_attention.norm.", "memory_attention.layer_norm."),
    ("memory_attention.layers.{}.norm{}.", "memory_attention.layers.{}.layer_norm{}."),
    *(
        (f"memory_attention.layers.{{}}.{name}.out_proj.", f"memory_attention.layers.{{}}.{name}.o_proj.")
        for name in ("self_attn", "cross_attn_image")
    ),
    ("memory_attention.layers.{}.", "memory_attention.layers.{}."),
    # Memory encoder. The original's mask downsampler is one flat list: convolution, norm, activation, ...
    *((f"{_DOWNSAMPLER}encoder.{3 * i}.", f"{_DOWNSAMPLER}layers.{i}.conv.") for i in range(4)),
    *((f"{_DOWNSAMPLER}encoder.{3 * i + 1}.", f"{_DOWNSAMPLER}layers.{i}.layer_norm.") for i in range(4)),
    (f"{_DOWNSAMPLER}encoder.12.", f"{_DOWNSAMPLER}final_conv."),
    ("memory_encoder.pix_feat_proj.", "memory_encoder.feature_projection."),
    ("memory_encoder.out_proj.", "memory_encoder.projection."),
    # `.gamma` in SAM 2's own file; VideoGLaMM renamed it.
    ("memory_encoder.fuser.layers.{}.weight", "memory_encoder.memory_fuser.layers.{}.scale"),
    ("memory_encoder.fuser.layers.{}.gamma", "memory_encoder.memory_fuser.layers.{}.scale"),
    ("memory_encoder.fuser.layers.{}.dwconv.", "memory_encoder.memory_fuser.layers.{}.depthwise_conv."),
    ("memory_encoder.fuser.layers.{}.norm.", "memory_encoder.memory_fuser.layers.{}.layer_norm."),
    ("memory_encoder.fuser.layers.{}.pwconv{}.", "memory_encoder.memory_fuser.layers.{}.pointwise_conv{}."),
    # Prompt encoder
    (_GAUSSIAN, "shared_image_embedding.positional_embedding"),
    ("sam_prompt_encoder.point_embeddings.{}.weight", "prompt_encoder.point_embed.weight"),
    ("sam_prompt_encoder.mask_downscaling.0.", "prompt_encoder.mask_embed.conv1."),
    ("sam_prompt_encoder.mask_downscaling.1.", "prompt_encoder.mask_embed.layer_norm1."),
    ("sam_prompt_encoder.mask_downscaling.3.", "prompt_encoder.mask_embed.conv2."),
    ("sam_prompt_encoder.mask_downscaling.4.", "prompt_encoder.mask_embed.layer_norm2."),
    ("sam_prompt_encoder.mask_downscaling.6.", "prompt_encoder.mask_embed.conv3."),
    ("sam_prompt_encoder.", "prompt_encoder."),
    # Mask decoder
    (f"{_TWO_WAY}norm_final_attn.", f"{_TRANSFORMER}layer_norm_final_attn."),
    (f"{_TWO_WAY}final_attn_token_to_image.out_proj.", f"{_TRANSFORMER}final_attn_token_to_image.o_proj."),
    (f"{_TWO_WAY}layers.{{}}.norm{{}}.", f"{_TRANSFORMER}layers.{{}}.layer_norm{{}}."),
    *((f"{_TWO_WAY}layers.{{}}.{old}", f"{_TRANSFORMER}layers.{{}}.{new}") for old, new in _TWO_LAYERS),
    *(
        (f"{_TWO_WAY}layers.{{}}.{name}.out_proj.", f"{_TRANSFORMER}layers.{{}}.{name}.o_proj.")
        for name in ("self_attn", "cross_attn_token_to_image", "cross_attn_image_to_token")
    ),
    ("sam_mask_decoder.output_upscaling.0.", "mask_decoder.upscale_conv1."),
    ("sam_mask_decoder.output_upscaling.1.", "mask_decoder.upscale_layer_norm."),
    ("sam_mask_decoder.output_upscaling.3.", "mask_decoder.upscale_conv2."),
    *(
        (f"sam_mask_decoder.{mlp}.{old}", f"mask_decoder.{mlp}.{new}")
        for mlp in ("output_hypernetworks_mlps.{}", "iou_prediction_head", "pred_obj_score_head")
        for old, new in _THREE_LAYERS
    ),
    ("sam_mask_decoder.", "mask_decoder."),
]
RULES: tuple[tuple[str, str], ...] = (
    *_LANGUAGE,
    *_ADAPTERS,
    *((SPATIAL_PREFIX + old, "model.spatial_tower." + new) for old, new in _SPATIAL),
    *((f"{TEMPORAL_PREFIX}vision_encoder.{old}", f"model.temporal_tower.{new}") for old, new in _TEMPORAL),
    *((GROUNDING_PREFIX + old, "pixel_decoder." + new) for old, new in _GROUNDING),
)
# transformers keeps one copy of the random Fourier matrix for pictures and one for prompts.
SECOND_COPY = {GROUNDING_PREFIX + _GAUSSIAN: "pixel_decoder.prompt_encoder.shared_embedding.positional_embedding"}

# Rows of one table here, one tensor each in SAM 2: its four kinds of points.
POINT_EMBEDDINGS = "pixel_decoder.prompt_encoder.point_embed.weight"

# What VideoGLaMM does not need, by a pattern that fits the start of a key, and why.
DROPPED: tuple[tuple[str, str], ...] = (
    (
        r"model\.vision_tower\.vision_encoder\.(img_pos_embed|clip_pos_embed|clip_img_pos_embed)$",
        "InternVideo2's position tables of single pictures and of its CLIP heads: the tower only sees chunks",
    ),
    (
        r"model\.vision_tower\.vision_encoder\.(clip_projector|clip_decoder|final_clip_decoder)\.",
        "InternVideo2's pooling and distillation heads: features are taken before the last block",
    ),
    (r"model\.vision_tower\.(?!vision_encoder\.)", "InternVideo2's text side and contrastive heads"),
    (
        r"model\.image_vision_tower\.vision_tower\.(text_model\.|text_projection\.|visual_projection\.|logit_scale$)",
        "CLIP's text side and contrastive head",
    ),
    (r".*\.embeddings\.position_ids$", "CLIP's position numbers: computed, not learned"),
    (r".*\.rotary_emb\.\w*inv_freq$", "rotary frequencies: computed, not learned"),
)


@dataclass
class Assignment:
    """What becomes of every source key.

    Attributes:
        sources: For every target key, the source keys it is made of, in the order they are put together.
        dropped: Source keys that are left out, with the reason.
        unexpected: Source keys that no rule knows or that lead to no target.
        missing: Target keys without a source.
        ambiguous: Target keys that several source keys claim.
    """

    sources: dict[str, list[str]] = field(default_factory=dict)
    dropped: dict[str, str] = field(default_factory=dict)
    unexpected: list[str] = field(default_factory=list)
    missing: list[str] = field(default_factory=list)
    ambiguous: list[str] = field(default_factory=list)


def drop_reason(key: str) -> str | None:
    """Why a source key is left out; None if it is not.

    >>> drop_reason("model.vision_tower.vision_proj.weight")
    "InternVideo2's text side and contrastive heads"
    """
    return next((reason for pattern, reason in DROPPED if re.match(pattern, key)), None)


def target_keys(key: str) -> list[str]:
    """Where a source key goes by its name alone: one target, two, or none if no rule knows it.

    >>> target_keys("model.vision_tower.vision_encoder.blocks.7.ls2.gamma")
    ['model.temporal_tower.layers.7.layer_scale2.weight']
    """
    for pattern, target in _FORWARD:
        match = pattern.match(key)
        if match:
            renamed = target.format(*match.groups()) + key[match.end() :]
            return [renamed, SECOND_COPY[key]] if key in SECOND_COPY else [renamed]
    return []


def source_key(target: str) -> str | None:
    """The source key of a target (`*` for numbers the target does not have), or None.

    >>> source_key("pixel_decoder.mask_decoder.iou_prediction_head.proj_out.bias")
    'model.visual_model.sam_mask_decoder.iou_prediction_head.layers.2.bias'
    """
    for source, copy in SECOND_COPY.items():
        if target == copy:
            return source
    for pattern, source in _BACKWARD:
        match = pattern.match(target)
        if match:
            numbers = [*match.groups(), "*"]
            key = source.format(*numbers) + target[match.end() :]
            if "*" in key or target_keys(key)[:1] == [target]:
                return key
    return None


def assign(keys: Iterable[str], targets: Iterable[str], *, tie_word_embeddings: bool = False) -> Assignment:
    """Decides what becomes of every source key and where every target comes from.

    Args:
        keys: Source keys, in the namespace of the original's state dict.
        targets: Keys of the model's state dict.
        tie_word_embeddings: Whether the output embeddings, when absent, are the input embeddings.
    """
    keys, wanted = list(keys), set(targets)
    result = Assignment()
    for key in keys:
        reason = drop_reason(key)
        if reason is not None:
            result.dropped[key] = reason
            continue
        names = target_keys(key)
        if not names or not wanted.issuperset(names):
            result.unexpected.append(key)
            continue
        for name in names:
            result.sources.setdefault(name, []).append(key)
    if tie_word_embeddings and LM_HEAD not in result.sources and EMBEDDINGS in keys:
        result.sources[LM_HEAD] = [EMBEDDINGS]
    for name, sources in result.sources.items():
        if name == POINT_EMBEDDINGS:
            sources.sort(key=lambda source: int(source.split(".")[-2]))
        elif len(sources) > 1:
            result.ambiguous.append(name)
    result.missing = sorted(wanted - set(result.sources))
    return result


def _compile(template: str) -> re.Pattern:
    pattern = "([0-9]+)".join(re.escape(part) for part in template.split("{}"))
    # A rule that does not end at a dot names a whole key.
    return re.compile(pattern if not template or template.endswith(".") else pattern + "$")


_FORWARD = [(_compile(old), new) for old, new in RULES]
_BACKWARD = [(_compile(new), old) for old, new in RULES]
