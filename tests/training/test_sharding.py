"""Two processes: training on different kinds of samples, sharded (FSDP2) and replicated (DDP); a language model in
two parts (tensor parallel)."""

import copy
import json
import os
from datetime import timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from accelerate import FullyShardedDataParallelPlugin
from accelerate.commands.config.config_args import load_config_from_file
from accelerate.utils.fsdp_utils import fsdp2_prepare_model
from safetensors.torch import load_file, save_file
from torch.distributed.checkpoint.state_dict import StateDictOptions, get_model_state_dict
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, register_fsdp_forward_method
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel
from transformers import AutoModel, AutoProcessor

from tests.conftest import force_seg, load_model
from tests.tiny_checkpoint import frames
from tests.training.test_training import PICTURE, TEXT, video_sample
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.training.fine_tuning import trainable_modules

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo")
LEARNING_RATE = 1e-2
CONFIGS = Path(__file__).parents[2] / "examples" / "configs"
# What the two processes hold, and how masks are trained.
CASES = {
    "video and picture": ([video_sample(2, 3)], [PICTURE], "framewise"),
    "two videos and text": ([video_sample(1, 1), video_sample(1, 2)], [TEXT], "framewise"),
    "picture and no object": ([PICTURE], [video_sample(0, 1)], "framewise"),
    "memory and one frame": ([video_sample(1, 2)], [video_sample(1, 1)], "video"),
}


def make_model(folder: str, mask_training_mode: str, everything: bool) -> torch.nn.Module:
    torch.manual_seed(0)
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    model.config.mask_training_mode = mask_training_mode
    trainable_modules(model, "paper")
    model.model.spatial_projector.requires_grad_(True)
    model.model.temporal_projector.requires_grad_(True)
    if everything:
        trainable_modules(model, "full")
    return model.train()


def collate(folder: str, samples: list) -> dict:
    return VideoGlammDataCollator(AutoProcessor.from_pretrained(folder), num_mask_frames=None)(samples)


def shard(model: torch.nn.Module, mesh: dist.DeviceMesh) -> torch.nn.Module:
    """What accelerate does for a config with `fsdp_version: 2` and `TRANSFORMER_BASED_WRAP`."""
    plugin = FullyShardedDataParallelPlugin(
        fsdp_version=2,
        auto_wrap_policy="transformer_based_wrap",
        reshard_after_forward=True,
        cpu_ram_efficient_loading=False,
    )
    accelerator = SimpleNamespace(
        state=SimpleNamespace(fsdp_plugin=plugin),
        torch_device_mesh=mesh,
        parallelism_config=SimpleNamespace(fsdp_dim_names=("shard",)),
        mixed_precision="no",
        is_main_process=False,
    )
    model = fsdp2_prepare_model(accelerator, model)
    sharded = {
        type(module).__name__.removeprefix("FSDP") for module in model.modules() if isinstance(module, FSDPModule)
    }
    assert sharded >= {"CLIPEncoderLayer", "InternVideo2Layer", "Phi3DecoderLayer", "VideoGlammPixelDecoder"}
    return model


def step(model: torch.nn.Module, batch: dict) -> torch.Tensor:
    """One step of plain SGD; the loss before it."""
    loss = model(**batch).loss
    loss.backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE).step()
    return loss.detach()


def gathered(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return get_model_state_dict(model, options=StateDictOptions(full_state_dict=True, cpu_offload=True))


def worker(rank: int, folder: str, output: str) -> None:
    torch.set_num_threads(1)
    store = f"file://{output}/store"
    dist.init_process_group("gloo", init_method=store, rank=rank, world_size=2, timeout=timedelta(minutes=9))
    mesh = init_device_mesh("cpu", (2,), mesh_dim_names=("shard",))
    processor = AutoProcessor.from_pretrained(folder)
    for name, (*batches, mode) in CASES.items():
        batch = collate(folder, batches[rank])
        model = shard(make_model(folder, mode, everything=True), mesh)
        loss = step(model, copy.copy(batch))
        state = gathered(model)
        if rank == 0:
            state = {key: value.contiguous() for key, value in state.items()}
            save_file(state, f"{output}/sharded {name}.safetensors")
            if name == "video and picture":
                model.save_pretrained(f"{output}/saved", state_dict=state)
        if name == "video and picture":
            register_fsdp_forward_method(model.eval(), "generate")
            save_file(answer(model, processor), f"{output}/answer {rank}.safetensors")
        save_file({"loss": loss}, f"{output}/sharded {name} {rank}.safetensors")

        # Every parameter that trains takes part on every process: nothing unused is looked for.
        model = make_model(folder, mode, everything=False)
        loss = step(DistributedDataParallel(model, find_unused_parameters=False), batch)
        if rank == 0:
            save_file(trained(model), f"{output}/replicated {name}.safetensors")
    os.environ |= {"RANK": str(rank), "LOCAL_RANK": str(rank), "WORLD_SIZE": "2"}
    model = load_model(Path(folder), tp_plan="auto")
    assert all(isinstance(p, DTensor) for n, p in model.named_parameters() if n.endswith("qkv_proj.weight"))
    found = answer(model, processor)
    save_file(found, f"{output}/tensor parallel {rank}.safetensors")
    dist.destroy_process_group()


def answer(model: torch.nn.Module, processor: Any) -> dict[str, torch.Tensor]:
    content = [{"type": "video", "video": frames(2, 48, 64)}, {"type": "text", "text": "Can you segment it?"}]
    messages = [{"role": "user", "content": content}]
    inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
    forced = force_seg([1], inputs["input_ids"].shape[1])
    output = model.generate(**inputs, max_new_tokens=3, logits_processor=forced, output_mask_logits=True)
    return {"sequences": output.sequences, "mask_logits": output.mask_logits[0]}


def trained(model: torch.nn.Module) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in model.named_parameters() if p.requires_grad}


@pytest.fixture(scope="module")
def two_processes(light_tiny, tmp_path_factory) -> Path:
    output = tmp_path_factory.mktemp("two")
    mp.spawn(worker, (str(light_tiny), str(output)), nprocs=2)
    return output


def one_process(folder: str, case: str) -> tuple[dict[str, torch.Tensor], list[torch.Tensor]]:
    """The mean over both batches: all weights after a step, and the losses before."""
    *batches, mode = CASES[case]
    model = make_model(folder, mode, everything=True)
    losses = [model(**collate(folder, batch)).loss for batch in batches]
    (sum(losses) / 2).backward()
    torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=LEARNING_RATE).step()
    return model.state_dict(), [loss.detach() for loss in losses]


@pytest.mark.parametrize("case", CASES)
def test_two_processes_equal_one(case, two_processes, light_tiny, model):
    after, losses = one_process(str(light_tiny), case)
    before = model.state_dict()
    for rank, loss in enumerate(losses):
        found = load_file(two_processes / f"sharded {case} {rank}.safetensors")["loss"]
        assert torch.allclose(found, loss, atol=1e-5), (found, loss)
    sharded = load_file(two_processes / f"sharded {case}.safetensors")
    assert set(sharded) == set(after)
    # What trains moves alike, whether or not the rest trains too.
    replicated = load_file(two_processes / f"replicated {case}.safetensors")
    assert any((after[name] - before[name]).abs().max() > 1e-4 for name in replicated)
    for found in (sharded, replicated):
        for name, value in found.items():
            assert torch.allclose(value, after[name], atol=1e-5), (name, (value - after[name]).abs().max())


def test_a_language_model_in_two_parts_answers_alike(two_processes, model, processor):
    whole = answer(model, processor)
    for rank in (0, 1):
        parts = load_file(two_processes / f"tensor parallel {rank}.safetensors")
        assert torch.equal(parts["sequences"], whole["sequences"])
        assert torch.allclose(parts["mask_logits"], whole["mask_logits"], atol=1e-3)


def test_a_sharded_model_answers_and_is_saved_as_any_other(two_processes, processor):
    state = load_file(two_processes / "sharded video and picture.safetensors")
    loaded = load_model(two_processes / "saved")
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, state[name]), name
    whole = answer(loaded, processor)
    for rank in (0, 1):
        sharded = load_file(two_processes / f"answer {rank}.safetensors")
        assert torch.equal(sharded["sequences"], whole["sequences"])
        assert torch.allclose(sharded["mask_logits"], whole["mask_logits"], atol=1e-3)


@pytest.mark.parametrize("name", ["ddp", "fsdp2"])
def test_accelerate_reads_the_example_configs(name):
    config = load_config_from_file(str(CONFIGS / f"{name}.yaml"))
    assert config.mixed_precision == "bf16" and config.num_processes == 4
    if name == "fsdp2":
        wrapping = {key: config.fsdp_config[f"fsdp_{key}"] for key in ("version", "auto_wrap_policy")}
        assert wrapping == {"version": 2, "auto_wrap_policy": "TRANSFORMER_BASED_WRAP"}


@pytest.mark.parametrize("stage", [2, 3])
def test_the_deepspeed_configs_name_their_stage(stage):
    config = json.loads((CONFIGS / f"zero{stage}.json").read_text())
    assert config["zero_optimization"]["stage"] == stage
