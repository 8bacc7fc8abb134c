"""Every format out and in again: the same masks to the pixel, on the same frames, of the same objects."""

import pytest

from tests.exchange.made_data import FRAMES, imported, made, pixels, write_data, write_pictures, write_video
from videoglamm_hf import InputError
from videoglamm_hf.data import validate_jsonl
from videoglamm_hf.exchange import export_data, import_data
from videoglamm_hf.exchange.choices import EXPORT_FORMATS, IMPORT_FORMATS
from videoglamm_hf.exchange.detection import format_of

# What a format calls itself when it is read.
READ_AS = {name: name for name in EXPORT_FORMATS} | {"cvat-video": "cvat"}


@pytest.mark.parametrize("overlap", [False, True])
@pytest.mark.parametrize("kind", ["pictures", "video"])
@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_out_and_in_again(tmp_path, format, kind, overlap):
    media = write_pictures(tmp_path / "clip") if kind == "pictures" else write_video(tmp_path / "clip.mp4")
    video = made("clip", media, overlap=overlap)
    data = write_data(tmp_path / "data", [video])
    report = export_data(data, tmp_path / "out", format=format)
    assert (report.videos, report.objects) == (1, 3)
    read_as = READ_AS[format] if format != "png" else "ytvos"  # YouTube-VOS' folder is both
    assert format_of(tmp_path / "out") == read_as
    import_data(tmp_path / "out", tmp_path / "back", format=READ_AS[format], video=media)
    assert validate_jsonl(tmp_path / "back" / "samples.jsonl") == []
    (back,) = imported(tmp_path / "back")
    assert back.frames == FRAMES
    assert pixels(back) == pixels(video)
    assert [own.label for own in back.objects] == [own.label for own in video.objects]
    assert [own.phrase for own in back.objects] == ["the thing 0", "the thing 1", "the thing 2"]


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_several_videos_found_beside(tmp_path, format):
    """What is exported with its pictures needs nothing else; the others find videos by name."""
    videos = []
    for name in ("one", "two.a"):
        media = write_pictures(tmp_path / "frames" / name, size=(27, 33) if name == "one" else (41, 30))
        videos.append(made(name, media, at=[1, 4, 7]))
    data = write_data(tmp_path / "data", videos)
    export_data(data, tmp_path / "out", format=format)
    import_data(tmp_path / "out", tmp_path / "back", video=tmp_path / "frames")
    back = {video.name: video for video in imported(tmp_path / "back")}
    assert back.keys() == {"one", "two.a"}
    for video in videos:
        assert back[video.name].frames == [1, 4, 7]
        assert pixels(back[video.name]) == pixels(video)
    if format in ("png", "coco", "ytvos", "labelme", "label-studio"):
        import_data(tmp_path / "out", tmp_path / "alone")
        assert {video.name: pixels(video) for video in imported(tmp_path / "alone")} == {
            video.name: pixels(video) for video in videos
        }


@pytest.mark.parametrize("format", [name for name in EXPORT_FORMATS if name != "cvat-video"])
def test_frames_without_any_object_stay(tmp_path, format):
    media = write_pictures(tmp_path / "clip")
    video = made("clip", media)
    for own in video.objects:
        own.masks.pop(5, None)
    export_data(write_data(tmp_path / "data", [video]), tmp_path / "out", format=format)
    import_data(tmp_path / "out", tmp_path / "back", video=media)
    (back,) = imported(tmp_path / "back")
    assert back.frames == FRAMES and pixels(back) == pixels(video)


@pytest.mark.parametrize("kind", ["pictures", "video"])
@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_masks_beyond_the_end_of_the_video_are_refused(tmp_path, format, kind):
    """As where the video was cut after it was annotated."""
    whole, short = tmp_path / "whole" / "clip", tmp_path / "short" / "clip"
    media = write_pictures(whole) if kind == "pictures" else write_video(whole.with_suffix(".mp4"))
    cut = write_pictures(short, count=6) if kind == "pictures" else write_video(short.with_suffix(".mp4"), count=6)
    export_data(write_data(tmp_path / "data", [made("clip", media)]), tmp_path / "out", format=format)
    with pytest.raises(InputError, match=r"clip.*(frame 8|'00008'|stop_frame: is 8)"):
        import_data(tmp_path / "out", tmp_path / "back", format=READ_AS[format], video=cut)
    assert not (tmp_path / "back").exists()


def test_cvat_for_video_says_what_it_cannot_hold(tmp_path):
    media = write_pictures(tmp_path / "clip")
    video = made("clip", media)
    for own in video.objects:
        own.masks.pop(5, None)
    report = export_data(write_data(tmp_path / "data", [video]), tmp_path / "out", format="cvat-video")
    assert any("1 annotated frame without any object" in note for note in report.notes)


def test_every_format_is_read_and_written():
    assert set(IMPORT_FORMATS) == {"auto", *EXPORT_FORMATS} - {"cvat-video"}
