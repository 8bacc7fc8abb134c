"""The examples run on toy data; what a longer run learns is tested where it is marked slow."""

import json
from pathlib import Path

import pytest
from examples import demo, finetune_lora, teach_shape, train_gcg
from transformers import AutoModel

from tests.data.builders import write_frames, write_json
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.output_marker import MARKER
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset

pytestmark = pytest.mark.usefixtures("without_warnings")


def shapes(path: Path, split: str, count: int, kind: str = "referring") -> Path:
    """Some clips of the shapes world as a JSONL file."""
    dataset = ShapesWorldDataset(split, kind, length=count, config=ShapesWorldConfig(num_frames=4), seed=3)
    samples = [dataset[i] for i in range(count)]
    for i, sample in enumerate(samples):
        write_mp4(path.with_name(f"{path.stem}_{i}.mp4"), sample["video"], fps=4)
        sample["video"] = path.with_name(f"{path.stem}_{i}.mp4")
    write_jsonl(path, [{key: one[key] for key in ("messages", "video", "masks", "mask_frames")} for one in samples])
    return path


def losses(folder: Path) -> list[float]:
    newest = max(folder.glob("checkpoint-*"), key=lambda path: int(path.name.split("-")[1]))
    history = json.loads((newest / "trainer_state.json").read_text())["log_history"]
    return [entry["loss"] for entry in history if "loss" in entry]


def test_finetune_lora(tmp_path, capsys):
    train, held_out = shapes(tmp_path / "train.jsonl", "train", 3), shapes(tmp_path / "eval.jsonl", "held_out", 2)
    options = ("--train", train, "--eval", held_out, "--output", tmp_path / "tuned", "--max-steps", 3)
    finetune_lora.main(list(map(str, options)))
    output = capsys.readouterr().out
    assert "eval_miou" in output and "trainable params" in output
    assert (tmp_path / "tuned" / "adapter" / "adapter_model.safetensors").exists()
    assert AutoModel.from_pretrained(tmp_path / "tuned" / "merged").config.model_type == "videoglamm"


def test_train_gcg(tmp_path):
    names = [f"{t:05d}.jpg" for t in range(3)]
    write_frames(tmp_path / "frames" / "clip", names, size=(48, 64))
    segmentation = {"size": [48, 64], "counts": [96, 30, 2946]}
    content = {
        "videos": [
            {
                "file_names": [f"clip/{name}" for name in names],
                "width": 64,
                "height": 48,
                "length": 3,
                "dense_cap": {"caption": "a star moves", "token_pos": [1], "mask_id": [7]},
                "metadata": {"dataset": "made"},
            }
        ],
        "annotations": [{"id": 7, "segmentations": [segmentation, None, segmentation]}],
    }
    annotations = write_json(tmp_path / "gcg.json", content)
    options = ("--gcg", annotations, tmp_path / "frames", "--jsonl", shapes(tmp_path / "more.jsonl", "train", 1))
    train_gcg.main(list(map(str, (*options, "--output", tmp_path / "out", "--max-steps", 2, "--save-steps", 2))))
    assert (tmp_path / "out" / "adapter" / "adapter_model.safetensors").exists()
    more = ("--max-steps", 4, "--save-steps", 2, "--resume")
    train_gcg.main(list(map(str, (*options, "--output", tmp_path / "out", *more))))
    assert (tmp_path / "out" / "checkpoint-4").exists()


@pytest.mark.slow
def test_the_loss_of_a_longer_run_goes_down(tmp_path):
    train = shapes(tmp_path / "train.jsonl", "train", 4, "motion")
    options = ("--train", train, "--output", tmp_path / "tuned", "--max-steps", 60, "--batch-size", 4)
    finetune_lora.main(list(map(str, (*options, "--learning-rate", 3e-3))))
    seen = losses(tmp_path / "tuned")
    assert seen[-1] < 0.7 * seen[0]


def test_demo(tmp_path, capsys):
    demo.main(["--output", str(tmp_path)])
    output = capsys.readouterr().out
    assert TINY_MODEL.exists()
    for kind in ("referring", "caption"):
        names = {path.name for path in (tmp_path / kind).iterdir()}
        assert names == {MARKER, "answer.json", "overlay.mp4", "preview.html", "preview.png"}
        assert f"{tmp_path / kind}/overlay.mp4" in output
    answer = json.loads((tmp_path / "referring" / "answer.json").read_text())
    assert answer["text"] == "It is the brown star." and len(answer["objects"]) == 1


def test_teach_shape(tmp_path, capsys):
    line = ["--clips", "3", "--rehearsed", "2", "--repeated", "2", "--steps", "1", "--measured", "2"]
    teach_shape.main(["--output", str(tmp_path), *line])
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert set(figures) == {"before", "after"} and {"cross", "referring, video"} <= set(figures["after"])
    printed = capsys.readouterr().out
    assert "trained 1 steps" in printed and "| referring, video |" in printed
    train, held = (
        [json.loads(line) for line in (tmp_path / "data" / f"{part}.jsonl").read_text().splitlines()]
        for part in ("train", "validation")
    )
    # Both parts hold new and old, no clip is in both, and as much is denied as is named.
    assert len(train) == 2 * 2 + 2 + 1 and len(held) == 1 + 1 + 1
    assert not {own["video"] for own in train} & {own["video"] for own in held}
    assert [len(tracks) for tracks in held[0]["masks"]] == [1, 1, 1, 1, 0, 0, 0, 0]
