"""Adapters that are incomplete, of another kind, or of another base."""

from pathlib import Path

import pytest
import torch

from tests.conversion.checkpoints import FIRST, NORM, Payload, refused
from tests.original_layouts import (
    language_tensors,
    lora_tensors,
    write_deepspeed,
    write_internvideo2,
    write_language_model,
    write_sam2,
    write_videogpt_plus,
)


def adapter(original: Path, expected: str, *paths: Path, **options) -> str:
    return refused(original, expected, adapters=paths or [original.parent / "adapter"], **options)


def test_adapters_that_are_not_there_or_incomplete(original, tmp_path):
    adapter(original, "absent does not exist", tmp_path / "absent")
    (tmp_path / "adapter").mkdir()
    adapter(original, "no model weights")
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"r": 8, "lora_alpha": 16}')
    adapter(original, "lacks adapter_model.safetensors")
    (tmp_path / "adapter" / "adapter_config.json").write_text('{"r": "eight"}')
    adapter(original, "no number for r")
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / "latest").write_text("../../etc")
    adapter(original, "DeepSpeed folder without ../../etc", tmp_path / "state")
    write_deepspeed(tmp_path / "zero3", {"model.norm.weight": torch.empty(0)})
    adapter(original, r"ZeRO-3 state.*zero_to_fp32.py", tmp_path / "zero3")
    write_deepspeed(tmp_path / "objects", {NORM: torch.ones(64), "payload": Payload(tmp_path / "executed")})
    adapter(original, r"unsafe.*zero_to_fp32.py", tmp_path / "objects")
    assert not (tmp_path / "executed").exists()


def test_half_an_adapter_or_two(original, tmp_path):
    lora = lora_tensors("V:", language_tensors())
    name = "base_model.model.model.layers.1.self_attn.qkv_proj.lora_{}.weight"
    torch.save({k: t for k, t in lora.items() if k != name.format("B")}, tmp_path / "half.bin")
    adapter(original, "only one half of the LoRA of model.layers.1", tmp_path / "half.bin")
    torch.save(lora | {name.format("A.other"): lora[name.format("A")]}, tmp_path / "two.bin")
    adapter(original, "several adapters of model.layers.1", tmp_path / "two.bin")
    torch.save(lora | {name.format("A"): torch.ones(4, 64)}, tmp_path / "ranks.bin")
    adapter(original, r"\(4, 64\) and \(192, 8\), no matrices of rank", tmp_path / "ranks.bin")


@pytest.mark.parametrize(
    ("settings", "expected"),
    [({"peft_type": "IA3"}, "type IA3"), ({"use_dora": True}, "use_dora; merge"), ({"r": 16}, "matrices of rank 16")],
)
def test_adapters_of_other_kinds(original, tmp_path, settings, expected):
    write_videogpt_plus(tmp_path / "adapter", **settings)
    adapter(original, expected)


def test_an_adapter_of_another_base(original, tmp_path):
    """Another width, another depth, another architecture."""
    write_videogpt_plus(tmp_path / "adapter")
    file = tmp_path / "adapter" / "adapter_model.bin"
    lora = torch.load(file)
    key = "base_model.model.model.layers.0.self_attn.qkv_proj.lora_{}.weight"
    torch.save(lora | {key.format("A"): torch.ones(8, 96), key.format("B"): torch.ones(288, 8)}, file)
    message = adapter(original, r"trained on another base: .*\(288, 96\), which is \(192, 64\)")
    assert "microsoft/Phi-3-mini-4k-instruct" in message and FIRST in message
    for replaced in (".layers.7.", ".layers.0.self_attn.q_"):
        other = {
            k.replace(".layers.0.self_attn.qkv_" if "q_" in replaced else ".layers.0.", replaced): t
            for k, t in lora.items()
        }
        torch.save(other, file)
        adapter(original, "changes 1 weights that the base does not have")
    torch.save(lora | {"base_model.model.lm_head.weight": torch.ones(320, 96)}, file)
    adapter(original, r"lm_head.weight has shape \(320, 96\), the base's \(320, 64\)")


def test_projectors_of_another_tower(original, tmp_path):
    write_videogpt_plus(tmp_path / "adapter")
    key = "base_model.model.model.mm_projector.0.weight"
    file = tmp_path / "adapter" / "non_lora_trainables.bin"
    for shape, expected in (((64, 1408), "another base"), ((64, 96, 1), "another base")):
        torch.save({key: torch.ones(shape)}, file)
        adapter(original, expected)
    # Over a language model alone, there is no projector to compare with, but a tower.
    write_language_model(tmp_path / "phi3")
    write_internvideo2(tmp_path / "iv2.pt")
    write_sam2(tmp_path / "sam2.pt")
    torch.save({key: torch.ones(64, 1408)}, file)
    files = {"internvideo2": tmp_path / "iv2.pt", "sam2": tmp_path / "sam2.pt", "clip": original / "clip"}
    message = refused(
        tmp_path / "phi3",
        "trained for a temporal tower",
        adapters=[tmp_path / "adapter"],
        untrained_parts=True,
        **files,
    )
    assert "width 1408" in message and "--internvideo2" in message and "have 96 and 64" in message
