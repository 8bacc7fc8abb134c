"""Weights in 8 and 4 bits: answers, saving, a step of QLoRA."""

import pytest
import torch
from peft import get_peft_model, prepare_model_for_kbit_training
from transformers import AutoModel

from tests.gpu.answers import answered, clips
from tests.gpu.test_training import batch_of, lora
from videoglamm_hf.loading import models as loading
from videoglamm_hf.toy import TINY_MODEL

# Against float32 on a CPU: least and median IoU of a mask in a frame; difference of the loss.
TOLERANCES = {"8bit": (0.85, 0.99), "nf4": (0.7, 0.95)}
LOSS_TOLERANCES = {"8bit": 0.05, "nf4": 0.3}


@pytest.fixture(params=TOLERANCES)
def quantization(request) -> str:
    return request.param


@pytest.fixture
def quantized(quantization, device):
    return loading.load_model(str(TINY_MODEL), dtype="float32", device=str(device), quantization=quantization)


def test_answers_agree(quantized, agrees, quantization):
    assert {"Linear4bit", "Linear8bitLt"} & {type(module).__name__ for module in quantized.modules()}
    agrees(quantized, *TOLERANCES[quantization])


def test_saved_and_loaded_it_answers_the_same(quantized, words, device, tmp_path):
    first = answered(quantized, words, clips())
    quantized.save_pretrained(tmp_path / "lighter")
    again = AutoModel.from_pretrained(tmp_path / "lighter", device_map={"": device}).eval()
    second = answered(again, words, clips())
    assert second.texts == first.texts
    for one, other in zip(first.masks, second.masks, strict=True):
        assert (one != other).float().mean() < 1e-3 if one.numel() else one.shape == other.shape


def test_a_step_of_qlora(quantized, quantization, reference, words, record_property):
    batch = batch_of(words)
    with torch.no_grad():
        wanted = reference(**batch).loss.item()
    base = prepare_model_for_kbit_training(quantized, gradient_checkpointing_kwargs={"use_reentrant": False})
    tuned = get_peft_model(base, lora(base)).train()
    trained = {name: p for name, p in tuned.named_parameters() if p.requires_grad}
    before = {name: p.detach().clone() for name, p in trained.items()}
    optimizer = torch.optim.AdamW(trained.values(), lr=1e-3)
    loss = tuned(**batch_of(words, quantized.device)).loss
    loss.backward()
    optimizer.step()
    record_property("loss", round(loss.item(), 4))
    record_property("loss in float32 on a CPU", round(wanted, 4))
    # LoRA changes nothing before its first step.
    assert loss.item() == pytest.approx(wanted, abs=LOSS_TOLERANCES[quantization])
    assert all(p.grad is not None and p.grad.isfinite().all() for p in trained.values())
    assert any("lora_B" in name and not torch.equal(p, before[name]) for name, p in trained.items())
