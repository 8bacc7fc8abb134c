"""A step of LoRA, activations kept and recomputed; going on with a training that was cut."""

from typing import Any

import pytest
import torch
from accelerate.utils import send_to_device
from peft import get_peft_model
from transformers import AutoModel, TrainingArguments

from tests.gpu.answers import samples
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.training.fine_tuning import lora_config, trainable_modules
from videoglamm_hf.training.trainer import VideoGlammTrainer


def batch_of(processor: Any, device: torch.device | str = "cpu") -> dict[str, Any]:
    """All samples, with three frames of masks each."""
    some = [{**one, "masks": one["masks"][:, ::3], "mask_frames": one["mask_frames"][::3]} for one in samples()]
    return send_to_device(VideoGlammDataCollator(processor, num_mask_frames=None)(some), device)


def lora(model: torch.nn.Module) -> Any:
    return lora_config(model, dropout=0.0, recipe="lora")


def step(model: torch.nn.Module, batch: dict[str, Any], checkpointing: bool = False) -> tuple[float, torch.Tensor]:
    """Loss and gradients of LoRA and the [SEG] projection, as one vector on the CPU."""
    torch.manual_seed(0)
    tuned = get_peft_model(model, lora(model)).train()
    if checkpointing:
        tuned.gradient_checkpointing_enable(gradient_checkpointing_kwargs={"use_reentrant": False})
        tuned.enable_input_require_grads()
    # Those that are zero at first would hide the others' gradients.
    for name, parameter in tuned.named_parameters():
        if "lora_B" in name:
            torch.nn.init.constant_(parameter, 0.01)
        elif "lora_A" in name:
            values = torch.linspace(-0.1, 0.1, parameter.numel()).view(parameter.shape)
            parameter.data.copy_(values)
    loss = tuned(**batch).loss
    loss.backward()
    grads = [p.grad.detach().float().cpu().flatten() for _, p in sorted(tuned.named_parameters()) if p.requires_grad]
    return loss.item(), torch.cat(grads)


@pytest.fixture(scope="module")
def expected_step(words):
    return step(AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32), batch_of(words))


@pytest.mark.parametrize("checkpointing", [False, True], ids=["kept", "recomputed"])
@pytest.mark.parametrize(
    ("dtype", "relative", "cosine"),
    [(torch.float32, 1e-3, 0.999), (torch.bfloat16, 0.05, 0.95)],
    ids=["float32", "bfloat16"],
)
def test_a_step_agrees(trained, words, device, expected_step, record_property, dtype, relative, cosine, checkpointing):
    loss, gradients = step(trained(dtype=dtype), batch_of(words, device), checkpointing)
    similarity = torch.cosine_similarity(gradients, expected_step[1], dim=0).item()
    record_property("loss", round(loss, 4))
    record_property("cosine of gradients", round(similarity, 4))
    assert loss == pytest.approx(expected_step[0], rel=relative)
    assert similarity > cosine


def test_resumed_is_as_uninterrupted(trained, words, device, tmp_path):
    def train(folder, resume=None):
        model = trained()
        trainable_modules(model, "projectors")
        arguments = TrainingArguments(
            str(folder),
            max_steps=4,
            save_steps=2,
            per_device_train_batch_size=1,
            learning_rate=1e-3,
            logging_steps=1,
            remove_unused_columns=False,
            report_to=[],
            disable_tqdm=True,
            use_cpu=device.type == "cpu",
        )
        collate = VideoGlammDataCollator(words, num_mask_frames=(1, 2))
        trainer = VideoGlammTrainer(model, arguments, data_collator=collate, train_dataset=samples())
        if resume:
            torch.rand(7, device=device)
        trainer.train(resume_from_checkpoint=resume)
        losses = [entry["loss"] for entry in trainer.state.log_history if "loss" in entry]
        return losses, {n: p.detach() for n, p in model.named_parameters() if p.requires_grad}

    losses, whole = train(tmp_path / "whole")
    resumed, again = train(tmp_path / "again", resume=str(tmp_path / "whole" / "checkpoint-2"))
    assert len(losses) == 4 and resumed[-2:] == pytest.approx(losses[-2:], rel=1e-3)
    assert all(weight.device.type == device.type for weight in whole.values())
    for name, weight in whole.items():
        assert torch.allclose(again[name], weight, atol=1e-4), name
