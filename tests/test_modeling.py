"""Config and models as good transformers citizens."""

import json

import pytest
import torch
from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
    Sam2VideoModel,
)

from tests.conftest import TINY_CONFIG
from tests.tiny_checkpoint import frames
from videoglamm_hf import (
    InputError,
    InternVideo2Config,
    InternVideo2Model,
    VideoGlammConfig,
    VideoGlammForGroundedGeneration,
    VideoGlammModel,
    VideoGlammProcessor,
)


def tiny_temporal(**options) -> InternVideo2Model:
    torch.manual_seed(0)
    config = InternVideo2Config(
        hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4, image_size=28
    )
    return InternVideo2Model._from_config(config, **options).eval()


CLIPS = torch.randn(2, 4, 3, 28, 28, generator=torch.Generator().manual_seed(0))


class TestConfig:
    def test_defaults_are_the_published_architecture(self):
        config = VideoGlammConfig()
        assert config.text_config.model_type == "phi3" and config.text_config.vocab_size == 32012
        assert config.image_seq_length == 576 and config.video_seq_length == 3328
        assert config.grounding_config.vision_config.backbone_config.blocks_per_stage == [2, 6, 36, 4]
        assert not config.grounding_config.enable_occlusion_spatial_embedding
        assert min(config.image_token_id, config.video_token_id) >= config.text_config.vocab_size

    def test_round_trip(self, tmp_path):
        config = VideoGlammConfig(**json.loads(TINY_CONFIG.read_text()))
        config.save_pretrained(tmp_path)
        again = AutoConfig.from_pretrained(tmp_path).to_dict()
        assert {**again, "_name_or_path": ""} == config.to_dict()

    def test_library_defaults_survive_a_round_trip(self, tmp_path):
        """A value equal to transformers' default but not to the published one must not be lost."""
        config = VideoGlammConfig(spatial_config={"hidden_size": 768}, temporal_config={"hidden_size": 1408})
        config.save_pretrained(tmp_path)
        assert VideoGlammConfig.from_pretrained(tmp_path).spatial_config.hidden_size == 768

    def test_sizes_follow_the_image_size(self):
        config = VideoGlammConfig(grounding_config={"image_size": 512}).grounding_config
        assert config.memory_attention_rope_feat_sizes == [32, 32]
        assert config.vision_config.backbone_feature_sizes == [[128, 128], [64, 64], [32, 32]]
        assert config.prompt_encoder_config.image_size == 512

    def test_any_language_model(self):
        config = VideoGlammConfig(text_config={"model_type": "qwen2", "hidden_size": 64, "vocab_size": 100})
        assert config.text_config.model_type == "qwen2" and config.text_config.hidden_size == 64


class TestTemporalTower:
    def test_feature_layers_and_unused_blocks(self, monkeypatch):
        model = tiny_temporal()
        with torch.no_grad():
            every = model(CLIPS, output_hidden_states=True).hidden_states
            assert len(every) == 4
            for layer in (-1, -2, -3, -4):
                assert torch.equal(model(CLIPS, feature_layer=layer).last_hidden_state, every[layer])
            monkeypatch.setattr(model.layers[-1], "forward", lambda *a, **k: pytest.fail("an unused block ran"))
            model(CLIPS, feature_layer=-2)

    @pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
    def test_sdpa_equals_eager(self, dtype):
        eager = tiny_temporal(attn_implementation="eager").to(dtype)
        sdpa = tiny_temporal(attn_implementation="sdpa").to(dtype)
        tolerance = 1e-5 if dtype == torch.float32 else 5e-2
        with torch.no_grad():
            difference = eager(CLIPS).last_hidden_state - sdpa(CLIPS).last_hidden_state
        assert difference.abs().max() < tolerance

    def test_gradient_checkpointing_gives_the_same_gradients(self):
        gradients = []
        for checkpointing in (False, True):
            model = tiny_temporal().train()
            if checkpointing:
                model.gradient_checkpointing_enable()
            model(CLIPS).last_hidden_state.square().mean().backward()
            gradients.append(model.layers[0].mlp.fc1.weight.grad)
        assert torch.allclose(*gradients, atol=1e-6)

    def test_round_trip_alone(self, tmp_path):
        model = tiny_temporal()
        model.save_pretrained(tmp_path)
        again = AutoModel.from_pretrained(tmp_path).eval()
        with torch.no_grad():
            assert torch.equal(model(CLIPS).last_hidden_state, again(CLIPS).last_hidden_state)

    @pytest.mark.parametrize("shape", [(2, 3, 3, 28, 28), (2, 4, 3, 28, 27), (4, 3, 28, 28)])
    def test_wrong_shapes_are_refused(self, shape):
        with pytest.raises(InputError, match="4, 3, 28, 28"):
            tiny_temporal()(torch.zeros(shape))


class TestVideoGlamm:
    @pytest.mark.parametrize("auto", [AutoModel, AutoModelForImageTextToText, AutoModelForMultimodalLM])
    def test_auto_classes_give_the_class_that_generates(self, light_tiny, auto):
        assert type(auto.from_pretrained(light_tiny)) is VideoGlammForGroundedGeneration

    def test_auto_config_and_processor(self, light_tiny):
        assert type(AutoConfig.from_pretrained(light_tiny)) is VideoGlammConfig
        assert type(AutoProcessor.from_pretrained(light_tiny)) is VideoGlammProcessor

    def test_save_and_load_give_the_same_answer(self, model, ask, tmp_path):
        model.save_pretrained(tmp_path, max_shard_size="20MB")
        assert (tmp_path / "model.safetensors.index.json").exists()
        again = AutoModel.from_pretrained(tmp_path, attn_implementation="eager").eval()
        inputs = ask(video=frames(2, 30, 40))
        first, second = (
            m.generate(**inputs, max_new_tokens=3, output_logits=True, do_sample=False) for m in (model, again)
        )
        assert torch.equal(first.sequences, second.sequences)
        assert torch.allclose(first.logits[-1], second.logits[-1], atol=1e-5)

    def test_weight_names_of_the_pixel_decoder_are_sam_2s(self, model):
        names = set(model.pixel_decoder.state_dict())
        assert names == set(Sam2VideoModel(model.config.grounding_config).state_dict())
        prefix = "pixel_decoder."
        assert {n[len(prefix) :] for n in model.state_dict() if n.startswith(prefix)} == names

    def test_labels_give_the_causal_loss(self, model, processor):
        ids = processor.tokenizer("What moves in here?", return_tensors="pt").input_ids
        with torch.no_grad():
            output = model(input_ids=ids, labels=ids)
        expected = torch.nn.functional.cross_entropy(output.logits[0, :-1], ids[0, 1:])
        assert torch.allclose(output.loss, expected, atol=1e-5)

    def test_random_weights_are_finite_and_differ_from_zero(self):
        torch.manual_seed(0)
        model = VideoGlammForGroundedGeneration(VideoGlammConfig(**json.loads(TINY_CONFIG.read_text())))
        assert all(torch.isfinite(p).all() for p in model.parameters())
        assert model.model.temporal_tower.position_embedding.std() > 0

    def test_the_base_model_refuses_ambiguous_inputs(self, model):
        base = model.model
        assert type(base) is VideoGlammModel
        with pytest.raises(InputError, match="exactly one"):
            base()

    def test_bfloat16_runs_without_autocast(self, light_tiny, ask):
        model = AutoModel.from_pretrained(light_tiny, dtype=torch.bfloat16).eval()
        from tests.conftest import force_seg

        inputs = ask(video=frames(3, 30, 40))
        for mode in ("video", "framewise"):
            output = model.generate(
                **inputs,
                max_new_tokens=3,
                mask_mode=mode,
                logits_processor=force_seg([1], inputs["input_ids"].shape[1]),
            )
            assert output.masks[0].shape == (1, 3, 30, 40)


def test_visual_tokens_are_a_tuple_if_asked_and_inner_states_are_refused_by_name(model):
    pixels = torch.zeros(1, 3, *(2 * [model.config.spatial_config.image_size]))
    named = model.get_image_features(pixels)
    for value, same in zip(model.get_image_features(pixels, return_dict=False), named.to_tuple(), strict=True):
        assert torch.equal(value, same)
    for name in ("output_hidden_states", "output_attentions"):
        with pytest.raises(InputError, match=name):
            model.get_image_features(pixels, **{name: True})
        with pytest.raises(InputError, match=name):
            model.get_video_features(pixels, pixels, **{name: True})


def test_lists_of_module_names_name_modules(model):
    """A name that no module has would keep nothing in float32, or split what must stay whole."""
    modules = [name for name, _ in model.named_modules()]
    for listed in (model._keep_in_fp32_modules_strict, type(model)._keep_in_fp32_modules):
        assert listed and all(any(name in module for module in modules) for name in listed)
    kinds = {type(module).__name__ for module in model.modules()}
    assert set(type(model)._no_split_modules) <= kinds


def test_the_loss_is_known_without_a_warning(model):
    """transformers tells the loss by the name of the class, and warns where that says nothing."""
    assert model.loss_type == "ForCausalLM"
