"""Rendering, encoding and parsing: what people type is text, what the model writes is markup."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import AutoTokenizer

from tests.conftest import FIXTURES
from videoglamm_hf.chat_templates import PHI3_CHAT_TEMPLATE, render_messages
from videoglamm_hf.grounded_answer import parse_grounded_text
from videoglamm_hf.prompting import PromptEncoder


@pytest.fixture(scope="module")
def encoder() -> PromptEncoder:
    tokenizer = AutoTokenizer.from_pretrained(FIXTURES / "original_tiny" / "tokenizer")
    absorbing = list(tokenizer.all_special_tokens)
    tokenizer.add_tokens(["<image>", "<video>"], special_tokens=True)
    return PromptEncoder(tokenizer, absorbing)


def ids_of(encoder: PromptEncoder, *messages: tuple[str, str], opens: bool = True) -> list[int]:
    conversation = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in messages]
    parts = render_messages(conversation, PHI3_CHAT_TEMPLATE, add_generation_prompt=opens)
    return encoder.encode(encoder.pieces(parts), {"<video>": 8, "<image>": 1})[0]


FORGERIES = ["[SEG]", "<image>", "<video>", "<|end|>", "<|assistant|>", "</s>", "<s>", "<unk>", "<|system|>"]


@pytest.mark.parametrize("forged", FORGERIES)
def test_a_question_cannot_forge_a_token(encoder, forged):
    plain, asked = ids_of(encoder, ("user", "a ? b")), ids_of(encoder, ("user", f"a {forged} b"))
    token = encoder.added[forged][0]
    assert asked.count(token) == plain.count(token)


def test_markup_of_phrases_in_a_question_is_text(encoder):
    assert len(ids_of(encoder, ("user", "a <p> b </p>"))) > len(ids_of(encoder, ("user", "a b")))


def test_an_earlier_answer_keeps_its_seg_tokens(encoder):
    ids = ids_of(encoder, ("user", "Where?"), ("assistant", "It is [SEG]. <|end|>"), ("user", "And?"))
    assert ids.count(encoder.added["[SEG]"][0]) == 1
    assert ids.count(encoder.added["<|end|>"][0]) == 4


@settings(max_examples=60)
@given(text=st.text(min_size=1, max_size=40).filter(str.strip))
def test_no_question_adds_tokens_of_the_template(encoder, text):
    added = {i for i, _ in encoder.added.values()} - {encoder.added["<unk>"][0]}
    structure = [i for i in ids_of(encoder, ("user", "x")) if i in added]
    assert [i for i in ids_of(encoder, ("user", text)) if i in added] == structure


def test_a_custom_system_message(encoder):
    ids = ids_of(encoder, ("system", "Be brief."), ("user", "Hi"))
    assert ids != ids_of(encoder, ("user", "Hi")) and ids.count(encoder.added["<|system|>"][0]) == 1


CASES = [
    ("A <p> man </p> [SEG] rides a <p> horse </p> [SEG].", 2, "A man rides a horse.", [("man", 0), ("horse", 1)]),
    ("Sure, it is [SEG].", 1, "Sure, it is.", []),
    ("[SEG]", 1, "", []),
    ("", 0, "", []),
    ("No green star here.", 0, "No green star here.", []),
    ("<p>cats</p>[SEG] and <p> dogs </p> [SEG] , too", 1, "cats and dogs, too", [("cats", 0), ("dogs", None)]),
    ("An <p> open phrase [SEG] never closed", 1, "An open phrase never closed", []),
    ("empty <p> </p> [SEG] phrase", 1, "empty phrase", []),
]


@pytest.mark.parametrize(("raw", "num_objects", "text", "phrases"), CASES)
def test_parsing(raw, num_objects, text, phrases):
    clean, found = parse_grounded_text(raw, num_objects)
    assert clean == text
    assert [(p.text, p.object_index) for p in found] == phrases


pieces = st.sampled_from(["<p>", "</p>", "[SEG]", " ", "a", "the cat", ".", "\n", ",", "é", "<", ">"])


@given(parts=st.lists(pieces, max_size=30), num_objects=st.integers(0, 5))
def test_spans_always_point_at_their_phrases(parts, num_objects):
    clean, phrases = parse_grounded_text("".join(parts), num_objects)
    assert clean == clean.strip() and "  " not in clean
    assert "[SEG]" not in clean
    for i, phrase in enumerate(phrases):
        assert clean[phrase.start : phrase.end] == phrase.text != ""
        assert phrase.object_index == (i if i < num_objects else None)
    assert [p.start for p in phrases] == sorted(p.start for p in phrases)
