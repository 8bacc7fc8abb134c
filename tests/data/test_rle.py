"""Masks as the strings of pycocotools, and back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from videoglamm_hf.data.rle import compress_rle, decode_rle, encode_rle
from videoglamm_hf.errors import InputError


def block() -> np.ndarray:
    mask = np.zeros((4, 5), bool)
    mask[1:3, 1:4] = True
    return mask


def disk() -> np.ndarray:
    y, x = np.mgrid[:48, :64]
    return (y - 20) ** 2 + (x - 30) ** 2 < 15**2


def stripes() -> np.ndarray:
    return np.broadcast_to(np.arange(1920) // 100 % 2 == 1, (1080, 1920))


# Written by pycocotools 2.0.
WRITTEN_BY_PYCOCOTOOLS = {
    "block": (block(), "5220003"),
    "disk": (disk(), "_h0;S14M2M4M2O0O2N2O0O2O00000000000000000001N101N2N101N3L3N3LSl0"),
    "ones": (np.ones((3, 7), bool), "0e0"),
    "zeros": (np.zeros((3, 7), bool), "e0"),
    "checkers": (np.indices((5, 5)).sum(0) % 2 == 0, "01100000000000000000000000"),
    "stripes": (stripes(), "P_Y3P_Y3P_Y30000000000000000Pd[M"),
    "no pixels": (np.zeros((0, 5), bool), "0"),
}


@pytest.mark.parametrize("case", WRITTEN_BY_PYCOCOTOOLS)
def test_the_strings_are_those_of_pycocotools(case):
    mask, counts = WRITTEN_BY_PYCOCOTOOLS[case]
    assert encode_rle(mask) == {"size": list(mask.shape), "counts": counts}
    for form in (counts, counts.encode()):
        decoded = decode_rle({"size": list(mask.shape), "counts": form})
        assert decoded.dtype == np.bool_ and np.array_equal(decoded, mask)


def test_plain_run_lengths_are_read():
    expected = np.array([[0, 1, 0], [1, 1, 0]], bool)
    for counts in ([1, 3, 2], (1, 3, 2), np.array([1, 3, 2]), [0, 0, 1, 3, 2]):
        assert np.array_equal(decode_rle({"size": (2, 3), "counts": counts}), expected)
    assert decode_rle({"size": (2, 3), "counts": [0, 6]}).all()


@given(arrays.arrays(bool, arrays.array_shapes(min_dims=2, max_dims=2, min_side=0, max_side=40)))
def test_any_mask_survives_the_round_trip(mask):
    rle = encode_rle(mask)
    assert np.array_equal(decode_rle(rle), mask)
    assert all(48 <= ord(character) < 112 for character in rle["counts"])


@given(
    st.integers(1, 3000),
    st.lists(st.integers(0, 10**6), min_size=1, max_size=12),
)
def test_long_runs_survive_the_round_trip(height, edges):
    width = 300
    flat = np.zeros(height * width, bool)
    for edge in edges:
        flat[edge:] ^= True
    mask = flat.reshape(width, height).T
    assert np.array_equal(decode_rle(encode_rle(mask)), mask)


@pytest.mark.parametrize(
    "mask", [np.zeros((3, 4), np.uint8), np.zeros((1, 3, 4), bool), np.zeros(3, bool), [[True]], None]
)
def test_only_bool_masks_are_encoded(mask):
    with pytest.raises(InputError, match="bool array"):
        encode_rle(mask)


BAD_ENCODINGS = {
    "not a dict": None,
    "no size": {"counts": "e0"},
    "no counts": {"size": [3, 7]},
    "one side": {"size": [3], "counts": "e0"},
    "negative size": {"size": [-3, -7], "counts": "e0"},
    "infinite size": {"size": [float("inf"), 1], "counts": "e0"},
    "absurd size": {"size": [10**9, 10**9], "counts": [10**18]},
    "size in fractions": {"size": [4.7, 4], "counts": [16]},
    "text for size": {"size": "44", "counts": [16]},
    "texts for sides": {"size": ["4", "4"], "counts": [16]},
    "a dict for size": {"size": {4: 1, 5: 2}, "counts": [20]},
    "true for a side": {"size": [True, 16], "counts": [16]},
    "words for size": {"size": ["three", 7], "counts": "e0"},
    "too few pixels": {"size": [3, 8], "counts": "e0"},
    "too many pixels": {"size": [3, 6], "counts": "e0"},
    "cut short": {"size": [3, 7], "counts": "e"},
    "blank inside": {"size": [3, 7], "counts": "e 0"},
    "not ASCII": {"size": [3, 7], "counts": "é0"},
    "half a surrogate pair": {"size": [3, 7], "counts": "\ud8000"},
    "character beyond": {"size": [3, 7], "counts": "e0~"},
    "endless number": {"size": [3, 7], "counts": "o" * 30 + "0"},
    "negative run": {"size": [3, 7], "counts": [22, -1]},
    "negative compressed run": {"size": [3, 7], "counts": "O"},
    "fractions": {"size": [1, 2], "counts": [0.5, 1.5]},
    "ragged": {"size": [1, 2], "counts": [[1], [1, 2]]},
    "nested": {"size": [1, 2], "counts": [[1, 1]]},
    "null counts": {"size": [1, 2], "counts": None},
    "nothing": {"size": [1, 2], "counts": ""},
    "no runs": {"size": [1, 2], "counts": []},
}


@pytest.mark.parametrize("case", BAD_ENCODINGS)
def test_malformed_encodings_are_refused(case):
    with pytest.raises(InputError, match="mask encoding"):
        decode_rle(BAD_ENCODINGS[case])


@given(st.lists(st.integers(0, 60), min_size=1, max_size=30))
def test_any_runs_are_compressed_and_decoded(runs):
    size = [sum(runs), 1]
    rle = compress_rle({"size": size, "counts": runs})
    assert rle["size"] == size and isinstance(rle["counts"], str)
    expected = np.repeat(np.arange(len(runs)) % 2 == 1, runs)
    assert np.array_equal(decode_rle(rle)[:, 0], expected)


@given(st.binary(max_size=30), st.integers(0, 9), st.integers(0, 2**28))
def test_any_bytes_are_compressed_or_refused(counts, height, width):
    try:
        rle = compress_rle({"size": [height, width], "counts": counts})
    except InputError:
        return
    assert rle["counts"].encode() == counts


def test_large_masks_that_pycocotools_cannot_write_are_refused():
    runs = [2**24, 2**25, 2**24, 1]
    for mask in ({"size": [2**24, 4], "counts": [*runs[:3], 0]}, {"size": [sum(runs), 1], "counts": runs}):
        with pytest.raises(InputError, match="no safe encoding"):
            compress_rle(mask)
    with pytest.raises(InputError, match="no safe encoding"):
        encode_rle(np.repeat([False, True, False, True], runs)[:, None])
    assert compress_rle({"size": [2**14, 2**14], "counts": [2**28]})["counts"] == "PPPPP8"


@given(st.text(alphabet=[chr(code) for code in range(46, 116)], max_size=30), st.integers(0, 9), st.integers(0, 9))
def test_any_text_is_decoded_or_refused(counts, height, width):
    try:
        mask = decode_rle({"size": [height, width], "counts": counts})
    except InputError:
        return
    assert mask.shape == (height, width)
