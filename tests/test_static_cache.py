"""Static caches: the answers of growing ones, and who gets them without asking."""

import copy
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
from transformers import CompileConfig, DynamicCache, GenerationConfig, Phi3Config, StaticCache

from tests.conftest import force_seg
from videoglamm_hf import InputError, static_cache
from videoglamm_hf.static_cache import LENGTH_BUCKET, dynamic_view, rounded_length, static_copy, with_rings
from videoglamm_hf.transformers_versions import CACHE

TOKENS = 40


@pytest.fixture
def compiles(monkeypatch):
    """As if a CPU were a GPU; counts the graphs that are compiled."""
    monkeypatch.setattr(static_cache, "COMPILING_DEVICES", ("cpu",))
    monkeypatch.setattr(static_cache, "has_triton", lambda: True)
    monkeypatch.setattr(static_cache, "_ANSWERED", set())
    torch._dynamo.reset()
    graphs = []

    def backend(module, inputs):
        graphs.append(module)
        return module.forward

    config = CompileConfig(fullgraph=True, backend=backend, mode=None)
    config._compile_all_devices = True
    yield config, graphs
    torch._dynamo.reset()


@pytest.fixture
def windowed(fresh_model):
    """A model that sees so little of what it read that its window is full after the prompt."""
    model = fresh_model()
    for config in (model.config.get_text_config(), model.model.language_model.config):
        config.sliding_window = 24
    return model


def answer(model, inputs, tokens=TOKENS, **options):
    return model.generate(
        **inputs,
        max_new_tokens=tokens,
        min_new_tokens=tokens,
        do_sample=False,
        return_dict_in_generate=True,
        logits_processor=force_seg([5], inputs["input_ids"].shape[1]),
        **options,
    )


def assert_equal(found, expected):
    assert torch.equal(found.sequences, expected.sequences)
    assert all(torch.equal(a, b) for a, b in zip(found.masks, expected.masks, strict=True))
    assert torch.allclose(found.prompt_embeddings[0], expected.prompt_embeddings[0], atol=1e-4)


@pytest.mark.parametrize("kind", ["model", "windowed"])
def test_a_compiled_answer_is_the_eager_one_and_is_compiled_once(request, ask, compiles, kind):
    model = request.getfixturevalue(kind)
    config, graphs = compiles
    questions = [ask(text) for text in ("Where is it?", "Where is the red one, then?", "Why?")]
    expected = [answer(model, inputs, disable_compile=True) for inputs in questions]
    assert not graphs
    for inputs, wanted in zip(questions, expected, strict=True):
        assert_equal(answer(model, inputs, compile_config=config), wanted)
    # A window of attention counts its tokens in a number, which makes the first graph too special.
    assert len(graphs) <= 2


def test_who_asks_once_does_not_wait_for_a_compiler(model, ask, compiles):
    config, graphs = compiles
    inputs = ask()
    first = answer(model, inputs, compile_config=config)
    assert not graphs
    assert_equal(answer(model, inputs, compile_config=config), first)
    assert graphs


def given_cache(model):
    return {CACHE: DynamicCache(config=model.config.get_text_config())}


@pytest.mark.parametrize(
    "options",
    [
        {"disable_compile": True},
        {"use_cache": False},
        {"num_beams": 2},
        {"num_return_sequences": 2, "do_sample": True},
        {"cache_implementation": "dynamic"},
        {"max_new_tokens": 31},
        {"max_new_tokens": None, "max_length": 20},
        {"generation_config": GenerationConfig(disable_compile=True, max_new_tokens=64)},
        {"generation_config": GenerationConfig(max_new_tokens=8)},
        given_cache,
    ],
    ids=lambda options: getattr(options, "__name__", str(options)),
)
def test_whoever_asks_for_something_else_gets_it(model, ask, compiles, options):
    options = options(model) if callable(options) else options
    ids = ask()["input_ids"]
    options = {"max_new_tokens": 64, **options}
    if "generation_config" in options:
        options.pop("max_new_tokens")
    for _ in range(2):
        assert model._own_cache(ids, options, None) == {}
    assert isinstance(model._own_cache(ids, {"max_new_tokens": 64}, None)[CACHE], StaticCache)
    model.train()
    assert model._own_cache(ids, {"max_new_tokens": 64}, None) == {}
    model.eval()


def test_another_thread_keeps_its_growing_cache(model, ask, compiles):
    """There CUDA graphs fail, and streamers are read while `generate` runs in one."""
    ids, options = ask()["input_ids"], {"max_new_tokens": 64}
    with ThreadPoolExecutor(1) as pool:
        chosen = [pool.submit(model._own_cache, ids, options, None).result() for _ in range(2)]
    assert chosen == [{}, {}]
    assert model._own_cache(ids, options, None)


def test_a_cpu_keeps_its_growing_cache(model, ask):
    for _ in range(2):
        assert model._own_cache(ask()["input_ids"], {"max_new_tokens": 64}, None) == {}


@pytest.mark.parametrize("kind", ["model", "windowed"])
def test_a_conversation_goes_on_from_a_static_cache(request, processor, ask, compiles, kind):
    model = request.getfixturevalue(kind)
    inputs = ask()
    (video,) = model.encode_videos(**inputs, read_prompt=True)
    turns = {}
    for name, options in (("eager", {"disable_compile": True}), ("static", {})):
        model._own_cache(inputs["input_ids"], {}, None)
        first = answer(model, {"input_ids": inputs["input_ids"]}, encoded_videos=[video], **options)
        assert isinstance(first[CACHE], DynamicCache)
        assert int(first[CACHE].get_seq_length()) == first.sequences.shape[1] - 1
        following = processor.next_turn(first, "And the blue one?")
        turns[name] = (first, answer(model, following, encoded_videos=[video], **options))
    for eager, static in zip(turns["eager"], turns["static"], strict=True):
        assert_equal(static, eager)


@pytest.mark.parametrize("padded", [False, True])
def test_a_full_window_is_not_moved_unless_there_is_padding(windowed, ask, processor, padded):
    inputs = ask()
    if padded:
        # The row without a video is padded to the length of the other, window and all.
        text = [[{"role": "user", "content": [{"type": "text", "text": "Hi."}]}]]
        inputs = processor.apply_chat_template(
            [*text, [{"role": "user", "content": [{"type": "text", "text": "Where is it, and why is it there?"}]}]],
            tokenize=True,
            add_generation_prompt=True,
        )
        assert not inputs["attention_mask"].all()
    found, expected = (
        windowed.generate(
            **inputs,
            max_new_tokens=12,
            min_new_tokens=12,
            do_sample=False,
            return_dict_in_generate=True,
            cache_implementation=kind,
        )
        for kind in ("static", "dynamic")
    )
    assert torch.equal(found.sequences, expected.sequences)
    rings = [hasattr(layer, "oldest") for layer in found[CACHE].layers]
    assert all(rings) if not padded else not any(rings)


def states(tokens, seed=0):
    generator = torch.Generator().manual_seed(seed)
    return [torch.randn(1, 2, tokens, 4, generator=generator) for _ in range(2)]


@pytest.mark.parametrize("window", [None, 5, 16, 64])
@pytest.mark.parametrize("pieces", [(3, 1, 1), (9, 1, 1, 1, 4, 1), (1,) * 14, (16, 1), (5, 1)])
def test_caches_of_both_kinds_hold_the_same(window, pieces):
    """Whatever the pieces in which tokens arrive, and however often a cache becomes one of the other kind."""
    config = Phi3Config(num_hidden_layers=1, sliding_window=window, hidden_size=8, num_attention_heads=2)
    growing = DynamicCache(config=config)
    fixed = with_rings(StaticCache(config=config, max_cache_len=rounded_length(1)), config)
    for number, tokens in enumerate(pieces):
        keys, values = states(tokens, number)
        growing.update(keys, values, 0)
        fixed.update(keys, values, 0)
        found, expected = dynamic_view(copy.deepcopy(fixed), config), growing
        assert int(found.get_seq_length()) == int(expected.get_seq_length())
        assert torch.equal(found.layers[0].keys, expected.layers[0].keys)
        assert torch.equal(found.layers[0].values, expected.layers[0].values)
        # And from here to the other kind and on.
        other = static_copy(copy.deepcopy(growing), config, 64)
        again = copy.deepcopy(growing)
        for cache in (other, again):
            for more in range(3):
                cache.update(*states(1, 100 + more), 0)
        assert torch.equal(dynamic_view(other, config).layers[0].keys, again.layers[0].keys)


def test_lengths_are_shared():
    assert rounded_length(1) == rounded_length(LENGTH_BUCKET) == LENGTH_BUCKET
    assert rounded_length(LENGTH_BUCKET + 1) == 2 * LENGTH_BUCKET


def test_the_next_turn_goes_on_from_whatever_cache_was_chosen(model, processor, ask, compiles):
    """One with room that is not used is not taken for a full one."""
    inputs = ask()
    (video,) = model.encode_videos(**inputs)
    first = answer(model, {"input_ids": inputs["input_ids"]}, encoded_videos=[video], cache_implementation="static")
    found, expected = (
        model.generate(
            **processor.next_turn(first, "And the blue one?"),
            encoded_videos=[video],
            max_new_tokens=TOKENS,
            do_sample=False,
            return_dict_in_generate=True,
            **options,
        )
        for options in ({}, {"disable_compile": True})
    )
    assert torch.equal(found.sequences, expected.sequences)
    with pytest.raises(InputError, match="leave it out"):
        model.generate(**processor.next_turn(first, "And?"), encoded_videos=[video], cache_implementation="static")


def test_what_the_model_is_set_to_counts_beside_a_configuration_of_the_call(fresh_model, ask, compiles):
    model, ids = fresh_model(), ask()["input_ids"]
    length = ids.shape[1]
    model._own_cache(ids, {}, None)

    def chosen(**options):
        return model._own_cache(ids, {"generation_config": GenerationConfig(**options)}, None).get(CACHE)

    model.generation_config.max_new_tokens = 400
    assert chosen(max_length=length + 40).get_max_length() >= length + 400
    for name, value in (("cache_implementation", "dynamic"), ("disable_compile", True), ("num_beams", 2)):
        before = getattr(model.generation_config, name)
        setattr(model.generation_config, name, value)
        assert chosen(max_new_tokens=40) is None
        setattr(model.generation_config, name, before)
    assert chosen(max_new_tokens=40) is not None


def test_no_room_is_made_beyond_the_context(model, ask, compiles):
    ids = ask()["input_ids"]
    model._own_cache(ids, {}, None)
    room = model.config.get_text_config().max_position_embeddings - ids.shape[1]
    assert model._own_cache(ids, {"max_new_tokens": room}, None)
    assert model._own_cache(ids, {"max_new_tokens": room + 1}, None) == {}
