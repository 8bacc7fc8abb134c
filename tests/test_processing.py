"""The processor at its public surface: messages in, tensors out, and back from disk."""

import copy

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoProcessor

from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError, VideoGlammGenerateOutput


@pytest.fixture(scope="module")
def processor(converted_tiny):
    """Of the published sizes."""
    return AutoProcessor.from_pretrained(converted_tiny)


def video_message(video, text="What moves?", **options):
    part = {"type": "video", "video": video, **options}
    return [{"role": "user", "content": [part, {"type": "text", "text": text}]}]


def apply(processor, messages, **options):
    return processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt", **options
    )


def test_streams_of_a_video(processor):
    inputs = apply(processor, video_message(frames(5, 90, 160)))
    assert inputs["pixel_values_videos"].shape == (1, 8, 3, 336, 336)
    assert inputs["temporal_pixel_values_videos"].shape == (1, 8, 3, 224, 224)
    assert inputs["grounding_frames"][0].shape == (5, 3, 144, 256)
    assert inputs["original_sizes"].tolist() == [[90, 160]]
    assert inputs["frame_timestamps"] == [[0.0, 1.0, 2.0, 3.0, 4.0]]
    placeholder = processor.tokenizer.convert_tokens_to_ids("<video>")
    assert (inputs["input_ids"] == placeholder).sum() == 1664
    assert placeholder >= 320


SAME_CLIP = {
    "list of arrays": list,
    "list of PIL images": lambda clip: [Image.fromarray(f) for f in clip],
    "list of tensors": lambda clip: [torch.from_numpy(f) for f in clip],
    "tensor": torch.from_numpy,
}


@pytest.mark.parametrize("form", SAME_CLIP)
def test_frames_in_any_form_give_the_same_inputs(processor, form):
    clip = frames(3, 40, 60)
    expected = apply(processor, video_message(clip))
    inputs = apply(processor, video_message(SAME_CLIP[form](clip)))
    assert torch.equal(inputs["input_ids"], expected["input_ids"])
    assert torch.equal(inputs["pixel_values_videos"], expected["pixel_values_videos"])
    assert torch.equal(inputs["grounding_frames"][0], expected["grounding_frames"][0])


def test_a_picture_takes_the_spatial_tower_only(processor):
    messages = [
        {
            "role": "user",
            "content": [
                {"type": "image", "image": Image.fromarray(frames(1, 50, 40)[0])},
                {"type": "text", "text": "?"},
            ],
        }
    ]
    inputs = apply(processor, messages)
    assert inputs["pixel_values"].shape == (1, 3, 336, 336)
    assert "pixel_values_videos" not in inputs
    assert inputs["grounding_frames"][0].shape == (1, 3, 256, 205)


def test_a_text_only_question_has_no_pixels(processor):
    inputs = apply(processor, [{"role": "user", "content": "Who are you?"}])
    assert "pixel_values" not in inputs and "pixel_values_videos" not in inputs
    assert len(inputs["grounding_frames"][0]) == 0


def test_a_mixed_batch_is_padded_on_the_left(processor):
    batch = [video_message(frames(2, 30, 40)), [{"role": "user", "content": "Who are you?"}]]
    inputs = apply(processor, batch)
    assert inputs["input_ids"].shape[0] == 2 and len(inputs["grounding_frames"]) == 2
    row = inputs["attention_mask"][1].tolist()
    assert row == sorted(row) and row[-1] == 1
    alone = apply(processor, batch[1])["input_ids"][0]
    assert torch.equal(inputs["input_ids"][1][-len(alone) :], alone)
    right = apply(processor, batch, padding_side="right")
    assert torch.equal(right["input_ids"][1][: len(alone)], alone)


def test_the_placeholder_moves_to_the_start_of_its_turn(processor):
    clip = frames(2, 30, 40)
    content = [{"type": "text", "text": "What moves?"}, {"type": "video", "video": clip}]
    inputs = apply(processor, [{"role": "user", "content": content}])
    assert torch.equal(inputs["input_ids"], apply(processor, video_message(clip))["input_ids"])


def test_plain_call_equals_messages(processor):
    clip = frames(2, 30, 40)
    expected = apply(processor, video_message(clip))
    rendered = processor.apply_chat_template(video_message(clip), add_generation_prompt=True)
    assert "<video>" in rendered
    for text in (rendered, "What moves?"):
        for videos in (clip, [clip]):
            inputs = processor(text=text, videos=videos)
            assert torch.equal(inputs["input_ids"], expected["input_ids"])
            assert torch.equal(inputs["temporal_pixel_values_videos"], expected["temporal_pixel_values_videos"])


def test_plain_call_with_several_texts(processor):
    clip, picture = frames(2, 30, 40), frames(1, 20, 30)[0]
    texts = [
        processor.apply_chat_template(video_message(clip), add_generation_prompt=True),
        processor.apply_chat_template(
            [{"role": "user", "content": [{"type": "image", "image": picture}, {"type": "text", "text": "?"}]}],
            add_generation_prompt=True,
        ),
    ]
    inputs = processor(text=texts, videos=[clip], images=[picture])
    assert inputs["pixel_values"].shape[0] == inputs["pixel_values_videos"].shape[0] == 1
    assert inputs["original_sizes"].tolist() == [[30, 40], [20, 30]]


def test_assistant_mask_covers_answers_and_their_end(processor):
    messages = [
        {"role": "user", "content": "Where is it?"},
        {"role": "assistant", "content": "It is [SEG]."},
    ]
    inputs = processor.apply_chat_template(
        messages, tokenize=True, return_dict=True, return_tensors="pt", return_assistant_tokens_mask=True
    )
    answer = inputs["input_ids"][inputs["assistant_masks"].bool()]
    assert processor.tokenizer.decode(answer, skip_special_tokens=True).strip() == "It is [SEG]."
    assert answer[-1] == processor.tokenizer.convert_tokens_to_ids("<|end|>")


def test_round_trip(processor, tmp_path):
    processor.save_pretrained(tmp_path)
    again = AutoProcessor.from_pretrained(tmp_path)
    assert type(again) is type(processor)
    assert again.to_dict() == processor.to_dict()
    messages = video_message(frames(2, 30, 40), "  two  spaces, ünïcode and\nlines ")
    first, second = apply(processor, messages), apply(again, messages)
    assert torch.equal(first["input_ids"], second["input_ids"])
    assert torch.equal(first["pixel_values_videos"], second["pixel_values_videos"])


def test_answers_know_their_phrases_masks_and_times(processor):
    text = "A <p> man </p> [SEG] rides a <p> horse </p> [SEG]."
    ids = processor.tokenizer(text, add_special_tokens=False, return_tensors="pt").input_ids
    end = torch.tensor([[processor.tokenizer.convert_tokens_to_ids("<|end|>")]])
    masks = torch.zeros(2, 3, 4, 5, dtype=torch.bool)
    output = VideoGlammGenerateOutput(
        sequences=torch.cat([ids[:, :0], ids, end], dim=1),
        prompt_length=0,
        masks=[masks],
        object_scores=[torch.zeros(2, 3)],
        frame_timestamps=[[0.0, 1.0, 2.0]],
    )
    (answer,) = processor.post_process_grounded_generation(output)
    assert answer.text == "A man rides a horse."
    assert [(answer.text[p.start : p.end], p.object_index) for p in answer.phrases] == [("man", 0), ("horse", 1)]
    assert answer.labels == ["man", "horse"]
    assert answer.masks is masks and answer.timestamps == [0.0, 1.0, 2.0]


def test_a_file_is_sampled_at_one_frame_a_second(processor, tmp_path):
    from videoglamm_hf.render.video_encoding import write_mp4

    clip = frames(25, 48, 64)
    write_mp4(tmp_path / "clip.mp4", clip, fps=5)
    source = str(tmp_path / "clip.mp4")
    message = [{"role": "user", "content": [{"type": "video", "path": source}, {"type": "text", "text": "?"}]}]
    inputs = apply(processor, message)
    assert inputs["frame_timestamps"][0] == pytest.approx([0, 1, 2, 3, 4], abs=1e-3)
    assert len(apply(processor, message, fps=None)["grounding_frames"][0]) == 25
    assert len(apply(processor, message, num_frames=7)["grounding_frames"][0]) == 7
    own = video_message(source, fps=2.5)
    assert len(apply(processor, own)["grounding_frames"][0]) == 13


def test_tower_frames_of_a_long_clip_span_all_of_it(processor):
    clip = np.stack([np.full((20, 20, 3), i, np.uint8) for i in range(40)])
    inputs = apply(processor, video_message(clip))
    levels = inputs["pixel_values_videos"][0, :, 0, 0, 0]
    expected = np.linspace(0, 39, 8).astype(int)
    recovered = (levels * 0.26862954 + 0.48145466) * 255
    assert recovered.round().int().tolist() == expected.tolist()


SHORT = "{%- for turn in messages -%}{%- for part in turn.content -%}{{ part.text }}{%- endfor -%}{%- endfor -%}"


def test_chat_templates_by_name_survive_saving(processor, tmp_path):
    own = copy.deepcopy(processor)
    own.chat_template = {"default": processor.chat_template, "short": SHORT}
    own.save_pretrained(tmp_path)
    loaded = AutoProcessor.from_pretrained(tmp_path)
    question = [{"role": "user", "content": "Who?"}]
    assert loaded.apply_chat_template(question, chat_template="short") == "Who?"
    assert loaded.apply_chat_template(question) == processor.apply_chat_template(question)
    assert loaded.apply_chat_template(question, chat_template=SHORT) == "Who?"
    with pytest.raises(InputError, match="did you mean 'short'"):
        loaded.apply_chat_template(question, chat_template="shor")


def test_answers_are_masked_only_where_the_template_marks_them(processor):
    with pytest.raises(InputError, match="generation"):
        processor.apply_chat_template(
            [{"role": "user", "content": "Who?"}],
            chat_template=SHORT,
            tokenize=True,
            return_assistant_tokens_mask=True,
        )


def test_nested_lists_are_one_visual_a_text(processor):
    clips, pictures = [frames(2, 30, 40), frames(3, 30, 40)], list(frames(2, 20, 30))
    for name, given in (("videos", clips), ("images", pictures)):
        flat = processor(text=["What?", "Which one?"], **{name: given})
        nested = processor(text=["What?", "Which one?"], **{name: [[one] for one in given]})
        assert flat.keys() == nested.keys()
        assert torch.equal(flat["input_ids"], nested["input_ids"])
        assert all(map(torch.equal, flat["grounding_frames"], nested["grounding_frames"]))
