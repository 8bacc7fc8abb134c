"""generate() at its public surface: masks, and what it does besides transformers' own.

What transformers' own does is in tests/common_suites/test_generation_contract.py.
"""

import pytest
import torch
from transformers import AutoTokenizer, CompileConfig, GenerationConfig, TextStreamer

from tests.conftest import ForceTokens, force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError
from videoglamm_hf.toy import TINY_MODEL

CLIP = frames(4, 48, 64)


def generate(model, inputs, steps=(1, 3), **options):
    length = inputs["input_ids"].shape[1]
    options = {"max_new_tokens": 5, "do_sample": False, **options}
    return model.generate(**inputs, logits_processor=force_seg(list(steps), length), **options)


def test_masks_come_at_the_videos_own_size(model, ask):
    output = generate(model, ask(video=CLIP))
    assert output.masks[0].shape == (2, 4, 48, 64) and output.masks[0].dtype == torch.bool
    assert output.object_scores[0].shape == output.iou_scores[0].shape == (2, 4)
    assert output.mask_logits is None
    assert output.frame_timestamps == [[0.0, 1.0, 2.0, 3.0]]


@pytest.mark.parametrize("mode", ["video", "framewise"])
def test_logits_on_request(model, ask, mode):
    output = generate(model, ask(video=CLIP), mask_mode=mode, output_mask_logits=True)
    logits = output.mask_logits[0]
    assert logits.shape == (2, 4, 64, 64)
    resized = torch.nn.functional.interpolate(logits, size=(48, 64), mode="bilinear", align_corners=False)
    assert torch.equal(resized > 0, output.masks[0])


def test_no_seg_gives_no_masks(model, ask):
    output = generate(model, ask(video=CLIP), steps=())
    assert output.masks[0].shape == (0, 4, 48, 64)


def test_text_only_questions_work(model, ask):
    output = generate(model, ask("Who are you?"), steps=(0,))
    assert output.masks[0].shape == (1, 0, 0, 0)


def test_pictures_work_in_both_modes(model, ask):
    for mode in ("video", "framewise"):
        output = generate(model, ask(image=CLIP[0]), mask_mode=mode)
        assert output.masks[0].shape == (2, 1, 48, 64)


def test_a_seg_that_is_the_very_last_token_counts(model, ask):
    assert len(generate(model, ask(video=CLIP), steps=(4,)).masks[0]) == 1


def test_return_masks_false_is_stock(model, ask):
    inputs = ask(video=CLIP)
    stock = generate(model, inputs, return_masks=False)
    assert isinstance(stock, torch.Tensor)
    assert torch.equal(stock, generate(model, inputs).sequences)
    as_dict = generate(model, inputs, return_masks=False, return_dict_in_generate=True, output_scores=True)
    assert len(as_dict.scores) == 5 and "masks" not in as_dict


def test_cached_states_equal_teacher_forcing(model, ask):
    inputs = ask(video=CLIP)
    output = generate(model, inputs)
    with torch.no_grad():
        features = model.get_video_features(
            inputs["pixel_values_videos"], inputs["temporal_pixel_values_videos"]
        ).pooler_output
        embeds = model.model.embed_inputs(output.sequences, video_features=features)
        states = model.model(inputs_embeds=embeds).last_hidden_state[0]
        where = (output.sequences[0] == model.config.seg_token_id).nonzero()[:, 0] - 1
        expected = model.seg_projection(states[where])
    assert torch.allclose(output.prompt_embeddings[0], expected, atol=2e-5)


def test_each_tower_runs_once(model, ask, monkeypatch):
    calls = {"spatial": 0, "temporal": 0, "frames": 0}
    towers = {"spatial": model.model.spatial_projector, "temporal": model.model.temporal_tower}
    for name, tower in towers.items():
        forward = tower.forward

        def counted(*args, _forward=forward, _name=name, **kwargs):
            calls[_name] += 1
            return _forward(*args, **kwargs)

        monkeypatch.setattr(tower, "forward", counted)
    encode = model.pixel_decoder.get_image_features

    def counted_frames(pixels, **kwargs):
        calls["frames"] += len(pixels)
        return encode(pixels, **kwargs)

    monkeypatch.setattr(model.pixel_decoder, "get_image_features", counted_frames)
    generate(model, ask(video=CLIP), num_beams=3)
    assert calls == {"spatial": 1, "temporal": 1, "frames": 4}


def test_only_one_vector_per_step_is_kept(model, ask, monkeypatch):
    kept = []
    original = model._seg_embeddings
    monkeypatch.setattr(
        model, "_seg_embeddings", lambda output, length: kept.extend(output.hidden_states) or original(output, length)
    )
    generate(model, ask(video=CLIP))
    assert [tuple(state.shape) for step in kept for state in step] == [(1, 1, 64)] * 5


def test_beams_take_the_state_of_their_own_beam(model, ask):
    inputs = ask(video=CLIP)
    output = generate(model, inputs, num_beams=3, num_return_sequences=2)
    assert len(output.masks) == 2
    with torch.no_grad():
        features = model.get_video_features(
            inputs["pixel_values_videos"], inputs["temporal_pixel_values_videos"]
        ).pooler_output
        for row in range(2):
            embeds = model.model.embed_inputs(output.sequences[row : row + 1], video_features=features)
            states = model.model(inputs_embeds=embeds).last_hidden_state[0]
            where = (output.sequences[row] == model.config.seg_token_id).nonzero()[:, 0] - 1
            expected = model.seg_projection(states[where])
            assert torch.allclose(output.prompt_embeddings[row], expected, atol=2e-5)


def test_a_text_streamer_writes_the_answer(model, ask, processor, capsys):
    streamer = TextStreamer(processor.tokenizer, skip_prompt=True)
    generate(model, ask(video=CLIP), do_sample=True, top_k=5, streamer=streamer)
    assert capsys.readouterr().out.count("[SEG]") >= 2


def test_processors_that_look_up_tokens_survive_placeholders(model, ask):
    output = generate(model, ask(video=CLIP), repetition_penalty=1.3, no_repeat_ngram_size=2)
    assert output.sequences.max() < 322


def test_placeholders_are_never_generated(model, ask):
    output = generate(model, ask(video=CLIP), steps=(), do_sample=True, temperature=100.0, max_new_tokens=40)
    assert output.sequences[0, output.prompt_length :].max() < model.config.text_config.vocab_size


def test_the_decoding_step_compiles_as_one_graph(model, ask):
    inputs = ask(video=CLIP)
    graphs = []

    def backend(graph, example_inputs, **kwargs):
        graphs.append(graph)
        return graph

    compile_config = CompileConfig(fullgraph=True, backend=backend)
    compile_config._compile_all_devices = True
    compiled = generate(
        model, inputs, cache_implementation="static", compile_config=compile_config, output_mask_logits=True
    )
    assert 0 < len(graphs) <= 2
    expected = generate(model, inputs, output_mask_logits=True)
    assert torch.equal(compiled.sequences, expected.sequences)
    assert torch.allclose(compiled.mask_logits[0], expected.mask_logits[0], atol=5e-3)


def test_a_mixed_batch_equals_one_by_one(model, processor):
    def user(text, **part):
        content = [{"type": kind, kind: value} for kind, value in part.items()]
        return [{"role": "user", "content": [*content, {"type": "text", "text": text}]}]

    conversations = [
        user("Can you segment the red disc in this video?", video=frames(5, 48, 64)),
        user("And here?", image=frames(1, 40, 30, salt=1)[0]),
        user("Who are you?"),
        user("What moves fastest in it?", video=frames(2, 32, 80, salt=1)),
    ]
    # Different numbers of objects, one sample without any.
    steps = [{1, 3}, {2}, {0}, set()]

    class ForcePerRow(ForceTokens):
        def __init__(self, rows, length):
            self.rows, self.prompt_length = rows, length

        def __call__(self, input_ids, scores):
            for row, wanted in enumerate(self.rows):
                if input_ids.shape[1] - self.prompt_length in wanted:
                    scores[row] = -1e9
                    scores[row, 319] = 0
            return scores

    def run(some, forced):
        inputs = processor.apply_chat_template(some, tokenize=True, add_generation_prompt=True)
        return model.generate(
            **inputs,
            max_new_tokens=5,
            do_sample=False,
            output_mask_logits=True,
            logits_processor=[ForcePerRow(forced, inputs["input_ids"].shape[1])],
        )

    together = run(conversations, steps)
    for i, conversation in enumerate(conversations):
        alone = run([conversation], [steps[i]])
        generated = together.sequences[i, together.prompt_length :]
        assert torch.equal(generated, alone.sequences[0, alone.prompt_length :])
        assert together.masks[i].shape == alone.masks[0].shape
        if alone.mask_logits[0].numel():
            scale = alone.mask_logits[0].abs().max()
            assert (together.mask_logits[i] - alone.mask_logits[0]).abs().max() <= 1e-4 * scale


def test_iter_masks_gives_the_same_masks_frame_by_frame(model, ask):
    inputs = ask(video=CLIP)
    output = generate(model, inputs)
    seen = list(model.iter_masks(output.prompt_embeddings, inputs["grounding_frames"], inputs["original_sizes"]))
    assert [frame.frame_index for frame in seen] == [0, 1, 2, 3]
    assert torch.equal(torch.stack([frame.masks for frame in seen], dim=1), output.masks[0])


def test_bad_requests(model, ask):
    inputs = ask(video=CLIP)
    with pytest.raises(InputError, match="mask_mode"):
        generate(model, inputs, mask_mode="sideways")
    with pytest.raises(InputError, match="grounding_frames"):
        generate(model, {k: v for k, v in inputs.items() if k != "grounding_frames"}, return_masks=True)
    with pytest.raises(InputError, match="placeholders"):
        generate(
            model,
            {
                **inputs,
                "pixel_values_videos": inputs["pixel_values_videos"].repeat(2, 1, 1, 1, 1),
                "temporal_pixel_values_videos": inputs["temporal_pixel_values_videos"].repeat(2, 1, 1, 1, 1),
            },
        )
    with pytest.raises(InputError, match="8 frames"):
        generate(model, {**inputs, "pixel_values_videos": inputs["pixel_values_videos"][:, :4]})
    with pytest.raises(InputError, match="context"):
        generate(model, {"input_ids": torch.ones(1, 5000, dtype=torch.long)})


def test_bad_requests_are_refused_before_the_answer(model, ask, monkeypatch):
    inputs, side = ask(video=CLIP), model.config.grounding_config.image_size
    monkeypatch.setattr(type(model.model.language_model), "forward", None)
    small = [own[..., : side // 2, : side // 2] for own in inputs["grounding_frames"]]
    for changed, message in (
        ({"prompt_frame": 1.5}, "prompt_frame is 1.5"),
        ({"original_sizes": [(0, 64)]}, "original_sizes of sample 0"),
        ({"grounding_frames": [own.numpy() for own in inputs["grounding_frames"]]}, "ndarray"),
        ({"grounding_frames": small}, f"{side // 2} pixels"),
        ({"temporal_pixel_values_videos": None}, "temporal_pixel_values_videos are missing"),
        ({"encoded_videos": [inputs["pixel_values_videos"]]}, "sample 0 is a Tensor"),
        ({"mask_callback": "print"}, "mask_callback is a str"),
    ):
        with pytest.raises(InputError, match=message):
            generate(model, {**inputs, **changed})
    with pytest.raises(InputError, match=f"{side // 2} pixels"):
        model.encode_videos(**{**inputs, "grounding_frames": small})


def test_one_encoded_video_needs_no_list(model, ask):
    inputs = ask(video=CLIP)
    (encoded,) = model.encode_videos(**inputs)
    assert torch.equal(generate(model, inputs, encoded_videos=encoded).masks[0], generate(model, inputs).masks[0])


def test_prompts_padded_on_the_right_are_answered_as_if_padded_on_the_left(model, processor):
    messages = [
        [{"role": "user", "content": [*visual, {"type": "text", "text": text}]}]
        for visual, text in (
            ([{"type": "video", "video": CLIP}], "What moves?"),
            ([{"type": "image", "image": CLIP[0]}], "Can you segment the red disc in this picture?"),
            ([], "Who are you?"),
        )
    ]
    left, right = (
        processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, processor_kwargs={"padding_side": s}
        )
        for s in ("left", "right")
    )
    assert not right["attention_mask"][:, -1].all()
    expected, output = generate(model, left), generate(model, right)
    assert torch.equal(output.sequences, expected.sequences)
    assert all(map(torch.equal, output.masks, expected.masks))
    assert torch.equal(generate(model, right, return_masks=False), expected.sequences)
    with pytest.raises(InputError, match="padding_side='left'"):
        generate(model, right, position_ids=torch.arange(right["input_ids"].shape[1])[None])


def test_padding_on_the_right_without_a_mask_is_told_by_its_token_or_refused(model, processor):
    messages = [
        [{"role": "user", "content": [{"type": "text", "text": text}]}] for text in ("Who are you?", "What is this?")
    ]
    right = processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, processor_kwargs={"padding_side": "right"}
    )
    expected = generate(model, right, return_masks=False)
    del right["attention_mask"]
    assert torch.equal(generate(model, right, return_masks=False), expected)
    pad = processor.tokenizer.pad_token_id
    with pytest.raises(InputError, match="attention_mask"):
        generate(model, right, return_masks=False, eos_token_id=[pad], pad_token_id=pad)


def test_a_step_that_writes_into_the_memory_of_the_last_one_gives_the_same_masks(fresh_model, ask):
    """What CUDA graphs do with the outputs of a compiled step."""
    model, inputs = fresh_model(), ask(video=CLIP)
    options = {"output_mask_logits": True, "output_hidden_states": True, "output_attentions": True}
    expected = generate(model, inputs, **options)
    kept, forward = {}, model.forward

    def reused(name, tensor):
        place = kept.setdefault((name, tensor.shape), tensor.clone())
        return place.copy_(tensor)

    def forward_into_the_same_memory(*args, **kwargs):
        outputs = forward(*args, **kwargs)
        outputs["logits"] = reused("logits", outputs["logits"])
        outputs["hidden_states"] = tuple(reused(("state", i), one) for i, one in enumerate(outputs["hidden_states"]))
        # By place, for every step's is one longer.
        if outputs.get("attentions"):
            outputs["attentions"] = tuple(reused(("map", i), one) for i, one in enumerate(outputs["attentions"]))
        return outputs

    model.forward = forward_into_the_same_memory
    output = generate(model, inputs, **options)
    assert torch.equal(output.sequences, expected.sequences)
    assert torch.equal(output.mask_logits[0], expected.mask_logits[0])
    for one, other in zip(output.hidden_states, expected.hidden_states, strict=True):
        assert all(map(torch.equal, one, other))


@pytest.mark.usefixtures("without_warnings")
@pytest.mark.parametrize("positional", [False, True])
def test_a_generation_config_is_taken_and_left_as_it_is(model, ask, positional):
    inputs = ask(video=CLIP)
    config = GenerationConfig(max_new_tokens=4, do_sample=False, pad_token_id=0)
    before = config.to_dict()
    if positional:
        others = {name: value for name, value in inputs.items() if name != "input_ids"}
        output = model.generate(inputs["input_ids"], config, **others)
    else:
        output = model.generate(**inputs, generation_config=config)
    assert config.to_dict() == before
    assert len(output.masks) == 1 and "hidden_states" not in output
    config.output_hidden_states = True
    states = model.generate(**inputs, generation_config=config).hidden_states
    assert len(states[0]) == model.config.text_config.num_hidden_layers + 1


def test_only_an_output_with_masks_has_grounded_answers(model, processor, ask):
    stock = generate(model, ask(video=CLIP), return_masks=False, return_dict_in_generate=True)
    for output in (stock, stock.sequences, stock.sequences[0].tolist()):
        with pytest.raises(InputError, match=rf"{type(output).__name__} without masks .*return_masks=True"):
            processor.post_process_grounded_generation(output)


def test_stop_strings_need_a_tokenizer_that_spells(model, ask):
    words = AutoTokenizer.from_pretrained(TINY_MODEL)
    with pytest.raises(InputError, match="stop_strings need a tokenizer"):
        generate(model, ask("Who are you?"), stop_strings=["star"], tokenizer=words)


def test_outputs_decode_and_print_without_their_numbers(model, processor, ask):
    output = generate(model, ask(video=CLIP))
    assert processor.batch_decode(output) == processor.tokenizer.batch_decode(output.sequences)
    assert processor.decode(output.sequences[0]) == processor.tokenizer.decode(output.sequences[0])
    answer = processor.post_process_grounded_generation(output)[0]
    assert f"masks=bool{list(answer.masks.shape)}" in repr(answer)
    with torch.no_grad():
        words = model(input_ids=output.sequences[:, -5:])
    for printed in map(repr, (output, answer, words, model.encode_videos(**ask(video=CLIP))[0])):
        assert len(printed) < 1200 and "tensor(" not in printed and "array(" not in printed


def test_the_output_says_why_each_answer_ended(model, processor, ask):
    """Complete, by an end token, a stopping criterion or a stop in a batch, is "stop"; cut is "length"."""
    inputs = ask(video=CLIP)
    (cut,) = processor.post_process_grounded_generation(generate(model, inputs))
    assert cut.finish_reason == "length" and cut.iou_scores.shape == cut.object_scores.shape
    first = int(generate(model, inputs, steps=()).sequences[0, -5])
    ended = generate(model, inputs, steps=(), eos_token_id=[first, 3], pad_token_id=0)
    assert ended.finish_reasons == ["stop"]
    config = GenerationConfig(max_new_tokens=5, eos_token_id=first, pad_token_id=0)
    assert model.generate(**inputs, generation_config=config).finish_reasons == ["stop"]
    # At the very last token it may still end by itself.
    assert generate(model, inputs, steps=(), eos_token_id=first, max_new_tokens=1).finish_reasons == ["stop"]
    stopped = generate(model, inputs, stopping_criteria=[lambda ids, _: torch.ones(len(ids), dtype=torch.bool)])
    assert stopped.sequences.shape[1] == inputs["input_ids"].shape[1] + 1 and stopped.finish_reasons == ["stop"]
    longest = inputs["input_ids"].shape[1] + 2
    assert generate(model, inputs, max_new_tokens=None, max_length=longest).finish_reasons == ["length"]


def test_each_answer_of_a_batch_has_its_own_reason(model, processor):
    questions = [[{"role": "user", "content": text}] for text in ("What is it?", "Where does it go?")]
    inputs = processor.apply_chat_template(questions, tokenize=True, add_generation_prompt=True)
    length = inputs["input_ids"].shape[1]

    def end_the_first(ids, scores):
        if ids.shape[1] == length + 1:
            scores[0, :], scores[0, 2] = -1e9, 0
        scores[1, 2] = -1e9
        return scores

    options = {"max_new_tokens": 4, "eos_token_id": 2, "pad_token_id": 0, "return_masks": True}
    output = model.generate(**inputs, logits_processor=[end_the_first], **options)
    assert output.finish_reasons == ["stop", "length"]


def test_own_wanted_states_are_returned_beside_a_given_configuration(fresh_model, ask):
    """transformers takes from a model's own configuration what a given one leaves open."""
    model, inputs, given = fresh_model(), ask(video=CLIP), GenerationConfig(max_new_tokens=4, do_sample=False)
    model.generation_config.output_hidden_states = True
    assert model.generate(**inputs, generation_config=given).hidden_states is not None


def test_an_own_pad_token_pads_beside_a_given_configuration(fresh_model, ask):
    model, inputs = fresh_model(), ask(video=CLIP)
    length = inputs["input_ids"].shape[1]
    pad = int(generate(model, inputs, steps=(), max_new_tokens=4).sequences[0, -1])
    model.generation_config.pad_token_id = pad
    given = GenerationConfig(max_new_tokens=4, do_sample=False)
    # The last word is no word, but padding: the answer ended before.
    assert model.generate(**inputs, generation_config=given).sequences.shape[1] == length + 4
    assert model.generate(**inputs, generation_config=given).finish_reasons == ["stop"]


def test_an_own_pad_token_tells_padding_beside_a_given_configuration(fresh_model, processor):
    model = fresh_model()
    questions = [[{"role": "user", "content": text}] for text in ("What is it?", "Where does the red one go now?")]
    right = processor.apply_chat_template(
        questions, tokenize=True, add_generation_prompt=True, processor_kwargs={"padding_side": "right"}
    )
    given = GenerationConfig(max_new_tokens=4, do_sample=False)
    expected = model.generate(**right, generation_config=given).sequences
    del right["attention_mask"]
    model.generation_config.pad_token_id = processor.tokenizer.pad_token_id
    assert torch.equal(model.generate(**right, generation_config=given).sequences, expected)


def test_an_own_prefill_chunk_size_is_refused_beside_a_given_configuration(fresh_model, ask):
    model = fresh_model()
    model.generation_config.prefill_chunk_size = 2
    with pytest.raises(InputError, match="prefill_chunk_size"):
        model.generate(**ask(video=CLIP), generation_config=GenerationConfig(max_new_tokens=4, do_sample=False))


def test_an_own_prompt_lookup_reads_a_kept_prompt_anew_beside_a_given_configuration(fresh_model, ask):
    model, inputs, given = fresh_model(), ask(video=CLIP), GenerationConfig(max_new_tokens=4, do_sample=False)
    (encoded,) = model.encode_videos(**inputs, read_prompt=True)
    plain = model.generate(inputs["input_ids"], generation_config=given, encoded_videos=[encoded])
    model.generation_config.prompt_lookup_num_tokens = 2
    looked_up = model.generate(inputs["input_ids"], generation_config=given, encoded_videos=[encoded])
    assert torch.equal(looked_up.sequences, plain.sequences)
