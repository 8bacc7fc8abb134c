"""CVAT's XML as CVAT writes it: tracks with keyframes and `outside`, masks, groups, frames left out."""

import zipfile

import numpy as np
import pytest

from tests.exchange.made_data import imported, write_pictures, write_video
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError
from videoglamm_hf.exchange import import_data

SIZE = (12, 16)


def xml(body: str, task: str = "") -> str:
    size = "<original_size><width>16</width><height>12</height></original_size>"
    head = f"<version>1.1</version><meta><task><name>clip.mp4</name>{task}{size}</task></meta>"
    return f'<?xml version="1.0" encoding="utf-8"?>\n<annotations>{head}{body}</annotations>'


def square(frame: int, left: int, keyframe: int = 1, outside: int = 0) -> str:
    points = f"{left}.00,2.00;{left + 4}.00,2.00;{left + 4}.00,6.00;{left}.00,6.00"
    states = f'keyframe="{keyframe}" outside="{outside}" occluded="0" z_order="0"'
    return f'<polygon frame="{frame}" {states} points="{points}"></polygon>'


def lefts(video) -> dict[str, dict[int, int]]:
    """The leftmost column of each mask, by label and frame."""
    return {
        own.label: {frame: int(np.flatnonzero(decode_rle(mask).any(axis=0))[0]) for frame, mask in own.masks.items()}
        for own in video.objects
    }


@pytest.fixture
def read(tmp_path):
    def run(text, **options):
        media = write_pictures(tmp_path / "clip", count=10, size=SIZE)
        (tmp_path / "annotations.xml").write_text(text)
        report = import_data(tmp_path / "annotations.xml", tmp_path / "data", **{"video": media, **options})
        (video,) = imported(tmp_path / "data")
        return video, report.notes

    return run


def test_a_track_moves_between_keyframes_and_leaves_and_returns(read):
    track = square(1, 0) + square(5, 8) + square(6, 8, outside=1) + square(8, 2)
    video, notes = read(xml(f'<track id="0" label="car" source="manual">{track}</track>'))
    assert video.frames == list(range(1, 10))  # before the first keyframe nothing is known
    assert lefts(video) == {"car": {1: 0, 2: 2, 3: 4, 4: 6, 5: 8, 8: 2, 9: 2}}
    assert any("every point moves evenly" in note for note in notes)


def test_frames_between_are_taken_as_cvat_writes_them(read):
    track = square(0, 0) + square(1, 5, keyframe=0) + square(2, 8) + square(3, 8, outside=1)
    video, _ = read(xml(f'<track id="0" label="car">{track}</track>'))
    assert lefts(video) == {"car": {0: 0, 1: 5, 2: 8}}


def test_a_task_that_leaves_frames_out(read):
    task = "<start_frame>1</start_frame><stop_frame>9</stop_frame><frame_filter>step=4</frame_filter>"
    video, _ = read(xml(f'<track id="0" label="car">{square(1, 0)}{square(9, 8)}</track>', task))
    assert video.frames == [1, 5, 9] and lefts(video) == {"car": {1: 0, 5: 4, 9: 8}}


def mask(frame: int, left: int, outside: int = 0) -> str:
    states = f'keyframe="1" outside="{outside}" occluded="0"'
    box = f'left="{left}" top="1" width="3" height="2"'
    return f'<mask frame="{frame}" {states} rle="0, 2, 1, 3" {box} z_order="0"></mask>'


def test_masks_are_tracks_of_one_frame_joined_by_groups(read):
    """As CVAT exports masks for video; what a mask's `outside` says is no annotation of that frame."""
    tracks = [
        f'<track id="{i}" label="car" group_id="{group}">{mask(frame, left)}{mask(frame + 1, left, 1)}</track>'
        for i, (group, frame, left) in enumerate([(1, 0, 0), (1, 4, 3), (2, 4, 9)])
    ]
    video, _ = read(xml("".join(tracks)))
    assert video.frames == [0, 4]
    assert [own.masks.keys() for own in video.objects] == [{0, 4}, {4}]
    first = decode_rle(video.objects[0].masks[0])
    assert first[1:3, :3].tolist() == [[True, True, False], [True, True, True]] and first.sum() == 5


def test_images_by_name_by_group_and_boxes_only_when_asked(tmp_path):
    media = write_pictures(tmp_path / "clip", count=10, size=SIZE)
    body = "".join(
        f'<image id="{i}" name="clip/{i:05d}.jpg" width="16" height="12">'
        f'<polygon label="car" source="manual" occluded="0" points="{i},0;{i + 2},0;{i + 2},2;{i},2" z_order="0"/>'
        f'<box label="van" source="manual" occluded="0" xtl="1.0" ytl="4.0" xbr="5.0" ybr="8.0" z_order="0"/>'
        f'<points label="eye" points="1,1"/></image>'
        for i in (2, 3)
    )
    (tmp_path / "annotations.xml").write_text(xml(body))
    report = import_data(tmp_path / "annotations.xml", tmp_path / "data", video=media)
    (video,) = imported(tmp_path / "data")
    assert lefts(video) == {"car": {2: 2, 3: 3}} and video.frames == [2, 3]
    assert any("left out 2 boxes, which" in note for note in report.notes)
    assert any("<points> is no mask" in note for note in report.notes)
    import_data(tmp_path / "annotations.xml", tmp_path / "more", video=media, boxes_as_masks=True)
    (video,) = imported(tmp_path / "more")
    assert decode_rle(video.objects[1].masks[2])[4:8, 1:5].all() and video.objects[1].label == "van"
    assert sum(own.sum() for own in map(decode_rle, video.objects[1].masks.values())) == 32


def test_a_video_task_by_its_frames_names(tmp_path):
    """For a video, CVAT for images calls frames frame_000004."""
    media = write_video(tmp_path / "clip.mp4", count=10, size=SIZE)
    shape = (
        '<mask label="car" source="auto" occluded="0" rle="0, 6" left="1" top="1" width="3" height="2" z_order="0"/>'
    )
    image = f'<image id="4" name="frame_000004" width="16" height="12">{shape}</image>'
    with zipfile.ZipFile(tmp_path / "export.zip", "w") as archive:
        archive.writestr("annotations.xml", xml(image))
    import_data(tmp_path / "export.zip", tmp_path / "data", video=media)
    (video,) = imported(tmp_path / "data")
    assert video.frames == [4] and lefts(video) == {"car": {4: 1}}


BOMB = '<?xml version="1.0"?><!DOCTYPE a [<!ENTITY x "aaaa"><!ENTITY y "&x;&x;&x;">]><annotations>&y;</annotations>'


@pytest.mark.parametrize(
    "text, words",
    [
        (BOMB, "has a document type"),
        ("<annotations><track", "is no XML"),
        ("<other/>", "holds neither <image> nor <track>"),
        (xml(f'<track id="0" label="car">{square(0, 0)}{square(0, 1)}</track>'), "has frame 0 twice"),
        (xml(f'<track id="0" label="car">{square(10, 0)}</track>'), "frame 10, but the video has 10 frames"),
        (xml(f'<track id="0">{square(0, 0)}</track>'), "track '0': has no label"),
        (xml(f'<track id="0" label="car">{square(0, 0)}</track>').replace("0.00,", "nan,"), "must be a finite number"),
        (xml(f'<track id="0" label="car">{mask(0, 14)}</track>'), "is not inside of its picture"),
        (
            xml(f'<track id="0" label="car">{mask(0, 1)}</track>').replace("0, 2, 1", "0, 2, 9"),
            "runs that fill its box",
        ),
        (
            xml(f'<track id="0" label="car">{mask(0, 1)}</track>').replace("0, 2, 1", "0, x, 9"),
            "must be a whole number",
        ),
        (xml(f'<track id="0" label="car">{square(0, 0)}</track>').replace("<width>16", "<width>18"), "18x12"),
        (
            xml('<track id="0" label="car"><box frame="0" outside="0" xtl="1" ytl="1" xbr="2" ybr="2"/></track>'),
            "a box",
        ),
        (xml('<image id="0" name="../../etc/x.png" width="16" height="12"/>'), "name of frame 'x.png' has no number"),
    ],
)
def test_what_is_wrong_is_named(read, tmp_path, text, words):
    with pytest.raises(InputError, match=words):
        read(text)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "files, words",
    [
        ({}, "it is empty: export it again"),
        ({"a.png": b"x" * 3000, "b/c.txt": b"y"}, "holds 2 files \\('a.png', 'b/c.txt'\\), 0.0 MiB unpacked. If it"),
        (
            {"0.zip": bytes(2**26)},
            "'0.zip'\\), 64.0 MiB unpacked, more than 500 times .*do not unpack",
        ),
        (
            {"annotations.xml": b"<annotations>" + bytes(2**12)},
            "annotations.xml: is 4109 bytes of XML, and",
        ),
        (None, "is no zip archive, or one that was cut short"),
    ],
)
def test_archives_that_are_no_exports(tmp_path, monkeypatch, files, words):
    monkeypatch.setattr("videoglamm_hf.exchange.xml_files.MAX_XML_BYTES", 2**12)
    path = tmp_path / "export.zip"
    if files is None:
        path.write_bytes(b"PK\x03\x04 no more of it")
    else:
        with zipfile.ZipFile(path, "w", zipfile.ZIP_DEFLATED) as archive:
            for name, content in files.items():
                archive.writestr(name, content)
    with pytest.raises(InputError, match=words):
        import_data(path, tmp_path / "data", video=write_pictures(tmp_path / "clip"))
    assert not (tmp_path / "data").exists()
