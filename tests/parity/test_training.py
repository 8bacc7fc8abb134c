"""Cases 8: losses and gradients of a training step, through the collator and `model(**batch)`."""

import re

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from tests.conftest import load_model
from tests.parity.test_preprocessing import sums
from tests.tiny_checkpoint import frames, gt_masks
from videoglamm_hf.data import VideoGlammDataCollator

pytestmark = pytest.mark.parity
TOLERANCE = 1e-3
# Parameters by the original's name of their group.
GROUPS = {
    "text_hidden_fcs": "seg_projection.",
    "sam_mask_decoder": "pixel_decoder.mask_decoder.",
    "lm_head": "lm_head.",
    "embed_tokens": "model.language_model.embed_tokens.",
    "mm_projector": "model.temporal_projector.",
    "image_mm_projector": "model.spatial_projector.",
    "llm_layers": "model.language_model.layers.",
    "llm_norm": "model.language_model.norm.",
}


def relative(value: np.ndarray, expected: np.ndarray) -> float:
    """Length of the difference over the length of what is expected."""
    difference = np.linalg.norm(np.asarray(value, np.float64) - expected)
    return float(difference / max(np.linalg.norm(expected), 1e-12))


def messages_of(conversation: str, kind: str) -> list[dict]:
    """The turns of a prompt in the original's text form."""
    turns = re.findall(r"<\|(\w+)\|>\n(.*?)<\|end\|>", conversation, re.DOTALL)
    messages = []
    for role, text in turns:
        parts = [{"type": "text", "text": re.sub(r"^(<image>)+\n", "", text)}]
        if "<image>" in text:
            parts.insert(0, {"type": kind})
        if role != "system":
            messages.append({"role": role, "content": parts})
    return messages


def batch_of(case, processor) -> dict:
    """The case's samples through the collator."""
    texts = list(case.meta["convs"])
    samples, truths = [], []
    for i, about in enumerate(case.meta["samples"]):
        kind, (height, width) = about["typ"], about["HW"]
        # The masks are those of the first T frames of a video of five.
        clip = frames(5, height, width, about["salt"])
        truth = gt_masks(about["n_gt"], about["T"], height, width, about["salt"]).astype(np.int8)
        assert truth.sum() == case[f"gt_sum{i}"]
        own = [texts.pop(0) for _ in about["src"]]
        counts = [text.count("[SEG]") for text in own]
        # Ground truth beyond the [SEG] tokens is added to the batch below: a sample may not have any.
        tracks = np.split(truth.astype(bool)[: sum(counts)], np.cumsum(counts)[:-1])
        several = len(own) > 1
        conversations = [messages_of(text, kind) for text in own]
        samples.append(
            {
                "messages": conversations if several else conversations[0],
                kind: clip if kind == "video" else clip[0],
                "masks": tracks if several else tracks[0],
                "mask_frames": list(range(about["T"])),
            }
        )
        truths.append(torch.from_numpy(truth))
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)(samples)
    for i, (given, truth) in enumerate(zip(batch["mask_labels"], truths, strict=True)):
        assert torch.equal(given, truth[: len(given)])
        batch["mask_labels"][i] = truth
    return batch


def training_mode(model: torch.nn.Module, padding_slots: int) -> torch.nn.Module:
    """Towers in evaluation mode and everything else in training mode, with the original's mask slots. The image
    encoder is frozen; its last two convolutions are stored with the mask decoder."""
    model.train()
    decoder = model.pixel_decoder
    for part in (decoder.vision_encoder, decoder.mask_decoder.conv_s0, decoder.mask_decoder.conv_s1):
        part.requires_grad_(False)
    model.model.spatial_tower.eval()
    model.model.temporal_tower.eval()
    model.config.mask_padding_slots = padding_slots
    return model


def check(name: str, case, model, batch, hold) -> None:
    output = model(**batch)
    for loss in ("loss", "ce_loss", "mask_bce_loss", "mask_dice_loss"):
        hold(name, f"{loss} (rel)", relative(np.array(float(output[loss])), case[loss]), TOLERANCE)
    output.loss.backward()
    for group, prefix in GROUPS.items():
        grads = [p.grad for n, p in model.named_parameters() if n.startswith(prefix) and p.grad is not None]
        norm = torch.cat([grad.double().flatten() for grad in grads]).norm() if grads else torch.zeros(())
        hold(name, f"gradient of {group} (rel)", relative(norm.numpy(), case[f"gradnorm_{group}"]), TOLERANCE)
    decoder = model.pixel_decoder.mask_decoder
    language_model = model.model.language_model
    gradients = {
        "grad_thf_bias": model.seg_projection.linear_2.bias.grad,
        "grad_lm_head_seg": model.lm_head.weight.grad[model.config.seg_token_id],
        "grad_mask_tokens": decoder.mask_tokens.weight.grad,
        "grad_mmproj2_bias": model.model.temporal_projector.linear_2.bias.grad,
        "grad_immproj2_bias": model.model.spatial_projector.linear_2.bias.grad,
    }
    for key, gradient in gradients.items():
        gradient = torch.zeros(case[key].shape) if gradient is None else gradient
        hold(name, f"{key} (rel)", relative(gradient.numpy(), case[key]), TOLERANCE)
    qkv = language_model.layers[0].self_attn.qkv_proj.weight.grad
    hold(name, "grad_qkv0 sums (rel)", relative(sums(qkv.numpy()), case["grad_qkv0_sums"]), TOLERANCE)
    untrained = ("conv_s0", "conv_s1", "iou_prediction_head", "pred_obj_score_head")
    for key, parameter in decoder.named_parameters():
        if key.startswith(untrained):
            assert parameter.grad is None or not parameter.grad.any(), key


# Without slots the n-th [SEG] and the n-th mask are a pair: the same losses, where their counts agree.
CASES = [("8a_video1", 4), ("8b_batch2", 4), ("8c_mixed", 4), ("8d_two_conversations", 4)]
CASES += [("8a_video1", 0), ("8b_batch2", 0), ("8d_two_conversations", 0)]


@pytest.mark.parametrize(("name", "padding_slots"), CASES)
def test_losses_and_gradients(fresh_model, processor, golden, hold, name, padding_slots):
    case = golden(f"A_case{name}")
    model = training_mode(fresh_model(), padding_slots)
    check(f"{name}, {padding_slots} slots", case, model, batch_of(case, processor), hold)


def test_losses_and_gradients_at_1024(converted_tiny_1024, golden, hold):
    case = golden("A_case8a_video1_sam1024")
    model = training_mode(load_model(converted_tiny_1024), 4)
    batch = batch_of(case, AutoProcessor.from_pretrained(converted_tiny_1024))
    check("8a at 1024", case, model, batch, hold)
