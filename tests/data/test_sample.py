"""What a sample is: checked with its place, and its masks as pixels."""

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.data.builders import HEIGHT, LEFT, RIGHT, TOP, WIDTH, conversation, plain_rle, rle, sample
from videoglamm_hf import InputError
from videoglamm_hf.data import check_sample, decode_masks
from videoglamm_hf.data.sample import sample_problems

FRAMES = np.zeros((5, HEIGHT, WIDTH, 3), np.uint8)
TWO = conversation(answer="A <p> car </p> [SEG] and a <p> man </p> [SEG].")
TEXT_ONLY = {"messages": conversation("Hi?", "Hello.", kind=None)}
SYSTEM = {"role": "system", "content": "Be brief."}


def image_sample(**changes):
    return sample(
        **{"messages": conversation(kind="image"), "video": None, "masks": [[rle(LEFT)]], "mask_frames": [0]} | changes
    )


GOOD = {
    "video by path": sample(),
    "folder or file as Path": sample(video=Path("clip.mp4")),
    "list of frames": sample(video=["a.png", "b.png", "c.png", "d.png"]),
    "array": sample(video=FRAMES),
    "bool arrays": sample(masks=[[LEFT, None]]),
    "plain run lengths": sample(masks=[[plain_rle(LEFT), None]]),
    "an ignored region": sample(masks=[[{**rle(LEFT), "ignore": rle(RIGHT)["counts"]}, None]]),
    "image by path": image_sample(image="a.png"),
    "PIL image": image_sample(image=Image.new("RGB", (WIDTH, HEIGHT))),
    "image array": image_sample(image=FRAMES[0]),
    "text only": TEXT_ONLY,
    "text only, gaps filled with None": {
        **TEXT_ONLY,
        "video": None,
        "image": None,
        "masks": None,
        "mask_frames": None,
    },
    "nothing named": sample(messages=conversation(answer="Nothing moves."), masks=[], mask_frames=None),
    "content as text": sample(
        messages=[conversation()[0], {"role": "assistant", "content": "It is [SEG]."}],
    ),
    "system message": sample(messages=[SYSTEM, *conversation()]),
    "several turns": sample(messages=[*conversation(), *conversation(kind=None)], masks=[[rle(LEFT), None]] * 2),
    "user's [SEG] is text": sample(messages=conversation(question="What does [SEG] mean? A mask?")),
    "several conversations": sample(
        messages=[conversation(), TWO, conversation(answer="No.")], masks=[[[None, None]], [[None, rle(TOP)]] * 2, []]
    ),
}


@pytest.mark.parametrize("case", GOOD)
def test_good_samples(case):
    check_sample(GOOD[case])
    assert list(sample_problems(GOOD[case])) == []


def turns(*roles):
    return [{"role": role, "content": [{"type": "text", "text": "x"}]} for role in roles]


def part(value, role=0):
    messages = conversation()
    messages[role]["content"] = [*messages[role]["content"], value]
    return sample(messages=messages)


BAD = {
    "no dict": (3, "sample: must be a dict with 'messages', not int"),
    "no messages": ({}, "messages: must be a list of messages, or a list of conversations"),
    "message of a wrong type": (sample(messages=["Hi"]), "messages[0]: must be a dict with 'role'"),
    "unknown role": (sample(messages=turns("robot")), "messages[0]: must be a dict with 'role'"),
    "assistant first": (sample(messages=turns("assistant")), "messages[0].role: 'assistant' cannot be here; expected"),
    "user twice": (
        sample(messages=turns("user", "user")),
        "messages[1].role: 'user' cannot be here; expected 'assistant'",
    ),
    "late system message": (
        sample(messages=turns("user", "assistant", "system")),
        "messages[2].role: 'system' cannot",
    ),
    "no answer": (sample(messages=conversation()[:1]), "messages: ends with 'user'; a sample ends with the answer"),
    "place in the second conversation": (
        sample(messages=[conversation(), conversation()[:1]], masks=[[[None, None]], []]),
        "messages[1]: ends with 'user'",
    ),
    "mixed messages and conversations": (sample(messages=[conversation(), *conversation()]), "messages[1]: must be"),
    "content of a wrong type": (
        sample(messages=[{"role": "user", "content": 3}]),
        "messages[0].content: must be text",
    ),
    "text of a wrong type": (part({"type": "text", "text": 3}), "messages[0].content[2].text: must be text, not int"),
    "half a surrogate": (part({"type": "text", "text": "\ud800"}), "messages[0].content[2].text: holds half a"),
    "unknown part": (part({"type": "audio"}), "messages[0].content[2]: must be a dict of type 'text'"),
    "no text": (
        sample(messages=[{"role": "user", "content": [{"type": "video"}]}, conversation()[1]]),
        "messages[0].content: has no text",
    ),
    "source in the message": (
        part({"type": "video", "path": "x"}),
        "messages[0].content[2].path: give the video once",
    ),
    "two videos": (part({"type": "video"}), "messages: has 2 videos or images"),
    "video in an answer": (part({"type": "video"}, role=1), "messages[1].content[1]: a video belongs to a user"),
    "image part, video given": (part({"type": "image"}), "messages[0].content[2]: there is no image in the sample"),
    "no part for the video": (sample(messages=conversation(kind=None)), 'messages: has no part {"type": "video"}'),
    "video missing": (sample(video=None), "messages[0].content[0]: there is no video in the sample"),
    "video and image": (sample(image="a.png"), "image: a sample has a video or an image, not both"),
    "empty path": (sample(video=""), "video: must be a path, a list of paths or an array, not an empty text"),
    "no frames": (sample(video=[]), "video: the list of frames is empty"),
    "frame of a wrong type": (sample(video=["a.png", 3]), "video[1]: must be the path of a picture, not int"),
    "float array": (sample(video=FRAMES.astype(np.float32)), "video: a video array must be uint8 [T, H, W, 3], not"),
    "image of a wrong type": (image_sample(image=3), "image: must be a path, a PIL image or an array, not int"),
    "image array of a video": (image_sample(image=FRAMES), "image: an image array must be uint8 [H, W, 3]"),
    "[SEG] without a video": (
        {"messages": conversation(kind=None), "masks": [[None]], "mask_frames": [0]},
        "masks: 1 [SEG] without a video or image",
    ),
    "masks missing": (sample(masks=None), "masks: 0 mask tracks for 1 [SEG] in the assistant's turns"),
    "too few tracks": (sample(messages=TWO), "masks: 1 mask tracks for 2 [SEG] in the assistant's turns"),
    "too many tracks": (sample(masks=[[None, None]] * 3), "masks: 3 mask tracks for 1 [SEG]"),
    "masks of a wrong type": (sample(masks={"0": []}), "masks: must be a list with one track per [SEG], not dict"),
    "track of a wrong type": (sample(masks=[rle(LEFT)]), "masks[0]: must be a list with one mask per mask frame"),
    "lists of tracks missing": (
        sample(messages=[conversation(), conversation()]),
        "masks: 1 lists of tracks for 2 conversations",
    ),
    "tracks not nested": (
        sample(messages=[conversation(), conversation()], masks=[[None, None], [[None, None]]]),
        "masks[0]: 2 mask tracks for 1 [SEG]",
    ),
    "track too short": (sample(masks=[[None]]), "masks[0]: 1 masks for the 2 frames of mask_frames"),
    "no mask frames": (sample(mask_frames=None), "masks[0]: 2 masks for the 0 frames of mask_frames"),
    "empty track": (sample(masks=[[]], mask_frames=[]), "masks[0]: has no mask; give mask_frames at least one frame"),
    "mask frames of a wrong type": (sample(mask_frames=3), "mask_frames: must be a list of frame numbers, not int"),
    "fraction of a frame": (sample(mask_frames=[0, 1.5]), "mask_frames[1]: must be the number of a frame"),
    "not a number": (sample(mask_frames=[0, float("nan")]), "mask_frames[1]: must be the number of a frame"),
    "negative frame": (sample(mask_frames=[-1, 0]), "mask_frames[0]: must be the number of a frame"),
    "huge frame": (sample(mask_frames=[0, 10**5000]), "mask_frames[1]: must be the number of a frame"),
    "frames out of order": (sample(mask_frames=[3, 0]), "mask_frames[1]: 0 follows 3; the numbers must increase"),
    "frame twice": (sample(mask_frames=[3, 3]), "mask_frames[1]: 3 follows 3"),
    "frame beyond the array": (
        sample(video=FRAMES, mask_frames=[0, 5]),
        "mask_frames[1]: 5, but the video has 5 frames, numbered from 0",
    ),
    "frame beyond the list": (sample(video=["a.png"]), "mask_frames[1]: 3, but the video has 1 frames"),
    "frame beyond the image": (image_sample(image="a.png", mask_frames=[1]), "mask_frames[0]: 1, but the video has 1"),
    "mask of a wrong type": (sample(masks=[["x", None]]), 'masks[0][0]: must be {"size": [H, W], "counts": ...}'),
    "float mask": (
        sample(masks=[[np.zeros((4, 6)), None]]),
        "masks[0][0]: a mask array must be bool [H, W], not float",
    ),
    "no size": (sample(masks=[[{"counts": "`0"}, None]]), "masks[0][0].size: must be two whole numbers"),
    "true as size": (sample(masks=[[{"size": [True, 6], "counts": []}, None]]), "masks[0][0].size: must be two whole"),
    "huge size": (sample(masks=[[None, {"size": [10**9, 10**9], "counts": [10**18]}]]), "masks[0][1].size: must be"),
    "no counts": (sample(masks=[[None, {"size": [4, 6]}]]), "masks[0][1].counts: must be text or a list"),
    "counts cut short": (
        sample(masks=[[None, {"size": [4, 6], "counts": "o"}]]),
        "masks[0][1].counts: the counts of a mask encoding are cut short",
    ),
    "runs beyond the size": (
        sample(masks=[[{"size": [4, 6], "counts": [20, 5]}, None]]),
        "masks[0][0].counts: the runs of a mask encoding must be 0 or more and add up to 4 x 6 pixels",
    ),
    "ignored region of another size": (
        sample(masks=[[{**rle(LEFT), "ignore": [25]}, None]]),
        "masks[0][0].ignore: the runs of a mask encoding",
    ),
    "sizes differ": (
        sample(masks=[[rle(LEFT), rle(np.zeros((4, 7), bool))]]),
        "masks[0][1].size: [4, 7], but masks[0][0] is [4, 6]; all need one size",
    ),
    "sizes differ between conversations": (
        sample(
            messages=[conversation(), conversation()],
            masks=[[[None, rle(LEFT)]], [[rle(np.zeros((7, 4), bool)), None]]],
        ),
        "masks[1][0][0].size: [7, 4], but masks[0][0][1] is [4, 6]; all need one size",
    ),
    "size of another video": (
        sample(video=np.zeros((5, 6, 4, 3), np.uint8)),
        "masks[0][0].size: [4, 6], but the video is [6, 4], as [height, width]",
    ),
    "size of another image": (
        image_sample(image=Image.new("RGB", (HEIGHT, WIDTH))),
        "masks[0][0].size: [4, 6], but the video is [6, 4], as [height, width]",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_samples_say_what_and_where(case):
    bad, expected = BAD[case]
    with pytest.raises(InputError) as error:
        check_sample(bad)
    assert str(error.value).startswith(expected)


def test_every_problem_is_found():
    bad = sample(video=[3], mask_frames=[1, 0], masks=[[{"size": [4]}, "x"], []])
    fields = [field for field, _ in sample_problems(bad)]
    assert fields == ["video[0]", "mask_frames[1]", "masks", "masks[1]", "masks[0][0].size", "masks[0][1]"]


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)


@given(st.sampled_from([*sample(), "image"]), JSON)
def test_any_value_of_any_member_is_checked_without_a_crash(key, value):
    assert all(isinstance(text, str) for problem in sample_problems({**sample(), key: value}) for text in problem)


MASK_MEMBERS = st.fixed_dictionaries({}, optional=dict.fromkeys(["size", "counts", "ignore"], JSON))


@given(MASK_MEMBERS | st.fixed_dictionaries({"size": st.just([4, 6]), "counts": JSON}))
def test_any_mask_is_checked_without_a_crash(mask):
    problems = list(sample_problems(sample(masks=[[mask, None]])))
    assert all(field.startswith("masks[0][0]") for field, _ in problems)


def test_masks_become_pixels():
    tracks = [[rle(LEFT), None, TOP], [None, plain_rle(RIGHT), None]]
    decoded = decode_masks(tracks, (HEIGHT, WIDTH))
    expected = np.zeros((2, 3, HEIGHT, WIDTH), np.int8)
    expected[0, 0], expected[0, 2], expected[1, 1] = LEFT, TOP, RIGHT
    assert decoded.dtype == np.int8 and np.array_equal(decoded, expected)


def test_only_some_frames_become_pixels():
    tracks = [[rle(LEFT), {"size": "never looked at"}, rle(TOP)]]
    assert np.array_equal(decode_masks(tracks, (HEIGHT, WIDTH), [2, 0]), np.stack([TOP, LEFT])[None].astype(np.int8))
    assert decode_masks(tracks, (HEIGHT, WIDTH), []).shape == (1, 0, HEIGHT, WIDTH)


def test_no_objects_are_no_masks():
    assert decode_masks([], (HEIGHT, WIDTH)).shape == (0, 0, HEIGHT, WIDTH)
    assert decode_masks([], (HEIGHT, WIDTH), [0, 1]).shape == (0, 2, HEIGHT, WIDTH)


def test_ignored_pixels_are_minus_one_even_within_the_object():
    decoded = decode_masks([[{**rle(TOP), "ignore": rle(LEFT)["counts"]}]], (HEIGHT, WIDTH))
    assert np.array_equal(decoded[0, 0], np.where(LEFT, -1, TOP))


BAD_DECODING = {
    "size": ([[None]], (0, 6), None, "size must be sides"),
    "other size": ([[None, rle(LEFT)]], (6, 4), None, r"masks\[0\]\[1\]\.size: \[4, 6\], but it must be \[6, 4\]"),
    "bad counts": ([[None], [{"size": [4, 6], "counts": "o"}]], (4, 6), None, r"masks\[1\]\[0\]\.counts: "),
    "different lengths": ([[None], [None, None]], (4, 6), None, r"different numbers of masks: \[1, 2\]"),
    "no such frame": ([[None]], (4, 6), [1], r"masks\[0\] has 1 masks; there is no mask 1"),
    "half a frame": ([[None]], (4, 6), [0.5], r"there is no mask 0\.5"),
    "negative frame": ([[None]], (4, 6), [-1], "there is no mask -1"),
}


@pytest.mark.parametrize("case", BAD_DECODING)
def test_what_cannot_be_decoded(case):
    tracks, size, frames, expected = BAD_DECODING[case]
    with pytest.raises(InputError, match=expected):
        decode_masks(tracks, size, frames)
