"""NaN on a device that is not waited for: noticed, and named."""

import pytest
import torch

from tests.gpu.answers import GREEDY, clips, inputs_of
from videoglamm_hf import CheckpointError, InputError

LATE = "model.language_model.embed_tokens.weight"


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
@pytest.mark.parametrize(
    "options",
    [{}, {"return_masks": False}, {"num_beams": 2}, {"do_sample": True}, {"cache_implementation": "static"}],
    ids=["masks", "words", "beams", "sampling", "static"],
)
def test_a_word_that_spoils_later_steps_is_noticed(trained, words, dtype, options):
    """The embedding of a word that the model says first: the step before knows nothing of it."""
    model = trained(dtype=dtype)
    inputs = inputs_of(model, words, clips()[0])
    said = model.generate(**inputs, max_new_tokens=1, do_sample=False, return_masks=False)[0, -1]
    with torch.no_grad():
        model.get_parameter(LATE)[said] = float("nan")
    with pytest.raises(CheckpointError, match=f"weight {LATE} holds NaN"):
        model.generate(**inputs, **{"max_new_tokens": 8, "do_sample": False} | options)


@pytest.mark.parametrize("weight", ["lm_head.weight", "pixel_decoder.memory_encoder.projection.weight"])
def test_a_weight_is_named(trained, words, weight):
    model = trained()
    with torch.no_grad():
        model.get_parameter(weight).fill_(float("nan"))
    with pytest.raises(CheckpointError, match=f"weight {weight} holds NaN"):
        model.generate(**inputs_of(model, words, clips()[0]), **GREEDY)


def test_an_input_is_named(on_device, words):
    inputs = inputs_of(on_device, words, clips()[0])
    inputs["pixel_values_videos"][0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="input pixel_values_videos holds NaN"):
        on_device.generate(**inputs, max_new_tokens=8, do_sample=False)
