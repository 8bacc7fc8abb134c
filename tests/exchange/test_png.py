"""Masks as PNG files in the layouts that people have."""

import json

import numpy as np
import pytest
from PIL import Image

from tests.exchange.made_data import imported, write_pictures, write_video
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError, MediaError
from videoglamm_hf.exchange import import_data
from videoglamm_hf.exchange.png import palette

SIZE = (12, 16)
IDS = np.zeros(SIZE, np.uint8)
IDS[1:4, 2:6] = 1
IDS[6:9, 7:11] = 2


def save(path, array, indexed=False):
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(array)
    if indexed:
        picture.putpalette(palette())
    picture.save(path)


def video_in(data):
    (video,) = imported(data)
    return video


def check(video, labels, frames=(0, 2)):
    assert video.frames == list(frames)
    assert [own.label for own in video.objects] == labels
    for number, own in enumerate(video.objects, 1):
        for frame in frames:
            assert np.array_equal(decode_rle(own.masks[frame]), number == IDS)


@pytest.fixture
def clip(tmp_path):
    return write_pictures(tmp_path / "clip", count=4, size=SIZE)


@pytest.mark.parametrize("kind", ["indexed", "grey", "16 bits", "colours"])
def test_a_file_for_each_frame(tmp_path, clip, kind):
    for frame in (0, 2):
        ids = IDS
        if kind == "16 bits":
            ids = IDS.astype(np.uint16) * 300
        elif kind == "colours":
            ids = np.stack([IDS * 100, np.zeros(SIZE, np.uint8), (IDS == 2) * np.uint8(9)], axis=2)
        save(tmp_path / "masks" / f"{frame:05d}.png", ids, indexed=kind == "indexed")
    import_data(tmp_path / "masks", tmp_path / "data", video=clip)
    labels = {
        "16 bits": ["object 300", "object 600"],
        "colours": ["object #640000", "object #c80009"],
    }.get(kind, ["object 1", "object 2"])
    check(video_in(tmp_path / "data"), labels)


@pytest.mark.parametrize("kind", ["1", "L", "RGB"])
def test_black_and_white_is_one_object(tmp_path, clip, kind):
    picture = Image.fromarray((IDS > 0).astype(np.uint8) * 255).convert(kind)
    (tmp_path / "masks").mkdir()
    picture.save(tmp_path / "masks" / "00001.png")
    report = import_data(tmp_path / "masks", tmp_path / "data", video=clip, phrase="all of the {label}")
    video = video_in(tmp_path / "data")
    assert [own.label for own in video.objects] == ["object"] and video.objects[0].phrase == "all of the object"
    assert np.array_equal(decode_rle(video.objects[0].masks[1]), IDS > 0)
    assert any("black and white" in note for note in report.notes)


@pytest.mark.parametrize("layout", ["{frame:05d}_{name}.png", "{name}/{frame:05d}.png"])
@pytest.mark.parametrize("names, labels", [(("1", "2"), ["object 1", "object 2"]), (("cat", "dog"), ["cat", "dog"])])
def test_a_file_for_each_object(tmp_path, layout, names, labels):
    media = write_video(tmp_path / "clip.mp4", count=4, size=SIZE)
    for number, name in enumerate(names, 1):
        for frame in (0, 2):
            save(tmp_path / "masks" / layout.format(frame=frame, name=name), (number == IDS).astype(np.uint8) * 255)
    import_data(tmp_path / "masks", tmp_path / "data", video=media)
    check(video_in(tmp_path / "data"), labels)


def test_youtube_vos(tmp_path):
    for name in ("one", "two"):
        write_pictures(tmp_path / "set" / "JPEGImages" / name, count=4, size=SIZE)
        for frame in (0, 2):
            save(tmp_path / "set" / "Annotations" / name / f"{frame:05d}.png", IDS, indexed=True)
    objects = {"1": {"category": "ape", "frames": []}, "2": {"category": "bee", "frames": []}}
    meta = {"videos": {"one": {"objects": objects}, "two": {"objects": objects}}}
    (tmp_path / "set" / "meta.json").write_text(json.dumps(meta))
    report = import_data(tmp_path / "set", tmp_path / "data")
    assert report.format == "ytvos" and report.videos == 2
    for video in imported(tmp_path / "data"):
        check(video, ["ape", "bee"])
    del objects["2"]
    (tmp_path / "set" / "meta.json").write_text(json.dumps(meta))
    with pytest.raises(InputError, match=r"has object 2, which meta.json does not list for 'one'"):
        import_data(tmp_path / "set", tmp_path / "more")


def test_masks_among_the_frames_and_folders_of_masks(tmp_path, clip):
    """PNG files beside JPEG files of the same names; `Annotations` given for its folder."""
    for frame in (0, 2):
        save(clip / f"{frame:05d}.png", IDS, indexed=True)
    for options in ({}, {"video": clip}):
        report = import_data(clip, tmp_path / "data", overwrite=True, **options)
        check(video_in(tmp_path / "data"), ["object 1", "object 2"])
        assert len(list((tmp_path / "data" / "media" / "clip").iterdir())) == 4
        assert options or any(f"the video is {clip}" in note for note in report.notes)
    write_pictures(tmp_path / "set" / "JPEGImages" / "one", count=4, size=SIZE)
    for frame in (0, 2):
        save(tmp_path / "set" / "Annotations" / "one" / f"{frame:05d}.png", IDS, indexed=True)
    import_data(tmp_path / "set" / "Annotations", tmp_path / "more")
    check(video_in(tmp_path / "more"), ["object 1", "object 2"])
    with pytest.raises(MediaError, match="give it as --video"):
        import_data(tmp_path / "set" / "Annotations" / "one", tmp_path / "none")
    with pytest.raises(MediaError, match="holds masks only"):
        one = tmp_path / "set" / "Annotations" / "one"
        import_data(one, tmp_path / "none", video=one)


def test_davis_and_sa_v(tmp_path):
    """A folder for the resolution between; a folder for each object, of every fourth frame."""
    write_pictures(tmp_path / "davis" / "JPEGImages" / "480p" / "bear", count=4, size=SIZE)
    write_pictures(tmp_path / "sav" / "JPEGImages_24fps" / "bear", count=4, size=SIZE)
    for frame in (0, 2):
        save(tmp_path / "davis" / "Annotations" / "480p" / "bear" / f"{frame:05d}.png", IDS, indexed=True)
        for number in (1, 2):
            path = tmp_path / "sav" / "Annotations_6fps" / "bear" / f"{number:03d}" / f"{frame:05d}.png"
            save(path, (number == IDS).astype(np.uint8), indexed=True)
    for name in ("davis", "sav"):
        import_data(tmp_path / name, tmp_path / "data", overwrite=True)
        check(video_in(tmp_path / "data"), ["object 1", "object 2"])


def test_hundreds_of_cells(tmp_path, clip):
    """Label maps of microscopes, of 8 and of 16 bits."""
    for kind in (np.uint8, np.uint16):
        ids = (np.arange(SIZE[0] * SIZE[1]).reshape(SIZE) + 1).astype(kind)
        save(tmp_path / kind.__name__ / "00000.png", ids)
        report = import_data(tmp_path / kind.__name__, tmp_path / "data", video=clip, overwrite=True)
        assert report.objects == 192


def test_cvats_segmentation_masks(tmp_path, clip):
    colors = np.zeros((*SIZE, 3), np.uint8)
    colors[IDS == 1], colors[IDS == 2] = (51, 221, 255), (250, 50, 83)
    for frame in (0, 2):
        save(tmp_path / "set" / "SegmentationClass" / f"{frame:05d}.png", colors)
    (tmp_path / "set" / "labelmap.txt").write_text("# label\nbackground:0,0,0::\ncar:51,221,255::\nvan:250,50,83::\n")
    import_data(tmp_path / "set", tmp_path / "data", video=clip)
    check(video_in(tmp_path / "data"), ["car", "van"])


def test_palettes_that_differ_are_read_by_colour(tmp_path, clip):
    """As programs make them that count the colours of each file: the index of an object is another in each."""
    for frame, ids in ((0, IDS), (2, np.where(IDS > 0, 3 - IDS, 0).astype(np.uint8))):
        picture = Image.fromarray(ids)
        red, blue = [200, 0, 0], [0, 0, 200]
        picture.putpalette([0, 0, 0, *(red + blue if frame == 0 else blue + red)])
        (tmp_path / "masks").mkdir(exist_ok=True)
        picture.save(tmp_path / "masks" / f"{frame:05d}.png")
    report = import_data(tmp_path / "masks", tmp_path / "data", video=clip)
    objects = {own.label: own for own in video_in(tmp_path / "data").objects}
    for frame in (0, 2):
        assert np.array_equal(decode_rle(objects["object #c80000"].masks[frame]), IDS == 1)
    assert any("told by colour" in note for note in report.notes)


def test_void_is_left_out(tmp_path, clip):
    ids = IDS.copy()
    ids[0] = 255
    save(tmp_path / "masks" / "00000.png", ids, indexed=True)
    report = import_data(tmp_path / "masks", tmp_path / "data", video=clip)
    assert len(video_in(tmp_path / "data").objects) == 2
    assert any(note.endswith("255 was left out, as it marks what nobody judged") for note in report.notes)


def test_black_and_white_with_dark_noise_is_doubted(tmp_path, clip):
    noisy = np.where(IDS == 1, 255, IDS + np.arange(SIZE[1]) % 2).astype(np.uint8)
    save(tmp_path / "masks" / "00000.png", noisy)
    report = import_data(tmp_path / "masks", tmp_path / "data", video=clip)
    note = next(note for note in report.notes if "255 was left out" in note)
    assert f"covers {(noisy == 255).sum()} pixels" in note and "point(lambda v: 255 * (v > 127))" in note
    # What they say to do does it.
    path = tmp_path / "masks" / "00000.png"
    Image.open(path).convert("L").point(lambda v: 255 * (v > 127)).save(path)
    import_data(tmp_path / "masks", tmp_path / "data", video=clip, overwrite=True)
    (own,) = video_in(tmp_path / "data").objects
    assert np.array_equal(decode_rle(own.masks[0]), noisy == 255)


def wrong_size(folder):
    save(folder / "00000.png", np.ones((5, 5), np.uint8), indexed=True)


def cut_short(folder):
    save(folder / "00000.png", np.random.default_rng(0).integers(0, 3, SIZE).astype(np.uint8), indexed=True)
    path = folder / "00000.png"
    path.write_bytes(path.read_bytes()[:-40])


def smoothed(folder):
    save(folder / "00000.png", np.arange(64, 64 + SIZE[0] * SIZE[1]).reshape(SIZE).astype(np.uint8))


def compressed(folder):
    save(folder / "00000.png", np.where(IDS == 1, 253 + np.arange(SIZE[1]) % 3, IDS).astype(np.uint8))


def noise(folder):
    save(folder / "00000.png", np.random.default_rng(0).integers(0, 255, (250, 200, 3)).astype(np.uint8))


def twice(folder):
    save(folder / "00000_1.png", IDS)
    save(folder / "00000_01.png", IDS)
    save(folder / "00001_1.png", IDS)


def beyond(folder):
    save(folder / "00004.png", IDS, indexed=True)


def mixed(folder):
    save(folder / "00000.png", IDS, indexed=True)
    save(folder / "00001.png", np.stack([IDS] * 3, axis=2))


def nothing(folder):
    save(folder / "00000.png", np.zeros(SIZE, np.uint8), indexed=True)


def not_a_picture(folder):
    folder.mkdir()
    (folder / "00000.png").write_text("hello")


@pytest.mark.parametrize(
    "make, words",
    [
        (wrong_size, "its size is 5x5, but the video is 16x12"),
        (cut_short, "00000.png"),
        (smoothed, "values of grey.*point\\(lambda v: 255 \\* \\(v > 127\\)\\)"),
        (compressed, "has 4 values of grey, 253, 254, 255 among them: .*JPEG.*point\\(lambda v"),
        (noise, "objects, more than 1000 in one video"),
        (twice, "is object 1 of frame 00000, as is"),
        (beyond, "'00004' would be frame 4, but the video has 4 frames"),
        (mixed, "are of different kinds"),
        (nothing, "has no video with objects"),
        (not_a_picture, "not a picture"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, clip, make, words):
    make(tmp_path / "masks")
    with pytest.raises((InputError, MediaError), match=words):
        import_data(tmp_path / "masks", tmp_path / "data", video=clip)
    assert not (tmp_path / "data").exists() and not list(tmp_path.glob(".data*incomplete"))
