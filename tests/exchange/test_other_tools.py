"""What we write, the tools of the field read equal: pycocotools and Pillow, and where they are installed others."""

import base64
import io
import json

import numpy as np
import pytest
from PIL import Image
from pycocotools import mask as coco_mask
from pycocotools.coco import COCO

from tests.exchange.made_data import FRAMES, SIZE, made, write_data, write_pictures
from videoglamm_hf.data.rle import decode_rle
from videoglamm_hf.exchange import export_data
from videoglamm_hf.exchange.brush_rle import decode_brush, encode_brush


@pytest.fixture
def written(tmp_path):
    """Exports one made video, and gives the folder and its masks `[object][frame]`, bool [H, W]."""

    def write(format, overlap=True):
        video = made("clip", write_pictures(tmp_path / "clip"), overlap=overlap)
        export_data(write_data(tmp_path / "data", [video]), tmp_path / "out", format=format)
        nothing = np.zeros(SIZE, bool)
        truth = [
            {frame: decode_rle(own.masks[frame]) if frame in own.masks else nothing for frame in FRAMES}
            for own in video.objects
        ]
        return tmp_path / "out", truth

    return write


def test_pycocotools_reads_coco(written, capsys):
    folder, truth = written("coco")
    dataset = COCO(folder / "annotations.json")
    images = {entry["file_name"]: entry["id"] for entry in dataset.imgs.values()}
    for number, own in enumerate(truth):
        for frame, mask in own.items():
            identity = images[f"clip/{frame:05d}.jpg"]
            found = dataset.loadAnns(dataset.getAnnIds([identity], catIds=dataset.getCatIds([f"thing {number}"])))
            assert len(found) == int(mask.any())
            if found:
                assert np.array_equal(dataset.annToMask(found[0]).astype(bool), mask)
                assert found[0]["area"] == mask.sum()


def test_pycocotools_reads_youtube_vis(written):
    folder, truth = written("ytvos")
    document = json.loads((folder / "instances.json").read_text())
    for annotation, own in zip(document["annotations"], truth, strict=True):
        for rle, frame in zip(annotation["segmentations"], FRAMES, strict=True):
            found = np.zeros(SIZE, bool) if rle is None else coco_mask.decode(rle).astype(bool)
            assert np.array_equal(found, own[frame])


def test_pycocotools_reads_sa_v(written):
    folder, truth = written("sam2-json")
    document = json.loads((folder / "clip_manual.json").read_text())
    found = np.stack([coco_mask.decode(masks) for masks in document["masklet"]])  # frames, H, W, objects
    assert np.array_equal(found.transpose(3, 0, 1, 2), np.stack([np.stack(list(own.values())) for own in truth]))


def test_pillow_reads_indices(written):
    folder, truth = written("png", overlap=False)
    for frame in FRAMES:
        picture = Image.open(folder / "Annotations" / "clip" / f"{frame:05d}.png")
        assert picture.mode == "P"
        for number, own in enumerate(truth, 1):
            assert np.array_equal(np.array(picture) == number, own[frame])


def test_pillow_reads_masks_of_labelme(written):
    folder, truth = written("labelme")
    for frame in FRAMES:
        document = json.loads((folder / "clip" / f"{frame:05d}.json").read_text())
        assert (folder / "clip" / document["imagePath"]).is_file()
        found = np.zeros((len(truth), *SIZE), bool)
        for shape in document["shapes"]:
            (left, top), (right, bottom) = shape["points"]
            picture = Image.open(io.BytesIO(base64.b64decode(shape["mask"])))
            found[shape["group_id"] - 1, top : bottom + 1, left : right + 1] = np.array(picture)
        assert np.array_equal(found, np.stack([own[frame] for own in truth]))


def test_supervision_reads_coco(written):
    supervision = pytest.importorskip("supervision")
    folder, truth = written("coco")
    dataset = supervision.DetectionDataset.from_coco(
        str(folder / "images"), str(folder / "annotations.json"), force_masks=True
    )
    for path, _, detections in dataset:
        frame = int(path[-9:-4])
        masks = [] if detections.mask is None else list(zip(detections.class_id, detections.mask, strict=True))
        assert len(masks) == sum(own[frame].any() for own in truth)
        for label, mask in masks:
            assert np.array_equal(mask, truth[label][frame])


@pytest.mark.parametrize("format", ["coco", "cvat"])
def test_datumaro_reads(written, format):
    datumaro = pytest.importorskip("datumaro")
    folder, truth = written(format)
    if format == "coco":
        (folder / "annotations").mkdir()
        (folder / "annotations.json").rename(folder / "annotations" / "instances_all.json")
    else:
        (folder / "images").symlink_to(folder.parent / "clip")
    dataset = datumaro.Dataset.import_from(str(folder if format == "coco" else folder / "clip.xml"), format)
    labels = dataset.categories()[datumaro.AnnotationType.label]
    found = {}
    for item in dataset:
        for annotation in item.annotations:
            if annotation.type == datumaro.AnnotationType.mask:
                found[labels[annotation.label].name, int(item.id[-5:])] = np.asarray(annotation.image, bool)
    expected = {
        (f"thing {i}", frame): mask for i, own in enumerate(truth) for frame, mask in own.items() if mask.any()
    }
    assert found.keys() == expected.keys()
    assert all(np.array_equal(found[key], expected[key]) for key in expected)


def test_label_studios_own_codec_agrees():
    brush = pytest.importorskip("label_studio_sdk.converter.brush")
    rng = np.random.default_rng(0)
    for _ in range(20):
        mask = rng.random(rng.integers(1, 40, 2)) > rng.random()
        height, width = mask.shape
        theirs = brush.decode_rle(encode_brush(mask)).reshape(height, width, 4)
        assert np.array_equal(theirs[:, :, 3] > 0, mask)
        packed = brush.mask2rle(mask.astype(np.uint8) * 255)
        assert np.array_equal(decode_brush(packed, mask.shape, "rle"), mask)
