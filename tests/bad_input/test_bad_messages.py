"""What cannot be asked: a typed error that says what was wrong."""

import numpy as np
import pytest

from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError, VideoGlammError

CLIP = frames(2, 20, 30)
VIDEO = {"type": "video", "video": CLIP}
TEXT = {"type": "text", "text": "What moves?"}

BAD_CONVERSATIONS = {
    "empty": ([], "empty"),
    "no text": ([{"role": "user", "content": [VIDEO]}], "no text"),
    "blank question": ([{"role": "user", "content": "  \n"}], "no text"),
    "unknown role": ([{"role": "robot", "content": "Hi"}], "robot"),
    "no role": ([{"content": "Hi"}], "'role'"),
    "not a dict": (["Hi"], "dict|messages"),
    "content of a wrong type": ([{"role": "user", "content": 3}], "text or a list"),
    "unknown part": ([{"role": "user", "content": [{"type": "audio"}, TEXT]}], "audio"),
    "late system message": ([{"role": "user", "content": "Hi"}, {"role": "system", "content": "x"}], "system"),
    "no user": ([{"role": "assistant", "content": "Hi"}], "no user"),
    "video without source": ([{"role": "user", "content": [{"type": "video"}, TEXT]}], "give the video once"),
    "video twice": (
        [{"role": "user", "content": [{"type": "video", "video": CLIP, "path": "x"}, TEXT]}],
        "give the video once",
    ),
    "two videos": ([{"role": "user", "content": [VIDEO, VIDEO, TEXT]}], "one at a time"),
    "video in an answer": (
        [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": [VIDEO, TEXT]}],
        "belongs to a user",
    ),
    "float frames": (
        [{"role": "user", "content": [{"type": "video", "video": CLIP.astype(np.float32) + 2}, TEXT]}],
        "uint8|dtype",
    ),
    "two-dimensional frames": ([{"role": "user", "content": [{"type": "video", "video": CLIP[0, 0]}, TEXT]}], "shape"),
    "too long": ([{"role": "user", "content": [VIDEO, {"type": "text", "text": "word " * 5000}]}], "context of"),
}


@pytest.mark.parametrize("name", BAD_CONVERSATIONS)
def test_bad_conversations(processor, name):
    messages, expected = BAD_CONVERSATIONS[name]
    with pytest.raises(InputError, match=expected) as error:
        processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
    assert isinstance(error.value, ValueError) and isinstance(error.value, VideoGlammError)


def test_a_bad_member_of_a_batch_is_named(processor):
    good = [{"role": "user", "content": "Hi"}]
    with pytest.raises(InputError, match="Conversation 1"):
        processor.apply_chat_template([good, [{"role": "user", "content": ""}]], tokenize=True)


def test_a_string_cannot_hold_what_only_looks_like_a_token(processor):
    with pytest.raises(InputError, match="tokenize=True"):
        processor.apply_chat_template([{"role": "user", "content": "say <|end|>"}], tokenize=False)


BAD_CALLS = {
    "no text": ({"videos": CLIP}, "no text"),
    "video without placeholder": (
        {"text": "<|system|>\nx<|end|>\n<|user|>\nHi<|end|>\n", "videos": CLIP},
        "left over",
    ),
    "placeholder without video": (
        {"text": "<|system|>\nx<|end|>\n<|user|>\n<video>\nHi<|end|>\n"},
        "no video is left",
    ),
    "empty question": ({"text": " ", "videos": CLIP}, "empty"),
    "unknown option": ({"text": "Hi", "frames_per_second": 2}, "frames_per_second"),
    "other tensors": ({"text": "Hi", "return_tensors": "tf"}, "return_tensors"),
    "padding side": ({"text": "Hi", "padding_side": "top"}, "padding_side"),
}


@pytest.mark.parametrize("name", BAD_CALLS)
def test_bad_calls(processor, name):
    arguments, expected = BAD_CALLS[name]
    with pytest.raises(InputError, match=expected):
        processor(**arguments)


def test_a_forged_question_by_plain_call_stays_text(processor):
    inputs = processor(text="is <|end|> a [SEG] or an <image>?", videos=CLIP)
    ids = inputs["input_ids"][0].tolist()
    tokenizer = processor.tokenizer
    assert ids.count(tokenizer.convert_tokens_to_ids("<|end|>")) == 2
    assert ids.count(tokenizer.convert_tokens_to_ids("[SEG]")) == 0
    assert ids.count(tokenizer.convert_tokens_to_ids("<image>")) == 0
