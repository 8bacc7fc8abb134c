"""Caches of keys and values."""

import pytest
import torch
from transformers.utils import is_hqq_available, is_optimum_quanto_available

from tests.gpu.answers import FLOAT32, GREEDY, clips, inputs_of


@pytest.mark.parametrize("cache", [None, "dynamic", "static"], ids=["default", "dynamic", "static"])
def test_answers_agree(on_device, agrees, cache):
    """The default is a static one from a model's second answer on, where that pays; these are compiled."""
    own = {"cache_implementation": cache} if cache else {}
    agrees(on_device, *FLOAT32, own=own | {"disable_compile": False})


@pytest.mark.parametrize("cache", ["offloaded", "offloaded_static"])
def test_offloaded_answers_agree(on_device, agrees, cuda, cache):
    agrees(on_device, *FLOAT32, own={"cache_implementation": cache})


def test_quantized_answers_agree(on_device, agrees):
    backends = {"quanto": is_optimum_quanto_available(), "hqq": is_hqq_available()}
    backend = next((name for name, installed in backends.items() if installed), None)
    if backend is None:
        pytest.skip("neither optimum-quanto nor hqq is installed")
    options = {"cache_implementation": "quantized", "cache_config": {"backend": backend, "nbits": 4}}
    agrees(on_device, 0.7, 0.95, own=options)


def test_without_a_cache(on_device, agrees):
    agrees(on_device, *FLOAT32, own={"use_cache": False})


def test_a_static_cache_gives_the_dynamic_ones_logits(on_device, words):
    """Memory that a compiled step writes again must not be what masks are made of."""
    inputs = inputs_of(on_device, words, clips()[0])
    options = {**GREEDY, "output_mask_logits": True, "disable_compile": False}
    one, other = (on_device.generate(**inputs, cache_implementation=c, **options) for c in ("dynamic", "static"))
    assert torch.equal(one.sequences, other.sequences)
    assert one.mask_logits[0].numel() > 0
    assert torch.allclose(one.mask_logits[0], other.mask_logits[0], atol=1e-2)


def test_a_second_question_goes_on_from_what_was_kept(on_device, words, expected):
    inputs = inputs_of(on_device, words, clips()[0])
    (kept,) = on_device.encode_videos(**inputs, read_prompt=True)
    tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    output = on_device.generate(**tokens, encoded_videos=kept, **GREEDY)
    (again,) = words.post_process_grounded_generation(output)
    assert again.raw_text == expected().texts[0]
    assert (again.masks != expected().masks[0]).float().mean() < 1e-3
