"""Replies of a writer: what can be used, and what is wrong with the others."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoglamm_hf import InputError
from videoglamm_hf.making.gathered import GatheredObject, GatheredVideo
from videoglamm_hf.making.sentences import parse, question

WORDS = st.text("abcdefgh ,.'é", min_size=1, max_size=20).filter(str.strip)


@given(st.lists(st.tuples(WORDS, WORDS, st.integers(1, 3)), min_size=1, max_size=5), st.randoms())
def test_what_is_written_is_read(parts, random):
    numbers = list(range(sum(count for *_, count in parts)))
    random.shuffle(numbers)
    reply, expected, objects = "It says", "It says", []
    for words, name, count in parts:
        own, numbers = numbers[:count], numbers[count:]
        reply += f"{words}<p> {name} </p> [{', '.join(str(n + 1) for n in own)}]"
        expected += f"{words}<p> {' '.join(name.split())} </p> [SEG]"
        objects.append(sorted(own))
    sentence = parse(f" {reply}.\n", range(sum(map(len, objects))))
    assert sentence.text == f"{expected}." and sentence.objects == objects


@given(st.text("<p>/[],12 aSEG\n\x00") | st.text())
def test_no_reply_breaks_it(reply):
    try:
        sentence = parse(reply, [0, 1])
    except InputError:
        return
    assert sorted(i for own in sentence.objects for i in own) == [0, 1]
    assert sentence.text.count("[SEG]") == sentence.text.count("<p> ") == len(sentence.objects)


BAD = {
    "": "it must be one line",
    "Sure:\n<p> a </p> [1] and <p> b </p> [2]": "it must be one line",
    "<p> a </p> [1] sits": "it does not name object 2",
    "<p> a </p> [1] sits by <p> b </p> [2] and <p> c </p> [3]": "there is no object 3",
    "<p> a </p> [1] sits by <p> b </p> [2], <p> it </p> [1]": "object 1 is named more than once",
    "<p> a </p> [1, 1] sits by <p> b </p> [2]": "object 1 is named more than once",
    "<p> a </p> [SEG] sits by <p> b </p> [SEG]": "names must be marked as in",
    "<p> a </p> [1] sits by <p> b </p> [2] [SEG]": "names must be marked as in",
    "<p> a <p> b </p> [1] </p> [2] sit": "names must be marked as in",
    "<p>  </p> [1] sits by <p> b </p> [2]": "a name is empty",
    "<p> a </p> [1], <p> b </p> [2].": "it says nothing",
    "<p> a </p> [1] sits by <p> b </p> [2] " + "x" * 2000: "it must be one line of 1 to 2000",
}


@pytest.mark.parametrize("reply", BAD)
def test_what_is_wrong(reply):
    with pytest.raises(InputError, match=BAD[reply]):
        parse(reply, [0, 1])


def test_the_question_shows_only_what_is_to_be_named():
    objects = [GatheredObject(label) for label in ("a [SEG] cat", "b", "c")]
    video = GatheredVideo("v", "v.mp4", [0], objects, [([0, 2], "they  run"), ([1], "hidden"), ([], "in a park")])
    assert question(video, [0, 2]).endswith(
        "Objects:\n1: a cat\n3: c\n\nWhat is known:\n1, 3: they run\nthe video: in a park"
    )
