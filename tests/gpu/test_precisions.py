"""Three precisions in every mask mode."""

import pytest
import torch

from tests.gpu.answers import FLOAT32
from videoglamm_hf.options import MASK_MODES

# Least and median IoU of a mask in a frame; the least are those of objects of few pixels.
TOLERANCES = {torch.float32: FLOAT32, torch.float16: (0.95, 0.995), torch.bfloat16: (0.85, 0.99)}


@pytest.mark.parametrize("mode", MASK_MODES)
@pytest.mark.parametrize("dtype", TOLERANCES, ids=lambda dtype: str(dtype).removeprefix("torch."))
def test_answers_agree(trained, agrees, dtype, mode):
    agrees(trained(dtype=dtype), *TOLERANCES[dtype], mask_mode=mode)
