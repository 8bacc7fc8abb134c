"""The script that trains the small model runs from end to end and goes on where it stopped; its batches say what they
claim to say."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.toy.recipe import stages
from videoglamm_hf.toy.recipe.building import build
from videoglamm_hf.toy.recipe.targets import PromptCodes
from videoglamm_hf.toy.shapes_world import COLOURS, SHAPES, ShapesWorldConfig
from videoglamm_hf.toy.shapes_world.questions import sample_scene_questions

ROOT = Path(__file__).parents[2]
NUM_QUESTIONS = 12


@pytest.fixture(scope="module")
def model_and_processor():
    return build(0)


@pytest.fixture(scope="module")
def scenes():
    drawn = stages.Scenes((None,), 8, ShapesWorldConfig(), seed=0)
    return [drawn[i] for i in range(len(drawn))]


def train(output: Path) -> str:
    command = [sys.executable, "examples/train_tiny.py", "--output", output, "--steps", "0.001", "--clips", "1"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=600)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.slow
def test_it_trains_saves_evaluates_and_goes_on(tmp_path):
    assert "| referring | video | 1 |" in train(tmp_path)
    first = load_file(tmp_path / "model.safetensors")
    # One stage never begun, one stopped after its last checkpoint.
    shutil.rmtree(tmp_path / "stages" / "clips")
    (tmp_path / "stages" / "language" / "weights.safetensors").unlink()
    said = train(tmp_path)
    assert said.count("done before") == 5  # of seven stages
    assert "clips: 2 steps\n" in said and "language: 8 steps, going on from" in said
    again = load_file(tmp_path / "model.safetensors")
    assert first.keys() == again.keys() and all(torch.equal(first[name], again[name]) for name in first)


def test_answers_are_read_without_some_colours(model_and_processor, scenes):
    tokenizer = model_and_processor[1].tokenizer
    batch = stages.LanguageBatches(*model_and_processor, NUM_QUESTIONS)(scenes)
    answers = batch["labels"] != stages.IGNORED
    read, said = batch["input_ids"][answers], batch["labels"][answers]
    hidden = read == tokenizer.unk_token_id
    assert torch.equal(read[~hidden], said[~hidden])
    colours = torch.isin(said, torch.tensor(tokenizer.convert_tokens_to_ids(COLOURS)))
    assert not (hidden & ~colours).any()
    # 0.3 of some hundred colours, plus or minus four deviations.
    assert colours.sum() > 50
    assert hidden.sum() / colours.sum() == pytest.approx(0.3, abs=4 * (0.21 / int(colours.sum())) ** 0.5)
    assert not (batch["input_ids"][~answers] == tokenizer.unk_token_id).any()


def test_packed_questions_are_learnt_as_if_asked_alone(model_and_processor, scenes, monkeypatch):
    monkeypatch.setattr(stages, "UNKNOWN_COLOUR_RATE", 0.0)
    model, processor = model_and_processor
    model.eval()
    with torch.no_grad():
        packed = stages.Language(model)(**stages.LanguageBatches(model, processor, NUM_QUESTIONS)(scenes[:1]))
        collator, losses, counts = VideoGlammDataCollator(processor), [], []
        for question in sample_scene_questions(scenes[0], NUM_QUESTIONS):
            masks, frames = question.masks(scenes[0]), list(range(scenes[0].config.num_frames))
            sample = {"messages": question.messages(), "video": scenes[0].video, "masks": masks, "mask_frames": frames}
            batch = collator([sample])
            names = ("input_ids", "attention_mask", "labels", "pixel_values_videos", "temporal_pixel_values_videos")
            losses.append(model(**{name: batch[name] for name in names}).ce_loss)
            counts.append((batch["labels"] != stages.IGNORED).sum())
    alone = (torch.stack(losses) * torch.stack(counts)).sum() / sum(counts)
    torch.testing.assert_close(packed["words"], alone, rtol=1e-5, atol=1e-5)


def test_unsure_codes_are_still_nearest_to_what_they_mean():
    torch.manual_seed(0)
    codes, count = PromptCodes(128), 2000
    prompts = torch.stack([torch.randint(len(COLOURS) + 1, (count,)), torch.randint(len(SHAPES) + 1, (count,))], 1)
    unsure = codes.unsure(prompts)
    for table, rows in ((codes.colours, prompts[:, 0]), (codes.shapes, prompts[:, 1])):
        parts = unsure @ table.T / table.square().sum(1)
        assert torch.equal(parts.argmax(1), rows)
        own = parts[torch.arange(count), rows]
        assert own.min() >= 0.5 - 1e-5 and own.max() <= 1 + 1e-5
        # Half are left as they are.
        assert (own > 1 - 1e-4).float().mean() == pytest.approx(0.5, abs=0.06)
