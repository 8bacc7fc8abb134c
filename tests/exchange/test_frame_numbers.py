"""Which frame of the source is meant: by names, by numbers from 0 or 1, with a step, in order; what is said of it."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoglamm_hf.errors import InputError
from videoglamm_hf.exchange.frame_numbers import frame_numbers
from videoglamm_hf.exchange.media import Media
from videoglamm_hf.exchange.reading import Reading


def folder(*names: str) -> Media:
    return Media((4, 6), len(names), pictures=tuple(Path(name) for name in names))


def file(count: int) -> Media:
    return Media((4, 6), count, file=Path("clip.mp4"))


PICTURES = folder("00000.jpg", "00005.jpg", "00010.jpg", "00015.jpg")


@pytest.mark.parametrize(
    "keys, media, options, expected",
    [
        (["00005", "00015"], PICTURES, {}, [1, 3]),  # a subset, by name
        (["00005.png", "00015.png"], PICTURES, {}, [1, 3]),
        (["frame_5.png", "frame_15.png"], PICTURES, {}, [1, 3]),  # renamed, the numbers kept
        (["a", "b"], PICTURES, {"frames_from": "order"}, [0, 1]),
        (["a", "b"], PICTURES, {"frames_from": "order", "first_frame": 1, "frame_step": 2}, [1, 3]),
        (["0", "1", "3"], PICTURES, {}, [0, 1, 3]),  # names that fit nothing: numbers
        (["1", "2", "4"], PICTURES, {}, [0, 1, 3]),  # counted from 1: 4 is there, of 4 frames
        (["00000", "00001"], file(10), {}, [0, 1]),
        (["00001", "00002", "00003"], file(10), {}, [0, 1, 2]),  # from 1 on, none left out
        (["00005", "00009"], file(10), {}, [5, 9]),
        (["00005", "00010"], file(10), {}, [4, 9]),  # there is no frame 10
        (["00005"], file(10), {"first_frame": 1}, [4]),
        (["0", "1", "2"], file(10), {"frame_step": 4}, [0, 4, 8]),
        (["1", "2", "3"], file(10), {"frame_step": 4, "first_frame": 1}, [0, 4, 8]),
        ([3, 7], file(10), {}, [3, 7]),
        ([3, 7], file(10), {"first_frame": 1}, [2, 6]),
        (["00005", "00010"], PICTURES, {"frames_from": "numbers", "first_frame": 5, "frame_step": 1}, None),
        (["clip_2_00003.v1.png"], file(4), {}, None),  # the last number is the version's
    ],
)
def test_what_is_assumed(keys, media, options, expected):
    reading = Reading(**options)
    if expected is None:
        try:
            assert frame_numbers(keys, media, reading, "clip") != [3]
        except InputError as error:
            assert "--first-frame" in str(error)
        return
    assert frame_numbers(keys, media, reading, "clip") == expected
    (note,) = reading.notes
    assert f"{len(keys)} of {media.count} frames" in note
    assert f"{keys[0]} -> {expected[0]}" in note and f"{keys[-1]} -> {expected[-1]}" in note


def test_guesses_are_called_so():
    reading = Reading()
    frame_numbers(["1", "2"], file(2), reading, "clip")
    assert "counted from 1 (assumed: say otherwise with --first-frame)" in reading.notes[0]
    said = Reading(first_frame=0)
    frame_numbers(["0", "1"], file(2), said, "clip")
    assert "assumed" not in said.notes[0]


def test_a_last_frame_that_is_missing_is_named():
    reading = Reading()
    frame_numbers([f"{i:05d}" for i in range(9)], file(10), reading, "clip")
    assert reading.notes[0].endswith("; without annotation: 9")


@pytest.mark.parametrize(
    "keys, media, options, words",
    [
        (["00000", "00030"], file(30), {}, "'00030' would be frame 30, but the video has 30 frames"),
        (["00000", "00007"], PICTURES, {}, "'00007' is annotated, but there is no such picture"),
        (["0001", "1"], file(9), {}, "would both be frame"),
        (["a", "b"], file(9), {}, "has no number"),
        (["a", "b"], file(9), {"frames_from": "names"}, "cannot be matched by name"),
        (["a", "b"], PICTURES, {"frames_from": "names"}, "no picture of the video is called 'a'"),
        ([0], file(9), {"first_frame": 1}, "would be frame -1"),
        (["9" * 40], file(9), {}, "has no number"),
    ],
)
def test_what_cannot_be_is_refused(keys, media, options, words):
    with pytest.raises(InputError, match=words):
        frame_numbers(keys, media, Reading(**options), "clip")


@pytest.mark.parametrize(
    "options", [{"first_frame": -1}, {"frame_step": 0}, {"frame_step": True}, {"frames_from": "x"}, {"objects": ""}]
)
def test_options_that_make_no_sense(options):
    with pytest.raises(InputError, match=next(iter(options))):
        Reading(**options)


@given(
    wanted=st.sets(st.integers(0, 40), min_size=1),
    first=st.integers(0, 3),
    step=st.integers(1, 4),
    name=st.sampled_from(("{:05d}", "frame_{}", "img{:03d}.png", "v2-{:06d}.jpg")),
)
def test_what_is_said_is_what_is_taken(wanted, first, step, name):
    numbers = sorted(wanted)
    keys = [name.format(number + first) for number in numbers]
    reading = Reading(first_frame=first, frame_step=step)
    assert frame_numbers(keys, file(200), reading, "clip") == [number * step for number in numbers]


@given(wanted=st.sets(st.integers(0, 30), min_size=1), digits=st.integers(1, 6))
def test_names_of_pictures_are_found_whatever_is_left_out(wanted, digits):
    pictures = [f"{number:0{digits}d}.jpg" for number in sorted(wanted)]
    keys = [f"{number:0{digits}d}" for number in sorted(wanted)][::2]
    assert frame_numbers(keys, folder(*pictures), Reading(), "clip") == list(range(len(wanted)))[::2]
