"""`torch.compile` around the model, and of the step of decoding."""

import pytest
import torch
from torch._dynamo.utils import counters
from transformers import CompileConfig

from tests.gpu.answers import FLOAT32, answered, clips


@pytest.fixture(autouse=True)
def without_earlier_graphs():
    torch.compiler.reset()
    yield
    torch.compiler.reset()


@pytest.fixture
def decoding(device):
    """Options under which transformers compiles the step of decoding."""
    config = CompileConfig()
    if device.type == "cpu":
        config = CompileConfig(mode="default")
        # What it does on accelerators alone unless told so.
        config._compile_all_devices = True
    return {"cache_implementation": "static", "compile_config": config, "disable_compile": False}


def graphs() -> int:
    return counters["stats"]["unique_graphs"]


def test_compiled_forward_answers_agree(trained, agrees):
    model, before = trained(), graphs()
    model.forward = torch.compile(model.forward, dynamic=True)
    agrees(model, *FLOAT32, first=1)
    assert graphs() > before


def test_compiled_decoding_answers_agree(trained, agrees, decoding):
    model, before = trained(), graphs()
    agrees(model, *FLOAT32, own=decoding)
    assert graphs() > before


def test_asked_again_nothing_is_compiled_again(trained, words, decoding):
    model = trained()
    first = answered(model, words, clips()[:1], **decoding)
    before = graphs()
    assert before > 0
    again = answered(model, words, clips()[:1], **decoding)
    assert graphs() == before
    assert again.texts == first.texts and torch.equal(again.masks[0], first.masks[0])


def test_by_default_it_is_compiled_once(trained, words, expected, cuda):
    """At the second answer, for questions of about one length."""
    model, counts = trained(), []
    for number in (0, 0, 1, 2):
        found = answered(model, words, clips()[number : number + 1], disable_compile=False)
        assert found.texts == expected().texts[number : number + 1]
        counts.append(graphs())
    assert counts[0] < counts[1] == counts[2] == counts[3]


def test_compiled_vision_answers_agree(trained, agrees, device):
    model, before = trained(), graphs()
    model.compile_vision(**({"backend": "eager"} if device.type == "cpu" else {}))
    agrees(model, *FLOAT32, first=1)
    assert graphs() > before
