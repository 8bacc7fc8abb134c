"""Every value arrives, whatever the layout of the checkpoint, in the dtype asked for."""

import json

import pytest
import torch
from transformers import AutoModelForImageTextToText

from tests.conversion.checkpoints import GAUSSIANS, quiet, same
from tests.tiny_checkpoint import state_dict, write_original
from videoglamm_hf.conversion.original_keys import drop_reason


def test_values_arrive_in_their_places(reference):
    """Every kind of change that is more than a new name, and one of each part."""
    original = state_dict()
    grounding, encoder = "model.visual_model.", "model.vision_tower.vision_encoder."
    points = [original[f"{grounding}sam_prompt_encoder.point_embeddings.{i}.weight"] for i in range(4)]
    gaussian = original[f"{grounding}sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    mlp = "output_hypernetworks_mlps.2"
    clip = "model.image_vision_tower.vision_tower.vision_model."
    expected = {
        "pixel_decoder.prompt_encoder.point_embed.weight": torch.cat(points),
        **dict.fromkeys(GAUSSIANS, gaussian),
        "model.temporal_tower.patch_embedding.weight": original[f"{encoder}patch_embed.proj.weight"][:, :, 0],
        "model.temporal_tower.position_embedding": original[f"{encoder}pos_embed"],
        "model.temporal_tower.layers.3.layer_scale2.weight": original[f"{encoder}blocks.3.ls2.gamma"],
        "pixel_decoder.memory_encoder.memory_fuser.layers.1.scale": original[
            f"{grounding}memory_encoder.fuser.layers.1.weight"
        ],
        "pixel_decoder.memory_encoder.mask_downsampler.layers.2.layer_norm.bias": original[
            f"{grounding}memory_encoder.mask_downsampler.encoder.7.bias"
        ],
        f"pixel_decoder.mask_decoder.{mlp}.layers.0.weight": original[
            f"{grounding}sam_mask_decoder.{mlp}.layers.1.weight"
        ],
        f"pixel_decoder.mask_decoder.{mlp}.proj_out.weight": original[
            f"{grounding}sam_mask_decoder.{mlp}.layers.2.weight"
        ],
        "model.spatial_tower.embeddings.class_embedding": original[f"{clip}embeddings.class_embedding"],
        "model.spatial_projector.linear_2.weight": original["model.image_mm_projector.2.weight"],
        "seg_projection.linear_1.weight": original["model.text_hidden_fcs.0.0.weight"],
        "model.language_model.embed_tokens.weight": original["model.embed_tokens.weight"],
        "lm_head.weight": original["lm_head.weight"],
    }
    for name, tensor in expected.items():
        assert torch.equal(reference[name], tensor), name


def test_nothing_is_lost_or_used_twice(reference):
    """Sums of squares are a fingerprint of the whole, whatever the names."""
    kept = {key: tensor for key, tensor in state_dict().items() if drop_reason(key) is None}
    energy = sorted(float(tensor.double().square().sum()) for tensor in kept.values())
    found = {name: tensor for name, tensor in reference.items() if name != GAUSSIANS[1]}
    point_rows = found.pop("pixel_decoder.prompt_encoder.point_embed.weight")
    got = [float(tensor.double().square().sum()) for tensor in [*found.values(), *point_rows]]
    assert sorted(got) == pytest.approx(energy, rel=1e-12)


def test_transformers_loads_the_result(converted_tiny, reference):
    model, info = AutoModelForImageTextToText.from_pretrained(converted_tiny, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert same(model.state_dict(), reference)


@pytest.mark.parametrize(
    ("layout", "shards", "container"),
    [("complete", 1, "bin"), ("complete", 3, "safetensors"), ("released", 1, "safetensors")],
)
def test_every_layout_gives_the_same(tmp_path, reference, layout, shards, container):
    original = write_original(tmp_path / "in", layout=layout, shards=shards, container=container)
    assert same(quiet(original, tmp_path / "out"), reference)


def test_shards_without_an_index_and_tensors_held_twice(original, tmp_path, reference):
    (original / "pytorch_model.bin.index.json").unlink()
    first, second = (original / f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
    tensors = torch.load(second)
    tensors["model.norm.weight"] = torch.load(first)["model.norm.weight"]
    second.unlink()
    torch.save(tensors, second)
    assert same(quiet(original, tmp_path / "out"), reference)


def test_dtype(original_tiny, tmp_path, reference):
    halved = quiet(original_tiny, tmp_path / "out", dtype="bfloat16")
    assert same(halved, {name: tensor.to(torch.bfloat16) for name, tensor in reference.items()})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", dtype="auto")
    assert model.dtype == torch.bfloat16


def test_the_default_dtype_is_that_of_the_embeddings(original, tmp_path):
    for file in original.glob("pytorch_model-*.bin"):
        tensors = {key: tensor.bfloat16() for key, tensor in torch.load(file).items()}
        file.unlink()
        torch.save(tensors, file)
    assert {tensor.dtype for tensor in quiet(original, tmp_path / "out").values()} == {torch.bfloat16}
