"""A region left of a video."""

import numpy as np
import pytest

from videoglamm_hf import InputError
from videoglamm_hf.render.region import mask_region

VIDEO = np.random.default_rng(0).integers(0, 255, (3, 20, 30, 3), np.uint8)


def region():
    found = np.zeros((3, 20, 30), bool)
    found[0, 5:10, 8:18] = found[2, 0:3, 0:3] = True
    return found


def test_only_the_region_and_its_margin_are_left():
    left = mask_region(VIDEO, region(), margin=0.1)
    assert (left[0, 4:11, 7:19] == VIDEO[0, 4:11, 7:19]).all()
    outside = np.ones((20, 30), bool)
    outside[4:11, 7:19] = False
    assert len(np.unique(left[0][outside].reshape(-1, 3), axis=0)) == 1
    assert (left[2, :3, :3] == VIDEO[2, :3, :3]).all() and len(np.unique(left[1].reshape(-1, 3), axis=0)) == 1


@pytest.mark.parametrize(
    ("masks", "margin", "message"),
    [
        (region()[:2], 0.1, "masks have shape"),
        (region(), -1, "margin is -1"),
        (np.zeros((3, 20, 30)), 0.1, "the region is in no frame"),
    ],
)
def test_what_cannot_be_masked(masks, margin, message):
    with pytest.raises(InputError, match=message):
        mask_region(VIDEO, masks, margin=margin)
