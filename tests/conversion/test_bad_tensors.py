"""Tensors that are missing, unknown, of the wrong shape, or of values that cannot be."""

import pytest
import torch

from tests.conversion.checkpoints import FIRST, GROUNDING, NORM, change_tensors, refused


@pytest.mark.parametrize(
    ("key", "target"),
    [
        ("model.layers.1.mlp.down_proj.weight", "model.language_model.layers.1.mlp.down_proj.weight"),
        ("model.layers.0.input_layernorm.weight", "model.language_model.layers.0.input_layernorm.weight"),
        (
            "model.vision_tower.vision_encoder.blocks.2.attn.q_norm.weight",
            "model.temporal_tower.layers.2.self_attn.q_norm.weight",
        ),
    ],
)
def test_a_missing_key_is_named_in_both_worlds(original, key, target):
    change_tensors(original, lambda tensors: tensors.pop(key))
    message = refused(original, "1 missing")
    assert key in message and target in message


@pytest.mark.parametrize(
    "key",
    [
        "model.embed_tokens.weight",
        "model.layers.0.mlp.gate_up_proj.weight",
        "model.layers.0.self_attn.qkv_proj.weight",
        "model.vision_tower.vision_encoder.pos_embed",
        "model.visual_model.maskmem_tpos_enc",
    ],
)
def test_a_missing_key_that_tells_a_size_is_named(original, key):
    change_tensors(original, lambda tensors: tensors.pop(key))
    refused(original, f"^The checkpoint has no {key}")


def test_a_missing_layer(original):
    def drop_first_layer(tensors):
        for key in [key for key in tensors if key.startswith("model.layers.0.")]:
            del tensors[key]

    change_tensors(original, drop_first_layer)
    refused(original, "model.layers.1 but not model.layers.0")


@pytest.mark.parametrize(
    ("key", "hint"),
    [
        ("model.something_else.weight", "checkpoint of the original"),
        (f"{GROUNDING}no_obj_embed", "SAM 2"),
        ("model.layers.0.self_attn.qkv_proj.lora_A.weight", "LoRA is not merged"),
        ("base_model.model.model.norm.weight", "LoRA is not merged"),
        ("model.layers.0.self_attn.q_proj.weight", "Phi-3"),
    ],
)
def test_an_unknown_key(original, key, hint):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(3)}))
    message = refused(original, "1 unknown")
    assert key in message and FIRST in message and hint in message


def test_many_problems_are_counted_not_listed(original):
    change_tensors(original, lambda tensors: tensors.update({f"model.x{i}": torch.ones(1) for i in range(50)}))
    assert "and 42 more" in refused(original, "50 unknown")


def test_a_key_that_is_given_twice_under_two_names(original):
    key = f"{GROUNDING}memory_encoder.fuser.layers.0.gamma"
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(256)}))
    refused(original, "given more than once: .*memory_fuser.layers.0.scale")


@pytest.mark.parametrize(
    ("key", "shape"),
    [
        (NORM, (63,)),
        ("model.layers.1.mlp.down_proj.weight", (64, 127)),
        ("model.vision_tower.vision_encoder.blocks.3.attn.qkv.weight", (288, 96, 1)),
        ("model.layers.1.self_attn.qkv_proj.weight", ()),
    ],
)
def test_a_wrong_shape(original, key, shape):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(shape)}))
    message = refused(original, "has shape")
    assert key in message and FIRST in message and str(tuple(shape)) in message


@pytest.mark.parametrize(
    ("key", "shape", "expected"),
    [
        ("model.embed_tokens.weight", (320,), "2 dimensions"),
        ("model.vision_tower.vision_encoder.patch_embed.proj.weight", (96, 3, 2, 14, 14), "patches of one frame"),
        ("model.vision_tower.vision_encoder.pos_embed", (1, 1000, 96), "temporal_config.image_size"),
        ("model.layers.0.mlp.gate_up_proj.weight", (0, 64), "2 dimensions"),
    ],
)
def test_an_impossible_size(original, key, shape, expected):
    change_tensors(original, lambda tensors: tensors.update({key: torch.ones(shape)}))
    assert key in refused(original, expected)


@pytest.mark.parametrize("value", [float("nan"), float("inf"), float("-inf")])
def test_values_that_are_not_finite(original, value):
    key = "model.vision_tower.vision_encoder.blocks.1.mlp.fc1.weight"

    def spoil(tensors):
        tensors[key] = tensors[key].clone()
        tensors[key][3, 4] = value

    change_tensors(original, spoil)
    message = refused(original, "NaN or infinite")
    assert key in message and FIRST in message


def test_values_that_do_not_fit_into_half_precision(original):
    change_tensors(original, lambda tensors: tensors.update({NORM: torch.full((64,), 1e6)}))
    assert NORM in refused(original, "bfloat16", dtype="float16")


def test_quantised_weights(original):
    change_tensors(original, lambda tensors: tensors.update({NORM: torch.ones(64, dtype=torch.int8)}))
    assert NORM in refused(original, "quantised")
