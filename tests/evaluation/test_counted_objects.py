"""Which of several objects in an answer is its mask, and what is written of frames without one."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.errors import MediaError
from videoglamm_hf.evaluation.benchmark import Item
from videoglamm_hf.evaluation.expression_scores import counted_masks, export_expressions
from videoglamm_hf.evaluation.prediction import Prediction

ITEM = Item(("clip", "0"), "clip", 0, "")
NAMES = ("00000", "00001", "00002")


def mask(value: int) -> dict:
    """A mask whose only pixel says which it is."""
    pixels = np.zeros((2, 3), bool)
    pixels.flat[value] = True
    return encode_rle(pixels)


def written(folder: Path, tracks: list, **options) -> dict[str, list[int]]:
    """Pixels of every file that is written."""
    prediction = Prediction("", (2, 3), tracks)
    given = {"frames": lambda item: NAMES, "objects": "last"} | options
    export_expressions([ITEM], lambda item: prediction, folder, **given)
    files = sorted((folder / "clip" / "0").iterdir())
    return {file.stem: np.flatnonzero(np.asarray(Image.open(file))).tolist() for file in files}


TWO = [[mask(0), mask(1), None], [mask(3), None, None]]


def test_a_later_object_without_a_mask_leaves_the_earlier_ones(tmp_path):
    assert written(tmp_path, TWO) == {"00000": [3], "00001": [1]}


def test_files_of_every_frame_where_a_server_wants_them(tmp_path):
    assert written(tmp_path, TWO, empty_files=True) == {"00000": [3], "00001": [1], "00002": []}
    assert written(tmp_path / "none", [], empty_files=True) == {name: [] for name in NAMES}


def test_an_answer_without_a_mask_leaves_no_file(tmp_path):
    assert written(tmp_path, []) == written(tmp_path / "empty", [[None] * 3]) == {}


@pytest.mark.parametrize(("objects", "found"), [("last", [[3], [1], []]), ("first", [[0], [1], []])])
def test_chosen_objects(objects, found):
    assert [np.flatnonzero(own).tolist() for own in counted_masks(TWO, objects, (2, 3))] == found


def test_masks_that_are_empty_without_saying_so():
    empty = encode_rle(np.zeros((2, 3), bool))
    assert [np.flatnonzero(own).tolist() for own in counted_masks([[mask(2)], [empty]], "last", (2, 3))] == [[2]]


@pytest.mark.parametrize("length", [1, 4])
def test_tracks_of_other_frames_are_refused(tmp_path, length):
    with pytest.raises(MediaError, match=rf"clip_0 has {length} masks for 3 frames"):
        written(tmp_path, [[mask(0)] * length])
