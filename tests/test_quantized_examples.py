"""The examples of quantised models, run on toy data for a few steps."""

import re
from pathlib import Path

import pytest
import torch
from examples import qlora_finetune, quantized_inference
from peft import PeftModel
from transformers import AutoModel

from videoglamm_hf.data import validate_jsonl, write_jsonl
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset


@pytest.fixture(scope="module")
def toy_data(tmp_path_factory) -> Path:
    """A JSONL file of two clips of the shapes world."""
    folder = tmp_path_factory.mktemp("data")
    samples = []
    for i, sample in enumerate(ShapesWorldDataset(kind="referring", length=2, config=ShapesWorldConfig(num_frames=4))):
        write_mp4(folder / f"{i}.mp4", sample["video"], fps=1)
        kept = {name: sample[name] for name in ("messages", "mask_frames")}
        samples.append(kept | {"masks": [list(track) for track in sample["masks"]], "video": str(folder / f"{i}.mp4")})
    write_jsonl(folder / "train.jsonl", samples)
    assert validate_jsonl(folder / "train.jsonl") == []
    return folder / "train.jsonl"


@pytest.mark.parametrize("bits", ["4", "8"])
def test_inference(small_folder, toy_data, capsys, bits):
    video = str(toy_data.parent / "0.mp4")
    quantized_inference.main(
        [video, "Please segment it.", "--model", str(small_folder), "--bits", bits, "--max-new-tokens", "4"]
    )
    printed = capsys.readouterr().out
    size = float(re.search(r"([\d.]+) MiB of weights", printed).group(1))
    assert size < AutoModel.from_pretrained(small_folder).get_memory_footprint() / 2**20


def test_fine_tuning(small_folder, toy_data, tmp_path, capsys):
    adapter = tmp_path / "adapter"
    qlora_finetune.main([str(toy_data), "--model", str(small_folder), "--output", str(adapter), "--steps", "2"])
    printed = capsys.readouterr().out
    assert "adapter ->" in printed and "'loss'" in printed
    model = AutoModel.from_pretrained(small_folder)
    before = model.seg_projection.linear_1.weight.detach().clone()
    tuned = PeftModel.from_pretrained(model, adapter)
    assert not torch.equal(tuned.base_model.model.seg_projection.linear_1.weight, before)
