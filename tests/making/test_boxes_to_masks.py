"""Masks from boxes: those of a session that is given the same boxes."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.exchange.made_data import write_pictures
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.making.boxes_to_masks import masks_of
from videoglamm_hf.making.gathered import GatheredObject, GatheredVideo

SIZE = (48, 64)
BOX = [10.0, 8.0, 30.0, 40.0]


def video_of(folder: Path, *boxes: list) -> GatheredVideo:
    pictures = sorted(str(path) for path in write_pictures(folder, 6, SIZE).iterdir())
    objects = [GatheredObject("thing", boxes=own) for own in boxes]
    return GatheredVideo("v", pictures, [1, 2, 4], objects, size=SIZE)


def pixels(track) -> np.ndarray:
    return np.stack([np.zeros(SIZE, bool) if mask is None else decode_rle(mask) for mask in track])


def test_masks_are_those_of_a_session(tmp_path, model, processor, ask):
    video = video_of(tmp_path / "f", [[BOX], [], [BOX]], [[], [BOX], []])
    first, second = masks_of(video, model, processor)
    frames = np.stack([np.asarray(Image.open(video.media[i])) for i in (1, 2, 4)])
    session = model.edit(**ask(video=frames))
    session.add(0, box=BOX, propagate=False)
    session.box(0, 2, BOX)
    session.add(1, box=BOX)
    assert np.array_equal(pixels(first), session.masks[0].numpy())
    assert np.array_equal(pixels(second), session.masks[1].numpy())


def test_several_boxes_of_a_frame_are_one_object_in_their_frame(tmp_path, model, processor):
    other = [40.0, 20.0, 60.0, 44.0]
    video = video_of(tmp_path / "f", [[BOX, other], [], [other]], [[BOX], [], []], [[other], [], []])
    both, one, two = (pixels(track) for track in masks_of(video, model, processor))
    assert np.array_equal(both[0], one[0] | two[0]) and not both[1].any()


@pytest.mark.parametrize("box", [[5, 5, 5, 9], [90, 5, 99, 9], [-9, -9, -1, -1]])
def test_boxes_of_nothing(box, tmp_path, model, processor):
    video = video_of(tmp_path / "f", [[box], [], []], [[box, box], [], []])
    assert masks_of(video, model, processor) == [[None] * 3] * 2


def test_masks_of_given_masks_stay(tmp_path, model, processor):
    video = video_of(tmp_path / "f", [[BOX], [], []])
    track = [{"size": list(SIZE), "counts": "x"}, None, None]
    video.objects.append(GatheredObject("other", masks=track))
    assert masks_of(video, model, processor)[1] is track
