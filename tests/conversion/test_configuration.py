"""The configuration, from shapes, the original's configuration and the user's."""

import json

from tests.conversion.checkpoints import FULL_LISTING, quiet, tiny_config
from tests.tiny_checkpoint import FIXTURES, shapes
from videoglamm_hf import VideoGlammConfig
from videoglamm_hf.conversion.original_config import build_config

# What the release adds to Phi-3's config.json does not matter here; this is what its shapes cannot tell.
PUBLISHED_ORIGINAL = {
    "model_type": "VideoGPT+",
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "sliding_window": 2047,
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "pad_token_id": 0,
}
VOCABULARY = {
    "text_config.vocab_size": 32012,
    "seg_token_id": 32011,
    "image_token_id": 32012,
    "video_token_id": 32013,
}


def test_the_full_listing_gives_the_published_configuration():
    config, assumed = build_config(
        shapes(FULL_LISTING), original=PUBLISHED_ORIGINAL, clip=None, given={}, vocabulary=VOCABULARY
    )
    assert assumed == []
    assert config.to_dict() == VideoGlammConfig().to_dict()


def test_the_tiny_configuration(converted_tiny):
    config = VideoGlammConfig.from_pretrained(converted_tiny)
    expected = VideoGlammConfig.from_dict(tiny_config())
    found, wanted = config.to_dict(), expected.to_dict()
    for part in ("temporal_config", "grounding_config"):
        assert found[part] == wanted[part], part
    assert config.architectures == ["VideoGlammForGroundedGeneration"]
    assert (config.text_config.vocab_size, config.seg_token_id) == (320, 319)
    assert (config.image_token_id, config.video_token_id) == (320, 321)
    assert config.text_config.sliding_window == 2048
    assert (config.text_config.bos_token_id, config.text_config.eos_token_id) == (1, 2)
    assert config.text_config.pad_token_id == 0
    assert (config.spatial_config.num_attention_heads, config.spatial_config.projection_dim) == (4, 32)
    assert config.spatial_config.hidden_act == "quick_gelu"


def build_tiny(original: dict | None = None, given: dict | None = None, clip: dict | None = None):
    base = json.loads((FIXTURES / "original_config.json").read_text())
    config, assumed = build_config(
        shapes(),
        original={**base, **(original or {})},
        clip=clip,
        given=tiny_config() if given is None else given,
        vocabulary={"text_config.vocab_size": 320},
    )
    return config, assumed


def test_what_shapes_cannot_tell_comes_from_the_original_config():
    config, _ = build_tiny(
        {
            "rms_norm_eps": 1e-3,
            "rope_theta": 500.0,
            "sliding_window": 30,
            "resid_pdrop": 0.25,
            "mm_vision_select_layer": -3,
        },
        given={key: value for key, value in tiny_config().items() if key != "text_config"},
    )
    text = config.text_config
    assert (text.rms_norm_eps, text.sliding_window, text.resid_pdrop) == (1e-3, 31, 0.25)
    assert text.rope_parameters["rope_theta"] == 500.0
    assert config.spatial_feature_layer == -3


def test_no_sliding_window_and_longrope():
    given = {key: value for key, value in tiny_config().items() if key != "text_config"}
    factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    config, _ = build_tiny({"sliding_window": None, "rope_scaling": {"type": "su", **factors}}, given=given)
    assert config.text_config.sliding_window is None
    rope = config.text_config.rope_parameters
    assert (rope["rope_type"], rope["rope_theta"], rope["long_factor"]) == ("longrope", 10000.0, [2.0] * 8)


def test_the_users_config_comes_first():
    text = {"sliding_window": 77, "rope_theta": 123.0, "num_attention_heads": 8, "num_key_value_heads": 8}
    config, _ = build_tiny(given=tiny_config(text_config=text, num_tower_frames=12, spatial_feature_layer=-1))
    assert config.text_config.sliding_window == 77  # already in transformers' sense
    assert config.text_config.rope_parameters["rope_theta"] == 123.0
    assert config.text_config.num_attention_heads == 8
    assert (config.num_tower_frames, config.spatial_feature_layer) == (12, -1)


def test_clip_config_leaves_out_what_is_the_librarys_default():
    config, _ = build_tiny(clip={"num_attention_heads": 2}, given=tiny_config(spatial_config={}))
    assert (config.spatial_config.num_attention_heads, config.spatial_config.projection_dim) == (2, 512)


def test_the_image_size_of_the_pixel_decoder_moves_what_follows_from_it():
    complete = VideoGlammConfig.from_dict(tiny_config()).to_dict()
    complete["grounding_config"]["image_size"] = 512
    partial = tiny_config()
    partial["grounding_config"] = {**partial["grounding_config"], "image_size": 512}
    for given in (partial, complete):
        grounding = build_tiny(given=given)[0].grounding_config
        assert grounding.memory_attention_rope_feat_sizes == [32, 32]
        assert grounding.vision_config.backbone_feature_sizes == [[128, 128], [64, 64], [32, 32]]
        assert grounding.prompt_encoder_config.image_size == 512
        assert list(grounding.vision_config.backbone_config.image_size) == [512, 512]


def test_sizes_follow_the_shapes():
    """Other sizes than both the published and the tiny ones, part by part."""
    sizes = shapes()
    prefix = "model.vision_tower.vision_encoder."
    sizes[prefix + "pos_embed"] = (1, 1 + 8 * 256, 96)
    sizes["model.visual_model.maskmem_tpos_enc"] = (5, 1, 1, 64)
    clip = "model.image_vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight"
    sizes[clip] = (1 + 16 * 16, 64)
    config, _ = build_config(
        sizes,
        original=json.loads((FIXTURES / "original_config.json").read_text()),
        clip=None,
        given=tiny_config(),
        vocabulary={"text_config.vocab_size": 320},
    )
    assert config.temporal_config.num_frames == 8
    assert config.grounding_config.num_maskmem == 5
    assert config.spatial_config.image_size == 224


def test_guesses_are_confessed(original_tiny, tmp_path, capsys):
    given = tiny_config()
    del given["temporal_config"]["num_attention_heads"]
    quiet(original_tiny, tmp_path / "out", config=given, progress=True)
    assert "temporal_config.num_attention_heads = 16" in capsys.readouterr().out
