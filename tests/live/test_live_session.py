"""Masks while frames arrive: when it asks, what it follows, and that nothing grows."""

import time

import numpy as np
import pytest
import torch

from tests.calibration.made import calibration_of
from videoglamm_hf import InputError
from videoglamm_hf.image_streams import grounding_stream
from videoglamm_hf.live import LiveSession
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.toy import TINY_MODEL
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset
from videoglamm_hf.tracking import Tracker, TrackingOptions

FPS = 4.0
BLACK = np.zeros((8, 8, 3), np.uint8)


@pytest.fixture(scope="module")
def small():
    from transformers import AutoModel, AutoProcessor

    model = AutoModel.from_pretrained(TINY_MODEL, dtype=torch.float32).eval()
    return model, AutoProcessor.from_pretrained(TINY_MODEL)


@pytest.fixture(scope="module")
def scene():
    """A clip with a shape that is there all the time, and what to ask."""
    data = ShapesWorldDataset("held_out", "referring", length=50, config=ShapesWorldConfig(num_frames=16))
    return next(s for s in map(data.scene, range(50)) if (s.labels == 1).sum((1, 2)).min() > 200)


def question_of(scene) -> str:
    return f"Please segment the {scene.objects[0].colour} {scene.objects[0].shape}."


def play(session, video, start=0):
    return [session.push(frame, (start + i) / FPS) for i, frame in enumerate(video)]


def test_nothing_is_asked_before_a_window_is_there(small, scene):
    session = LiveSession(*small, question_of(scene), window=1.0, max_new_tokens=20)
    found = play(session, scene.video)
    assert [len(step.masks) for step in found[:4]] == [0] * 4
    assert session.answer.frame_index == 4 and session.answer.seconds == 1.0
    assert [step.frame_index for step in found] == list(range(16))
    truth = torch.from_numpy(scene.labels == 1)
    ious = [float(mask_iou(step.masks[0], truth[step.frame_index])) for step in found[4:] if len(step.masks)]
    assert len(ious) == 12 and np.mean(ious) > 0.7
    assert session.labels == [f"the {scene.objects[0].colour} {scene.objects[0].shape}"] and session.numbers == [0]
    assert all(step.object_scores.shape == step.iou_scores.shape == (1,) for step in found[4:])


def test_masks_are_those_of_the_tracker(small, scene):
    """Whoever tracks the frames from the answer on gets the same masks."""
    model, processor = small
    session = LiveSession(model, processor, question_of(scene), window=1.0, max_new_tokens=20)
    asked = []
    generate = model.generate
    model.generate = lambda **kwargs: asked.append(generate(**kwargs)) or asked[-1]
    try:
        found = play(session, scene.video)
    finally:
        model.generate = generate
    frames = grounding_stream(scene.video[4:], model.pixel_decoder.image_size)
    size = scene.video.shape[1:3]
    with torch.no_grad():
        expected = list(
            Tracker(model.pixel_decoder, [asked[0].prompt_embeddings[0]], [frames], TrackingOptions()).masks([size])
        )
    for step, other in zip(found[4:], expected, strict=True):
        assert (step.logits - other.logits).abs().max() < 2e-2


@pytest.mark.parametrize("background", [False, True])
def test_objects_keep_their_numbers_when_it_asks_again(small, scene, background):
    session = LiveSession(
        *small, question_of(scene), window=1.0, ask_every=1.0, background=background, max_new_tokens=20
    )
    asked_at = set()
    for i in range(64):
        session.push(scene.video[i % 16 if i // 16 % 2 == 0 else 15 - i % 16], i / FPS)
        while session.is_asking and background and not session._asked.is_done:
            pass
        asked_at.add(session.answer and session.answer.frame_index)
    assert len(asked_at - {None}) >= 10
    assert session._next_number <= 3 and session.numbers


def test_another_question_is_about_something_else(small, scene):
    session = LiveSession(*small, question_of(scene), window=1.0, max_new_tokens=20)
    play(session, scene.video[:8])
    first = session.answer
    session.ask("Describe the video.")
    session.push(scene.video[8], 8 / FPS)
    assert session.answer is not first and len(session.answer.answer.text) > len(first.answer.text)
    assert len(session.numbers) == len(session.labels) == len(session.answer.numbers)


def test_an_answer_without_objects_has_no_masks(small, scene):
    session = LiveSession(*small, "Is there a navy heart?", window=0.5, max_new_tokens=20)
    found = play(session, scene.video)
    if not session.answer.numbers:
        assert found[-1].masks.shape == (0, *scene.video.shape[1:3])


def test_nothing_grows(small, scene):
    session = LiveSession(*small, question_of(scene), window=1.0, max_new_tokens=20)
    play(session, np.concatenate([scene.video] * 2))

    def held() -> tuple:
        banks = [track.bank for track in session._tracks]
        return len(session._frames), [(len(b.conditioning), len(b.recent), len(b.recent_pointers)) for b in banks]

    before = held()
    play(session, np.concatenate([scene.video] * 3), start=32)
    assert held() == before


def test_what_asking_raises_is_raised_by_push(small, scene, monkeypatch):
    def fail(**kwargs):
        raise InputError("sideways")

    monkeypatch.setattr(small[0], "generate", fail)
    session = LiveSession(*small, question_of(scene), window=0.5, background=True)
    with pytest.raises(InputError, match="sideways"):
        for i in range(1000):
            session.push(scene.video[i % 16], i / FPS)
            time.sleep(0.01)


def test_a_window_shorter_than_the_sampling_is_one_frame(small, scene):
    session = LiveSession(*small, question_of(scene), window=0.1, max_new_tokens=20)
    found = [session.push(frame, np.float32(i / 30)) for i, frame in enumerate(scene.video)]
    assert session.answer.frame_index == 3 and len(found[-1].masks) == len(session.numbers)


def test_after_an_error_it_is_asked_again(small, scene, monkeypatch):
    model, processor = small
    session = LiveSession(model, processor, question_of(scene), window=0.5, max_new_tokens=20)

    def fail(**kwargs):
        raise MemoryError

    with monkeypatch.context() as patch:
        patch.setattr(model, "generate", fail)
        with pytest.raises(MemoryError):
            play(session, scene.video[:4])
    play(session, scene.video[4:8], start=4)
    assert session.answer is not None


@pytest.mark.parametrize(
    ("frames", "message"),
    [
        ([("a", 0)], "A frame is str"),
        ([(np.zeros((4, 4)), 0)], "dtype float64"),
        ([(np.zeros((8, 8, 3), np.uint8), 1), (np.zeros((8, 8, 3), np.uint8), 1)], "frame 1 appears at 1"),
        ([(np.zeros((8, 8, 3), np.uint8), float("nan"))], "appears at nan"),
        (
            [(np.zeros((8, 8, 3), np.uint8), 0), (np.zeros((9, 8, 3), np.uint8), 1)],
            "start a new session when the size",
        ),
    ],
)
def test_frames_that_cannot_be_taken(small, frames, message):
    session = LiveSession(*small, "What moves?")
    with pytest.raises(InputError, match=message):
        for frame, seconds in frames:
            session.push(frame, seconds)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"window": 0}, "window must be"),
        ({"ask_every": -1}, "ask_every must be"),
        ({"question": " "}, "give some words"),
        ({"max_new_tokns": 5}, "no option 'max_new_tokns' of generate; did you mean 'max_new_tokens'"),
        ({"mask_mode": "video"}, "no option 'mask_mode' of generate"),
        ({"max_new_tokens": 0}, "max_new_tokens is 0, and must be a whole number from 1"),
        ({"temperature": "hot"}, "temperature is 'hot', and must be a finite number"),
        ({"do_sample": True, "temperature": -1.0}, "temperature is -1.0, and must be above 0"),
        ({"do_sample": True, "top_p": 1.5}, "top_p is 1.5, and must be from 0 to 1"),
        ({"repetition_penalty": 0.0}, "repetition_penalty is 0.0, and must be above 0"),
        ({"num_beams": 2, "num_return_sequences": 3}, "options of generate cannot be used: .*num_return_sequences"),
    ],
)
def test_options_that_cannot_be_used(small, options, message):
    with pytest.raises(InputError, match=message):
        LiveSession(*small, **{"question": "What moves?", **options})


def test_options_of_words_are_taken(small, scene):
    session = LiveSession(*small, "What moves?", window=0.5, do_sample=False, max_new_tokens=2, streamer=None)
    play(session, scene.video[:4])
    assert session.answer.answer.finish_reason == "length"


@pytest.fixture
def calibrated(small):
    small[0].calibration = calibration_of(small[0], ["video"])
    yield small
    small[0].calibration = small[0].calibration_problem = None


def test_how_sure_it_is(calibrated, scene, monkeypatch):
    """By the scores of the frames since the answer, the same way as an answer about a whole clip."""
    model, processor = calibrated
    asked = []
    generate = model.generate
    monkeypatch.setattr(model, "generate", lambda **kwargs: asked.append(generate(**kwargs)) or asked[-1])
    session = LiveSession(model, processor, question_of(scene), window=1.0, max_new_tokens=20)
    assert session.probabilities is None and session.presence_probability is None
    found = play(session, scene.video)[4:]
    # What is known of the words alone is not handed on as if it were of masks.
    assert session.answer.answer.probabilities is None and session.answer.answer.presence_probability is None
    log_probs = asked[0].word_log_probs[0]
    tokens = asked[0].sequences[0, asked[0].prompt_length :][: len(log_probs)]
    scores = (torch.stack([getattr(step, name) for step in found], 1) for name in ("object_scores", "iou_scores"))
    expected, presence = model.answer_probabilities(tokens, log_probs, *scores, "video")
    assert torch.equal(session.probabilities, expected) and session.presence_probability == presence
    assert session.probabilities.shape == (1,) and 0 < float(session.probabilities[0]) < 1


def test_how_sure_it_is_takes_no_more_memory_with_time(calibrated, monkeypatch):
    monkeypatch.setattr("videoglamm_hf.live.live_session._SURE_FRAMES", 3)
    session = LiveSession(*calibrated, "Please segment the red star.", window=0.5, max_new_tokens=20)
    play(session, np.zeros((12, 32, 32, 3), np.uint8))
    assert session.answer is not None and len(session._scores) == 3
    assert session.presence_probability is not None


def test_without_a_calibration_nothing_is_said_of_how_sure_it_is(small, scene, monkeypatch):
    monkeypatch.setattr(small[0], "calibration", None)
    session = LiveSession(*small, question_of(scene), window=0.5, max_new_tokens=20)
    play(session, scene.video[:4])
    assert session.answer is not None and session.probabilities is None and session.presence_probability is None
