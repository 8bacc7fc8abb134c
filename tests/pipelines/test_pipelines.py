"""transformers' `pipeline`: words from its own task, words with masks from ours; batches answer as single calls do."""

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import GenerationConfig, pipeline

from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError
from videoglamm_hf.toy import TINY_MODEL

QUESTIONS = ["What is there?", "Can you segment the largest shape in this video, and say where it is?"]
LIMIT = {"max_new_tokens": 8}


def picture(seed: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(seed).integers(0, 256, (48, 64, 3), dtype=np.uint8))


def asked(question: str, **visual) -> list[dict]:
    parts = [{"type": kind, kind: source} for kind, source in visual.items()]
    return [{"role": "user", "content": [*parts, {"type": "text", "text": question}]}]


PICTURES = [asked(question, image=picture(i)) for i, question in enumerate(QUESTIONS)]
VIDEOS = [asked(question, video=frames(2 + i, 48, 64)) for i, question in enumerate(QUESTIONS)]


@pytest.fixture(scope="module")
def words():
    return pipeline("image-text-to-text", model=str(TINY_MODEL), device="cpu", dtype="float32")


@pytest.fixture(scope="module")
def grounded():
    return pipeline("video-text-to-text", model=str(TINY_MODEL), device="cpu", dtype="float32")


@pytest.mark.parametrize("chats", [PICTURES, VIDEOS], ids=["pictures", "videos"])
def test_a_batch_of_conversations_gets_the_answers_of_single_ones(words, chats):
    single = [words(text=chat, return_full_text=False, **LIMIT)[0]["generated_text"] for chat in chats]
    batch = words(text=chats, batch_size=2, return_full_text=False, **LIMIT)
    assert all(isinstance(text, str) and text for text in single)
    assert [records[0]["generated_text"] for records in batch] == single


def test_pictures_and_questions_apart(words):
    pictures = [picture(0), picture(1)]
    single = [words(images=one, text=text, **LIMIT)[0] for one, text in zip(pictures, QUESTIONS, strict=True)]
    assert all(record["generated_text"].startswith(record["input_text"]) for record in single)
    assert words(images=pictures, text=QUESTIONS, batch_size=2, **LIMIT) == single


def test_the_conversation_goes_on_in_the_full_text(words):
    full = words(text=PICTURES[0], **LIMIT)[0]["generated_text"]
    assert full[:-1] == PICTURES[0] and full[-1]["role"] == "assistant"


def test_tokens_instead_of_words(words):
    ids = words(text=PICTURES[0], return_tensors=True, **LIMIT)[0]["generated_token_ids"]
    assert torch.is_tensor(ids) and ids.ndim == 1


def test_a_video_and_a_question_give_words_phrases_and_masks(grounded):
    clip = frames(3, 48, 64)
    (record,) = grounded(clip, "Can you segment the red circle in this video?", **LIMIT)
    assert record["input_text"].startswith("Can you") and record["generated_text"]
    assert record["masks"].shape[1:] == (3, 48, 64) and record["masks"].dtype == torch.bool
    assert record["object_scores"].shape == record["masks"].shape[:2] and len(record["timestamps"]) == 3
    assert all(record["generated_text"][p["start"] : p["end"]] == p["text"] for p in record["phrases"])
    assert record["raw_text"].count("[SEG]") == len(record["masks"])
    assert (
        record["finish_reason"] in ("stop", "length") and record["iou_scores"].shape == record["object_scores"].shape
    )


def test_a_grounded_batch_gets_the_answers_of_single_ones(grounded):
    chats = [*VIDEOS, PICTURES[0], asked("Who are you?")]
    single = [grounded(chat, **LIMIT) for chat in chats]
    for batch in (grounded(chats, batch_size=4, **LIMIT), grounded(text=chats, batch_size=3, **LIMIT)):
        for (record,), (expected,) in zip(batch, single, strict=True):
            assert record["raw_text"] == expected["raw_text"] and record["phrases"] == expected["phrases"]
            assert torch.equal(record["masks"], expected["masks"])


def test_pairs_come_from_lists_dicts_and_generators(grounded):
    clips = [frames(2, 48, 64), frames(3, 48, 64)]
    expected = [grounded(clip, text, **LIMIT)[0]["raw_text"] for clip, text in zip(clips, QUESTIONS, strict=True)]
    dicts = [{"video": clip, "text": text} for clip, text in zip(clips, QUESTIONS, strict=True)]
    for answers in (
        grounded(clips, QUESTIONS, **LIMIT),
        grounded(dicts, **LIMIT),
        grounded((item for item in dicts), **LIMIT),
    ):
        assert [records[0]["raw_text"] for records in answers] == expected


def test_several_sequences_are_several_records(grounded):
    options = {"num_return_sequences": 2, "num_beams": 2, "do_sample": False}
    batch = grounded(VIDEOS, batch_size=2, generate_kwargs=options, **LIMIT)
    assert [len(records) for records in batch] == [2, 2]


def test_sampling_and_mask_options_are_passed_on(grounded):
    (record,) = grounded(frames(6, 48, 64), QUESTIONS[1], num_frames=2, mask_mode="framewise", **LIMIT)
    assert len(record["timestamps"]) == 2


BAD = {
    "nothing": ((), {}, "video and a question"),
    "no video": ((), {"text": "What?"}, "no video"),
    "no question": ((frames(2, 48, 64),), {}, "conversation, or a dict"),
    "too few videos": (([frames(2, 48, 64)], ["a", "b"]), {}, "2 questions"),
    "unknown mask mode": ((frames(2, 48, 64), "a"), {"mask_mode": "framewize"}, "framewize"),
    "no masks": ((frames(2, 48, 64), "a"), {"return_masks": False}, "return_masks=False: .*image-text-to-text"),
    "no masks, nested": ((frames(2, 48, 64), "a"), {"generate_kwargs": {"return_masks": False}}, "return_masks=False"),
    "one question, several files": ((["a.mp4", "b.webm"], "a"), {}, "2 videos and one question"),
    "one question, several arrays": (([frames(2, 48, 64)] * 2, "a"), {}, "2 videos and one question"),
    "misspelt for the video": ((frames(2, 48, 64), "a"), {"fsp": 1}, "'fsp' of this pipeline; did you mean 'fps'"),
    "misspelt for words": ((frames(2, 48, 64), "a"), {"do_sampel": True}, "did you mean 'do_sample'"),
    "misspelt for masks": ((frames(2, 48, 64), "a"), {"mask_moed": "video"}, "did you mean 'mask_mode'"),
    "tokens twice": (
        (frames(2, 48, 64), "a"),
        {"max_new_tokens": 3, "generate_kwargs": {"max_new_tokens": 4}},
        "twice",
    ),
}


def test_no_questions_have_no_answers(grounded):
    assert grounded([], []) == []


def test_asking_for_masks_changes_nothing(grounded):
    clip = frames(2, 48, 64)
    (plain,), (asked_for,) = grounded(clip, "a", **LIMIT), grounded(clip, "a", return_masks=True, **LIMIT)
    assert torch.equal(plain["masks"], asked_for["masks"])


@pytest.mark.usefixtures("without_warnings")
def test_a_generation_config_is_taken(grounded):
    config = GenerationConfig(max_new_tokens=3, do_sample=False)
    for options in ({"generation_config": config}, {"generate_kwargs": {"generation_config": config}}):
        assert grounded(frames(2, 48, 64), "What is there?", **options)[0]["generated_text"]


@pytest.mark.parametrize("case", BAD)
def test_what_cannot_be_asked(grounded, case):
    arguments, options, message = BAD[case]
    with pytest.raises(InputError, match=message):
        grounded(*arguments, **options)


def test_a_misspelt_option_is_refused(grounded):
    with pytest.raises(InputError, match="did you mean 'max_frames'"):
        grounded(frames(2, 48, 64), "a", max_frame=2)
