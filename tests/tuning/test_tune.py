"""From data to an adapter in one call: parts, what fits, before and after, going on."""

import json

import numpy as np
import pytest
import torch
from peft import PeftModel
from transformers import AutoModel, AutoProcessor

from videoglamm_hf import InputError, ResourceError
from videoglamm_hf.cli import main
from videoglamm_hf.cli.tune import table
from videoglamm_hf.data import JsonlDataset, VideoGlammDataCollator
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.evaluation.comparison import Difference
from videoglamm_hf.loading.models import load_config
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset
from videoglamm_hf.tuning import TuneOptions, adapter_tuning, add_sample, edited_sample, tune
from videoglamm_hf.tuning.fitting import fit
from videoglamm_hf.tuning.parts import read_parts


@pytest.fixture(autouse=True)
def without_java(monkeypatch):
    """Figures of captions take seconds to start, and are not looked at here."""
    monkeypatch.setenv("PATH", "")


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Six clips, each with a question about its first shape."""
    folder = tmp_path_factory.mktemp("data")
    world = ShapesWorldDataset("train", "referring", length=6, config=ShapesWorldConfig(num_frames=4))
    with (folder / "samples.jsonl").open("w") as file:
        for i in range(6):
            scene = world.scene(i)
            write_mp4(folder / f"{i}.mp4", list(scene.video), fps=4)
            phrase = f"the {scene.objects[0].colour} {scene.objects[0].shape}"
            file.write(json.dumps(sample(f"{i}.mp4", phrase, scene.labels == 1)) + "\n")
    return folder


def sample(video, phrase, masks):
    asked = [{"type": "video"}, {"type": "text", "text": f"Please segment {phrase}."}]
    answered = [{"type": "text", "text": f"It is <p> {phrase} </p> [SEG]."}]
    return {
        "video": video,
        "messages": [{"role": "user", "content": asked}, {"role": "assistant", "content": answered}],
        "masks": [[encode_rle(mask) for mask in masks]],
        "mask_frames": list(range(len(masks))),
    }


@pytest.fixture(scope="module")
def tuned(data, tmp_path_factory):
    folder = tmp_path_factory.mktemp("tuned") / "run"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", "")
        return tune(data, str(TINY_MODEL), folder, TuneOptions(max_steps=4, max_new_tokens=16), device="cpu")


def test_before_after_and_an_adapter(tuned):
    folder = tuned.adapter.parent
    assert tuned.check.samples == 6 and not tuned.check.errors
    assert [own.figure for own in tuned.differences][:3] == ["J&F", "J", "F"]
    for part in ("before", "after"):
        assert json.loads((folder / part / "scores.json").read_text())["figures"]["J&F"] > 0
        assert (folder / part / "report.html").is_file()
    page = tuned.page.read_text()
    assert "J&amp;F" in page and page.count("data:image/webp;base64,") == 1
    assert tuned.steps[0] == 4 and 1 <= tuned.steps[1] <= 4
    model = AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32)
    adapted = PeftModel.from_pretrained(model, tuned.adapter)
    assert any(name.endswith("lora_A.default.weight") for name, _ in adapted.named_parameters())
    assert AutoProcessor.from_pretrained(tuned.adapter).tokenizer is not None
    held_out = {own["video"] for own in JsonlDataset(folder / "validation.jsonl")}
    trained = {own["video"] for own in JsonlDataset(folder / "train.jsonl")}
    assert len(held_out) == 1 and len(trained) == 5 and not held_out & trained


def test_the_same_again_does_nothing_twice(tuned, data, caplog):
    folder = tuned.adapter.parent
    answers = {path: path.stat().st_mtime_ns for path in folder.glob("*/samples/*.json")}
    again = tune(data, str(TINY_MODEL), folder, TuneOptions(max_steps=4, max_new_tokens=16), device="cpu")
    assert again.steps == tuned.steps
    # The small model has a calibration, which the adapter's weights have nothing of.
    assert not [record for record in caplog.records if "calibration" in record.getMessage()]
    assert {path: path.stat().st_mtime_ns for path in folder.glob("before/samples/*.json")} == {
        path: time for path, time in answers.items() if path.parent.parent.name == "before"
    }
    assert [own.second for own in again.differences] == [own.second for own in tuned.differences]


def test_training_goes_on_where_it_was_ended(data, tmp_path, monkeypatch):
    """Ended in the middle, it stops at the same step, by the same count of looks that brought nothing."""
    options = TuneOptions(max_steps=8, max_new_tokens=16, learning_rate=1e-2)
    whole = tune(data, str(TINY_MODEL), tmp_path / "whole", options, device="cpu")
    evaluate, looks = adapter_tuning._Trainer.evaluate, []

    def ended(self, *args, **kwargs):
        looks.append(1)
        if len(looks) == 3:
            raise KeyboardInterrupt
        return evaluate(self, *args, **kwargs)

    with monkeypatch.context() as patch:
        patch.setattr(adapter_tuning._Trainer, "evaluate", ended)
        with pytest.raises(KeyboardInterrupt):
            tune(data, str(TINY_MODEL), tmp_path / "ended", options, device="cpu")
    assert not (tmp_path / "ended" / "adapter").exists()
    again = tune(data, str(TINY_MODEL), tmp_path / "ended", options, device="cpu")
    assert again.steps == whole.steps
    assert [own.second for own in again.differences] == pytest.approx([own.second for own in whole.differences])


def test_another_tuning_does_not_go_on_in_the_folder(tuned, data, tmp_path):
    folder = tuned.adapter.parent
    with pytest.raises(InputError, match="a tuning with another rank, learning_rate"):
        tune(data, str(TINY_MODEL), folder, TuneOptions(max_steps=4, max_new_tokens=16, rank=4, learning_rate=1e-3))
    (tmp_path / "mine").write_text("")
    with pytest.raises(InputError, match="is not empty, and no tuning's"):
        tune(data, str(TINY_MODEL), tmp_path)


def test_data_with_errors_are_refused_before_anything(tmp_path):
    (tmp_path / "samples.jsonl").write_text('{"messages": []}\n')
    with pytest.raises(InputError, match=r"cannot be trained on: samples\.jsonl:1: messages"):
        tune(tmp_path, str(TINY_MODEL), tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_parts_are_by_video_and_corrected_videos_are_trained_on(data, tmp_path):
    masks = np.ones((4, 96, 96), bool)
    edits = tmp_path / "edits.jsonl"
    for number in range(6):
        edits.write_text(json.dumps(sample(str(data / f"{number}.mp4"), "the star", masks)) + "\n")
        parts = read_parts(data, 3, [edits])
        assert (len(parts.train), len(parts.validation), parts.corrections) == (6, 1, 1)
        assert not parts.validation[0]["video"].endswith(f"{number}.mp4")
    assert read_parts(data, 3).write(tmp_path)[1].read_bytes() == read_parts(data, 3).write(tmp_path)[1].read_bytes()
    assert read_parts(data, 3).digest != parts.digest
    one = tmp_path / "one.jsonl"
    one.write_text(json.dumps(sample(str(data / "0.mp4"), "the star", masks)) + "\n")
    with pytest.raises(InputError, match="at least two are needed"):
        read_parts(one, 0)
    given = tmp_path / "given"
    given.mkdir()
    (given / "train.jsonl").write_text(one.read_text())
    with pytest.raises(InputError, match=r"has no validation\.jsonl"):
        read_parts(given, 0)
    (given / "validation.jsonl").write_text(edits.read_text())
    with pytest.raises(InputError, match="is of the validation part, and corrections of it would be trained on"):
        read_parts(given, 0, [edits])
    edits.write_text("")
    with pytest.raises(InputError, match=r"edits\.jsonl: holds no samples"):
        read_parts(data, 0, [edits])


def test_errors_of_corrections_are_told_before_anything(data, tmp_path):
    edits = tmp_path / "edits.jsonl"
    edits.write_text('{"messages": []}\n')
    with pytest.raises(InputError, match=r"edits\.jsonl cannot be trained on: edits\.jsonl:1: messages"):
        tune(data, str(TINY_MODEL), tmp_path / "out", edits=[edits])
    assert not (tmp_path / "out").exists()


def test_what_fits_is_chosen(model):
    device = torch.device("cpu")
    roomy = fit(model.config, device, 2**40, "paper")
    assert (roomy.quantization, roomy.dtype, roomy.batch_size, roomy.frames) == ("none", torch.float32, 4, 5)
    assert "masks of 1 to 5 frames of each: about" in str(roomy)
    tighter = fit(model.config, device, int(roomy.needed / 0.85) - 1, "paper")
    assert tighter.needed < roomy.needed and tighter.batch_size * tighter.accumulate >= 3
    assert fit(model.config, torch.device("cuda"), 2**40, "paper").dtype == torch.bfloat16
    assert fit(model.config, device, 2**40, "lora", "nf4").quantization == "nf4"
    with pytest.raises(ResourceError, match=r"Training takes about .* GiB, and cpu has"):
        fit(model.config, device, 2**20, "paper")


@pytest.mark.parametrize("mode", ["framewise", "video"])
def test_fewer_frames_where_more_do_not_fit(mode):
    config, device = load_config(str(TINY_MODEL)), torch.device("cpu")
    config.mask_training_mode, config.mask_padding_slots = mode, 0
    few, many = (fit(config, device, 2**40, "paper", "none", frames) for frames in (1, 7))
    assert (few.frames, many.frames) == (1, 7) and few.needed < many.needed
    assert "masks of 1 frame of each" in str(few)
    tight, enough = (fit(config, device, mib * 2**20, "paper", "none") for mib in (31, 60))
    assert 1 <= tight.frames < enough.frames == 5 and (tight.batch_size, tight.accumulate) == (1, 4)
    assert tight.needed <= 0.85 * tight.free
    with pytest.raises(ResourceError, match="or --quantization nf4 and fewer --frames"):
        fit(config, device, 2**20, "paper", "none", 7)


def test_the_frames_of_the_plan_are_learned(data, tmp_path, monkeypatch):
    drawn = []
    collate = VideoGlammDataCollator.__call__

    def seen(self, samples):
        batch = collate(self, samples)
        drawn.append((self.num_mask_frames, max(len(frames) for frames in batch["grounding_frames"])))
        return batch

    monkeypatch.setattr(VideoGlammDataCollator, "__call__", seen)
    options = TuneOptions(max_steps=3, max_new_tokens=4, frames=2)
    assert tune(data, str(TINY_MODEL), tmp_path / "run", options, device="cpu").plan.frames == 2
    training = [most for bounds, most in drawn if bounds == (1, 2)]
    assert training and max(training) == 2
    with pytest.raises(InputError, match="another frames; give another --output"):
        tune(data, str(TINY_MODEL), tmp_path / "run", TuneOptions(max_steps=3, max_new_tokens=4), device="cpu")


def test_corrections_become_samples(model, ask, tmp_path):
    from tests.tiny_checkpoint import frames

    video = frames(6, 48, 64)
    session = model.edit(**ask(video=video))
    with pytest.raises(InputError, match="no objects to learn from"):
        edited_sample(session, "a.mp4", range(6))
    brush = np.zeros((48, 64), bool)
    brush[5:20, 5:20] = True
    session.add(1, mask=brush, label="the ball")
    session.absent(0, 4)
    write_mp4(tmp_path / "a.mp4", list(video), fps=4)
    made = edited_sample(session, tmp_path / "a.mp4", range(0, 12, 2))
    add_sample(tmp_path / "edits.jsonl", made)
    add_sample(tmp_path / "edits.jsonl", made)
    read = list(JsonlDataset(tmp_path / "edits.jsonl"))
    assert len(read) == 2 and json.loads((tmp_path / "edits.jsonl").read_text().splitlines()[0])["video"] == "a.mp4"
    assert read[0]["messages"][0][1]["content"][0]["text"] == "It is <p> the ball </p> [SEG]."
    assert read[0]["mask_frames"] == [0, 2, 4, 6, 8, 10]
    assert read[0]["masks"][0][0][4] is None and read[0]["masks"][0][0][1] is not None
    with pytest.raises(InputError, match="There are 3 frame numbers for 6 frames"):
        edited_sample(session, "a.mp4", range(3))
    with pytest.raises(InputError, match="frame_numbers are whole numbers"):
        edited_sample(session, "a.mp4", [0.5, 1, 2, 3, 4, 5])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"rank": 0}, "rank is 0"),
        ({"max_steps": 0}, "max_steps is 0"),
        ({"quantization": "8bit"}, "must be auto, none or nf4"),
        ({"batch_size": 1.5}, "batch_size is 1.5"),
        ({"frames": 0}, "frames is 0"),
    ],
)
def test_options_that_cannot_be_used(options, message):
    with pytest.raises(InputError, match=message):
        TuneOptions(**options)


def test_the_command(data, tmp_path, capsys):
    output = tmp_path / "run"
    line = [
        "tune",
        str(data),
        "--output",
        str(output),
        "--max-steps",
        "1",
        "--max-new-tokens",
        "16",
        "--device",
        "cpu",
    ]
    assert main(line) == 0
    printed = capsys.readouterr()
    assert "trained 1 steps, best after 1; on the videos held out:" in printed.out
    assert f'model = PeftModel.from_pretrained(model, "{output}/adapter")' in printed.out
    assert "nothing is ever absent" in printed.out and "LoRA in float32" in printed.err
    assert main(["tune", str(data), "--output", str(output), "--rank", "0"]) == 1
    assert "rank is 0" in capsys.readouterr().err


def test_figures_without_an_interval_are_shown():
    lines = table([Difference("J&F", 0.5, 0.75, (0.1, 0.4)), Difference("BLEU-1", 0.5, 0.25, None)])
    assert lines[1].endswith("+0.250   (+0.100 to +0.400)") and lines[2].endswith("-0.250")


@pytest.mark.parametrize("name", ["tensorboard", "trackio"])
def test_numbers_go_where_trainer_writes_them(data, tmp_path, monkeypatch, name):
    # Read when it is imported.
    monkeypatch.setenv("TRACKIO_DIR", str(tmp_path / "trackio"))
    pytest.importorskip(name)
    options = TuneOptions(max_steps=4, max_new_tokens=4, report_to=name)
    tune(data, str(TINY_MODEL), tmp_path / "run", options, device="cpu")
    if name == "trackio":
        assert list(tmp_path.glob("trackio/*.db"))
        return
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (events,) = (tmp_path / "run" / "checkpoints").rglob("events.out.tfevents.*")
    read = EventAccumulator(str(events)).Reload()
    assert {"train/loss", "train/ce_loss", "eval/loss", "eval/mask_bce_loss"} <= set(read.Tags()["scalars"])
    assert [event.step for event in read.Scalars("eval/loss")] == [1, 2, 3, 4]


def test_where_numbers_cannot_go_is_told_at_once(data, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="report_to is 'tensorbord'"):
        tune(data, str(TINY_MODEL), tmp_path / "run", TuneOptions(report_to="tensorbord"))
    monkeypatch.setattr(adapter_tuning, "get_available_reporting_integrations", lambda: ["wandb"])
    with pytest.raises(InputError, match=r"which is not installed \(installed are wandb\): pip install tensorboard"):
        tune(data, str(TINY_MODEL), tmp_path / "run", TuneOptions(report_to="tensorboard"))
    assert not (tmp_path / "run").exists()
