"""`segment --frames all`: masks for every frame of the source, and an overlay that plays as the source does."""

import json
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import cli
from videoglamm_hf.cli import asking, segment
from videoglamm_hf.clip_sources import open_clip
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.loading.models import load_model

# Milliseconds at which frames appear: no two stay equally long, and the sound begins before the first.
UNEVEN = [120, 153, 220, 300, 333, 450, 467, 600, 640, 700, 790, 811]


def recording(path: Path, name: str, codec: str = "aac") -> Path:
    """Uneven frames stored out of order (B-frames), with a second of sound."""
    path = path / name
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=12, options={"bf": "2"})
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.codec_context.time_base = Fraction(1, 1000)
        sound = container.add_stream(codec, rate=16000, layout="mono")
        wave = (np.sin(np.arange(16000) / 16000 * 880 * np.pi) * 9000).astype(np.int16)
        audio = av.AudioFrame.from_ndarray(wave[None], format="s16", layout="mono")
        audio.sample_rate, audio.pts, audio.time_base = 16000, 0, Fraction(1, 16000)
        resampled = av.AudioResampler(format=sound.codec_context.format, layout="mono", rate=16000)
        fifo = av.AudioFifo()
        for part in resampled.resample(audio):
            fifo.write(part)
        size = sound.codec_context.frame_size or 1024
        for part in [*fifo.read_many(size), fifo.read(partial=True)]:
            container.mux(sound.encode(part) if part is not None else [])
        container.mux(sound.encode(None))
        for picture, stamp in zip(frames(len(UNEVEN), 48, 64), UNEVEN, strict=True):
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            frame.pts, frame.time_base = stamp, Fraction(1, 1000)
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
    return path


def played(path: Path) -> dict:
    """What a player is told: the time of every frame, sizes, lengths, the packets of the sound."""
    with av.open(str(path)) as container:
        video = container.streams.video[0]
        frames = [round(float(frame.pts * frame.time_base), 6) for frame in container.decode(video)]
        facts = {"size": (video.width, video.height), "frames": frames, "length": container.duration}
    with av.open(str(path)) as container:
        packets = [packet for packet in container.demux() if packet.size]
        shown = max((p for p in packets if p.stream.type == "video"), key=lambda packet: packet.pts)
        facts["last frame"] = round(float((shown.pts + shown.duration) * shown.time_base), 4)
        heard = [packet for packet in packets if packet.stream.type == "audio"]
        facts["sound"] = [(float(p.pts * p.time_base), float(p.duration * p.time_base), bytes(p)) for p in heard]
        facts["kind of sound"] = {(p.stream.codec_context.name, p.stream.codec_context.sample_rate) for p in heard}
    return facts


@pytest.fixture
def answer(light_tiny, tmp_path, monkeypatch):
    """Runs the command; the untrained model is made to name two objects."""
    ask = asking.ask

    def ask_forced(model, processor, clip, question, **options):
        content = [{"type": "video", "video": clip}, {"type": "text", "text": question}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
        )
        forced = force_seg([1, 3], prompt["input_ids"].shape[1])
        return ask(model, processor, clip, question, **options, logits_processor=forced)

    monkeypatch.setattr(segment, "ask", ask_forced)

    def run(source: Path, *options: str) -> Path:
        output = tmp_path / "out"
        given = ["segment", str(source), "What moves?", "--model", str(light_tiny), "--output", str(output)]
        given += ["--max-new-tokens", "5", "--device", "cpu", "--overwrite"]
        assert cli.main([*given, *options]) == 0
        assert cli.main(["check-answer", str(output / "answer.json")]) == 0
        return output

    return run


@pytest.mark.parametrize("name, codec", [("clip.mp4", "aac"), ("clip.mkv", "libmp3lame")])
def test_the_overlay_plays_as_the_source_does(answer, tmp_path, name, codec):
    source = recording(tmp_path, name, codec)
    expected = played(source)
    assert len(expected["frames"]) == len(UNEVEN) and len(expected["sound"]) > 10
    found = played(answer(source, "--frames", "all") / "overlay.mp4")
    if name.endswith("mkv"):
        # Matroska rounds times to milliseconds, and counts the silence that an encoder begins with.
        for facts in (expected, found):
            facts["sound"] = [(round(time, 2), data) for time, _, data in facts["sound"]]
            facts.pop("length")
    assert found == expected


def test_masks_are_those_of_the_same_frames_in_memory(answer, tmp_path, light_tiny, processor):
    """Every frame gets masks; the towers see what they see of it without the option."""
    source = recording(tmp_path, "clip.mp4")
    document = json.loads((answer(source, "--frames", "all", "--fps", "4") / "answer.json").read_text())
    with open_clip(source) as clip:
        seen = processor.video_processor.sample(source, fps=4)
        assert document["frame_indices"] == list(range(len(UNEVEN))) and document["timestamps"] == list(clip.seconds)
        assert 1 < len(seen) < len(clip) and document["settings"]["frames"] == "all"
        messages = [
            {"role": "user", "content": [{"type": "video", "video": seen}, {"type": "text", "text": "What moves?"}]}
        ]
        inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
        forced = force_seg([1, 3], inputs["input_ids"].shape[1])
        every = processor.video_processor.sample(source, do_sample_frames=False)
        inputs["grounding_frames"] = [processor.video_processor.grounding_frames(every)]
        inputs["frame_timestamps"] = [every.seconds]
        model = load_model(str(light_tiny), device="cpu")
        expected = model.generate(**inputs, max_new_tokens=5, logits_processor=forced)
    masks = np.array([[decode_rle(mask) for mask in entry["masks"]] for entry in document["objects"]])
    assert masks.shape == (2, len(UNEVEN), 48, 64) and (masks == expected.masks[0].numpy()).all()
    scores = [entry["object_scores"] for entry in document["objects"]]
    np.testing.assert_allclose(scores, expected.object_scores[0], atol=1e-3)


def test_a_legend_is_added_or_left_out(answer, tmp_path):
    source = recording(tmp_path, "clip.mp4")
    width, height = played(answer(source, "--frames", "all", "--legend") / "overlay.mp4")["size"]
    assert width == 64 and height > 48
    sampled = [played(answer(source, option) / "overlay.mp4")["size"] for option in ("--legend", "--no-legend")]
    # Small videos are enlarged, and the legend is a strip below.
    assert sampled[1] == (64 * 5, 48 * 5) and sampled[0][1] > sampled[1][1]


@pytest.mark.parametrize("kind", ["folder", "clip.gif", "silent.avi"])
def test_sources_without_sound_work(answer, tmp_path, kind):
    pictures = [Image.fromarray(frame) for frame in frames(5, 40, 60)]
    source = tmp_path / kind
    if kind == "folder":
        source.mkdir()
        for i, picture in enumerate(pictures):
            picture.save(source / f"{i}.png")
    elif kind == "clip.gif":
        pictures[0].save(source, save_all=True, append_images=pictures[1:], duration=[100, 200, 100, 300, 500])
    else:
        with av.open(str(source), "w") as container:
            stream = container.add_stream("mpeg4", rate=5)
            stream.width, stream.height, stream.pix_fmt = 60, 40, "yuv420p"
            for picture in pictures:
                container.mux(stream.encode(av.VideoFrame.from_image(picture)))
            container.mux(stream.encode(None))
    overlay = answer(source, "--frames", "all", "--num-frames", "2") / "overlay.mp4"
    with open_clip(source) as clip, open_clip(overlay) as shown:
        assert list(shown.seconds) == pytest.approx(list(clip.seconds), abs=1e-4) and shown.size == clip.size
        assert shown.duration == pytest.approx(clip.duration, abs=1e-3)


def test_sound_that_no_mp4_holds_is_left_out_with_words(answer, tmp_path, caplog):
    source = recording(tmp_path, "clip.mkv", "tta")
    assert not played(answer(source, "--frames", "all") / "overlay.mp4")["sound"]
    assert "no mp4 holds tta" in caplog.text
