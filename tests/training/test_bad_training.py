"""Broken samples, losses and checkpoints: training says what is wrong, and goes on from what is whole."""

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.training.test_training import PICTURE, TEXT, Samples, arguments, turns, video_sample
from videoglamm_hf import InputError
from videoglamm_hf.data import JsonlDataset, VideoGlammDataCollator
from videoglamm_hf.errors import CheckpointError, MediaError, TrainingError
from videoglamm_hf.training.checkpoints import check_training_checkpoint, last_complete_checkpoint
from videoglamm_hf.training.fine_tuning import trainable_modules
from videoglamm_hf.training.trainer import VideoGlammTrainer

ROOT = Path(__file__).resolve().parents[2]


@pytest.fixture
def trainer(fresh_model, processor):
    def make(folder, data=(TEXT, TEXT), collate=None, **options):
        model = fresh_model()
        trainable_modules(model, "lora")
        collate = collate or VideoGlammDataCollator(processor, num_mask_frames=None)
        options = arguments(folder, **options)
        return VideoGlammTrainer(
            model, options, data_collator=collate, train_dataset=Samples(list(data)), processing_class=processor
        )

    return make


@pytest.fixture
def broken(tmp_path):
    path = tmp_path / "broken.mp4"
    path.write_bytes(b"\0\0\0\x18ftypmp42" + b"\xff" * 500)
    return video_sample(1) | {"video": str(path), "id": "the broken one"}


def test_a_broken_video_raises_or_is_skipped_and_counted(processor, broken):
    with pytest.raises(MediaError, match=r"broken\.mp4"):
        VideoGlammDataCollator(processor)([PICTURE, broken])
    collate = VideoGlammDataCollator(processor, skip_broken=True)
    with pytest.raises(MediaError, match="None of the batch's videos"):
        collate([broken])
    batch = collate([PICTURE, broken, TEXT])
    assert len(batch["input_ids"]) == len(batch["mask_labels"]) == 2
    again = collate([broken, broken])
    assert again["input_ids"].tolist() == collate([TEXT])["input_ids"].tolist()
    assert collate.num_skipped == 4


def test_an_epoch_goes_on_past_a_broken_video(trainer, processor, broken, tmp_path):
    collate = VideoGlammDataCollator(processor, skip_broken=True)
    samples = [TEXT, broken, TEXT, TEXT]
    run = trainer(tmp_path / "run", samples, collate, per_device_train_batch_size=2, max_steps=-1, num_train_epochs=1)
    assert run.train().global_step == 2
    assert collate.num_skipped == 1


def test_a_loss_that_is_no_number_names_its_batch(trainer, tmp_path):
    run = trainer(tmp_path, [TEXT | {"id": "the culprit"}])
    with torch.no_grad():
        run.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(TrainingError, match=r"step 1 is nan .*the culprit"):
        run.train()


def test_no_data(trainer, tmp_path):
    (tmp_path / "none.jsonl").write_text("\n")
    with pytest.raises(InputError, match="training set is empty"):
        trainer(tmp_path, JsonlDataset(tmp_path / "none.jsonl")).train()
    with pytest.raises(InputError, match="2 masks for the 3 frames"):
        sample = video_sample(1)
        sample["masks"] = [track[:2] for track in sample["masks"]]
        trainer(tmp_path, [sample]).train()
    with pytest.raises(InputError, match=r"\[SEG\]"):
        trainer(tmp_path, [TEXT | {"messages": turns("It?", "It is [SEG].", None)}]).train()


@pytest.mark.parametrize("name", ["trainer_state.json", "model.safetensors", "optimizer.pt", "rng_state.pth"])
def test_damaged_checkpoints(trainer, tmp_path, name):
    trainer(tmp_path, max_steps=2, save_steps=1).train()
    newest = tmp_path / "checkpoint-2"
    whole = (newest / name).read_bytes()
    (newest / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(CheckpointError, match=rf"{name}.*resume from .*checkpoint-1"):
        trainer(tmp_path, max_steps=2).train(str(newest))
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")
    resumed = trainer(tmp_path, max_steps=3)
    assert resumed.train(resume_from_checkpoint=True).global_step == 3
    assert len([entry for entry in resumed.state.log_history if "loss" in entry]) == 3


def test_nothing_to_resume_from(trainer, tmp_path):
    with pytest.raises(CheckpointError, match="no whole checkpoint"):
        trainer(tmp_path / "new").train(resume_from_checkpoint=True)
    with pytest.raises(CheckpointError, match="no such folder"):
        check_training_checkpoint(tmp_path / "checkpoint-7")


KILLED = """
import os, signal, sys
from transformers import AutoModel, AutoProcessor, Trainer
from tests.training.test_training import TEXT, Samples, arguments
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.training.fine_tuning import trainable_modules

model = AutoModel.from_pretrained(sys.argv[1])
trainable_modules(model, "lora")

class Dies(Trainer):
    def _save_optimizer_and_scheduler(self, output_dir):
        if self.state.global_step == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        super()._save_optimizer_and_scheduler(output_dir)

collate = VideoGlammDataCollator(AutoProcessor.from_pretrained(sys.argv[1]))
options = arguments(sys.argv[2], max_steps=3, save_steps=1)
Dies(model, options, data_collator=collate, train_dataset=Samples([TEXT])).train()
"""


@pytest.mark.skipif(os.name == "nt", reason="no SIGKILL")
def test_killed_while_saving(trainer, light_tiny, tmp_path):
    command = [sys.executable, "-c", KILLED, str(light_tiny), str(tmp_path)]
    killed = subprocess.run(command, cwd=ROOT, capture_output=True, timeout=300)
    assert killed.returncode == -signal.SIGKILL, killed.stderr.decode()[-2000:]
    assert (tmp_path / "checkpoint-2" / "model.safetensors").exists()
    assert last_complete_checkpoint(tmp_path) == str(tmp_path / "checkpoint-1")
    assert trainer(tmp_path, [TEXT], max_steps=3).train(resume_from_checkpoint=True).global_step == 3
