"""Videos with masks and a legend."""

import numpy as np
import pytest

from tests.render.pictures import disks, ramp
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.errors import InputError
from videoglamm_hf.render.contact_sheet import contact_sheet
from videoglamm_hf.render.overlay import overlay_masks
from videoglamm_hf.render.overlay_video import render_video
from videoglamm_hf.render.video_encoding import write_mp4


def test_rendered_videos_have_one_size_and_are_made_one_by_one(tmp_path):
    taken = []

    def frames():
        for number in range(5):
            taken.append(number)
            yield ramp(48, 64)

    rendered = render_video(frames(), disks(2, 5, 48, 64), ["a disk", "another disk"])
    first = next(rendered)
    assert taken == [0]
    rest = list(rendered)
    assert len(rest) == 4 and all(frame.shape == first.shape for frame in rest)
    assert first.shape[0] > 240 and first.shape[1] == 320  # five times as large, and a legend
    assert not np.array_equal(first, rest[0])
    write_mp4(tmp_path / "rendered.mp4", [first, *rest], fps=5)
    assert len(read_clip(tmp_path / "rendered.mp4", fps=None).array) == 5


def test_large_videos_keep_their_size():
    frame, masks = ramp(300, 400), disks(1, 1, 300, 400)
    rendered = next(render_video([frame], masks, ["a disk"]))
    assert np.array_equal(rendered[:300], overlay_masks(frame, masks[:, 0]))


@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 500), (500, 2), (3, 3000)])
def test_extreme_shapes_can_be_shown(height, width):
    frame, masks = ramp(height, width), np.ones((1, 2, height, width), bool)
    rendered = list(render_video([frame] * 2, masks, ["everything"]))
    assert max(rendered[0].shape[:2]) < 4000
    assert max(contact_sheet([frame] * 2, masks, ["everything"]).size) < 4000


def test_videos_without_objects_are_only_frames():
    frame = ramp(300, 400)
    assert np.array_equal(next(render_video([frame], np.zeros((0, 1, 300, 400), bool), [])), frame)


def test_enlarged_masks_stay_in_place():
    masks = np.zeros((1, 1, 20, 20), bool)
    masks[0, 0, 5:10, 5:10] = True
    rendered = next(render_video([np.zeros((20, 20, 3), np.uint8)], masks, [""]))
    lit = rendered[:240].any(axis=-1)
    rows, columns = np.nonzero(lit)
    assert (rows.min(), rows.max()) == (columns.min(), columns.max()) == (60, 119)


@pytest.mark.parametrize(
    ("frames", "labels", "message"),
    [
        ([ramp(8, 8)] * 2, ["a"], "only 2 frames"),
        ([ramp(8, 8)] * 4, ["a"], "frame 3"),
        ([ramp(8, 8), ramp(8, 9)], ["a"], "frame 1 is 9x8"),
        ([ramp(8, 8)] * 3, ["a", "b"], r"expected \[2, T, H, W\]"),
        ([], ["a"], "only 0 frames"),
    ],
)
def test_videos_that_do_not_fit_their_masks_are_refused(frames, labels, message):
    with pytest.raises(InputError, match=message):
        list(render_video(frames, np.zeros((1, 3, 8, 8), bool), labels))
