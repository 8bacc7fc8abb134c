"""`ModelTesterMixin` on the temporal tower."""

import unittest

import torch

from tests.common_suites import small_models
from tests.common_suites.exclusions import excluding
from tests.common_suites.source import suite
from videoglamm_hf import InternVideo2Config, InternVideo2Model

common = suite("test_modeling_common")


class InternVideo2ModelTester:
    batch_size = small_models.BATCH
    is_training = False

    def __init__(self, parent: unittest.TestCase) -> None:
        self.parent = parent
        config = self.get_config()
        self.num_hidden_layers = config.num_hidden_layers
        self.num_attention_heads = config.num_attention_heads
        self.hidden_size = config.hidden_size
        # The class token and the patches of every frame.
        self.seq_length = 1 + config.num_frames * (config.image_size // config.patch_size) ** 2

    def get_config(self) -> InternVideo2Config:
        return small_models.temporal_config()

    def prepare_config_and_inputs_for_common(self) -> tuple[InternVideo2Config, dict[str, torch.Tensor]]:
        return self.get_config(), {"pixel_values": small_models.clips(self.batch_size)}


EXCLUDED = {
    "test_model_get_set_embeddings": "asks for a table of words, and the tower embeds patches by a convolution",
}


@excluding(EXCLUDED)
class InternVideo2ModelTest(common.ModelTesterMixin, unittest.TestCase):
    all_model_classes = (InternVideo2Model,)
    test_resize_embeddings = False

    def setUp(self) -> None:
        torch.manual_seed(0)
        # The suite words messages of whole tensors, also of those that agree, which takes longer than to compare them.
        torch.set_printoptions(threshold=0, edgeitems=1)
        self.addCleanup(torch.set_printoptions, profile="default")
        self.model_tester = InternVideo2ModelTester(self)
