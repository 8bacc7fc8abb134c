"""The original's other layouts, made of the tiny model's tensors: language model, VideoGPT+, training state, parts."""

import json
import shutil
import zlib
from pathlib import Path

import torch
from safetensors.torch import save_file

from tests.tiny_checkpoint import CLIP_PREFIX, FIXTURES, state_dict, write_weights

GROUNDING, TEMPORAL = "model.visual_model.", "model.vision_tower."
RANK, ALPHA = 8, 32
TRAINED = ("lm_head.", "model.embed_tokens.", "model.text_hidden_fcs.", f"{GROUNDING}sam_mask_decoder.")
_PROJECTORS = ("model.mm_projector.", "model.image_mm_projector.")


def language_tensors(salt: str = "") -> dict[str, torch.Tensor]:
    """Those of the language model alone."""
    others = (GROUNDING, TEMPORAL, CLIP_PREFIX, "model.text_hidden_fcs.", *_PROJECTORS)
    return {key: tensor for key, tensor in state_dict(salt).items() if not key.startswith(others)}


def write_language_model(folder: Path, rows: int = 320) -> Path:
    """A Phi-3 as its authors release it: without [SEG], but with spare rows, in safetensors."""
    folder.mkdir(parents=True)
    tensors = {k: t[:rows] if t.shape[0] == 320 else t for k, t in language_tensors().items()}
    write_weights(folder, {key: tensor.contiguous() for key, tensor in tensors.items()}, container="safetensors")
    settings = json.loads((FIXTURES / "original_config.json").read_text())
    settings = {k: v for k, v in settings.items() if not k.startswith("mm_") and k != "seg_token_idx"}
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": "phi3"}))
    for name in ("tokenizer.model", "tokenizer_config.json", "special_tokens_map.json"):
        shutil.copy(FIXTURES / "tokenizer" / name, folder / name)
    tokenizer = json.loads((folder / "tokenizer_config.json").read_text())
    decoder = {i: token for i, token in tokenizer["added_tokens_decoder"].items() if token["content"] != "[SEG]"}
    (folder / "tokenizer_config.json").write_text(json.dumps({**tokenizer, "added_tokens_decoder": decoder}))
    return folder


def lora_tensors(salt: str, weights: dict[str, torch.Tensor], name: str = "") -> dict[str, torch.Tensor]:
    """A and B of every fused attention input, by peft's keys; `name` is that of the adapter in a training state."""
    tensors = {}
    for key, weight in weights.items():
        if key.endswith("qkv_proj.weight"):
            generator = torch.Generator().manual_seed(zlib.crc32((salt + key).encode()))
            module = f"base_model.model.{key.removesuffix('.weight')}"
            a = torch.randn(RANK, weight.shape[1], generator=generator) * 0.1
            tensors[f"{module}.lora_A{name}.weight"] = a
            tensors[f"{module}.lora_B{name}.weight"] = torch.randn(weight.shape[0], RANK, generator=generator) * 0.1
    return tensors


def write_videogpt_plus(folder: Path, salt: str = "V:", container: str = "bin", **settings) -> dict[str, torch.Tensor]:
    """VideoGPT+'s folder: LoRA of the language model and trained projectors; returns all tensors by file key."""
    folder.mkdir(parents=True)
    adapter = {"peft_type": "LORA", "r": RANK, "lora_alpha": ALPHA, "target_modules": ["qkv_proj"], "bias": "none"}
    adapter |= {"base_model_name_or_path": "microsoft/Phi-3-mini-4k-instruct", **settings}
    (folder / "adapter_config.json").write_text(json.dumps(adapter))
    lora = lora_tensors(salt, language_tensors())
    if container == "bin":
        torch.save(lora, folder / "adapter_model.bin")
    else:
        save_file(lora, folder / "adapter_model.safetensors")
    whole = {f"base_model.model.{k}": t for k, t in state_dict(salt).items() if k.startswith(_PROJECTORS)}
    torch.save(whole, folder / "non_lora_trainables.bin")
    shutil.copy(FIXTURES / "original_config.json", folder / "config.json")
    return lora | whole


def training_state(salt: str = "T:", everything: bool = False) -> dict[str, torch.Tensor]:
    """A training state by its keys: LoRA and what trains, or the whole wrapped model."""
    tensors = lora_tensors(salt, language_tensors(), ".default")
    for key, tensor in state_dict(salt).items():
        if not everything and not key.startswith(TRAINED):
            continue
        if everything and key.endswith("qkv_proj.weight"):
            key = key.replace("qkv_proj.", "qkv_proj.base_layer.")
        tensors[f"base_model.model.{key}"] = tensor
    return tensors


def write_deepspeed(folder: Path, tensors: dict[str, torch.Tensor]) -> Path:
    """A DeepSpeed folder (ZeRO 1 or 2): the 16-bit model under `module`."""
    step = folder / "global_step20"
    step.mkdir(parents=True)
    (folder / "global_step5").mkdir()
    (folder / "latest").write_text("global_step20\n")
    state = {"module": tensors, "ds_version": "0.15.4", "global_steps": 20, "optimizer": None, "param_shapes": []}
    torch.save(state, step / "mp_rank_00_model_states.pt")
    (step / "bf16_zero_pp_rank_0_mp_rank_00_optim_states.pt").write_bytes(b"never read")
    return folder


def write_sam2(path: Path, salt: str = "", *, later: bool = False) -> dict[str, torch.Tensor]:
    """SAM 2's own file, `.gamma` as it has it; `later` is 2.1, with its two additions. Returns the tensors."""
    own = {k.removeprefix(GROUNDING): t for k, t in state_dict(salt).items() if k.startswith(GROUNDING)}
    if later:
        generator = torch.Generator().manual_seed(21)
        own["no_obj_embed_spatial"] = torch.randn(1, 64, generator=generator)
        own["obj_ptr_tpos_proj.weight"] = torch.randn(64, 256, generator=generator) / 16
        own["obj_ptr_tpos_proj.bias"] = torch.randn(64, generator=generator) / 16
    renamed = {k.replace("weight", "gamma") if k.count(".") == 4 and "fuser" in k else k: t for k, t in own.items()}
    assert "memory_encoder.fuser.layers.0.gamma" in renamed
    torch.save({"model": renamed}, path)
    return own


def write_internvideo2(
    path: Path, salt: str = "", *, key: str | None = "module", frames: int = 4
) -> dict[str, torch.Tensor]:
    """InternVideo2's own file, its other towers included, in the format of before torch 1.6; returns the tensors."""
    start = TEMPORAL + "vision_encoder."
    own = {k.removeprefix(start): t for k, t in state_dict(salt).items() if k.startswith(start)}
    if frames != 4:
        own["pos_embed"] = torch.randn(1, 1 + frames * 256, 96, generator=torch.Generator().manual_seed(frames))
    tensors = {f"vision_encoder.{k}": t for k, t in own.items()}
    tensors |= {"text_encoder.bert.weight": torch.ones(2), "temp": torch.ones(()), "itm_head.bias": torch.ones(2)}
    torch.save({key: tensors} if key else tensors, path, _use_new_zipfile_serialization=False)
    return own


def write_clip(folder: Path, salt: str = "") -> dict[str, torch.Tensor]:
    """CLIP's folder; returns the tensors."""
    folder.mkdir(parents=True)
    own = {k.removeprefix(CLIP_PREFIX): t for k, t in state_dict(salt).items() if k.startswith(CLIP_PREFIX)}
    write_weights(folder, own, container="safetensors")
    shutil.copy(FIXTURES / "clip_config.json", folder / "config.json")
    shutil.copy(FIXTURES / "clip_preprocessor_config.json", folder / "preprocessor_config.json")
    return own
