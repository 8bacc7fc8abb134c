"""Label Studio's and labelme's JSON as they write it."""

import json

import numpy as np
import pytest

from tests.exchange.made_data import imported, write_pictures, write_video
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.errors import InputError
from videoglamm_hf.exchange import import_data
from videoglamm_hf.exchange.brush_rle import encode_brush

SIZE = (20, 40)
MASK = np.zeros(SIZE, bool)
MASK[3:9, 5:11] = True


def result(kind: str, value: dict, **more) -> dict:
    sizes = {"original_width": 40, "original_height": 20, "image_rotation": 0}
    return {"id": "x", "type": kind, "from_name": "tag", "to_name": "image", **sizes, "value": value, **more}


def brush(label: str = "cell") -> dict:
    return result("brushlabels", {"format": "rle", "rle": encode_brush(MASK), "brushlabels": [label]})


def task(results: list, image: str, kind: str = "annotations") -> dict:
    return {"id": 1, "data": {"image": image}, kind: [{"result": results}]}


def test_brush_polygon_and_box_of_pictures(tmp_path):
    media = write_pictures(tmp_path / "clip", count=4, size=SIZE)
    outline = result("polygonlabels", {"points": [[0, 0], [50, 0], [50, 50], [0, 50]], "polygonlabels": ["dish"]})
    box = {"x": 50, "y": 50, "width": 25, "height": 25, "rotation": 0, "rectanglelabels": ["lid"]}
    tasks = [
        task([brush(), outline, result("rectanglelabels", box)], "/data/upload/3/0a1b2c3d-00001.jpg"),
        task([brush()], "/data/local-files/?d=some/where/00003.jpg", "predictions"),
        {"id": 3, "data": {"image": "https://host/00002.jpg?x=1"}, "annotations": []},
    ]
    (tmp_path / "export.json").write_text(json.dumps(tasks))
    report = import_data(tmp_path / "export.json", tmp_path / "data", video=media, boxes_as_masks=True)
    (video,) = imported(tmp_path / "data")
    assert report.format == "label-studio" and video.frames == [1, 3]  # what nobody has looked at is left out
    cell, dish, lid = (own.masks for own in video.objects)
    assert np.array_equal(decode_rle(cell[1]), MASK) and cell.keys() == {1, 3}
    assert decode_rle(dish[1])[:10, :20].all() and decode_rle(dish[1]).sum() == 200
    assert decode_rle(lid[1])[10:15, 20:30].all() and decode_rle(lid[1]).sum() == 50


def test_boxes_of_a_video_move_and_are_switched_off(tmp_path):
    """Label Studio counts from 1, and shows a box on the keyframe that switches it off."""
    media = write_video(tmp_path / "clip.mp4", count=9, size=SIZE)
    sequence = [
        {"frame": 2, "enabled": True, "rotation": 0, "x": 0, "y": 50, "width": 10, "height": 20, "time": 0.1},
        {"frame": 4, "enabled": False, "rotation": 0, "x": 20, "y": 50, "width": 10, "height": 20, "time": 0.3},
        {"frame": 8, "enabled": True, "rotation": 0, "x": 50, "y": 50, "width": 10, "height": 20, "time": 0.7},
    ]
    value = {"framesCount": 9, "duration": 0.9, "sequence": sequence, "labels": ["Cell"]}
    document = [
        {
            "data": {"video": "/data/upload/1/aaaabbbb-clip.mp4"},
            "annotations": [{"result": [{"type": "videorectangle", "value": value}]}],
        }
    ]
    (tmp_path / "export.json").write_text(json.dumps(document))
    with pytest.raises(InputError, match="--boxes-as-masks"):
        import_data(tmp_path / "export.json", tmp_path / "data", video=media)
    report = import_data(tmp_path / "export.json", tmp_path / "data", video=media, boxes_as_masks=True)
    (video,) = imported(tmp_path / "data")
    (own,) = video.objects
    lefts = {frame: int(np.flatnonzero(decode_rle(mask).any(axis=0))[0]) for frame, mask in own.masks.items()}
    assert lefts == {1: 0, 2: 4, 3: 8, 7: 20, 8: 20}
    assert video.frames == list(range(1, 9))
    assert any("counts frames of videos from 1" in note for note in report.notes)


@pytest.mark.parametrize(
    "change, words",
    [
        (lambda one: one["value"].update(rle=one["value"]["rle"][:-3]), r"result\[0\].value.rle: is cut short"),
        (lambda one: one["value"].update(rle="text"), "list of whole numbers from 0 to 255"),
        (lambda one: one.update(original_width=41), "is drawn on a picture of 41x20"),
        (lambda one: one.update(original_width="40"), "original_height and original_width"),
        (lambda one: one["value"].update(brushlabels="cell"), "must be a list of labels"),
    ],
)
def test_what_is_wrong_in_a_task_is_named(tmp_path, change, words):
    media = write_pictures(tmp_path / "clip", count=4, size=SIZE)
    one = brush()
    change(one)
    (tmp_path / "export.json").write_text(json.dumps([task([one], "00001.jpg")]))
    with pytest.raises(InputError, match=words):
        import_data(tmp_path / "export.json", tmp_path / "data", video=media)
    assert not (tmp_path / "data").exists()


def labelme(shapes: list, picture: str) -> str:
    sizes = {"imageHeight": 20, "imageWidth": 40}
    return json.dumps(
        {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": picture, "imageData": None, **sizes}
    )


def shape(kind: str, points: list, label: str = "cell", group: int | None = None, **more) -> dict:
    return {"label": label, "points": points, "group_id": group, "shape_type": kind, "flags": {}, **more}


def test_shapes_of_labelme_beside_their_pictures(tmp_path):
    folder = write_pictures(tmp_path / "clip", count=4, size=SIZE)
    shapes = [
        shape("polygon", [[1, 1], [5, 1], [5, 5], [1, 5]], group=1),
        shape("circle", [[20, 10], [20, 14]], group=2),
        shape("rectangle", [[30, 2], [33, 4]], label="lid"),
        shape("line", [[1, 1], [2, 2]], label="edge"),
    ]
    (folder / "00001.json").write_text(labelme(shapes, "00001.jpg"))
    (folder / "00003.json").write_text(labelme(shapes[:1], "..\\clip\\00003.jpg"))
    report = import_data(folder, tmp_path / "data")
    (video,) = imported(tmp_path / "data")
    assert report.format == "labelme" and video.frames == [1, 3] and len(video.objects) == 2
    first, second = video.objects
    assert decode_rle(first.masks[1]).sum() == 25 and first.masks.keys() == {1, 3}  # labelme draws edges, too
    assert decode_rle(second.masks[1])[6, 20] and decode_rle(second.masks[1])[14, 20]
    assert any("2 objects are called 'the cell'" in note for note in report.notes)
    assert any("left out 1 box, which" in note for note in report.notes)
    assert any("'line' is no mask" in note for note in report.notes)


@pytest.mark.parametrize(
    "made, words",
    [
        (shape("polygon", [[1, 1], [2, 2]]), r"00001.json: shapes\[0\].points: must be at least 3 points"),
        (shape("polygon", [[1, 1], [float("nan"), 2], [3, 3]]), "finite numbers"),
        (shape("polygon", [[1, 1], [1e30, 2], [3, 3]]), "far outside"),
        (shape("circle", [[1, 1], [2, 2], [3, 3]]), "a circle has two points"),
        (shape("mask", [[1, 1], [2, 2]], mask="!"), "PNG file in base64"),
        (shape("mask", [[1, 1], [2, 2]], mask="aGFsbG8="), "shapes"),
        (shape("polygon", None), "at least 3 points"),
        (shape("polygon", [[1, 1], [5, 1], [5, 5]], group="a"), "group_id: must be a whole number"),
    ],
)
def test_what_is_wrong_in_a_shape_is_named(tmp_path, made, words):
    folder = write_pictures(tmp_path / "clip", count=4, size=SIZE)
    (folder / "00001.json").write_text(labelme([made], "00001.jpg"))
    with pytest.raises(InputError, match=words):
        import_data(folder, tmp_path / "data")
    assert not (tmp_path / "data").exists()
