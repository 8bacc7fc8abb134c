"""Small documents of every format in JSON and XML, each about the frames of one video `clip` of 16x12 pixels."""

import numpy as np

from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.exchange.brush_rle import encode_brush

SIZE = (12, 16)
SQUARE = [1, 1, 5, 1, 5, 5, 1, 5]
MASK = np.zeros(SIZE, bool)
MASK[1:5, 1:5] = True


def instances() -> dict:
    return {
        "images": [{"id": i, "file_name": f"{i:05d}.jpg", "height": 12, "width": 16} for i in (1, 3)],
        "categories": [{"id": 7, "name": "ape"}, {"id": 9, "name": "bee"}],
        "annotations": [
            {"id": 1, "image_id": 1, "category_id": 7, "segmentation": [SQUARE], "bbox": [1, 1, 4, 4], "iscrowd": 0},
            {"id": 2, "image_id": 3, "category_id": 9, "segmentation": encode_rle(MASK), "iscrowd": 1},
        ],
    }


def vis() -> dict:
    return {
        "videos": [{"id": 4, "file_names": ["clip/00001.jpg", "clip/00003.jpg"], "height": 12, "width": 16}],
        "categories": [{"id": 7, "name": "ape"}],
        "annotations": [{"id": 2, "video_id": 4, "category_id": 7, "segmentations": [encode_rle(MASK), None]}],
    }


def masklets() -> dict:
    nothing = encode_rle(np.zeros(SIZE, bool))
    return {
        "video_id": "clip",
        "video_frame_count": 9.0,
        "video_height": 12.0,
        "video_width": 16.0,
        "masklet_id": [3],
        "masklet": [[encode_rle(MASK)], [nothing], [encode_rle(MASK)]],
    }


def tasks() -> list:
    """Label Studio's: a picture with every kind of shape."""
    sizes = {"original_width": 16, "original_height": 12, "image_rotation": 0}
    values = {
        "brushlabels": {"format": "rle", "rle": encode_brush(MASK), "brushlabels": ["ape"]},
        "polygonlabels": {"points": [[0, 0], [50, 0], [50, 50]], "polygonlabels": ["bee"]},
        "rectanglelabels": {"x": 1, "y": 2, "width": 30, "height": 20, "rotation": 5, "rectanglelabels": ["cat"]},
    }
    results = [{"id": kind, "type": kind, **sizes, "value": value} for kind, value in values.items()]
    return [{"id": 1, "data": {"image": "/data/upload/1/0a1b2c3d-00001.jpg"}, "annotations": [{"result": results}]}]


def video_tasks() -> list:
    """Label Studio's: a video with boxes."""
    sides = {"x": 0, "y": 50, "width": 10, "height": 20, "rotation": 0}
    sequence = [{"frame": 1, "enabled": True, **sides}, {"frame": 4, "enabled": False, **sides}]
    value = {"framesCount": 9, "duration": 1.8, "sequence": sequence, "labels": ["ape"]}
    return [{"data": {"video": "clip"}, "annotations": [{"result": [{"type": "videorectangle", "value": value}]}]}]


def labelme_file() -> dict:
    """labelme's: a frame with every kind of outline."""
    shapes = [
        {"label": "ape", "points": [[1, 1], [5, 1], [5, 5]], "group_id": 1, "shape_type": "polygon", "flags": {}},
        {"label": "bee", "points": [[8, 6], [9, 8]], "group_id": None, "shape_type": "circle", "flags": {}},
        {"label": "cat", "points": [[8, 6], [9, 8]], "group_id": 3, "shape_type": "rectangle", "flags": {}},
    ]
    sizes = {"imageHeight": 12, "imageWidth": 16}
    return {"version": "5.5.0", "flags": {}, "shapes": shapes, "imagePath": "00001.jpg", "imageData": None, **sizes}


CVAT_IMAGES = """<annotations><version>1.1</version><meta><task><name>clip</name></task></meta>
<image id="1" name="00001.jpg" width="16" height="12">
<polygon label="ape" occluded="0" points="1.0,1.0;5.0,1.0;5.0,5.0" z_order="0" group_id="1"/>
<mask label="bee" occluded="0" rle="0, 2, 1, 3" left="1" top="1" width="3" height="2" z_order="0"/>
<box label="cat" occluded="0" xtl="1.0" ytl="4.0" xbr="5.0" ybr="8.0" rotation="9.0" z_order="0"/>
</image></annotations>"""

CVAT_VIDEO = """<annotations><version>1.1</version><meta><task><name>clip</name><start_frame>0</start_frame>
<stop_frame>8</stop_frame><frame_filter>step=2</frame_filter>
<original_size><width>16</width><height>12</height></original_size></task></meta>
<track id="0" label="ape"><polygon frame="0" keyframe="1" outside="0" points="1,1;5,1;5,5"/>
<polygon frame="6" keyframe="1" outside="1" points="2,2;6,2;6,6"/></track>
<track id="1" label="bee" group_id="2"><mask frame="2" keyframe="1" outside="0" rle="0, 6" left="1" top="1" width="3"
 height="2"/></track></annotations>"""
