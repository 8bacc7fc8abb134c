"""Training on several processes: batches of different kinds on every rank, and one result."""

import os
import socket
from pathlib import Path

import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file, save_file
from transformers import AutoModel, AutoProcessor, Trainer, TrainingArguments

from tests.training.test_training import PICTURE, TEXT, Samples, video_sample
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.training.fine_tuning import trainable_modules

pytestmark = pytest.mark.skipif(not (dist.is_available() and dist.is_gloo_available()), reason="needs gloo")
# Two optimizer steps of two samples each.
SAMPLES = [video_sample(1, 2), TEXT, PICTURE, video_sample(0, 1)]


def train(folder: str, output: str, accumulation_steps: int) -> dict[str, torch.Tensor]:
    """Two steps of plain SGD with plain Trainer; returns what was trained."""
    model = AutoModel.from_pretrained(folder, attn_implementation="eager")
    names = trainable_modules(model, "projectors")
    arguments = TrainingArguments(
        output,
        max_steps=2,
        per_device_train_batch_size=1,
        gradient_accumulation_steps=accumulation_steps,
        learning_rate=1e-2,
        optim="sgd",
        max_grad_norm=0,
        lr_scheduler_type="constant",
        train_sampling_strategy="sequential",
        use_cpu=True,
        ddp_backend="gloo" if "RANK" in os.environ else None,
        report_to="none",
        save_strategy="no",
        remove_unused_columns=False,
        disable_tqdm=True,
    )
    collator = VideoGlammDataCollator(AutoProcessor.from_pretrained(folder), num_mask_frames=None)
    Trainer(model, arguments, data_collator=collator, train_dataset=Samples(SAMPLES)).train()
    return {n: p.detach().clone() for n, p in model.named_parameters() if any(n.startswith(f"{m}.") for m in names)}


def worker(rank: int, port: int | None, folder: str, output: str) -> None:
    """Trains as one of two processes, or alone without a port."""
    if port is not None:
        os.environ |= {
            "RANK": str(rank),
            "LOCAL_RANK": str(rank),
            "WORLD_SIZE": "2",
            "MASTER_ADDR": "127.0.0.1",
            "MASTER_PORT": str(port),
        }
    trained = train(folder, output, accumulation_steps=2 if port is None else 1)
    save_file(trained, Path(output, f"{rank}.safetensors"))


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_two_processes_equal_one_that_accumulates(light_tiny, tmp_path, monkeypatch):
    # One thread on both sides from the start of each process: how sums are split decides their rounding.
    for name in ("OMP_NUM_THREADS", "MKL_NUM_THREADS"):
        monkeypatch.setenv(name, "1")
    trained = {}
    for processes, port in ((1, None), (2, free_port())):
        folder = tmp_path / str(processes)
        folder.mkdir()
        mp.spawn(worker, (port, str(light_tiny), str(folder)), nprocs=processes)
        trained[processes] = [load_file(folder / f"{rank}.safetensors") for rank in range(processes)]
    (expected,) = trained[1]
    before = AutoModel.from_pretrained(light_tiny).state_dict()
    assert any((before[name] - value).abs().max() > 1e-5 for name, value in expected.items())
    for result in trained[2]:
        assert set(result) == set(expected)
        for name, value in expected.items():
            assert torch.allclose(result[name], value, atol=1e-6, rtol=1e-5), name
