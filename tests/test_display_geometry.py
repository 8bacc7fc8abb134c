"""Frames are what a player shows: square pixels, upright, wherever they come from."""

import json
from fractions import Fraction

import numpy as np
import pytest
from PIL import Image

from tests.conftest import force_seg
from tests.videos import make_video, quarters
from videoglamm_hf import MediaError, read_clip
from videoglamm_hf.cli import asking
from videoglamm_hf.clip_sources import open_clip, read_image
from videoglamm_hf.data.rle import decode_rle

# Width of a pixel over its height, and how wide 64 stored pixels are shown.
ASPECTS = [
    (Fraction(4, 3), 85),
    (Fraction(16, 11), 93),
    (Fraction(2), 128),
    (Fraction(1, 2), 32),
    (Fraction(8, 9), 57),
]


def shown(turns: int = 0, mirrored: bool = False, flipped: bool = False, width: int = 64) -> np.ndarray:
    """`quarters` by Pillow: stretched, then turned counterclockwise, then mirrored."""
    picture = Image.fromarray(quarters()).resize((width, 32), Image.Resampling.BILINEAR)
    picture = picture.rotate(90 * turns, expand=True)
    for wanted, how in ((mirrored, Image.Transpose.FLIP_LEFT_RIGHT), (flipped, Image.Transpose.FLIP_TOP_BOTTOM)):
        picture = picture.transpose(how) if wanted else picture
    return np.asarray(picture)


def assert_alike(frame: np.ndarray, expected: np.ndarray) -> None:
    """Of one size and, away from where two quarters meet, of one colour."""
    assert frame.shape == expected.shape
    height, width = expected.shape[:2]
    for rows in (slice(2, height // 2 - 4), slice(height // 2 + 4, height - 2)):
        for columns in (slice(2, width // 2 - 4), slice(width // 2 + 4, width - 2)):
            assert np.abs(frame[rows, columns].astype(int) - expected[rows, columns]).max() < 40


@pytest.mark.parametrize("decoder", ["av", "decord"])
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize(("aspect", "width"), ASPECTS)
def test_pixels_are_shown_square(tmp_path, aspect, width, suffix, decoder):
    path = make_video(tmp_path / f"wide.{suffix}", [quarters()] * 12, aspect=aspect)
    with open_clip(path, decoder=decoder) as clip:
        assert clip.pixel_aspect == pytest.approx(float(aspect), rel=1e-3)
        assert clip.size == (32, width)
        assert_alike(clip.frames([7])[0], shown(width=width))


def test_a_ratio_that_nobody_knows_is_one(tmp_path):
    path = make_video(tmp_path / "unknown.mp4", [quarters()] * 2, aspect=Fraction(0, 1))
    clip = read_clip(path)
    assert clip.size == (32, 64) and clip.pixel_aspect == 1


@pytest.mark.parametrize("flipped", [False, True])
@pytest.mark.parametrize("mirrored", [False, True])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_stretched_then_turned_then_mirrored(tmp_path, turns, mirrored, flipped):
    display = {"degrees": (0, 90, 180, -90)[turns], "hflip": mirrored, "vflip": flipped}
    path = make_video(tmp_path / "v.mp4", [quarters()] * 2, aspect=Fraction(4, 3), display=display)
    assert_alike(read_clip(path).array[0], shown(turns, mirrored, flipped, width=85))


def test_a_ratio_beyond_reason_takes_no_memory(tmp_path, monkeypatch):
    path = make_video(tmp_path / "bomb.mp4", [quarters()] * 2, aspect=Fraction(20, 1))
    monkeypatch.setattr("videoglamm_hf.frame_arrays.MAX_PIXELS", 64 * 32 * 19)
    with pytest.raises(MediaError, match="1280x32 is more than"):
        read_clip(path)


@pytest.mark.parametrize("orientation", range(1, 9))
def test_pictures_stand_as_their_exif_data_says(tmp_path, orientation):
    """Orientations as the EXIF standard numbers them; in a file and in memory alike."""
    turned = {1: quarters(), 2: quarters()[:, ::-1], 3: quarters()[::-1, ::-1], 4: quarters()[::-1]}
    sideways = quarters().transpose(1, 0, 2)
    turned |= {5: sideways, 6: sideways[:, ::-1], 7: sideways[::-1, ::-1], 8: sideways[::-1]}
    exif = Image.Exif()
    exif[0x0112] = orientation
    Image.fromarray(quarters()).save(tmp_path / "p.png", exif=exif)
    with Image.open(tmp_path / "p.png") as picture:
        for read in (read_image(tmp_path / "p.png"), read_image(picture), read_clip([picture]).array[0]):
            assert np.array_equal(read, turned[orientation])


def test_masks_and_overlay_are_as_wide_as_what_is_shown(tmp_path, model, processor):
    source = make_video(tmp_path / "wide.mp4", [np.tile(quarters(), (8, 4, 1))] * 3, fps=1, aspect=Fraction(1, 2))
    clip = processor.video_processor.sample(source)
    content = [{"type": "video", "video": clip}, {"type": "text", "text": "Hm?"}]
    prompt = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )
    forced = force_seg([1, 3], prompt["input_ids"].shape[1])
    answer = asking.ask(model, processor, clip, "Hm?", max_new_tokens=5, logits_processor=forced, progress=False)
    asking.write_answer(tmp_path / "out", clip, answer, {"question": "Hm?"}, progress=False)
    document = json.loads((tmp_path / "out" / "answer.json").read_text())
    assert document["size"] == {"height": 256, "width": 128} and document["pixel_aspect"] == pytest.approx(0.5)
    masks = [decode_rle(mask) for entry in document["objects"] for mask in entry["masks"]]
    assert len(masks) == 2 * 3 and all(mask.shape == (256, 128) for mask in masks)
    overlay = read_clip(tmp_path / "out" / "overlay.mp4")
    assert overlay.pixel_aspect == 1 and overlay.size[1] == 2 * 128  # enlarged by two, for a legible legend
