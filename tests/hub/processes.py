"""Running `answering.py`, with this package or without it."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import torch
from peft import get_peft_model
from transformers import AutoModel

from tests.tiny_checkpoint import frames
from videoglamm_hf.training.fine_tuning import lora_config

SCRIPT = Path(__file__).parent / "answering.py"
# Of the environment.
KEPT = ("PATH", "LD_LIBRARY_PATH", "SYSTEMROOT", "OMP_NUM_THREADS", "OMP_WAIT_POLICY")


def answers_of(models: list[dict], folder: Path, *, hidden: bool, endpoint: str | None = None) -> dict:
    """What models answer in a process of its own.

    Args:
        models: What to load; see `answering.py`.
        folder: Where the process keeps its files.
        hidden: Whether this package is hidden from it.
        endpoint: The Hub; without one the process is offline.

    Returns:
        Arrays by `NAME.masks`, `NAME.scores` and `NAME.text`.
    """
    folder.mkdir(parents=True)
    np.save(folder / "frames.npy", frames(3, 48, 64))
    # An editable install puts the package's own folder here; an installed one lies among everything else.
    path = [p for p in sys.path if p and not (hidden and Path(p, "videoglamm_hf").exists() and "packages" not in p)]
    job = {
        "path": path,
        "hidden": hidden,
        "models": models,
        "frames": str(folder / "frames.npy"),
        "output": str(folder / "answers.npz"),
    }
    (folder / "job.json").write_text(json.dumps(job))
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    environment = {
        **kept,
        "HOME": str(folder),
        "HF_HOME": str(folder / "hf"),
        "HF_HUB_DISABLE_XET": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
        **({"HF_ENDPOINT": endpoint, "HF_TOKEN": "hf_for_the_stand_in"} if endpoint else {"HF_HUB_OFFLINE": "1"}),
    }
    ran = subprocess.run(
        [sys.executable, "-I", "-S", SCRIPT, folder / "job.json"],
        env=environment,
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=300,
    )
    assert ran.returncode == 0, ran.stderr[-4000:]
    with np.load(folder / "answers.npz") as arrays:
        return dict(arrays)


def save_adapter(base: Path, folder: Path) -> None:
    """Saves a LoRA adapter of a model, with whole modules beside it, that changes its answers."""
    tuned = AutoModel.from_pretrained(base)
    tuned = get_peft_model(tuned, lora_config(tuned))
    torch.manual_seed(0)
    with torch.no_grad():
        for parameter in tuned.parameters():
            if parameter.requires_grad:
                parameter.add_(0.05 * torch.randn_like(parameter))
    tuned.save_pretrained(folder)
