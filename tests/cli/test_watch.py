"""`videoglamm watch` on a file that plays as a camera would."""

import json
import os
import re

import av
import numpy as np
import pytest
from PIL import Image
from transformers import AutoModel

from tests.calibration.made import calibration_of
from videoglamm_hf.calibration_file import write_calibration
from videoglamm_hf.cli import main
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.render.video_encoding import write_mp4
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset

RATE = 8


@pytest.fixture(scope="module")
def clip(tmp_path_factory):
    """A clip, its scene, and a question about a shape that is there all the time."""
    data = ShapesWorldDataset("held_out", "referring", length=50, config=ShapesWorldConfig(num_frames=16))
    scene = next(s for s in map(data.scene, range(50)) if (s.labels == 1).sum((1, 2)).min() > 200)
    path = tmp_path_factory.mktemp("watch") / "clip.mp4"
    write_mp4(path, list(scene.video), fps=RATE)
    os.utime(path, (1e9, 1e9))
    return path, scene, f"Please segment the {scene.objects[0].colour} {scene.objects[0].shape}."


def test_masks_overlay_and_newest_picture(clip, tmp_path, capsys):
    path, scene, question = clip
    output = tmp_path / "seen"
    line = ["watch", str(path), question, "--window", "0.5", "--every-frame", "--output", str(output), "--quiet"]
    assert main([*line, "--max-new-tokens", "20"]) == 0
    said = capsys.readouterr()
    assert "0.5 s: " in said.out and f"[0 the {scene.objects[0].colour}" in said.out
    assert "16 frames in 1.9 s; from a frame to its masks" in said.out
    lines = [json.loads(own) for own in (output / "masks.jsonl").read_text().splitlines()]
    assert [own["frame"] for own in lines] == list(range(16)) and lines[3]["objects"] == []
    mask = decode_rle(lines[10]["objects"][0]["mask"]).astype(bool)
    truth = scene.labels[10] == 1
    assert (mask & truth).sum() / (mask | truth).sum() > 0.6
    with av.open(str(output / "overlay.mp4")) as container:
        assert sum(1 for _ in container.decode(video=0)) == pytest.approx(15 * 15 / RATE, abs=2)
    assert (output / "latest.png").stat().st_size > 0
    # A second time only where it may.
    assert main(line) == 1
    assert "error: " in capsys.readouterr().err
    assert main([*line, "--overwrite", "--duration", "0.6", "--max-new-tokens", "20"]) == 0
    assert len((output / "masks.jsonl").read_text().splitlines()) == 6


def test_how_sure_it_is(clip, tmp_path, capsys):
    path, _, question = clip
    model = AutoModel.from_pretrained(TINY_MODEL)
    write_calibration(calibration_of(model, ["video"]), tmp_path / "sure.json")
    write_calibration(calibration_of(model, ["anchored"]), tmp_path / "other.json")
    line = ["watch", str(path), question, "--window", "0.5", "--every-frame", "--quiet", "--max-new-tokens", "20"]
    assert main([*line, "--output", str(tmp_path / "seen"), "--calibration", str(tmp_path / "sure.json")]) == 0
    assert re.search(r"0\.5 s: .* \[0 the \w+ \w+ \(\d+ %\)\]", capsys.readouterr().out)
    lines = [json.loads(own) for own in (tmp_path / "seen" / "masks.jsonl").read_text().splitlines()]
    assert "presence_probability" not in lines[2] and 0 < lines[9]["presence_probability"] < 1
    assert 0 < lines[9]["objects"][0]["probability"] <= 1
    assert main([*line, "--calibration", str(tmp_path / "other.json")]) == 1
    assert "not as video" in capsys.readouterr().err


def test_as_a_camera(clip, capsys):
    path, _, question = clip
    line = ["watch", str(path), question, "--window", "0.4", "--every", "0.5", "--background"]
    assert main([*line, "--max-new-tokens", "20", "--quiet"]) == 0
    assert "from a frame to its masks" in capsys.readouterr().out


def test_what_ends_it_costs_nothing_that_was_seen(clip, tmp_path, capsys):
    """A change of size is an error, after what was followed until then has been written."""
    _, scene, question = clip
    joined = tmp_path / "joined.ts"
    with joined.open("wb") as file:
        for size in (96, 64):
            part = tmp_path / f"{size}.ts"
            pictures = [np.asarray(Image.fromarray(frame).resize((size, size))) for frame in scene.video[:12]]
            with av.open(str(part), "w", format="mpegts") as container:
                stream = container.add_stream("libx264", rate=8, options={"bf": "0"})
                stream.height, stream.width, stream.pix_fmt = size, size, "yuv420p"
                for picture in pictures:
                    container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
                container.mux(stream.encode())
            file.write(part.read_bytes())
    os.utime(joined, (1e9, 1e9))
    output = tmp_path / "seen"
    line = ["watch", str(joined), question, "--window", "0.5", "--every-frame", "--output", str(output), "--quiet"]
    assert main([*line, "--max-new-tokens", "20"]) == 1
    assert "start a new session when the size changes" in capsys.readouterr().err
    assert len((output / "masks.jsonl").read_text().splitlines()) >= 11 and (output / "overlay.mp4").is_file()


def test_a_source_that_is_too_short_is_not_asked_about(clip, capsys):
    assert main(["watch", str(clip[0]), "What moves?", "--window", "60", "--every-frame", "--quiet"]) == 0
    assert "it ended before a window of 60 s was there" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--window", "0"], "--window must be"),
        (["--every", "nan"], "--every must be"),
        (["--max-new-tokens", "0"], "--max-new-tokens is 0"),
        (["--model", "/nowhere"], "/nowhere"),
    ],
)
def test_options_that_cannot_be_used(clip, capsys, given, message):
    assert main(["watch", str(clip[0]), "What moves?", *given]) == 1
    assert message in capsys.readouterr().err


def test_a_source_that_is_not_there(capsys):
    assert main(["watch", "absent.mp4", "What moves?", "--quiet"]) == 1
    assert "absent.mp4: no such file" in capsys.readouterr().err
