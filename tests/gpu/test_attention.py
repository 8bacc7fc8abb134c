"""Kernels of attention."""

import pytest
import torch
from transformers.utils import is_flash_attn_2_available

from tests.gpu.answers import FLOAT32
from tests.gpu.test_precisions import TOLERANCES
from videoglamm_hf import CheckpointError


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
def test_answers_agree(trained, agrees, attention):
    agrees(trained(attn_implementation=attention), *FLOAT32)


def test_flash_attention_2(trained, agrees, cuda):
    if not is_flash_attn_2_available():
        pytest.skip("flash_attn is not installed")
    agrees(trained(attn_implementation="flash_attention_2", dtype=torch.bfloat16), *TOLERANCES[torch.bfloat16])


def test_flex_attention_is_refused_in_words(trained):
    with pytest.raises(CheckpointError, match=r"does not support .*flex_attention"):
        trained(attn_implementation="flex_attention")
