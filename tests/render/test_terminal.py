"""Answers in a terminal."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoglamm_hf.errors import InputError
from videoglamm_hf.render.colors import object_colors
from videoglamm_hf.render.terminal import colored_answer


def test_phrases_are_colored_in_the_terminal():
    answer = colored_answer("A man on a bike.", [(2, 5), (11, 15)], [(1, 2, 3), (4, 5, 6)])
    assert answer == "A \x1b[1;38;2;1;2;3mman\x1b[0m on a \x1b[1;38;2;4;5;6mbike\x1b[0m."


def test_an_answer_cannot_control_the_terminal():
    answer = colored_answer("a\x1b[2J\x07b\nc", [(0, 1)], [(9, 9, 9)])
    assert answer == "\x1b[1;38;2;9;9;9ma\x1b[0m␛[2J␇b\nc"


@settings(max_examples=60)
@given(st.text(max_size=40).filter(lambda text: text.isprintable()), st.data())
def test_the_text_itself_is_kept(text, data):
    edges = st.integers(0, len(text))
    spans = data.draw(st.lists(st.tuples(edges, edges).map(lambda pair: tuple(sorted(pair))), max_size=4))
    colored = colored_answer(text, spans, object_colors(len(spans)))
    assert re.sub(r"\x1b\[[0-9;]*m", "", colored) == text


def test_later_spans_count_where_they_overlap():
    answer = colored_answer("abcd", [(0, 4), (1, 2)], [(1, 1, 1), (2, 2, 2)])
    pieces = re.findall(r"\x1b\[1;38;2;(\d);\d;\dm(\w+)\x1b\[0m", answer)
    assert pieces == [("1", "a"), ("2", "b"), ("1", "cd")]


@pytest.mark.parametrize("spans", [[(0, 9)], [(-1, 2)], [(3, 1)], []])
def test_spans_must_fit_the_text(spans):
    with pytest.raises(InputError):
        colored_answer("abc", spans, [(0, 0, 0)])
