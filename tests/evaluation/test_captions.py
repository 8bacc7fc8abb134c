"""Captions that lack something, and machines that lack something."""

import importlib.util
import re
import shutil
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation import caption_scores, captions, clean_caption


@pytest.mark.skipif(
    shutil.which("java") is None or importlib.util.find_spec("pycocoevalcap") is None,
    reason="captions need Java and pycocoevalcap (extra eval)",
)
def test_captions_without_words_score_nothing_and_lose_nothing(monkeypatch):
    # METEOR takes ten seconds to start.
    monkeypatch.setattr(captions, "_meteor", lambda truth, found: (0.0, [0.0] * len(truth)))
    predictions = ["", "A dog\u2028runs.", "a\nb", " \n"]
    scores = caption_scores(predictions, ["a cat", "a dog runs", "a b", "\n"])
    assert len(scores["CIDEr_per_sample"]) == 4
    assert [value > 0 for value in scores["CIDEr_per_sample"]] == [False, True, True, False]
    assert scores["CIDEr_per_sample"][1] == pytest.approx(7.5)  # three words have no four in a row
    assert caption_scores([""], [""])["CIDEr"] == 0


@pytest.mark.parametrize("java", [True, False])
def test_what_is_not_installed_is_named_and_nothing_is_guessed(monkeypatch, java):
    """Not one figure without the tokenizer: with another, all would differ a little."""
    monkeypatch.setattr(captions.shutil, "which", lambda name: None)
    monkeypatch.setitem(sys.modules, "pycocoevalcap", None if java else pytest)
    scores = caption_scores(["a dog"], ["a dog runs"])
    assert scores.keys() == {"missing"} and scores["missing"].keys() == set(captions.FIGURES)
    hint = "videoglamm-hf[eval]" if java else "apt install default-jre-headless"
    assert all(hint in reason for reason in scores["missing"].values())


@pytest.mark.parametrize("predictions, references", [([], []), (["a"], ["a", "b"]), ([None], ["a"]), (["a"], [3])])
def test_no_captions(predictions, references):
    with pytest.raises(InputError):
        caption_scores(predictions, references)


@pytest.mark.parametrize(
    "text, caption, phrases",
    [
        ("", "", []),
        ("USER: hm? ASSISTANT: <p> a man </p> [SEG] rides.", "a man rides.", ["a man"]),
        ("'It is <p>a  cat</p>[SEG]'", "It is a cat", ["a cat"]),
        ("<p></p>[SEG] a < b", "a < b", [""]),
        ("<p> one <p> two </p> [SEG]", "one two", ["one <p> two"]),
        ("a <b\n> c [SEG", "a c [SEG", []),
    ],
)
def test_cleaning(text, caption, phrases):
    assert clean_caption(text) == (caption, phrases)


def test_cleaning_takes_text_only():
    with pytest.raises(InputError, match="text"):
        clean_caption(None)


@given(st.text(alphabet="<p>/ aS[EG]\n\r", max_size=60))
def test_tags_are_found_as_the_original_finds_them(text):
    """By the regular expressions of its script, whose time grows with the square of a text without closing tags."""
    plain = text.replace("\n", "").replace("  ", " ")
    caption = re.sub(r"<.*?>", "", plain).replace("[SEG]", "")
    phrases = [phrase.strip() for phrase in re.findall(r"<p>(.*?)</p>", plain)]
    assert clean_caption(text) == (" ".join(caption.split()).strip("'").strip(), phrases)


@pytest.mark.parametrize("tag", ["<p>", "<", "</p>", "<p> a </p"])
def test_answers_full_of_tags(tag):
    """Hours, where every tag looks through the rest of the text."""
    assert clean_caption(tag * 1_000_000)[1] in ([], ["a </p<p> a"])


@pytest.mark.skipif(shutil.which("java") is None, reason="needs Java")
def test_the_tokenizer_does_not_talk(capfd, monkeypatch):
    monkeypatch.setattr(captions, "_meteor", lambda truth, found: (0.0, [0.0] * len(truth)))
    caption_scores(["a cat sits"], ["a cat sits there"])
    assert "PTBTokenizer" not in capfd.readouterr().err
