"""One picture of a whole video: everything fits."""

import itertools

import numpy as np
import pytest
from PIL import Image

from tests.render.pictures import disks, ramp
from tests.videos import real_video
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.errors import InputError
from videoglamm_hf.render.colors import object_colors
from videoglamm_hf.render.contact_sheet import contact_sheet
from videoglamm_hf.render.overlay_video import render_video


def test_sheets_show_frames_spread_over_the_video():
    frames = [np.full((90, 160, 3), 10 * t, np.uint8) for t in range(20)]
    sheet = np.asarray(contact_sheet(frames, np.zeros((0, 20, 90, 160), bool), [], max_tiles=4))
    shades, counts = np.unique(sheet[(sheet == sheet[..., :1]).all(axis=-1)][:, 0], return_counts=True)
    assert shades[counts > 20_000].tolist() == [0, 60, 130, 190]


def text_free(sheet: Image.Image) -> int:
    return sum(sheet.convert("L").point(lambda v: 255 * (v > 200)).histogram()[255:])


def test_title_legend_and_times_are_drawn():
    frames, masks = [np.zeros((90, 160, 3), np.uint8)] * 3, np.zeros((1, 3, 90, 160), bool)
    plain = contact_sheet(frames, masks[:0], [])
    titled = contact_sheet(frames, masks[:0], [], title="What is it?\nA black frame.")
    labelled = contact_sheet(frames, masks, ["a phrase"])
    assert titled.height > plain.height and labelled.height > plain.height
    assert titled.width == labelled.width == plain.width
    assert text_free(titled) > text_free(plain) > 0  # bright letters; the plain sheet has frame numbers
    timed = contact_sheet(frames, masks[:0], [], timestamps=[0.0, 1.5, 61.25])
    assert timed.size == plain.size and timed != plain


def test_a_long_title_wraps_inside_the_sheet():
    frames, masks = [np.zeros((90, 160, 3), np.uint8)], np.zeros((0, 1, 90, 160), bool)
    short = contact_sheet(frames, masks, [], title="short")
    long = contact_sheet(frames, masks, [], title="a long answer with many words " * 30)
    assert long.width == short.width and long.height > short.height + 100
    margin = np.asarray(long)[:, -20:]
    assert (margin == margin[0, 0]).all()


def test_objects_keep_their_colors_from_video_to_sheet():
    frames, masks = [np.zeros((270, 480, 3), np.uint8)] * 2, disks(3, 2, 270, 480)
    labels = ["one", "two", "three"]
    pictures = (next(render_video(frames, masks, labels)), np.asarray(contact_sheet(frames, masks, labels)))
    for picture, color in itertools.product(pictures, object_colors(3)):
        assert (picture.reshape(-1, 3) == color).all(axis=-1).sum() > 50


@pytest.mark.parametrize("count", range(1, 10))
def test_any_number_of_tiles_fits(count):
    sheet = contact_sheet([ramp(90, 160)] * count, np.zeros((0, count, 90, 160), bool), [], max_tiles=9)
    assert 400 < sheet.width <= 1600 and sheet.height <= 2000


def test_small_objects_stay_visible_on_small_tiles():
    frames, masks = [np.zeros((1080, 1920, 3), np.uint8)] * 8, np.zeros((1, 8, 1080, 1920), bool)
    masks[:, :, 500:503, 900:903] = True
    sheet, empty = (np.asarray(contact_sheet(frames, m, [""])) for m in (masks, np.zeros_like(masks)))
    color = np.array(object_colors(1)[0])
    assert np.sum((sheet == color).all(axis=-1)) >= np.sum((empty == color).all(axis=-1)) + 8


def test_a_real_recording_can_be_shown(tmp_path):
    clip = read_clip(real_video("carphone_pristine.mp4"), num_frames=5)
    masks = disks(2, 5, *clip.array.shape[1:3])
    sheet = contact_sheet(clip.array, masks, ["a face", "a tie"], timestamps=clip.seconds, title="Who?\nA man.")
    sheet.save(tmp_path / "sheet.png")
    assert Image.open(tmp_path / "sheet.png").size == sheet.size


@pytest.mark.parametrize(
    "arguments",
    [
        {"frames": []},
        {"frames": [ramp(8, 8)] * 2},
        {"frames": [ramp(8, 8)] * 2 + [ramp(9, 8)]},
        {"labels": ["a", "b"]},
        {"timestamps": [0.0]},
        {"max_tiles": 0},
    ],
)
def test_sheets_that_do_not_fit_are_refused(arguments):
    fitting = {"frames": [ramp(8, 8)] * 3, "masks": np.zeros((1, 3, 8, 8), bool), "labels": ["a"]}
    with pytest.raises(InputError):
        contact_sheet(**{**fitting, **arguments})
