"""COCO's, YouTube-VIS' and SA-V's JSON, as it comes and spoilt."""

import copy
import json

import numpy as np
import pytest

from tests.exchange.documents import MASK, SIZE, SQUARE, instances, masklets, vis
from tests.exchange.made_data import imported, write_pictures, write_video
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError, MediaError
from videoglamm_hf.exchange import import_data


def read(tmp_path, document, **options):
    if not (tmp_path / "clip").exists():
        write_pictures(tmp_path / "clip", count=9, size=SIZE)
    text = document if isinstance(document, str) else json.dumps(document)
    (tmp_path / "a.json").write_text(text)
    report = import_data(tmp_path / "a.json", tmp_path / "data", **{"video": tmp_path / "clip", **options})
    (video,) = imported(tmp_path / "data")
    return video, report


def test_instances_on_frames(tmp_path):
    video, report = read(tmp_path, instances())
    assert report.format == "coco" and video.frames == [1, 3]
    assert {own.label: list(own.masks) for own in video.objects} == {"ape": [1], "bee": [3]}
    for own in video.objects:
        assert all(np.array_equal(decode_rle(mask), MASK) for mask in own.masks.values())


def test_two_of_a_label_need_a_word(tmp_path):
    document = instances()
    document["annotations"][1]["category_id"] = 7
    document["annotations"].append({**document["annotations"][0], "id": 3})
    with pytest.raises(
        InputError, match=r"annotations\[2\]: is a second 'ape' of its frame, beside .*annotations\[0\]"
    ):
        read(tmp_path, document)
    video, _ = read(tmp_path, document, objects="labels")
    assert len(video.objects) == 1
    video, report = read(tmp_path, document, objects="shapes", overwrite=True)
    assert len(video.objects) == 3
    assert any("one object for every shape" in note for note in report.notes)
    for annotation, track in zip(document["annotations"], (1, 1, 2), strict=True):
        annotation["attributes"] = {"track_id": track}
    video, _ = read(tmp_path, document, overwrite=True)
    assert [list(own.masks) for own in video.objects] == [[1, 3], [1]]


def test_frames_of_another_machine(tmp_path):
    document = instances()
    for image in document["images"]:
        image["file_name"] = "C:\\Users\\me\\" + image["file_name"]
    video, report = read(tmp_path, document)
    assert video.frames == [1, 3] and any("known by their names alone" in note for note in report.notes)
    with pytest.raises(InputError, match=r"images\[0\].file_name: .* is a path of another place"):
        read(tmp_path, document, video=None, overwrite=True)


def test_youtube_vis(tmp_path):
    video, report = read(tmp_path, vis())
    assert report.format == "ytvos" and video.frames == [1, 3]
    (own,) = video.objects
    assert list(own.masks) == [1] and np.array_equal(decode_rle(own.masks[1]), MASK)


def test_sa_v_is_annotated_every_fourth_frame(tmp_path):
    media = write_video(tmp_path / "clip.mp4", count=9, size=SIZE)
    video, report = read(tmp_path, masklets(), video=media)
    assert report.format == "sam2-json" and video.frames == [0, 4, 8]
    (own,) = video.objects
    assert list(own.masks) == [0, 8] and own.label == "object 3"
    every = masklets() | {"video_frame_count": 3.0}
    video, _ = read(tmp_path, every, video=media, overwrite=True)
    assert video.frames == [0, 1, 2]
    unclear = masklets() | {"video_frame_count": 8.0}
    with pytest.raises(InputError, match="--frame-step"):
        read(tmp_path, unclear, video=media, overwrite=True)
    video, _ = read(tmp_path, unclear, video=media, frame_step=3, overwrite=True)
    assert video.frames == [0, 3, 6]


def changed(document: dict, *path, value) -> dict:
    made = copy.deepcopy(document)
    place = made
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    return made


MANY = instances() | {
    "annotations": [
        {"id": i, "image_id": 1, "category_id": 7, "segmentation": [SQUARE], "track_id": i} for i in range(50_000)
    ]
}
FIRST = ("annotations", 0)


@pytest.mark.parametrize(
    "document, words",
    [
        (json.dumps(instances())[:-30], "a.json: not JSON"),
        (MANY, "annotations.1000.: 1001 objects, more than 1000 in one video"),
        (changed(instances(), "images", 0, "file_name", value="../../etc/passwd"), "'passwd'"),
        (
            changed(instances(), "images", 1, "file_name", value="00009.jpg"),
            "'00009' is annotated, but there is no such",
        ),
        (changed(instances(), "images", 1, "id", value=1), r"images\[1\].id: 1 is the id of images\[0\], too"),
        (changed(instances(), "images", 0, "width", value=99), "a.json: images.1.: is 16x12, but"),
        (changed(instances(), "images", 0, "width", value="16"), "height and width must be two whole numbers"),
        (changed(instances(), *FIRST, "image_id", value=5), r"annotations\[0\].image_id: there is no image 5"),
        (
            changed(instances(), *FIRST, "category_id", value=5),
            r"annotations\[0\].category_id: there is no category 5",
        ),
        (changed(instances(), *FIRST, "segmentation", value=[[1, 1, 2, 2]]), r"annotations\[0\].segmentation\[0\]"),
        (changed(instances(), *FIRST, "segmentation", value=[[float("nan")] * 6]), r"segmentation\[0\]: must be"),
        (changed(instances(), *FIRST, "segmentation", value={"size": [9, 9], "counts": [81]}), r"segmentation.size"),
        (changed(instances(), *FIRST, "segmentation", value=3), "must be a list of polygons"),
        (changed(instances(), *FIRST, value=None), r"annotations\[0\]: must be an object"),
        (changed(instances(), "annotations", value=None), "annotations: must be a list"),
        (changed(vis(), "annotations", 0, "segmentations", value=[None]), "1 masks for the 2 frames"),
        (changed(vis(), "videos", 0, "file_names", value=["clip/00001.jpg", "clip/00099.jpg"]), "00099"),
        (changed(masklets(), "masklet", 2, value=[]), r"masklet\[2\]: has 0 masks, but the first frame has 1"),
        (changed(masklets(), "masklet", 2, 0, "size", value=[1, 2]), r"masklet\[2\]\[0\]"),
        (changed(masklets(), "video_height", value=float("nan")), "video_height: must be a finite number"),
        (changed(masklets(), "video_height", value=13.0), "16x13, but the video is 16x12"),
        ({"what": 1}, "its format is not known"),
        ("[]", "its format is not known"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, document, words):
    with pytest.raises((InputError, MediaError), match=words):
        read(tmp_path, document)
    assert not (tmp_path / "data").exists() and not list(tmp_path.glob(".data*incomplete"))


def test_names_that_lead_out_are_not_followed(tmp_path):
    write_pictures(tmp_path / "secret", count=9, size=SIZE)
    (tmp_path / "videos" / "other").mkdir(parents=True)
    (tmp_path / "a.json").write_text(json.dumps(masklets() | {"video_id": "../secret"}))
    for video in (tmp_path / "videos", None):
        with pytest.raises(InputError, match=r"'\.\./secret' leads out"):
            import_data(tmp_path / "a.json", tmp_path / "data", video=video)
