"""Workers that decode videos: forked from a process that has decoded, has answered, and goes on training."""

import gc
import subprocess
import sys

import pytest
from torch.utils.data import get_worker_info
from transformers import TrainingArguments

from tests.tiny_checkpoint import frames
from tests.training.test_training import video_sample
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.training.trainer import VideoGlammTrainer

# In a process of its own: what waits for threads that are not there waits for ever.
FORK = """
import gc, os, sys
from videoglamm_hf.clip_sources import read_clip

def decode():
    return read_clip(sys.argv[1], fps=None, max_frames=None, decoder=sys.argv[2]).array.sum()

gc.disable()
expected, children = decode(), []
for _ in range(4):
    child = os.fork()
    if child == 0:
        same = all(decode() == expected for _ in range(2))
        gc.collect()
        os._exit(0 if same else 1)
    children.append(child)
sys.exit(max(os.waitpid(child, 0)[1] for child in children))
"""


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    path = tmp_path_factory.mktemp("clip") / "clip.mp4"
    write_mp4(path, frames(40, 48, 64), fps=10)
    return path


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
@pytest.mark.parametrize("decoder", ["av", "decord"])
def test_decode_fork_decode(clip, decoder):
    result = subprocess.run([sys.executable, "-c", FORK, str(clip), decoder], timeout=100, check=False)
    assert result.returncode == 0


class CollectingCollator(VideoGlammDataCollator):
    """Meets in every batch what a garbage collection may meet in any."""

    def __call__(self, samples):
        if get_worker_info() is not None:
            gc.collect()
        return super().__call__(samples)


@pytest.fixture
def without_collections():
    gc.collect()
    gc.disable()
    yield
    gc.enable()


@pytest.mark.timeout(200)
@pytest.mark.usefixtures("without_collections")
def test_training_with_workers_after_an_answer(fresh_model, processor, clip, tmp_path):
    sample = {**video_sample(), "video": str(clip), "mask_frames": [3, 17, 38]}
    arguments = TrainingArguments(
        tmp_path,
        per_device_train_batch_size=1,
        max_steps=4,
        eval_on_start=True,
        eval_strategy="steps",
        eval_steps=2,
        dataloader_num_workers=2,
        remove_unused_columns=False,
        report_to=[],
        use_cpu=True,
        save_strategy="no",
    )
    trainer = VideoGlammTrainer(
        fresh_model(),
        arguments,
        data_collator=CollectingCollator(processor),
        train_dataset=[sample] * 8,
        eval_dataset=[sample] * 2,
        processing_class=processor,
        max_new_tokens=3,
    )
    trainer.train()
    scored = [logs["step"] for logs in trainer.state.log_history if "eval_j" in logs]
    assert trainer.state.global_step == 4 and scored == [0, 2, 4]
