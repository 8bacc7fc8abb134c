"""Every key of the original has its place, and back."""

from pathlib import Path

import pytest
import torch

from tests.conversion.checkpoints import FULL_LISTING, GAUSSIANS
from tests.tiny_checkpoint import shapes
from videoglamm_hf import VideoGlammConfig
from videoglamm_hf.conversion import convert
from videoglamm_hf.conversion.checkpoint_reader import StoredTensor
from videoglamm_hf.conversion.original_keys import DROPPED, assign, drop_reason, source_key, target_keys
from videoglamm_hf.conversion.original_weights import check_assignment


@pytest.fixture(scope="module")
def published_targets() -> dict[str, tuple[int, ...]]:
    return convert.target_shapes(VideoGlammConfig())


def test_every_key_of_the_published_model_has_its_place(published_targets):
    plan = assign(shapes(FULL_LISTING), published_targets)
    assert (plan.missing, plan.unexpected, plan.ambiguous) == ([], [], [])
    used = {key for keys in plan.sources.values() for key in keys}
    assert used | set(plan.dropped) == set(shapes(FULL_LISTING)) and not used & set(plan.dropped)
    stored = {k: StoredTensor(Path("a.bin"), k, shape, torch.bfloat16) for k, shape in shapes(FULL_LISTING).items()}
    check_assignment(plan, stored, published_targets)


def test_the_published_defaults_have_exactly_the_original_number_of_weights(published_targets):
    """The checksum of every default size: what is left of the listing is the model, number for number."""
    listing = shapes(FULL_LISTING)
    kept = sum(torch.Size(shape).numel() for key, shape in listing.items() if drop_reason(key) is None)
    rows, width = listing["model.embed_tokens.weight"]
    assert (rows, width) == (32065, 3072)
    kept -= 2 * (rows - 32012) * width
    stored_twice = torch.Size(published_targets[GAUSSIANS[1]]).numel()
    assert kept == sum(torch.Size(shape).numel() for shape in published_targets.values()) - stored_twice


def test_every_drop_rule_is_needed():
    keys = [
        *shapes(FULL_LISTING),
        "model.image_vision_tower.vision_tower.vision_model.embeddings.position_ids",
        "model.image_vision_tower.vision_tower.logit_scale",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
    ]
    assert {drop_reason(key) for key in keys} - {None} == {reason for _, reason in DROPPED}


def test_missing_targets_can_be_named_as_the_original_names_them(published_targets):
    listing = shapes(FULL_LISTING)
    for target in published_targets:
        key = source_key(target)
        assert key in listing or key == "model.visual_model.sam_prompt_encoder.point_embeddings.*.weight", target
    assert source_key("model.unheard_of.weight") is None


@pytest.mark.parametrize(
    ("key", "targets"),
    [
        ("model.layers.31.mlp.gate_up_proj.weight", ["model.language_model.layers.31.mlp.gate_up_proj.weight"]),
        ("model.text_hidden_fcs.0.2.bias", ["seg_projection.linear_2.bias"]),
        ("model.image_mm_projector.0.weight", ["model.spatial_projector.linear_1.weight"]),
        ("model.mm_projector.2.weight", ["model.temporal_projector.linear_2.weight"]),
        (
            "model.visual_model.memory_encoder.fuser.layers.1.gamma",
            ["pixel_decoder.memory_encoder.memory_fuser.layers.1.scale"],
        ),
        ("model.visual_model.memory_encoder.fuser.layers.1.gammas", []),
        ("model.visual_model.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", list(GAUSSIANS)),
        ("model.visual_model.no_obj_embed_spatial", ["pixel_decoder.occlusion_spatial_embedding_parameter"]),
        ("model.visual_model.no_obj_embed", []),
        ("model.layers.٣.input_layernorm.weight", []),
        ("base_model.model.lm_head.weight", []),
    ],
)
def test_names(key, targets):
    assert target_keys(key) == targets
