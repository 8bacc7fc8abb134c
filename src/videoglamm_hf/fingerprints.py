"""Names for what the frozen parts of a model compute, so that what they made is not mixed with another model's."""

import hashlib
import json
from typing import Any

import torch
from torch import nn

from .placement import stored_parameter

# What of a configuration changes numbers; everything else (batch sizes, loss weights, paths, dtypes) does not.
_TRANSFORMER = ("hidden_size", "intermediate_size", "num_hidden_layers", "num_attention_heads", "hidden_act")
_VISION = (*_TRANSFORMER, "image_size", "patch_size", "num_channels", "layer_norm_eps", "rms_norm_eps", "num_frames")
_HIERA = (
    *("hidden_size", "num_attention_heads", "image_size", "patch_kernel_size", "patch_stride", "patch_padding"),
    *("query_stride", "window_positional_embedding_background_size", "num_query_pool_stages", "blocks_per_stage"),
    *("embed_dim_per_stage", "num_attention_heads_per_stage", "window_size_per_stage", "global_attention_blocks"),
    *("mlp_ratio", "hidden_act", "layer_norm_eps"),
)
_NECK = (
    *("backbone_channel_list", "backbone_feature_sizes", "fpn_hidden_size", "fpn_kernel_size", "fpn_stride"),
    *("fpn_padding", "fpn_top_down_levels", "num_feature_levels", "hidden_act", "layer_norm_eps"),
)
_JOINT = ("num_tower_frames", "spatial_feature_layer", "temporal_feature_layer")
_POOLING = ("spatial_pool_size", "temporal_pool_size", "projector_hidden_act")
# Numbers of every parameter that are looked at.
_PROBED = 16


def fingerprints(model: nn.Module) -> dict[str, str]:
    """What the parts of a [`VideoGlammForGroundedGeneration`] that never depend on a question compute with.

    Returns:
        `towers` (of patches), `projectors` (of visual tokens made of them) and `image_encoder` (of frame features).
        Rounded to bfloat16, so that a model loaded in another precision knows them again.
    """
    config, inner = model.config, model.model
    vision = config.grounding_config.vision_config
    return {
        "towers": _name(
            [
                _fields(config.spatial_config, _VISION),
                _fields(config.temporal_config, _VISION),
                _fields(config, _JOINT),
            ],
            inner.spatial_tower,
            inner.temporal_tower,
        ),
        "projectors": _name([_fields(config, _POOLING)], inner.spatial_projector, inner.temporal_projector),
        "image_encoder": _name(
            [_fields(vision, _NECK), _fields(vision.backbone_config, _HIERA)], model.pixel_decoder.vision_encoder
        ),
    }


def weight_fingerprints(model: nn.Module) -> dict[str, str]:
    """What all weights of a [`VideoGlammForGroundedGeneration`] are, as far as a few numbers of each tell.

    Returns:
        `towers`, `language_model` and `heads` (what no quantiser touches); rounded to bfloat16, as [`fingerprints`].
        Parts whose weights are quantised are left out: what remains of them are no longer those numbers.
    """
    inner = model.model
    parts = {
        "towers": (inner.spatial_tower, inner.temporal_tower),
        "language_model": (inner.language_model,),
        "heads": (
            *(inner.spatial_projector, inner.temporal_projector),
            *(model.lm_head, model.seg_projection, model.pixel_decoder),
        ),
    }
    floating = {
        name: all(own.is_floating_point() for module in modules for own in module.parameters())
        for name, modules in parts.items()
    }
    return {name: _name([], *modules) for name, modules in parts.items() if floating[name]}


def _fields(config: Any, names: tuple[str, ...]) -> dict[str, Any]:
    return {name: getattr(config, name, None) for name in names}


def _name(settings: list[dict[str, Any]], *modules: nn.Module) -> str:
    digest = hashlib.sha256(json.dumps(settings, sort_keys=True, default=str).encode())
    for module in modules:
        # Gathered where they are, as every copy from an accelerator waits for it.
        for probes in _probes(module).values():
            digest.update(torch.cat(probes).to("cpu").view(torch.uint8).numpy().tobytes())
    return digest.hexdigest()[:16]


def _probes(module: nn.Module) -> dict[torch.device, list[torch.Tensor]]:
    """The first numbers of every parameter of a module, by where they are."""
    probes: dict[torch.device, list[torch.Tensor]] = {}
    for part in module.modules():
        for name, _ in part.named_parameters(recurse=False):
            probe = stored_parameter(part, name).detach().flatten()[:_PROBED].to(torch.bfloat16)
            probes.setdefault(probe.device, []).append(probe)
    return probes
