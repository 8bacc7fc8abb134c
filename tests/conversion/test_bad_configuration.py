"""Configurations that contradict the checkpoint or themselves."""

import pytest

from tests.conversion.checkpoints import edit_json, refused, tiny_config


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text_config.hidden_size", 128, "hidden_size is 128 .*model.embed_tokens.weight says 64"),
        ("text_config.vocab_size", 32064, "vocab_size is 32064 .*tokenizer says 320"),
        ("seg_token_id", 5, "seg_token_id is 5 .*tokenizer says 319"),
        ("temporal_config.num_frames", 8, "num_frames is 8 .*pos_embed says 4"),
        ("spatial_config.image_size", 224, "image_size is 224 .*position_embedding.weight says 336"),
        ("grounding_config.num_maskmem", 9, "num_maskmem is 9 .*maskmem_tpos_enc says 7"),
        (
            "grounding_config.vision_config.backbone_config.blocks_per_stage",
            [2, 2, 1, 1],
            r"blocks_per_stage is \[2, 2, 1, 1\] .*says \[1, 2, 2, 1\]",
        ),
    ],
)
def test_a_config_that_contradicts_the_checkpoint(original, field, value, expected):
    refused(original, expected, config=with_field(field, value))


@pytest.mark.parametrize(
    ("field", "value", "expected"),
    [
        ("text_config.num_attention_heads", 5, "text_config.num_attention_heads"),
        ("text_config.num_key_value_heads", 2, "num_key_value_heads"),
        ("temporal_config.num_attention_heads", 7, "temporal_config.num_attention_heads"),
        ("spatial_config.num_attention_heads", 0, "spatial_config.num_attention_heads"),
        ("temporal_config.image_size", 100, "temporal_config.image_size"),
        ("num_tower_frames", 6, "num_tower_frames"),
        ("spatial_pool_size", 25, "spatial_pool_size"),
        ("temporal_feature_layer", -6, "temporal_feature_layer"),
        ("grounding_config.image_size", 250, "grounding_config.image_size"),
        ("grounding_config.memory_attention_num_attention_heads", 3, "memory_attention_num_attention_heads"),
        (
            "grounding_config.mask_decoder_config",
            {"num_attention_heads": 3},
            "mask_decoder_config.num_attention_heads",
        ),
        ("grounding_config.vision_config.backbone_config.global_attention_blocks", [23], "global_attention_blocks"),
        (
            "grounding_config.vision_config.backbone_config.num_attention_heads_per_stage",
            [3, 2, 4, 8],
            "num_attention_heads_per_stage",
        ),
        ("grounding_config.vision_config.backbone_config.window_size_per_stage", [8, 4], "give that many"),
        ("grounding_config.vision_config.backbone_config.window_size_per_stage", [7, 4, 14, 7], "start with the 8"),
        ("model_type", "VideoGPT+", "must be a VideoGlammConfig"),
        ("grounding_confg", {}, "grounding_confg"),
        ("temporal_config", [], "temporal_config"),
        ("grounding_config.vision_config", 3, "grounding_config.vision_config"),
        ("temporal_config.image_size", "big", "no whole number"),
        ("temporal_feature_layer", "x", "cannot be used"),
        ("temporal_config.hidden_act", "nonsense", "nonsense"),
    ],
)
def test_values_that_do_not_fit(original, field, value, expected):
    refused(original, expected, config=with_field(field, value))


def with_field(field: str, value: object) -> dict:
    config = tiny_config()
    *parents, name = field.split(".")
    place = config
    for parent in parents:
        place = place.setdefault(parent, {})
    place[name] = value
    return config


def test_published_values_that_cannot_be_right(original):
    message = refused(original, "grounding_config.vision_config.backbone_config.global_attention_blocks", config={})
    assert "--config" in message and "temporal_config.num_attention_heads = 16" in message


@pytest.mark.parametrize(
    "change", [{"rope_scaling": 7}, {"rope_scaling": {"type": "spiral"}}, {"rms_norm_eps": "small"}]
)
def test_nonsense_in_the_originals_config(original, change):
    edit_json(original / "config.json", **change)
    config = tiny_config()
    del config["text_config"]
    refused(original, "config.json", config=config)
