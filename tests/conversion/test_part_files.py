"""Parts that come from files of their own."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from tests.conversion.checkpoints import quiet, same
from tests.tiny_checkpoint import shapes, state_dict, write_original, write_weights
from videoglamm_hf.conversion import original_parts


def grounding_file(path: Path, salt: str) -> dict[str, torch.Tensor]:
    """SAM 2's own file, `.gamma` as it has it; returns the tensors."""
    own = {k.removeprefix("model.visual_model."): v for k, v in state_dict(salt).items() if "visual_model" in k}
    renamed = {k.replace("weight", "gamma") if k.count(".") == 4 and "fuser" in k else k: v for k, v in own.items()}
    assert "memory_encoder.fuser.layers.0.gamma" in renamed
    torch.save({"model": renamed}, path)
    return own


def temporal_file(path: Path, salt: str, key: str | None, prefix: str) -> dict[str, torch.Tensor]:
    """InternVideo2's own file, text side included, in the format of before torch 1.6; returns the tensors."""
    start = "model.vision_tower.vision_encoder."
    own = {k.removeprefix(start): v for k, v in state_dict(salt).items() if k.startswith(start)}
    tensors = {prefix + k: v for k, v in own.items()}
    if prefix:
        tensors |= {"text_encoder.bert.weight": torch.ones(2), "temp": torch.ones(()), "itm_head.bias": torch.ones(2)}
    torch.save({key: tensors} if key else tensors, path, _use_new_zipfile_serialization=False)
    return own


@pytest.mark.parametrize(("key", "prefix"), [("module", "vision_encoder."), (None, "")])
def test_parts_replace_the_checkpoints_own(original_tiny, tmp_path, reference, capsys, key, prefix):
    grounding = grounding_file(tmp_path / "sam2.pt", "B:")
    temporal = temporal_file(tmp_path / "iv2.pt", "C:", key, prefix)
    options = {"sam2": tmp_path / "sam2.pt", "internvideo2": tmp_path / "iv2.pt", "progress": True}
    tensors = quiet(original_tiny, tmp_path / "out", **options)
    scale = "memory_encoder.memory_fuser.layers.1.scale"
    assert torch.equal(tensors[f"pixel_decoder.{scale}"], grounding["memory_encoder.fuser.layers.1.weight"])
    assert torch.equal(tensors["pixel_decoder.no_object_pointer"], grounding["no_obj_ptr"])
    assert torch.equal(tensors["model.temporal_tower.cls_token"], temporal["cls_token"])
    others = [name for name in reference if not name.startswith(("pixel_decoder.", "model.temporal_tower."))]
    assert same({name: tensors[name] for name in others}, {name: reference[name] for name in others})
    said = capsys.readouterr().out
    assert f"{sum('visual_model' in k for k in shapes())} tensors left out: replaced by --sam2" in said


def test_parts_supply_what_the_checkpoint_lacks(original, tmp_path):
    grounding_file(tmp_path / "sam2.pt", "")
    temporal_file(tmp_path / "iv2.pt", "", "model", "vision_encoder.")
    for file in original.glob("pytorch_model*"):
        file.unlink()
    bare = {k: v for k, v in state_dict().items() if "visual_model" not in k and "vision_tower" not in k}
    write_weights(original, bare)
    tensors = quiet(original, tmp_path / "out", sam2=tmp_path / "sam2.pt", internvideo2=tmp_path / "iv2.pt")
    assert torch.equal(tensors["pixel_decoder.no_object_pointer"], state_dict()["model.visual_model.no_obj_ptr"])


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_clip_from_a_folder_of_a_full_clip(original, tmp_path, reference, prefix):
    clip, full = original / "clip", tmp_path / "full_clip"
    full.mkdir()
    tensors = torch.load(clip / "pytorch_model.bin")
    tensors = {prefix + key.removeprefix("vision_model."): tensor for key, tensor in tensors.items()}
    tensors |= {"text_model.final_layer_norm.weight": torch.ones(3), "logit_scale": torch.ones(())}
    tensors |= {"visual_projection.weight": torch.ones(3, 3), f"{prefix}embeddings.position_ids": torch.arange(577)}
    save_file(tensors, full / "model.safetensors")
    vision = json.loads((clip / "config.json").read_text())
    (full / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
    shutil.rmtree(clip)
    assert same(quiet(original, tmp_path / "out", clip=full), reference)


def test_clip_from_the_hub(original, tmp_path, reference, monkeypatch):
    clip = (original / "clip").rename(tmp_path / "cached")
    asked = []
    monkeypatch.setattr(original_parts, "snapshot_download", lambda name, **_: asked.append(name) or str(clip))
    assert same(quiet(original, tmp_path / "out"), reference)
    assert asked == ["openai/clip-vit-large-patch14-336"]


def test_the_checkpoints_own_clip_is_preferred(tmp_path, original_tiny, reference):
    original = write_original(tmp_path / "in", layout="complete")
    other = write_original(tmp_path / "other", salt="B:") / "clip"
    assert same(quiet(original, tmp_path / "out", clip=other), reference)
