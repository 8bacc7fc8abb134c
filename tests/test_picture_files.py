"""What comes out of animations and pictures."""

import numpy as np
import pytest
import torch
from PIL import Image

from tests.videos import numbered_frame, numbers_in, quarters
from videoglamm_hf.clip_sources import read_clip, read_image


def test_a_gif_is_sampled_by_its_delays(tmp_path):
    pictures = [Image.fromarray(numbered_frame(i)) for i in range(6)]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 100, 300, 100, 100, 300])
    clip = read_clip(path, fps=None)
    assert numbers_in(clip.array) == list(range(6))
    assert clip.seconds == pytest.approx((0, 0.1, 0.2, 0.5, 0.6, 0.7))
    assert clip.rate == pytest.approx(6)
    assert numbers_in(read_clip(path, fps=3).array) == [0, 2, 4]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_transparency_lies_on_white_and_frames_do_not_smear(tmp_path, suffix):
    pictures = []
    for number in range(4):
        picture = Image.new("RGBA", (48, 16), (0, 0, 0, 0))
        picture.paste((200, 0, 0, 255), (number * 12, 0, number * 12 + 12, 16))
        picture.paste((0, 0, 0, 0), (number * 12 + 4, 4, number * 12 + 8, 8))
        pictures.append(picture)
    path = tmp_path / f"moving.{suffix}"
    extra = {"lossless": True} if suffix == "webp" else {"disposal": 2 if suffix == "gif" else 1}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **extra)
    clip = read_clip(path, fps=None)
    for number, frame in enumerate(clip.array):
        expected = np.full((16, 48, 3), 255, np.uint8)
        expected[:, number * 12 : number * 12 + 12] = (200, 0, 0)
        expected[4:8, number * 12 + 4 : number * 12 + 8] = 255
        assert np.array_equal(frame, expected)


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "still.png")
    clip = read_clip(tmp_path / "still.png")
    assert np.array_equal(clip.array[0], quarters()) and len(clip.array) == 1
    assert clip.rate is None and clip.seconds == (0.0,)


def test_photos_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    Image.fromarray(quarters()).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "photo.png"), np.rot90(quarters(), -1))
    assert np.array_equal(read_clip(tmp_path / "photo.png").array[0], np.rot90(quarters(), -1))


def grey_ramp(mode: str) -> Image.Image:
    ramp = np.arange(256, dtype=np.uint8)[None]
    if mode == "I;16":
        return Image.fromarray(ramp.astype(np.uint16) * 257)
    return Image.fromarray(ramp).convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    grey_ramp(mode).save(tmp_path / "ramp.png")
    expected = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(read_image(tmp_path / "ramp.png"), expected)
    assert np.array_equal(read_image(grey_ramp(mode)), expected)


def test_pictures_in_memory():
    frame = quarters()
    assert np.array_equal(read_image(frame), frame)
    assert np.array_equal(read_image(Image.fromarray(frame)), frame)
    assert np.array_equal(read_image(torch.from_numpy(frame)), frame)
    assert np.array_equal(read_image(torch.from_numpy(frame).permute(2, 0, 1)), frame)
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    assert (read_image(clear) == 255).all()
