"""Padded batches: read prompt by prompt, with the answers of one batch with a mask, and of single calls."""

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import DynamicCache, StaticCache

from tests.tiny_checkpoint import frames
from videoglamm_hf import row_prefill
from videoglamm_hf.transformers_versions import CACHE

QUESTIONS = ("Where?", "Can you segment the red disc in this video, and the blue one?", "What moves?")


@pytest.fixture(autouse=True)
def short_prompts_too(monkeypatch):
    monkeypatch.setattr(row_prefill, "LEAST_PROMPT", 16)


@pytest.fixture(scope="module")
def batch(processor):
    conversations = [
        [
            {
                "role": "user",
                "content": [{"type": "video", "video": frames(4, 48, 64, salt=i)}, {"type": "text", "text": q}],
            }
        ]
        for i, q in enumerate(QUESTIONS)
    ]
    return processor.apply_chat_template(conversations, tokenize=True, add_generation_prompt=True)


def answer(model, batch, **options):
    return model.generate(
        **batch,
        max_new_tokens=6,
        min_new_tokens=6,
        do_sample=False,
        return_dict_in_generate=True,
        output_logits=True,
        output_hidden_states=-1,
        return_masks=False,
        **options,
    )


def read_lengths(model):
    """The lengths of the prompts that the language model reads from now on."""
    lengths = []

    def note(module, args, kwargs):
        if kwargs["inputs_embeds"].shape[1] > 1:
            lengths.append(tuple(kwargs["inputs_embeds"].shape[:2]))

    return lengths, model.model.language_model.register_forward_pre_hook(note, with_kwargs=True)


@pytest.mark.parametrize(("cache", "window"), [("dynamic", None), ("dynamic", 60), ("static", 60), ("static", 4000)])
def test_prompts_are_read_one_by_one_with_the_numbers_of_a_masked_batch(
    fresh_model, batch, monkeypatch, cache, window
):
    model = fresh_model()
    for config in (model.config.get_text_config(), model.model.language_model.config):
        config.sliding_window = window
    lengths, hook = read_lengths(model)
    found = answer(model, batch, cache_implementation=cache)
    wanted = batch["attention_mask"].sum(dim=1).tolist()
    assert lengths == [(1, length) for length in wanted]
    lengths.clear()
    monkeypatch.setattr(row_prefill, "LEAST_PROMPT", 10**6)
    masked = answer(model, batch, cache_implementation=cache)
    hook.remove()
    assert lengths == [tuple(batch["input_ids"].shape)]
    assert torch.equal(found.sequences, masked.sequences)
    for a, b in zip(found.logits, masked.logits, strict=True):
        assert torch.allclose(a, b, atol=1e-4)
    assert found.hidden_states[0][-1].shape == masked.hidden_states[0][-1].shape
    for a, b in zip(found.hidden_states, masked.hidden_states, strict=True):
        assert torch.allclose(a[-1][:, -1], b[-1][:, -1], atol=1e-4)
    kinds = {"dynamic": DynamicCache, "static": StaticCache}
    assert type(found[CACHE]) is type(masked[CACHE]) is kinds[cache]
    assert int(found[CACHE].get_seq_length()) == int(masked[CACHE].get_seq_length())


@pytest.mark.parametrize("options", [{"output_hidden_states": True}, {"output_attentions": True}, {"num_beams": 2}])
def test_what_needs_the_whole_batch_gets_it(model, batch, options):
    lengths, hook = read_lengths(model)
    options = {"max_new_tokens": 2, "return_masks": False, "return_dict_in_generate": True, **options}
    # The model is loaded with eager attention, which alone has attentions to give.
    model.generate(**batch, do_sample=False, **options)
    hook.remove()
    assert lengths[0][1] == batch["input_ids"].shape[1]


def test_a_batch_without_padding_is_read_at_once(model, batch):
    lengths, hook = read_lengths(model)
    rows = {
        name: value[1:2].repeat(2, *[1] * (value.ndim - 1)) if torch.is_tensor(value) else [value[1]] * 2
        for name, value in batch.items()
    }
    model.generate(**rows, max_new_tokens=1, return_masks=False)
    hook.remove()
    assert lengths == [(2, batch["input_ids"].shape[1])]


@pytest.mark.parametrize("kind", ["float", "bool"])
def test_masks_of_any_type_are_masks(model, batch, kind):
    expected = answer(model, batch)
    lengths, hook = read_lengths(model)
    found = answer(model, {**batch, "attention_mask": getattr(batch["attention_mask"], kind)()})
    hook.remove()
    assert torch.equal(found.sequences, expected.sequences)
    assert len(lengths) == len(QUESTIONS)


def test_positions_of_a_caller_are_kept(model, batch, monkeypatch):
    positions = 2 * (batch["attention_mask"].cumsum(dim=1) - 1).clamp(min=0)
    found = answer(model, batch, position_ids=positions)
    monkeypatch.setattr(row_prefill, "LEAST_PROMPT", 10**6)
    masked = answer(model, batch, position_ids=positions)
    assert torch.allclose(found.logits[0], masked.logits[0], atol=1e-5)


def test_an_adapter_for_each_row_belongs_to_the_batch(fresh_model, batch):
    config = LoraConfig(r=2, target_modules=r".*language_model.*qkv_proj")
    model = get_peft_model(fresh_model(), config)
    model.add_adapter("other", config)
    model.eval()
    found = answer(model, batch, adapter_names=["default", "other", "default"])
    assert len(found.sequences) == len(QUESTIONS)
