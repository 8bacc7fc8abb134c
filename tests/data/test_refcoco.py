"""refCOCO: official pickles read without running them, polygons and run lengths as masks of pictures."""

import copy
import os
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.data.builders import LEFT, RIGHT, TOP, plain_rle, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import RefCocoDataset, VideoGlammDataCollator, check_sample, decode_masks

NAMES = ["COCO_train2014_000000000007.jpg", "COCO_train2014_000000000009.jpg"]


def ref(ref_id, image, annotation, split, *sentences):
    texts = [{"tokens": text.split(), "raw": text, "sent_id": number, "sent": text} for number, text in sentences]
    name = f"COCO_train2014_{image:012d}_{annotation}.jpg"
    about = {"ref_id": ref_id, "image_id": image, "ann_id": annotation, "category_id": 1, "file_name": name}
    return {**about, "split": split, "sent_ids": [number for number, _ in sentences], "sentences": texts}


REFS = [
    ref(0, 7, 70, "train", (0, "the left  man."), (1, "man in r\u00e9d")),
    ref(1, 7, 71, "train", (2, "right woman")),
    ref(2, 9, 90, "testA", (3, "the top")),
]
INSTANCES = {
    "images": [{"id": n, "file_name": name, "height": 4, "width": 6} for n, name in zip((7, 9), NAMES, strict=True)],
    "annotations": [
        {"id": 70, "image_id": 7, "segmentation": [[0, 0, 2, 0, 2, 4, 0, 4]]},
        {"id": 71, "image_id": 7, "segmentation": plain_rle(RIGHT)},
        {"id": 90, "image_id": 9, "segmentation": [[0, 0, 6, 0, 6, 1, 0, 1], [0, 3, 6, 3, 6, 4, 0, 4]]},
    ],
    "categories": [{"id": 1, "name": "person"}],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_frames(tmp_path / "images", NAMES)
    write_json(tmp_path / "refcoco" / "instances.json", INSTANCES)
    (tmp_path / "refcoco" / "refs(unc).p").write_bytes(pickle.dumps(REFS, protocol=0))
    return tmp_path


def read(root, split="train", **options):
    return RefCocoDataset(root / "refcoco", root / "images", split, **options)


def test_the_samples(root):
    dataset = read(root)
    samples = list(dataset)
    stem = NAMES[0][:-4]
    assert [sample["id"] for sample in samples] == [f"{stem}/0", f"{stem}/1", f"{stem}/2"]
    assert [told.text for told in dataset.expressions] == [
        "the left man",
        "man in r\u00e9d",
        "right woman",
    ]
    assert [sample["reference"] for sample in samples] == [0, 0, 1]
    question = samples[0]["messages"][0]["content"]
    assert question[0] == {"type": "image"} and "the left man" in question[1]["text"]
    assert samples[0]["messages"][1]["content"][0]["text"] == "It is [SEG]."
    assert samples[0]["image"] == str(root / "images" / NAMES[0]) and "video" not in samples[0]
    assert samples[0]["mask_frames"] == [0] and samples[2]["masks"] == [[rle(RIGHT)]]
    assert np.array_equal(decode_masks(samples[0]["masks"], (4, 6))[0, 0], LEFT)
    assert dataset[-1] == pickle.loads(pickle.dumps(dataset))[2]
    for sample in samples:
        check_sample(sample)


def test_other_splits_and_polygons_in_several_parts(root):
    dataset = read(root, "testA")
    assert len(dataset) == 1
    assert np.array_equal(decode_masks(dataset[0]["masks"], (4, 6))[0, 0], TOP | TOP[::-1])
    with pytest.raises(InputError, match=r"refs\(unc\).p: has no split 'val'; it has testA, train"):
        read(root, "val")


def test_it_trains(root, processor):
    batch = VideoGlammDataCollator(processor)(list(read(root)))
    assert [tuple(masks.shape) for masks in batch["mask_labels"]] == [(1, 1, 4, 6)] * 3
    assert np.array_equal(batch["mask_labels"][2][0, 0].bool().numpy(), RIGHT)


@pytest.mark.parametrize("protocol", [0, 1, 2, 4])
def test_pickles_of_every_kind_and_json_hold_the_same(root, protocol):
    expected = list(read(root))
    (root / "refcoco" / "refs(unc).p").unlink()
    (root / "refcoco" / "refs(umd).p").write_bytes(pickle.dumps(REFS, protocol=protocol))
    assert list(read(root)) == expected
    (root / "refcoco" / "refs(google).p").write_bytes(pickle.dumps(REFS[:1], protocol=protocol))
    with pytest.raises(InputError, match=r"has refs\(google\).p and refs\(umd\).p; say which in split_by"):
        read(root)
    assert list(read(root, split_by="umd")) == expected and len(read(root, split_by="google")) == 2
    write_json(root / "refcoco" / "refs.json", REFS)
    assert list(read(root)) == expected


def test_texts_of_python_2(root):
    texts = b"".join(b"(dp0\nS'%s'\nS'%s'\ns" % pair for pair in [(b"split", b"train")])
    (root / "refcoco" / "refs(unc).p").write_bytes(b"(lp1\n" + texts + b"a.")
    with pytest.raises(InputError, match=r"refs\(unc\).p: \[0\].image_id: missing"):
        read(root)


class Runs:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.mark.parametrize("protocol", [0, 2, 4])
def test_a_pickle_runs_nothing(root, protocol):
    path = root / "refcoco" / "refs(unc).p"
    path.write_bytes(pickle.dumps([Runs(root / "ran")], protocol=protocol))
    with pytest.raises(InputError, match=r"refs\(unc\).p: not a pickle of plain .*mkdir, which could run code"):
        read(root)
    assert not (root / "ran").exists()


DAMAGED = {
    "cut": pickle.dumps(REFS, protocol=2)[:-40],
    "empty": b"",
    "no pickle": b"PK\x03\x04",
    "extension": b"\x82\x01.",
    "persistent": b"Pname\n.",
    "old class": b"(cos\nsystem\nS'true'\nR.",
    "inst": b"(S'true'\nios\nsystem\n.",
    "state": b"]}b.",
    "a huge place": b"]r\xff\xff\xff\x7f0K\x01.",
    "a huge text": b"X\xff\xff\xff\x7fabc.",
    "huge bytes": b"\x80\x05\x96\x00\x00\x00\x00\x20\x00\x00\x00.",
    "a huge frame": b"\x80\x04\x95\x00\x00\x00\x00\x20\x00\x00\x00.",
    "a dict": pickle.dumps({}),
}


@pytest.mark.parametrize("case", DAMAGED)
def test_damaged_pickles(root, case):
    path = root / "refcoco" / "refs(unc).p"
    path.write_bytes(DAMAGED[case])
    with pytest.raises(InputError, match=r"refs\(unc\).p: "):
        read(root)


def set_in(*keys, to):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


BAD_REFS = {
    "a text": (set_in(0, to="x"), "[0]: must be an object, not str"),
    "no split": (lambda c: c[1].pop("split"), "[1].split: missing"),
    "no reference": (lambda c: c[1].pop("ref_id"), "[1].ref_id: missing"),
    "unknown picture": (set_in(1, "image_id", to=8), "[1].image_id: 8 is not in instances.json"),
    "unknown object": (set_in(1, "ann_id", to=8), "[1].ann_id: 8 is not in instances.json"),
    "number as text": (set_in(1, "ann_id", to="71"), "[1].ann_id: must be a whole number, not str"),
    "no words": (set_in(1, "sentences", 0, "sent", to=" . "), "[1].sentences[0].sent: is empty"),
    "twice": (set_in(1, "sentences", 0, "sent_id", to=1), "[1].sentences[0].sent_id: 1 is that of "),
}


@pytest.mark.parametrize("case", BAD_REFS)
def test_bad_references(root, case):
    change, expected = BAD_REFS[case]
    content = copy.deepcopy(REFS)
    change(content)
    path = write_json(root / "refcoco" / "refs.json", content)
    with pytest.raises(InputError) as error:
        read(root)
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_INSTANCES = {
    "outside": (set_in("images", 0, "file_name", to="../a.jpg"), "image 7.file_name: '../a.jpg' leads out of"),
    "no height": (lambda c: c["images"][0].pop("height"), "image 7.height: missing"),
    "twice": (set_in("annotations", 1, "id", to=70), "annotations[1].id: 70 is there twice"),
    "no pictures": (lambda c: c.pop("images"), "images: missing"),
}


@pytest.mark.parametrize("case", BAD_INSTANCES)
def test_bad_instances(root, case):
    change, expected = BAD_INSTANCES[case]
    content = copy.deepcopy(INSTANCES)
    change(content)
    path = write_json(root / "refcoco" / "instances.json", content)
    with pytest.raises(InputError) as error:
        read(root)
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_SEGMENTATIONS = {
    "nothing": (None, ": must be a list of polygons"),
    "none": ([], ": must be a list of polygons"),
    "a box": ([[0, 0, 2, 2]], "[0]: must be at least three points"),
    "odd": ([[0, 0, 2, 2, 3, 3, 4]], "[0]: must be at least three points"),
    "texts": ([["a", "b"] * 3], "[0]: must be at least three points"),
    "nested": ([[[0, 0], [1, 1], [2, 0]]], "[0]: must be at least three points"),
    "far away": ([[0, 0, 1e9, 0, 2, 2]], "[0]: lies far outside of its picture of 6x4"),
    "infinite": ([[0, 0, float("inf"), 0, 2, 2]], "[0]: must be at least three points"),
    "size": (rle(LEFT.T), ".size: [6, 4], but it must be [4, 6]"),
    "counts": ({"size": [4, 6], "counts": [3]}, ".counts: "),
}


@pytest.mark.parametrize("case", BAD_SEGMENTATIONS)
def test_bad_segmentations(root, case):
    segmentation, expected = BAD_SEGMENTATIONS[case]
    content = copy.deepcopy(INSTANCES)
    content["annotations"][0]["segmentation"] = segmentation
    path = write_json(root / "refcoco" / "instances.json", content)
    dataset = read(root)
    with pytest.raises(InputError) as error:
        dataset[0]
    assert str(error.value).startswith(f"{path}: annotation 70.segmentation{expected}")


def test_missing_files(root):
    dataset = read(root)
    (root / "images" / NAMES[0]).unlink()
    with pytest.raises(MediaError, match=r"000007.jpg: no such frame"):
        dataset[0]
    with pytest.raises(InputError, match=r"refs\(google\).p: no such file"):
        read(root, split_by="google")
    (root / "refcoco" / "refs(unc).p").unlink()
    with pytest.raises(InputError, match=r"refcoco: has no refs\(unc\).p"):
        read(root)
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        RefCocoDataset(root / "nowhere", root / "images")
