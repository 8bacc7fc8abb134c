"""Back to the original's layout: what comes out is what went in, bit by bit."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoModelForImageTextToText, CLIPVisionModel

from tests.tiny_checkpoint import CLIP_PREFIX, FIXTURES, TINY_CONFIG, state_dict, write_original
from videoglamm_hf import CheckpointError, OutputError, cli
from videoglamm_hf.conversion import checkpoint_writer, convert_videoglamm, export
from videoglamm_hf.conversion.original_keys import drop_reason

SCRIPT = FIXTURES.parents[2] / "conversion" / "convert_hf_to_videoglamm.py"


def read(folder: Path) -> dict[str, torch.Tensor]:
    """Every tensor of the safetensors in a folder."""
    return {key: tensor for file in sorted(folder.glob("*.safetensors")) for key, tensor in load_file(file).items()}


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    """The same keys, dtypes and bytes."""
    return first.keys() == second.keys() and all(
        t.dtype == second[k].dtype and t.shape == second[k].shape and torch.equal(bits(t), bits(second[k]))
        for k, t in first.items()
    )


def bits(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.contiguous().reshape(-1).view(torch.uint8)


def returning(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """What converting keeps."""
    return {key: tensor for key, tensor in tensors.items() if drop_reason(key) is None}


def split(tensors: dict[str, torch.Tensor]) -> tuple[dict[str, torch.Tensor], dict[str, torch.Tensor]]:
    """The tensors of the checkpoint, and those of CLIP's folder by its own names."""
    clip = {k.removeprefix(CLIP_PREFIX): t for k, t in tensors.items() if k.startswith(CLIP_PREFIX)}
    return {k: t for k, t in tensors.items() if not k.startswith(CLIP_PREFIX)}, clip


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_there_and_back_gives_every_bit(tmp_path, monkeypatch, dtype):
    """In shards, too; and there again."""
    tensors = {key: tensor.to(dtype) for key, tensor in state_dict().items()}
    original = write_original(tmp_path / "original", layout="complete", shards=1)
    torch.save(tensors, original / "pytorch_model.bin")
    convert_videoglamm(original, tmp_path / "model", config=TINY_CONFIG, progress=False)
    monkeypatch.setattr(checkpoint_writer.write_safetensors, "__defaults__", (10**7,))
    export.export_videoglamm(tmp_path / "model", tmp_path / "back", progress=False)
    rest, clip = split(returning(tensors))
    assert len(list((tmp_path / "back").glob("model-*.safetensors"))) > 1
    assert same(read(tmp_path / "back"), rest) and same(read(tmp_path / "back" / "clip"), clip)
    monkeypatch.undo()
    convert_videoglamm(tmp_path / "back", tmp_path / "again", config=TINY_CONFIG, progress=False)
    assert same(read(tmp_path / "again"), read(tmp_path / "model"))


def test_the_small_files_return(original_tiny, converted_tiny, tmp_path, capsys):
    assert cli.main(["export", "--model", str(converted_tiny), "--output", str(tmp_path / "back")]) == 0
    assert "479 tensors in the original's layout, 55 of CLIP" in capsys.readouterr().out
    for name in ("tokenizer.model", "tokenizer_config.json", "added_tokens.json", "special_tokens_map.json"):
        assert (tmp_path / "back" / name).read_bytes() == (original_tiny / name).read_bytes()
    settings, expected = (json.loads((f / "config.json").read_text()) for f in (tmp_path / "back", original_tiny))
    assert settings == expected
    settings = json.loads((tmp_path / "back" / "clip" / "preprocessor_config.json").read_text())
    expected = json.loads((original_tiny / "clip" / "preprocessor_config.json").read_text())
    assert settings == expected
    CLIPVisionModel.from_pretrained(tmp_path / "back" / "clip")


def test_rows_that_were_cut_do_not_return(tmp_path):
    tensors = {key: tensor for key, tensor in state_dict().items() if not key.startswith(CLIP_PREFIX)}
    original = write_original(tmp_path / "original", shards=1)
    for key in ("model.embed_tokens.weight", "lm_head.weight"):
        tensors[key] = torch.cat([tensors[key], torch.ones(53, 64)])
    torch.save(tensors, original / "pytorch_model.bin")
    settings = json.loads((original / "config.json").read_text())
    (original / "config.json").write_text(json.dumps({**settings, "vocab_size": 373}))
    convert_videoglamm(original, tmp_path / "model", config=TINY_CONFIG, progress=False)
    export.export_videoglamm(tmp_path / "model", tmp_path / "back", progress=False)
    assert read(tmp_path / "back")["lm_head.weight"].shape == (320, 64)
    assert json.loads((tmp_path / "back" / "config.json").read_text())["vocab_size"] == 320


def test_a_model_saved_by_transformers_returns_with_like(converted_tiny, original_tiny, tmp_path):
    """Other values, and one tensor that loading keeps in float32."""
    model = AutoModelForImageTextToText.from_pretrained(converted_tiny, dtype=torch.bfloat16)
    model.lm_head.weight.data.fill_(0.5)
    model.save_pretrained(tmp_path / "tuned")
    with pytest.raises(CheckpointError, match="--like"):
        export.export_videoglamm(tmp_path / "tuned", tmp_path / "back", progress=False)
    for like in (original_tiny, converted_tiny):
        command = [sys.executable, SCRIPT, "--model", tmp_path / "tuned", "--output", tmp_path / "back"]
        if like is original_tiny:
            done = subprocess.run([*command, "--like", like], capture_output=True, text=True)
            assert done.returncode == 0, done.stderr
        else:
            export.export_videoglamm(tmp_path / "tuned", tmp_path / "back", like=like, overwrite=True, progress=False)
        tensors = read(tmp_path / "back")
        assert (tensors["lm_head.weight"] == 0.5).all() and tensors["lm_head.weight"].dtype == torch.bfloat16
        gaussian = "model.visual_model.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"
        assert tensors[gaussian].dtype == torch.float32


def test_what_cannot_be_exported(original_tiny, converted_tiny, tmp_path):
    def refused(expected: str, model: Path, **options) -> None:
        with pytest.raises((CheckpointError, OutputError), match=expected):
            export.export_videoglamm(model, tmp_path / "back", progress=False, **options)
        assert not (tmp_path / "back").exists() and not list(tmp_path.glob(".back*"))

    refused("config.json cannot be read", tmp_path / "nowhere")
    refused("no VideoGLaMM of transformers", original_tiny)
    refused("does not hold the original's config.json", converted_tiny, like=tmp_path)
    broken = Path(shutil.copytree(converted_tiny, tmp_path / "broken"))
    kept = broken / "original" / "config.json"
    kept.write_text(json.dumps({**json.loads(kept.read_text()), "seg_token_idx": 7}))
    refused(r"\[SEG\] is token 7, the model says 319", broken)
    tensors = load_file(broken / "model.safetensors")
    save_file({**tensors, "lm_head.weight": torch.ones(2, dtype=torch.int8)}, broken / "model.safetensors")
    refused("lm_head.weight .*quantised", broken, like=original_tiny)
    save_file({**tensors, "adapter.weight": torch.ones(2)}, broken / "model.safetensors")
    refused("adapter.weight .*no place in the original.*merge_and_unload", broken, like=original_tiny)
