"""What is misspelt, doubled or does not fit is refused by name; what could be meant in one way only is taken so."""

import numpy as np
import pytest
import torch
from transformers import AutoProcessor

from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError, VideoGlammImageProcessor, VideoGlammVideoProcessor

CLIP, PICTURE = frames(6, 30, 40), frames(1, 20, 30)[0]


def lengths(inputs):
    return [len(own) for own in inputs["grounding_frames"]]


def test_a_list_for_every_text_says_what_it_is_about(processor):
    assert lengths(processor(text=["a?", "b?"], images=[[], [PICTURE]])) == [0, 1]
    assert lengths(processor(text=["a?", "b?"], videos=[[], [CLIP]])) == [0, 6]
    assert lengths(processor(text=["a?", "b?"], images=[[PICTURE], []], videos=[None, [CLIP]])) == [1, 6]
    assert lengths(processor(text=["<image>\na?", "<video>\nb?"], images=[PICTURE], videos=[CLIP])) == [1, 6]


def test_a_leading_placeholder_is_the_visual_of_the_question(processor):
    plain, marked = (processor(text=text, videos=CLIP) for text in ("Where is it?", "<video>\nWhere is it?"))
    assert torch.equal(plain["input_ids"], marked["input_ids"])


def part(processor, **fields):
    content = [{"type": "video", "video": CLIP, **fields}, {"type": "text", "text": "What?"}]
    return processor.apply_chat_template([{"role": "user", "content": content}], tokenize=True)


def test_parts_of_openai_keep_what_else_they_say(processor):
    inputs = processor.apply_chat_template(
        [
            {
                "role": "user",
                "content": [
                    {"type": "video_url", "video_url": {"url": CLIP}, "num_frames": 2},
                    {"type": "text", "text": "What?"},
                ],
            }
        ],
        tokenize=True,
    )
    assert lengths(inputs) == [2]


def chosen(processor):
    return processor.video_processor.sample(CLIP)


def message(part, **fields):
    return [{"role": "user", "content": [part, {"type": "text", "text": "x?"}], **fields}]


PARTS = {
    "text part": (message({"type": "text", "text": "x?", "txet": "y"}), "did you mean 'text'"),
    "message": (message({"type": "text", "text": "x"}, contnet="y"), "did you mean 'content'"),
    "video part": (message({"type": "video", "video": CLIP, "fsp": 1}), "did you mean 'fps'"),
    "picture in a video part": (message({"type": "video", "image": PICTURE}), "no option 'image'"),
    "url part": (message({"type": "video_url", "video_url": {"url": CLIP}, "fsp": 1}), "did you mean 'fps'"),
    "within a url": (message({"type": "image_url", "image_url": {"url": PICTURE, "detial": 1}}), "detial"),
}


@pytest.mark.parametrize("case", PARTS)
def test_unknown_keys(processor, case):
    messages, expected = PARTS[case]
    with pytest.raises(InputError, match=expected):
        processor.apply_chat_template(messages, tokenize=True)


CALLS = {
    "texts": ({"text": [None]}, "string or a list of strings"),
    "no texts": ({"text": []}, "string or a list of strings"),
    "which of both": ({"text": ["a?", "b?"], "images": [PICTURE], "videos": [CLIP]}, "begin it with"),
    "options as a number": ({"text": "a?", "videos_kwargs": 5}, "videos_kwargs is a int"),
    "sound": ({"text": "a?", "videos": CLIP, "load_audio_from_video": True}, "does not hear"),
    "negative length": ({"text": "a?", "truncation": True, "max_length": -1}, "at least 1"),
    "no length": ({"text": "a?", "truncation": True, "max_length": 0}, "at least 1"),
    "length as text": ({"text": "a?", "truncation": True, "max_length": "5"}, "whole number"),
    "unknown metadata": ({"text": "a?", "videos": CLIP, "video_metadata": {"fsp": 4}}, "did you mean 'fps'"),
    "no rate": ({"text": "a?", "videos": CLIP, "video_metadata": {"fps": 0}}, "positive"),
    "rate as text": ({"text": "a?", "videos": CLIP, "video_metadata": {"fps": "4"}}, "positive"),
    "metadata as a number": ({"text": "a?", "videos": CLIP, "video_metadata": 5}, "give a dict"),
    "frames twice": (
        {"text": "a?", "videos": CLIP, "video_metadata": {"fps": 1, "frames_indices": [0, 0, 1, 2, 3, 4]}},
        "must increase",
    ),
    "metadata of another number": ({"text": "a?", "videos": CLIP, "video_metadata": [{"fps": 1}] * 2}, "2 video_meta"),
}


@pytest.mark.parametrize("case", CALLS)
def test_calls_that_do_not_fit(processor, case):
    arguments, expected = CALLS[case]
    with pytest.raises(InputError, match=expected):
        processor(**arguments)


def test_metadata_may_be_a_list(processor):
    for given in ({"fps": 4}, [{"fps": 4}]):
        assert processor(text="a?", videos=[CLIP], video_metadata=given)["frame_timestamps"][0][1] == 0.25


def test_chosen_frames_are_not_chosen_again(processor):
    with pytest.raises(InputError, match="fps cannot be used"):
        part(processor, video=chosen(processor), fps=1)
    with pytest.raises(InputError, match="start_time cannot be used"):
        processor(text="a?", videos=[chosen(processor)], start_time=2)


def test_encoded_videos_are_not_sampled_again(processor, model, ask):
    (video,) = model.encode_videos(**ask(video=CLIP))
    with pytest.raises(InputError, match="fps, start_time cannot be used"):
        part(processor, video=video, fps=1, start_time=2)
    with pytest.raises(InputError, match="did you mean 'read_prompt'"):
        model.encode_videos(**ask(video=CLIP), read_promt=True)


BAD_OPTIONS = {
    "fps": (VideoGlammVideoProcessor, {"fsp": 3}),
    "num_tower_frames": (VideoGlammVideoProcessor, {"num_tower_frame": 3}),
    "spatial_image_size": (VideoGlammImageProcessor, {"spatial_image_sise": 3}),
    "av, decord": (VideoGlammVideoProcessor, {"decoder": "cv2"}),
    "fps must be a number": (VideoGlammVideoProcessor, {"fps": "x"}),
}


@pytest.mark.parametrize("expected", BAD_OPTIONS)
def test_options_of_the_parts(expected):
    make, options = BAD_OPTIONS[expected]
    with pytest.raises(InputError, match=expected):
        make(**options)


def test_options_changed_in_loading(light_tiny, without_warnings):
    loaded = AutoProcessor.from_pretrained(light_tiny, max_frames=3, decoder="decord", fps=2)
    assert (loaded.video_processor.max_frames, loaded.video_processor.decoder) == (3, "decord")
    with pytest.raises(InputError, match="did you mean 'fps'"):
        AutoProcessor.from_pretrained(light_tiny, fsp=2)


@pytest.mark.parametrize("kind", ["np", None])
def test_tensors_of_every_kind(processor, kind):
    picture, video = (
        processor.image_processor(PICTURE, return_tensors=kind),
        processor.video_processor(CLIP, return_tensors=kind),
    )
    both = processor(text="a?", videos=CLIP, return_tensors=kind)
    for values in (picture["pixel_values"], video["pixel_values_videos"], both["temporal_pixel_values_videos"]):
        assert isinstance(values, list if kind is None else np.ndarray)
        assert isinstance(values[0], np.ndarray)
    assert isinstance(both["grounding_frames"][0], list if kind is None else np.ndarray)


def test_the_tokenizers_side_counts_if_none_is_given(light_tiny):
    own = AutoProcessor.from_pretrained(light_tiny)
    assert own(text=["a?", "a longer one?"])["attention_mask"][0, 0] == 0
    own.tokenizer.padding_side = "right"
    assert own(text=["a?", "a longer one?"])["attention_mask"][0, 0] == 1


TEMPLATES = {"as a number": (5, "chat_template is a int"), "broken": ("{{ bad", "cannot be read, line 1")}


@pytest.mark.parametrize("case", TEMPLATES)
def test_templates_that_are_none(processor, case):
    template, expected = TEMPLATES[case]
    with pytest.raises(InputError, match=expected):
        processor.apply_chat_template([{"role": "user", "content": "x"}], chat_template=template)


@pytest.mark.parametrize("conversation", [{"role": "user", "content": "x"}, 5, (m for m in ())])
def test_conversations_that_are_none(processor, conversation):
    with pytest.raises(InputError, match="list of messages"):
        processor.apply_chat_template(conversation)


def test_next_turn_needs_an_answer_and_a_question(processor):
    with pytest.raises(InputError, match="return_dict_in_generate"):
        processor.next_turn(torch.ones(1, 3, dtype=torch.long), "x?")
