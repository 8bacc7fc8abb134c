"""What `GenerationTesterMixin` asks of a model that generates, which no source distribution holds (see source.py).

Compiled decoding steps and mixed batches are in tests/test_generation.py.
"""

import copy
from typing import Any

import pytest
import torch
from transformers import (
    AutoModelForCausalLM,
    DynamicCache,
    GenerationConfig,
    StoppingCriteria,
)
from transformers.generation import GenerateBeamDecoderOnlyOutput, GenerateDecoderOnlyOutput
from transformers.generation.streamers import BaseStreamer

from tests.common_suites import small_models
from tests.common_suites.small_models import SEG, VOCABULARY
from tests.conftest import ForceTokens
from videoglamm_hf import InputError, VideoGlammForGroundedGeneration
from videoglamm_hf.generation_output import VideoGlammGenerateOutput
from videoglamm_hf.transformers_versions import CACHE

KINDS = {"text": (), "picture": ("image",), "video": ("video",), "both": ("image", "video")}
NEW = 5
END, PAD = 2, 0
EVERYTHING = dict.fromkeys(("output_scores", "output_logits", "output_attentions", "output_hidden_states"), True)

each_kind = pytest.mark.parametrize("kind", KINDS)
each_visual_kind = pytest.mark.parametrize("kind", [kind for kind in KINDS if KINDS[kind]])


@pytest.fixture(scope="module")
def model() -> VideoGlammForGroundedGeneration:
    return small_models.outspoken_model(attn_implementation="eager")


@pytest.fixture(scope="module")
def draft() -> VideoGlammForGroundedGeneration:
    """Another model, which often proposes other words."""
    return small_models.outspoken_model(seed=1, attn_implementation="eager")


def ask(model: torch.nn.Module, kind: str, batch: int = 1, seed: int = 0) -> dict[str, torch.Tensor]:
    torch.manual_seed(seed)
    return small_models.model_inputs(model.config, batch, KINDS[kind])


def generate(model: torch.nn.Module, inputs: dict[str, Any], **options: Any) -> Any:
    """Stock answers of exactly `NEW` tokens."""
    return model.generate(**inputs, **{"max_new_tokens": NEW, "min_new_tokens": NEW, "do_sample": False, **options})


def generate_masks(model: torch.nn.Module, inputs: dict[str, Any], **options: Any) -> VideoGlammGenerateOutput:
    """Answers with two objects."""
    torch.manual_seed(1)
    seen = small_models.grounding_inputs(len(inputs["input_ids"]))
    return generate(model, inputs | seen, **two_objects(inputs), output_mask_logits=True, **options)


def two_objects(inputs: dict[str, torch.Tensor]) -> dict[str, Any]:
    """Options by which an answer names two objects."""
    force = ForceTokens({1: SEG, 3: SEG}, inputs["input_ids"].shape[1])
    return {"logits_processor": [force], "suppress_tokens": [SEG]}


def new_tokens(inputs: dict[str, torch.Tensor], sequences: torch.Tensor) -> torch.Tensor:
    return sequences[:, inputs["input_ids"].shape[1] :]


def assert_same_masks(first: VideoGlammGenerateOutput, second: VideoGlammGenerateOutput) -> None:
    assert torch.equal(first.sequences, second.sequences)
    assert all(len(masks) == 2 for masks in first.masks)
    for name in ("prompt_embeddings", "mask_logits", "iou_scores", "object_scores"):
        for a, b in zip(getattr(first, name), getattr(second, name), strict=True):
            assert torch.allclose(a, b, atol=1e-3), name


# What comes back


@each_kind
def test_greedy_gives_tokens_or_all_that_is_asked_for(model, kind):
    inputs, batch = ask(model, kind, batch=2), 2
    output = generate(model, inputs, return_dict_in_generate=True, **EVERYTHING)
    assert type(output) is GenerateDecoderOnlyOutput
    assert torch.equal(output.sequences, generate(model, inputs))
    text, length = model.config.text_config, inputs["input_ids"].shape[1]
    assert output.sequences.shape == (batch, length + NEW)
    assert torch.equal(output.sequences[:, :length], inputs["input_ids"])
    for name in ("scores", "logits"):
        assert [tuple(step.shape) for step in output[name]] == [(batch, VOCABULARY)] * NEW
    assert torch.equal(torch.stack(output.scores, dim=1).argmax(-1), new_tokens(inputs, output.sequences))
    for i in range(NEW):
        read = length if i == 0 else 1
        states, attentions = output.hidden_states[i], output.attentions[i]
        assert [tuple(s.shape) for s in states] == [(batch, read, text.hidden_size)] * (text.num_hidden_layers + 1)
        shape = (batch, text.num_attention_heads, read, length + i)
        assert [tuple(a.shape) for a in attentions] == [shape] * text.num_hidden_layers
    assert int(output[CACHE].get_seq_length()) == length + NEW - 1


def test_answers_with_masks_hold_what_stock_ones_do(model):
    inputs = ask(model, "both")
    masked = generate_masks(model, inputs, **EVERYTHING)
    assert isinstance(masked, GenerateDecoderOnlyOutput)
    stock = generate(model, inputs, **two_objects(inputs), return_dict_in_generate=True, **EVERYTHING)
    assert torch.equal(masked.sequences, stock.sequences)
    for name in ("scores", "logits", "hidden_states", "attentions"):
        for a, b in zip(masked[name], stock[name], strict=True):
            a, b = (x if isinstance(x, tuple) else (x,) for x in (a, b))
            assert all(torch.equal(x, y) for x, y in zip(a, b, strict=True)), name


def test_an_option_of_the_call_goes_before_the_configuration(model):
    config = GenerationConfig(max_new_tokens=NEW, do_sample=False, output_hidden_states=True)
    inputs = ask(model, "video") | small_models.grounding_inputs(1)
    kept = model.generate(**inputs, generation_config=config)
    left = model.generate(**inputs, generation_config=config, output_hidden_states=False)
    assert len(kept.hidden_states) == NEW and left.hidden_states is None


@each_visual_kind
def test_answers_depend_on_all_that_is_seen(model, kind):
    """What gives the other tests their power."""
    inputs = ask(model, kind)
    logits = generate(model, inputs, output_logits=True, return_dict_in_generate=True).logits[0]
    for name in set(inputs) - {"input_ids", "attention_mask"}:
        other = {**inputs, name: torch.randn_like(inputs[name])}
        changed = generate(model, other, output_logits=True, return_dict_in_generate=True).logits[0]
        assert (logits - changed).abs().max() > 0.1, name


def test_inputs_are_left_as_they_were(model):
    inputs = ask(model, "both") | small_models.grounding_inputs(1)
    before = copy.deepcopy(inputs)
    generate_masks(
        model, {name: inputs[name] for name in before if name not in ("grounding_frames", "original_sizes")}
    )
    generate(model, inputs)
    assert inputs.keys() == before.keys()
    for name, value in before.items():
        same = zip(value, inputs[name], strict=True)
        assert all(torch.equal(a, b) for a, b in same), name


# Sampling and beams


def test_sampling_follows_the_seed(model):
    inputs = ask(model, "both", batch=2)

    def sample(seed, **options):
        torch.manual_seed(seed)
        return generate(model, inputs, do_sample=True, **options)

    assert torch.equal(sample(0), sample(0, return_dict_in_generate=True).sequences)
    assert not torch.equal(sample(0), sample(1))
    assert torch.equal(sample(0, top_k=1), generate(model, inputs))


def test_several_samples_of_one_prompt(model):
    inputs, count = ask(model, "both", batch=2), 3
    torch.manual_seed(0)
    output = generate_masks(model, inputs, do_sample=True, num_return_sequences=count, output_scores=True)
    length = inputs["input_ids"].shape[1]
    assert torch.equal(output.sequences[:, :length], inputs["input_ids"].repeat_interleave(count, dim=0))
    assert len({tuple(row.tolist()) for row in output.sequences}) > 2
    assert output.scores[0].shape == (2 * count, VOCABULARY) and len(output.masks) == 2 * count
    with pytest.raises(ValueError, match="num_return_sequences"):
        generate(model, inputs, num_return_sequences=2)


@pytest.mark.parametrize("do_sample", [False, True])
@pytest.mark.parametrize("kind", ["text", "both"])
def test_beams(model, kind, do_sample):
    inputs, batch, beams, returned = ask(model, kind, batch=2), 2, 3, 2
    options = {"num_beams": beams, "num_return_sequences": returned, "do_sample": do_sample, "length_penalty": 1.0}
    torch.manual_seed(0)
    output = generate(model, inputs, return_dict_in_generate=True, **EVERYTHING, **options)
    torch.manual_seed(0)
    assert torch.equal(output.sequences, generate(model, inputs, **options))
    assert type(output) is GenerateBeamDecoderOnlyOutput
    assert output.sequences.shape == (batch * returned, inputs["input_ids"].shape[1] + NEW)
    for name in ("scores", "logits"):
        assert [tuple(step.shape) for step in output[name]] == [(batch * beams, VOCABULARY)] * NEW
    assert len(output.hidden_states) == len(output.attentions) == NEW
    assert output.hidden_states[-1][0].shape == (batch * beams, 1, model.config.text_config.hidden_size)
    scores = output.sequences_scores.view(batch, returned)
    assert (scores[:, 0] >= scores[:, 1]).all()
    steps = model.compute_transition_scores(output.sequences, output.scores, output.beam_indices)
    assert torch.allclose(steps.sum(dim=1) / NEW, output.sequences_scores, atol=1e-4)


def test_more_beams_find_likelier_answers(model):
    inputs = ask(model, "video")
    greedy = generate(model, inputs, return_dict_in_generate=True, output_scores=True)
    likelihood = model.compute_transition_scores(greedy.sequences, greedy.scores, normalize_logits=True).mean()
    beams = generate(model, inputs, num_beams=6, return_dict_in_generate=True, output_scores=True)
    assert beams.sequences_scores[0] > likelihood + 1e-3


def test_beams_with_masks_are_the_stock_beams(model):
    inputs = ask(model, "both", batch=2)
    masked = generate_masks(model, inputs, num_beams=3, num_return_sequences=2, output_scores=True)
    stock = generate(model, inputs, num_beams=3, num_return_sequences=2, **two_objects(inputs))
    assert torch.equal(masked.sequences, stock) and masked.sequences_scores.shape == (4,)


# Speculative decoding


@each_kind
def test_a_draft_model_changes_no_token(model, draft, kind):
    for seed in range(3):
        inputs = ask(model, kind, seed=seed)
        options = {"return_dict_in_generate": True, "output_logits": True}
        expected = generate(model, inputs, **options)
        for assistant in (model, draft):
            output = generate(model, inputs, assistant_model=assistant, **options)
            assert torch.equal(output.sequences, expected.sequences)
            for a, b in zip(output.logits, expected.logits, strict=True):
                assert torch.allclose(a, b, atol=1e-3)


@each_visual_kind
def test_a_draft_model_sees_what_the_model_does(model, kind):
    """A model that drafts for itself is right all the time."""
    inputs, calls = ask(model, kind), []
    itself = copy.deepcopy(model)
    # How sure it is of a word is no reason to stop.
    itself.generation_config.assistant_confidence_threshold = 0
    counting = model.model.language_model.register_forward_pre_hook(lambda *args: calls.append(1))
    with counting:
        generate(model, inputs, assistant_model=itself)
    assert len(calls) == 1


@pytest.mark.parametrize("how", ["itself", "draft", "lookup"])
def test_speculative_decoding_changes_no_mask(model, draft, how):
    inputs = ask(model, "both")
    options = {"prompt_lookup_num_tokens": 3} if how == "lookup" else {"assistant_model": draft}
    options = {"assistant_model": model} if how == "itself" else options
    assert_same_masks(generate_masks(model, inputs, **options), generate_masks(model, inputs))


@each_kind
@pytest.mark.parametrize("how", ["draft", "lookup"])
def test_speculative_decoding_of_padded_prompts_and_after_a_cache(model, draft, kind, how):
    options = {"prompt_lookup_num_tokens": 3} if how == "lookup" else {"assistant_model": draft}
    inputs = pad_left(ask(model, kind), 3)
    assert torch.equal(generate(model, inputs, **options), generate(model, inputs))
    inputs = ask(model, kind)
    first = generate(model, inputs, max_new_tokens=3, min_new_tokens=3, return_dict_in_generate=True)
    again = inputs | {"input_ids": first.sequences, "attention_mask": torch.ones_like(first.sequences)}
    assert torch.equal(generate(model, again | {CACHE: first[CACHE]}, **options), generate(model, again))


def test_prompt_lookup_about_a_kept_prompt(model):
    inputs = ask(model, "video")
    inputs["input_ids"][0, -1] = inputs["input_ids"][0, 0]
    (kept,) = model.encode_videos(**inputs, **small_models.grounding_inputs(1), read_prompt=True)
    words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    options = {"encoded_videos": [kept], "return_masks": False, "max_matching_ngram_size": 1}
    output = generate(model, words, prompt_lookup_num_tokens=3, **options)
    assert torch.equal(output, generate(model, inputs))


def test_a_draft_model_may_be_sampled_from(model, draft):
    inputs = ask(model, "video")
    assert torch.equal(
        generate(model, inputs, assistant_model=draft, do_sample=True, top_k=1), generate(model, inputs)
    )


def test_a_language_model_drafts_for_questions_without_visuals(model):
    torch.manual_seed(0)
    words_only = AutoModelForCausalLM.from_config(model.config.text_config).eval()
    inputs = ask(model, "text")
    assert torch.equal(generate(model, inputs, assistant_model=words_only), generate(model, inputs))
    with pytest.raises(InputError, match="Phi3ForCausalLM, which cannot see"):
        generate(model, ask(model, "video"), assistant_model=words_only)


@each_kind
@pytest.mark.parametrize("ngram", [1, 2])
def test_prompt_lookup_changes_no_token(model, kind, ngram):
    """Also where it would propose the placeholders: the last words are those before the visual."""
    inputs = ask(model, kind)
    inputs["input_ids"][0, -1] = inputs["input_ids"][0, 0]
    inputs["input_ids"][0, -2] = END
    output = generate(model, inputs, prompt_lookup_num_tokens=3, max_matching_ngram_size=ngram)
    assert torch.equal(output, generate(model, inputs))


def test_what_speculative_decoding_refuses(model, draft):
    inputs = ask(model, "video")
    with pytest.raises(ValueError, match="batch_size = 1"):
        generate(model, ask(model, "video", batch=2), assistant_model=draft)
    with pytest.raises(InputError, match="assistant_early_exit"):
        generate(model, inputs, assistant_early_exit=1)
    embeds = model.get_input_embeddings()(ask(model, "text")["input_ids"])
    with pytest.raises(InputError, match="inputs_embeds"):
        model.generate(inputs_embeds=embeds, assistant_model=draft, max_new_tokens=NEW)
    (encoded,) = model.encode_videos(**inputs, **small_models.grounding_inputs(1))
    words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    with pytest.raises(InputError, match="no encoded_videos"):
        generate(model, words, encoded_videos=[encoded], assistant_model=draft)


# Caches


@each_kind
def test_without_a_cache(model, kind):
    inputs = ask(model, kind, batch=2)
    assert torch.equal(generate(model, inputs, use_cache=False), generate(model, inputs))


@pytest.mark.parametrize("attention", ["eager", "sdpa"])
@pytest.mark.parametrize("implementation", ["dynamic", "static"])
def test_caches_and_attentions_agree(model, attention, implementation):
    inputs = pad_left(ask(model, "both", batch=2), 2)
    other = copy.deepcopy(model)
    other.set_attn_implementation(attention)
    output = generate_masks(other, inputs, cache_implementation=implementation)
    assert_same_masks(output, generate_masks(model, inputs))


@each_kind
def test_going_on_from_a_cache(model, kind):
    inputs = ask(model, kind, batch=2)
    expected = generate(model, inputs)
    first = generate(model, inputs, max_new_tokens=2, min_new_tokens=2, return_dict_in_generate=True)
    more = {"max_new_tokens": NEW - 2, "min_new_tokens": NEW - 2}
    words = {"input_ids": first.sequences, "attention_mask": torch.ones_like(first.sequences)}
    # With the pixels, which are not needed any more, and without.
    for again in (inputs | words, words):
        output = generate(model, again | {CACHE: copy.deepcopy(first[CACHE])}, **more, return_dict_in_generate=True)
        assert torch.equal(output.sequences, expected)
        assert int(output[CACHE].get_seq_length()) == expected.shape[1] - 1


def test_going_on_from_a_cache_that_forward_made(model):
    inputs = ask(model, "video")
    with torch.no_grad():
        cache = model(**inputs, use_cache=True)[CACHE]
    words = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    assert torch.equal(generate(model, words | {CACHE: cache}), generate(model, inputs))


@each_kind
def test_padding_on_the_left_changes_nothing(model, kind):
    inputs = ask(model, kind, batch=2)
    padded = pad_left(inputs, 4)
    options = {"return_dict_in_generate": True, "output_logits": True}
    output, expected = generate(model, padded, **options), generate(model, inputs, **options)
    assert torch.equal(output.sequences[:, 4:], expected.sequences)
    for a, b in zip(output.logits, expected.logits, strict=True):
        assert torch.allclose(a, b, atol=1e-3)


@each_kind
def test_a_batch_equals_one_by_one(model, kind):
    inputs = ask(model, kind, batch=3)
    together = generate(model, inputs, return_dict_in_generate=True, output_logits=True)
    for i in range(3):
        alone = generate(
            model,
            {name: value[i : i + 1] for name, value in inputs.items()},
            return_dict_in_generate=True,
            output_logits=True,
        )
        assert torch.equal(together.sequences[i], alone.sequences[0])
        assert torch.allclose(together.logits[-1][i], alone.logits[-1][0], atol=1e-3)


def pad_left(inputs: dict[str, torch.Tensor], count: int) -> dict[str, torch.Tensor]:
    padding = torch.full((len(inputs["input_ids"]), count), PAD)
    return inputs | {
        "input_ids": torch.cat([padding, inputs["input_ids"]], dim=1),
        "attention_mask": torch.cat([torch.zeros_like(padding), inputs["attention_mask"]], dim=1),
    }


# Embeddings


def embed(model: torch.nn.Module, inputs: dict[str, torch.Tensor]) -> torch.Tensor:
    pixels = {name: value for name, value in inputs.items() if "pixel" in name}
    with torch.no_grad():
        tokens = model.model.project(model.model.encode_towers(**pixels))
        return model.model.embed_inputs(inputs["input_ids"], *tokens)


@each_kind
def test_from_embeddings(model, kind):
    inputs = ask(model, kind, batch=2)
    expected = new_tokens(inputs, generate(model, inputs))
    embeds = {"inputs_embeds": embed(model, inputs), "attention_mask": inputs["attention_mask"]}
    assert torch.equal(generate(model, embeds), expected)
    assert torch.equal(generate(model, embeds, use_cache=False), expected)
    # Beside embeddings, ids are only handed back.
    both = generate(model, embeds | {"input_ids": inputs["input_ids"]})
    assert torch.equal(both, torch.cat([inputs["input_ids"], expected], dim=1))
    with pytest.raises(InputError, match="input_ids"):
        generate(model, embeds, return_masks=True)


def test_going_on_from_embeddings_and_a_cache(model):
    inputs = ask(model, "video")
    embeds, expected = embed(model, inputs), new_tokens(inputs, generate(model, inputs))
    first = generate(
        model, {"inputs_embeds": embeds}, max_new_tokens=2, min_new_tokens=2, return_dict_in_generate=True
    )
    longer = torch.cat([embeds, model.get_input_embeddings()(first.sequences)], dim=1)
    more = generate(
        model, {"inputs_embeds": longer, CACHE: first[CACHE]}, max_new_tokens=NEW - 2, min_new_tokens=NEW - 2
    )
    assert torch.equal(torch.cat([first.sequences, more], dim=1), expected)


# Where answers end, what changes scores, who listens


def test_the_end_of_an_answer_and_padding_after_it(model):
    inputs = ask(model, "video", batch=2)
    free = new_tokens(inputs, generate(model, inputs))
    end = int(free[0, 2])
    assert end not in free[0, :2] and end not in free[1, :2]
    options = {"min_new_tokens": None, "pad_token_id": PAD, "suppress_tokens": [END]}
    output = new_tokens(inputs, generate(model, inputs, eos_token_id=end, **options))
    assert output[0, :3].tolist() == free[0, :3].tolist() and (output[0, 3:] == PAD).all()
    assert output.shape[1] == NEW and torch.equal(output[1], free[1])
    longer = generate(model, inputs, eos_token_id=end, min_new_tokens=4)
    assert end not in new_tokens(inputs, longer)[0, :4]


def test_lengths_count_visual_tokens(model):
    inputs = ask(model, "both")
    length = inputs["input_ids"].shape[1]
    output = model.generate(**inputs, max_length=length + 3, do_sample=False, eos_token_id=None)
    assert output.shape[1] == length + 3
    with pytest.raises(ValueError, match="max_length"):
        model.generate(**inputs, max_length=length, do_sample=False)


def test_own_stopping_criteria(model):
    class AtWord(StoppingCriteria):
        def __call__(self, input_ids, scores, **kwargs):
            return input_ids[:, -1] == word

    inputs = ask(model, "video")
    free = new_tokens(inputs, generate(model, inputs))[0]
    word = int(free[2])
    stopped = generate_with(model, inputs, stopping_criteria=[AtWord()])
    assert stopped[0].tolist() == free[:3].tolist()


def generate_with(model: torch.nn.Module, inputs: dict[str, torch.Tensor], **options: Any) -> torch.Tensor:
    return new_tokens(inputs, generate(model, inputs, **options))


@each_visual_kind
def test_processors_of_scores_are_heard(model, kind):
    inputs = ask(model, kind)
    free = generate_with(model, inputs)[0].tolist()
    assert free[0] not in generate_with(model, inputs, suppress_tokens=[free[0]])[0].tolist()
    assert free[1] not in generate_with(model, inputs, bad_words_ids=[[free[1]]])[0].tolist()
    word = next(word for word in range(3, SEG) if word not in inputs["input_ids"])
    liked = [[[word], 1e4]]
    assert generate_with(model, inputs, sequence_bias=liked)[0].tolist() == [word] * NEW
    assert generate_with(model, inputs, forced_eos_token_id=9)[0, -1] == 9
    once = generate_with(model, inputs, sequence_bias=liked, no_repeat_ngram_size=1)[0].tolist()
    assert once[0] == word and len(set(once)) == NEW


def test_renormalized_scores(model):
    inputs = ask(model, "video")
    output = generate(
        model,
        inputs,
        do_sample=True,
        temperature=0.7,
        renormalize_logits=True,
        output_scores=True,
        return_dict_in_generate=True,
    )
    sums = torch.stack(output.scores).logsumexp(dim=-1)
    assert torch.allclose(sums, torch.zeros_like(sums), atol=1e-4)


def test_guidance_contrasts_with_the_last_word_alone(model):
    inputs = ask(model, "video")
    output = generate(model, inputs, guidance_scale=1.5, output_scores=True, return_dict_in_generate=True)
    with torch.no_grad():
        seen = model(**inputs, logits_to_keep=1).logits[:, -1].log_softmax(-1)
        unseen = model(input_ids=inputs["input_ids"][:, -1:]).logits[:, -1].log_softmax(-1)
    expected = unseen + 1.5 * (seen - unseen)
    expected[:, END] = -torch.inf
    assert torch.allclose(output.scores[0], expected, atol=1e-3)


def test_a_streamer_hears_every_token(model):
    class Notes(BaseStreamer):
        def __init__(self) -> None:
            self.heard, self.ended = [], False

        def put(self, value):
            self.heard.append(value)

        def end(self):
            self.ended = True

    for options in ({}, {"prompt_lookup_num_tokens": 2}):
        inputs, notes = ask(model, "both"), Notes()
        sequences = generate(model, inputs, streamer=notes, **options)
        assert notes.ended and torch.equal(torch.cat([v.flatten() for v in notes.heard]), sequences[0])


# How it is called


def test_the_models_generation_config_is_used_and_kept(model):
    own = copy.deepcopy(model)
    own.generation_config.max_new_tokens, own.generation_config.eos_token_id = 3, None
    before = own.generation_config.to_dict()
    inputs = ask(own, "video")
    length = inputs["input_ids"].shape[1]
    assert own.generate(**inputs).shape[1] == length + 3
    assert own.generate(**inputs, max_new_tokens=4).shape[1] == length + 4
    assert own.generation_config.to_dict() == before
    given = GenerationConfig(max_new_tokens=2, do_sample=False, eos_token_id=None, return_dict_in_generate=True)
    kept = copy.deepcopy(given)
    words, rest = inputs["input_ids"], {name: v for name, v in inputs.items() if name != "input_ids"}
    for output in (own.generate(words, given, **rest), own.generate(**inputs, generation_config=given)):
        assert output.sequences.shape[1] == length + 2
    masked = own.generate(**inputs, **small_models.grounding_inputs(1), generation_config=given)
    assert masked.sequences.shape[1] == length + 2
    assert given.to_dict() == kept.to_dict() and own.generation_config.to_dict() == before


def test_unknown_options_are_refused(model):
    for name in ("pixel_value", "max_new_token"):
        with pytest.raises(ValueError, match=name):
            generate(model, ask(model, "video"), **{name: 1})


def test_what_a_trainer_hands_on_is_let_through(model):
    inputs = ask(model, "video")
    labels = inputs["input_ids"]
    assert torch.equal(generate(model, inputs, labels=labels), generate(model, inputs))
    with torch.no_grad():
        loss = model(**inputs, labels=labels).loss
    assert torch.isfinite(loss)


def test_chunked_prefill_reads_text_and_refuses_visuals(model):
    inputs = ask(model, "text")
    assert torch.equal(generate(model, inputs, prefill_chunk_size=2), generate(model, inputs))
    with pytest.raises(InputError, match="prefill_chunk_size"):
        generate(model, ask(model, "video"), prefill_chunk_size=2)


def test_a_custom_loop_is_given_what_was_seen(model):
    def loop(model, input_ids, generation_config=None, inputs_embeds=None, **kwargs):
        return input_ids.shape, inputs_embeds.shape

    inputs = ask(model, "video")
    batch, length = inputs["input_ids"].shape
    given = generate(model, inputs, custom_generate=loop)
    assert given == ((batch, length), (batch, length, model.config.text_config.hidden_size))


def test_only_the_last_logits_of_the_prompt_are_computed(model):
    read = []
    watching = model.lm_head.register_forward_pre_hook(lambda module, args: read.append(args[0].shape[1]))
    with watching:
        generate(model, ask(model, "both"))
    assert read == [1] * NEW


@pytest.mark.parametrize("positions", [2, torch.tensor([0, 3])])
def test_logits_of_some_positions(model, positions):
    inputs = ask(model, "both")
    with torch.no_grad():
        every = model(**inputs).logits
        some = model(**inputs, logits_to_keep=positions).logits
    expected = every[:, -positions:] if isinstance(positions, int) else every[:, positions]
    assert torch.allclose(some, expected, atol=1e-4)


@each_kind
def test_a_loop_of_ones_own(model, kind):
    """`prepare_inputs_for_generation` gives `forward` the pixels once, then a token at a time."""
    inputs, cache = ask(model, kind), DynamicCache(config=model.config.text_config)
    expected = generate(model, inputs)
    pixels = {name: value for name, value in inputs.items() if "pixel" in name}
    ids = inputs["input_ids"]
    for i in range(NEW):
        prepared = model.prepare_inputs_for_generation(
            ids,
            next_sequence_length=1 if i else None,
            attention_mask=torch.ones_like(ids),
            is_first_iteration=i == 0,
            use_cache=True,
            **pixels,
            **{CACHE: cache},
        )
        assert ("pixel_values" in prepared) == (i == 0 and "image" in KINDS[kind])
        assert prepared["input_ids"].shape[1] == (1 if i else ids.shape[1])
        with torch.no_grad():
            logits = model(**prepared).logits[:, -1]
        logits[:, END] = -torch.inf
        ids = torch.cat([ids, logits.argmax(-1, keepdim=True)], dim=1)
    assert torch.equal(ids, expected)


@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16])
def test_half_precision(model, dtype, tmp_path):
    model.save_pretrained(tmp_path)
    half = VideoGlammForGroundedGeneration.from_pretrained(tmp_path, dtype=dtype, attn_implementation="eager").eval()
    assert half.model.language_model.embed_tokens.weight.dtype == dtype
    assert half.pixel_decoder.shared_image_embedding.positional_embedding.dtype == torch.float32
    output = generate_masks(half, ask(model, "both", batch=2), output_logits=True)
    assert all(torch.isfinite(step).all() for step in output.logits)
    assert output[CACHE].layers[0].keys.dtype == dtype
    assert [tuple(masks.shape) for masks in output.masks] == [(2, 3, 20, 24)] * 2
    assert all(torch.isfinite(logits).all() for logits in output.mask_logits)
    expected = generate_masks(model, ask(model, "both", batch=2), output_logits=True).logits[0]
    assert (output.logits[0] - expected).abs().max() < 0.1 * expected.abs().max()
