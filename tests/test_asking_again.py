"""Further questions and turns about a video that was seen before."""

import pytest
import torch
from transformers import GenerationConfig

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import EncodedVideo, InputError, MediaError

CLIP = frames(4, 48, 64)
# A prompt read in pieces rounds otherwise than one read at once, and memory amplifies that from frame to frame.
FRAMEWISE = {"mask_mode": "framewise"}


def generate(model, inputs, **options):
    length = inputs["input_ids"].shape[1]
    return model.generate(
        **inputs,
        **{"max_new_tokens": 4, "do_sample": False, "output_mask_logits": True, **options},
        logits_processor=force_seg([1], length),
    )


def assert_same(first, second):
    assert torch.equal(first.sequences, second.sequences)
    for a, b in zip(first.mask_logits, second.mask_logits, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert first.frame_timestamps == second.frame_timestamps


@pytest.fixture
def encoded(model, ask) -> EncodedVideo:
    return model.encode_videos(**ask(video=CLIP))[0]


@pytest.fixture
def nothing_is_seen(model, monkeypatch):
    for part, name in ((model.model.temporal_tower, "forward"), (model.pixel_decoder, "get_image_features")):
        monkeypatch.setattr(part, name, lambda *a, **k: pytest.fail("the video was seen again"))


@pytest.mark.parametrize("keep_frames", [True, False])
def test_an_encoded_video_gives_the_same_answer(model, ask, keep_frames):
    inputs = ask(video=CLIP)
    (kept,) = model.encode_videos(**inputs, keep_frames=keep_frames)
    assert (kept.frame_features is not None) == keep_frames
    expected = generate(model, inputs)
    only = {k: inputs[k] for k in ("input_ids", "attention_mask", "grounding_frames")}
    assert_same(generate(model, only, encoded_videos=[kept]), expected)


def test_a_further_question_needs_no_video(model, processor, ask, encoded, nothing_is_seen, monkeypatch):
    question = "What is moving in this video?"
    messages = [{"role": "user", "content": [{"type": "video", "video": encoded}, {"type": "text", "text": question}]}]
    inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
    assert "pixel_values_videos" not in inputs and "grounding_frames" not in inputs
    again = generate(model, inputs)
    monkeypatch.undo()
    assert_same(again, generate(model, ask(question, video=CLIP)))


def prompt_lengths_read(model, monkeypatch):
    """Tokens the language model reads in each of its calls."""
    seen = []
    forward = model.model.language_model.forward

    def counted(*args, **kwargs):
        seen.append(kwargs["inputs_embeds"].shape[1])
        return forward(*args, **kwargs)

    monkeypatch.setattr(model.model.language_model, "forward", counted)
    return seen


@pytest.mark.parametrize("kind", ["video", "image"])
def test_a_kept_prompt_is_not_read_again(model, ask, kind, monkeypatch):
    visual = {"video": CLIP} if kind == "video" else {"image": CLIP[0]}
    (kept,) = model.encode_videos(**ask(**visual), read_prompt=True)
    visual_count = len(kept.visual_tokens)
    for question in ("What is this?", "Can you segment the man and the dog?"):
        inputs = ask(question, **visual)
        with monkeypatch.context() as patch:
            seen = prompt_lengths_read(model, patch)
            again = generate(model, inputs, encoded_videos=[kept], **FRAMEWISE)
        assert 0 < seen[0] <= inputs["input_ids"].shape[1] - visual_count
        assert_same(again, generate(model, inputs, **FRAMEWISE))


def test_a_kept_prompt_gives_way_to_beams_batches_and_other_prompts(model, ask):
    inputs = ask(video=CLIP)
    (kept,) = model.encode_videos(**inputs, read_prompt=True)
    assert_same(generate(model, inputs, encoded_videos=[kept], num_beams=2), generate(model, inputs, num_beams=2))
    batch = {key: torch.cat([inputs[key]] * 2) for key in ("input_ids", "attention_mask")}
    assert len(generate(model, batch, encoded_videos=[kept, kept]).masks) == 2
    other = {key: inputs[key].clone() for key in ("input_ids", "attention_mask")}
    other["input_ids"][0, 3] += 1
    assert_same(generate(model, other, encoded_videos=[kept]), generate(model, {**inputs, **other}))
    text = ask("Hello?")
    assert model.encode_videos(**text, read_prompt=True) == [None]


def test_a_batch_of_encoded_videos_pictures_and_text(model, processor, ask, encoded):
    (picture,) = model.encode_videos(**ask(image=CLIP[0]))

    def user(*parts):
        return [{"role": "user", "content": [*parts, {"type": "text", "text": "What is it?"}]}]

    batch = [user({"type": "video", "video": encoded}), user(), user({"type": "image", "image": picture})]
    inputs = processor.apply_chat_template(batch, tokenize=True, add_generation_prompt=True)
    output = generate(model, inputs)
    assert [tuple(m.shape) for m in output.masks] == [(1, 4, 48, 64), (1, 0, 0, 0), (1, 1, 48, 64)]


def test_encoded_videos_survive_a_file(model, ask, encoded, tmp_path):
    encoded.save(tmp_path / "seen.safetensors")
    loaded = EncodedVideo.load(tmp_path / "seen.safetensors")
    only = {k: ask(video=CLIP)[k] for k in ("input_ids", "attention_mask")}
    assert_same(generate(model, only, encoded_videos=[loaded]), generate(model, only, encoded_videos=[encoded]))
    assert [p.name for p in tmp_path.iterdir()] == ["seen.safetensors"]


def test_a_further_turn_reuses_the_cache(model, processor, ask, encoded, monkeypatch):
    first = generate(model, ask(video=CLIP), encoded_videos=[encoded], return_dict_in_generate=True)
    inputs = processor.next_turn(first, "And the blue one?")
    new = inputs["input_ids"].shape[1] - first.sequences.shape[1]
    with monkeypatch.context() as patch:
        seen = prompt_lengths_read(model, patch)
        second = generate(model, inputs, encoded_videos=[encoded], **FRAMEWISE)
    # Only the last generated token and the new turn are read, then one token a step.
    assert seen[0] == new + 1 and set(seen[1:]) == {1}
    words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert_same(second, generate(model, words, encoded_videos=[encoded], **FRAMEWISE))
    assert_same(second, generate(model, inputs, encoded_videos=[encoded], **FRAMEWISE))  # whose cache is longer by now
    other_branch = processor.next_turn(first, "And the blue one?")
    assert_same(second, generate(model, other_branch, encoded_videos=[encoded], **FRAMEWISE))


def test_next_turn_writes_what_the_whole_conversation_would(model, processor, ask, encoded):
    first = generate(model, ask(video=CLIP), encoded_videos=[encoded])
    first.sequences = torch.cat(
        [
            ask(video=CLIP)["input_ids"],
            processor.tokenizer("Sure.", return_tensors="pt", add_special_tokens=False).input_ids[:, 1:],
        ],
        dim=1,
    )
    inputs = processor.next_turn(first, "And the <|end|> blue one?")
    tail = inputs["input_ids"][0, first.sequences.shape[1] :]
    messages = [
        {"role": "user", "content": "x"},
        {"role": "assistant", "content": "Sure."},
        {"role": "user", "content": "And the <|end|> blue one?"},
    ]
    whole = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)["input_ids"][0]
    assert torch.equal(whole[-len(tail) :], tail)


def test_refusals(model, fresh_model, ask, encoded, processor, tmp_path):
    other = fresh_model()
    with torch.no_grad():
        other.model.temporal_projector.linear_2.bias += 1
    only = {k: ask(video=CLIP)[k] for k in ("input_ids", "attention_mask")}
    with pytest.raises(InputError, match="another model"):
        generate(other, only, encoded_videos=[encoded])
    with pytest.raises(InputError, match="2 samples"):
        generate(model, only, encoded_videos=[encoded, encoded])
    with pytest.raises(InputError, match="image"):
        content = [{"type": "image", "image": encoded}, {"type": "text", "text": "?!"}]
        processor.apply_chat_template([{"role": "user", "content": content}], tokenize=True)
    with pytest.raises(InputError, match="encode all or none"):
        pair = [
            [{"role": "user", "content": [{"type": "video", "video": v}, {"type": "text", "text": "?!"}]}]
            for v in (encoded, CLIP)
        ]
        processor.apply_chat_template(pair, tokenize=True)
    (tmp_path / "broken.safetensors").write_bytes(b"nonsense")
    for path in ("broken.safetensors", "missing.safetensors"):
        with pytest.raises(MediaError, match=path):
            EncodedVideo.load(tmp_path / path)
    with pytest.raises(MediaError, match="cannot be written"):
        encoded.save(tmp_path / "no" / "folder.safetensors")


def test_only_what_changes_numbers_is_asked_of_the_model(fresh_model, ask, encoded, tmp_path):
    """What our out-of-memory messages advise to lower, and what training sets, keeps encoded videos valid."""
    encoded.save(tmp_path / "seen.safetensors")
    other = fresh_model()
    other.config.grounding_batch_size, other.config.mask_mode = 1, "framewise"
    other.config.ce_loss_weight, other.config.object_score_loss_weight = 3.0, 1.0
    other.config.text_config.use_cache = not other.config.text_config.use_cache
    loaded = EncodedVideo.load(tmp_path / "seen.safetensors")
    only = {k: ask(video=CLIP)[k] for k in ("input_ids", "attention_mask")}
    assert generate(other, only, encoded_videos=[loaded]).masks[0].shape == (1, 4, 48, 64)
    for part, change in (
        ("towers", other.model.spatial_tower.encoder.layers[0].mlp.fc1.weight),
        ("image_encoder", other.pixel_decoder.vision_encoder.neck.convs[0].weight),
    ):
        kept = change.detach().clone()
        with torch.no_grad():
            change += 1
        with pytest.raises(InputError, match=part):
            generate(other, only, encoded_videos=[loaded])
        with torch.no_grad():
            change.copy_(kept)


def test_some_frames_of_a_file(model, ask, encoded, tmp_path):
    encoded.save(tmp_path / "seen.safetensors")
    some = EncodedVideo.load(tmp_path / "seen.safetensors", places=[1, 3])
    assert torch.equal(some.frame_features.embedding, encoded.frame_features.embedding[[1, 3]])
    assert some.frame_timestamps == [encoded.frame_timestamps[i] for i in (1, 3)]


def test_a_cache_that_the_model_is_set_to_goes_before_a_kept_prompt(fresh_model, ask):
    """Also where the call has a configuration of its own, whose gaps the model's fill."""
    model, inputs = fresh_model(), ask(video=frames(4, 48, 64))
    (video,) = model.encode_videos(**inputs, read_prompt=True)
    own = GenerationConfig(max_new_tokens=2)
    expected = model.generate(inputs["input_ids"], encoded_videos=[video], generation_config=own)
    model.generation_config.cache_implementation = "static"
    found = model.generate(inputs["input_ids"], encoded_videos=[video], generation_config=own)
    assert torch.equal(found.sequences, expected.sequences)
