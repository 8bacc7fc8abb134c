"""Videos longer than memory: frames decoded as they are needed."""

import copy
import pickle
import threading

import numpy as np
import pytest
import torch

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError, MediaError, video_file
from videoglamm_hf.clip_sources import open_clip, read_clip, sample_clip
from videoglamm_hf.frame_sampling import FrameSampling
from videoglamm_hf.grounding_frames import LazyGroundingFrames
from videoglamm_hf.image_streams import grounding_stream
from videoglamm_hf.render.video_encoding import write_mp4

NUM_FRAMES = 75


@pytest.fixture(scope="module")
def video(tmp_path_factory):
    path = tmp_path_factory.mktemp("long") / "clip.mp4"
    write_mp4(path, frames(NUM_FRAMES, 48, 64), fps=5)
    return path


def lazily(video, **sampling):
    """A sampled video whose frames are decoded when they are asked for, as the pixel decoder takes them."""
    return LazyGroundingFrames(sample_clip(open_clip(video), FrameSampling(max_frames=None), **sampling), size=64)


@pytest.mark.parametrize("sampling", [{}, {"fps": None}, {"num_frames": 7}, {"start_time": 3, "end_time": 9.5}])
def test_the_same_frames_and_times_as_reading_all(video, sampling):
    lazy, whole = lazily(video, **sampling), read_clip(video, **{"max_frames": None, **sampling})
    assert lazy.clip.seconds == pytest.approx(whole.seconds)
    assert lazy.clip.size == whole.size and lazy.clip.clip.rate == whole.rate
    expected = grounding_stream(whole.array, 64)
    assert (lazy[0 : len(lazy)] == expected).all()
    for t in (len(lazy) - 1, 0, len(lazy) // 2):
        assert (lazy[t : t + 1] == expected[t : t + 1]).all()
    indices = [0, len(lazy) // 2, len(lazy) - 1]
    assert (lazy.clip.frames(indices) == whole.array[indices]).all()
    lazy.close()


def test_only_two_chunks_are_held_and_the_next_is_decoded_ahead(video, monkeypatch):
    decoded, threads = [], set()
    decode = video_file.decode_positions

    def counted(path, name, index, positions):
        decoded.append(len(positions))
        threads.add(threading.current_thread().name)
        return decode(path, name, index, positions)

    lazy = lazily(video, fps=None)
    monkeypatch.setattr(video_file, "decode_positions", counted)
    for t in range(len(lazy)):
        lazy[t : t + 1]
        assert len(lazy._chunks) <= 2
    assert decoded == [16, 16, 16, 16, 11]
    assert all(name.startswith("videoglamm-decode") for name in threads)
    lazy.close()


def test_lazy_frames_are_indexed_as_a_tensor_is(video):
    lazy = lazily(video)
    whole = lazy[:]
    for index in (0, -1, np.int64(3), slice(1, 9, 3), slice(None, None, -4), slice(4, 2), slice(-3, None)):
        expected = whole.numpy()[index]
        assert lazy[index].shape == expected.shape and (lazy[index].numpy() == expected).all()
    assert len(list(lazy)) == len(lazy)
    with pytest.raises(IndexError):
        lazy[len(lazy)]
    lazy.close()


@pytest.mark.parametrize("duplicate", [pickle.dumps, copy.copy, copy.deepcopy])
def test_lazy_frames_say_that_they_cannot_be_copied(video, duplicate):
    lazy = lazily(video)
    with pytest.raises(InputError, match="lazy=False"):
        duplicate({"grounding_frames": [lazy]} if duplicate is not copy.copy else lazy)
    lazy.close()


def test_decoding_goes_on_while_the_towers_look(processor, video):
    lazy = ask_lazily(processor, video, lazy=True, fps=5)["grounding_frames"][0]
    assert len(lazy._chunks[0].result()) == 16
    lazy.close()


def ask_lazily(processor, video, **options):
    content = [{"type": "video", "path": str(video)}, {"type": "text", "text": "What moves?"}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True, **options
    )


def test_lazy_answers_equal_eager_ones(model, processor, video):
    answers = []
    for lazy in (False, True):
        inputs = ask_lazily(processor, video, lazy=lazy)
        assert torch.is_tensor(inputs["grounding_frames"][0]) != lazy
        forced = force_seg([1], inputs["input_ids"].shape[1])
        answers.append(model.generate(**inputs, max_new_tokens=3, do_sample=False, logits_processor=forced))
    first, second = answers
    assert torch.equal(first.sequences, second.sequences)
    assert torch.equal(first.masks[0], second.masks[0])
    assert first.frame_timestamps[0] == pytest.approx(second.frame_timestamps[0])


def test_a_lazy_video_has_no_limit_of_frames_and_the_towers_span_it(processor, video, tmp_path):
    path = tmp_path / "brightening.mp4"
    levels = np.linspace(20, 230, 200).astype(np.uint8)
    write_mp4(path, (np.full((32, 32, 3), level, np.uint8) for level in levels), fps=2)
    inputs = ask_lazily(processor, path, lazy=True, fps=2)
    assert len(inputs["grounding_frames"][0]) == 200
    assert len(ask_lazily(processor, path, fps=2)["grounding_frames"][0]) == 64
    seen = inputs["pixel_values_videos"][0, :, 0, 0, 0] * 0.26862954 + 0.48145466
    expected = torch.from_numpy(levels[np.linspace(0, 199, 8).astype(int)]) / 255
    assert (seen - expected).abs().max() < 0.02


def test_a_file_that_ends_early_says_so_when_it_is_reached(video, tmp_path, monkeypatch):
    lazy = lazily(video, fps=None)
    decode = video_file.decode_positions

    def cut(path, name, index, positions):
        found, seconds = decode(path, name, index, positions)
        kept = [i for i, p in enumerate(positions) if p < 40]
        return found[kept], [seconds[i] for i in kept]

    monkeypatch.setattr(video_file, "decode_positions", cut)
    assert len(lazy[0:16]) == 16
    with pytest.raises(MediaError, match="frame 40"):
        lazy[32:48]
    lazy.close()


def test_missing_files_are_refused_at_once(tmp_path):
    with pytest.raises(MediaError, match=r"no\.mp4"):
        open_clip(tmp_path / "no.mp4")
