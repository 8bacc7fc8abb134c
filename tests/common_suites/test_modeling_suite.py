"""`ModelTesterMixin` on VideoGlammModel and VideoGlammForGroundedGeneration."""

import unittest
from typing import Any
from unittest.mock import patch

import torch

from tests.common_suites import small_models
from tests.common_suites.exclusions import excluding
from tests.common_suites.source import suite
from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration, VideoGlammModel

common = suite("test_modeling_common")


class VideoGlammModelTester:
    """What the suite asks for: a config and inputs, and the sizes that it expects to see again."""

    batch_size = small_models.BATCH
    is_training = True

    def __init__(self, parent: unittest.TestCase) -> None:
        self.parent = parent
        config = self.get_config()
        text = config.text_config
        self.num_hidden_layers = text.num_hidden_layers
        self.num_attention_heads = text.num_attention_heads
        self.hidden_size = text.hidden_size
        self.vocab_size = text.vocab_size
        self.seq_length = small_models.model_inputs(config)["input_ids"].shape[1]
        self.encoder_seq_length = self.seq_length

    def get_config(self) -> VideoGlammConfig:
        return small_models.model_config()

    def prepare_config_and_inputs_for_common(self) -> tuple[VideoGlammConfig, dict[str, torch.Tensor]]:
        config = self.get_config()
        return config, small_models.model_inputs(config)


CLAMPED = "makes placeholders words by clamping ids to the vocabulary, beyond which they lie"
PARTIAL = "asks for what later layers make, and the towers run as far as needed; refused by name (test_modeling)"
EXCLUDED = {
    "test_generation_tester_mixin_inheritance": "no source distribution has GenerationTesterMixin; see source.py",
    "test_get_image_features_attentions": PARTIAL,
    "test_get_image_features_hidden_states": PARTIAL,
    "test_get_video_features_attentions": PARTIAL,
    "test_get_video_features_hidden_states": PARTIAL,
    "test_init_weights_can_init_buffers": "fails for a buffer that SAM 2's own module draws at random",
    "test_inputs_embeds": "looks placeholders up in the embedding table, beyond which they lie",
    "test_keep_in_fp32_modules": "reads as dtypes the names of layers that no quantiser packs; see test_quantization",
    "test_resize_embeddings_untied": CLAMPED,
    "test_resize_tokens_embeddings": CLAMPED,
}


@excluding(EXCLUDED)
class VideoGlammModelTest(common.ModelTesterMixin, unittest.TestCase):
    all_model_classes = (VideoGlammModel, VideoGlammForGroundedGeneration)
    _is_composite = True
    test_all_params_have_gradient = False
    # Visual tokens have the language model's width, and config.vision_config is not what the towers are called.
    skip_test_image_features_output_shape = skip_test_video_features_output_shape = True
    additional_model_inputs = ("pixel_values", "pixel_values_videos", "temporal_pixel_values_videos")

    def setUp(self) -> None:
        torch.manual_seed(0)
        # The suite words messages of whole tensors, also of those that agree, which takes longer than to compare them.
        torch.set_printoptions(threshold=0, edgeitems=1)
        self.addCleanup(torch.set_printoptions, profile="default")
        self.model_tester = VideoGlammModelTester(self)

    def _prepare_for_class(self, inputs_dict: dict, model_class: type, return_labels: bool = False) -> dict[str, Any]:
        inputs = super()._prepare_for_class(inputs_dict, model_class, return_labels=return_labels)
        if return_labels and model_class is VideoGlammForGroundedGeneration:
            inputs["labels"] = torch.zeros_like(inputs["input_ids"])
        return inputs

    def test_training(self) -> None:
        with self._only_the_class_with_a_loss():
            super().test_training()

    def check_training_gradient_checkpointing(self, *args: Any, **kwargs: Any) -> None:
        with self._only_the_class_with_a_loss():
            super().check_training_gradient_checkpointing(*args, **kwargs)

    def _only_the_class_with_a_loss(self) -> Any:
        return patch.object(self, "all_model_classes", (VideoGlammForGroundedGeneration,))
