"""ActivityNet-Entities: words of sentences with boxes in some of ten frames."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.data.builders import LEFT, TOP, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import AnetEntitiesDataset, VideoGlammDataCollator, check_sample, decode_masks

SEGMENT = {
    "tokens": ["A", "man", "rides", "a", "horse", ",", "he", "falls"],
    "process_clss": [["man", "he"], ["horse"], ["horse"], ["man"]],
    "process_idx": [[1, 6], [4], [4], [1]],
    "process_bnd_box": [[0, 0, 240, 240], [120, 0, 360, 120], [0, 0, 120, 120], [600, 0, 900, 100]],
    "frame_ind": [2, 2, 2, 7],
    "crowds": [0, 0, 0, 0],
    "timestamps": [0.5, 9.0],
}
EMPTY = {"tokens": ["Nothing", "is", "there"], "process_idx": [], "process_bnd_box": [], "frame_ind": []}
ANNOTATIONS = {
    "vocab": ["man", "horse"],
    "annotations": {
        "v_abc": {"segments": {"0": SEGMENT, "3": EMPTY}},
        "v_def": {"rwidth": 360, "rheight": 240, "segments": {"0": SEGMENT}},
    },
}
SPLITS = {"training": ["v_abc", "v_unknown"], "validation": ["v_def"]}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for segment in ("v_abc/0", "v_abc/3", "v_def/0"):
        write_frames(tmp_path / "frames" / segment, [f"{i}.png" for i in range(1, 11)])
    write_json(tmp_path / "entities.json", ANNOTATIONS)
    write_json(tmp_path / "splits.json", SPLITS)
    return tmp_path


def read(root, **options):
    return AnetEntitiesDataset(root / "entities.json", root / "frames", **options)


def answer(sample):
    return sample["messages"][1]["content"][0]["text"]


def test_the_samples(root):
    dataset = read(root)
    first, second, third = dataset
    assert [sample["id"] for sample in dataset] == ["v_abc/0", "v_abc/3", "v_def/0"]
    assert answer(first) == "A man rides a horse , he falls" and first["masks"] == []
    assert first["video"] == [str(root / "frames" / "v_abc" / "0" / f"{i}.png") for i in range(1, 11)]
    assert first["phrases"] == ["man", "horse", "he"] and first["mask_frames"] == [2, 7]
    # 720 pixels wide to 6.
    assert first["boxes"] == [
        [[[0, 0, 2, 2]], [[5, 0, 6, pytest.approx(100 / 120)]]],
        [[[1, 0, 3, 1], [0, 0, 1, 1]], []],
        [[[0, 0, 2, 2]], []],
    ]
    assert third["boxes"][0][0] == [[0, 0, 4, 4]]
    assert (second["phrases"], second["boxes"], second["mask_frames"]) == ([], [], [])
    assert answer(second) == "Nothing is there"
    assert dataset[-1] == pickle.loads(pickle.dumps(dataset))[2]
    for sample in dataset:
        check_sample(sample)


def test_splits(root):
    assert [sample["id"] for sample in read(root, split_ids=root / "splits.json")] == ["v_abc/0", "v_abc/3"]
    assert len(read(root, split_ids=root / "splits.json", split="validation")) == 1
    with pytest.raises(InputError, match=r"splits.json: testing: missing"):
        read(root, split_ids=root / "splits.json", split="testing")


def test_masks_train(root, processor):
    made = {"v_abc/0": [[rle(LEFT), rle(TOP)], [rle(TOP), None], [rle(LEFT), None]]}
    dataset = read(root, masks=write_json(root / "masks.json", made))
    samples = list(dataset)
    expected = "A <p> man </p> [SEG] rides a <p> horse </p> [SEG] , <p> he </p> [SEG] falls"
    assert answer(samples[0]) == expected and answer(samples[2]) == "A man rides a horse , he falls"
    pixels = decode_masks(samples[0]["masks"], (4, 6))
    assert np.array_equal(pixels[1], np.stack([TOP, -np.ones((4, 6), int)]))
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)(samples)
    shapes = [tuple(masks.shape) for masks in batch["mask_labels"]]
    assert [shape[0] for shape in shapes] == [3, 0, 0] and shapes[0] == (3, 2, 4, 6)


def set_in(*keys, to):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


S = ("annotations", "v_abc", "segments", "0")
WHERE = "annotations.v_abc.segments.0"
BAD = {
    "no annotations": (lambda c: c.pop("annotations"), "annotations: missing"),
    "outside": (set_in("annotations", "../v", to={}), "annotations.../v: '../v' leads out of"),
    "segment outside": (set_in(*S[:-1], "..", to=EMPTY), "annotations.v_abc.segments...: '..' leads out of"),
    "width": (set_in("annotations", "v_def", "rwidth", to=0), "annotations.v_def.rwidth: must be at least 1"),
    "no segments": (lambda c: c["annotations"]["v_abc"].pop("segments"), "annotations.v_abc.segments: missing"),
    "no tokens": (set_in(*S, "tokens", to=[]), f"{WHERE}.tokens: must have words"),
    "token": (set_in(*S, "tokens", 0, to=1), f"{WHERE}.tokens[0]: must be text, not int"),
    "counts": (set_in(*S, "frame_ind", to=[2]), f"{WHERE}.process_idx: 4 for 4 boxes and 1 of frame_ind"),
    "frame": (set_in(*S, "frame_ind", 1, to=10), f"{WHERE}.frame_ind[1]: 10 is none of the 10 frames"),
    "word": (set_in(*S, "process_idx", 1, to=[8]), f"{WHERE}.process_idx[1]: 8 is no word of the 8 tokens"),
    "word as text": (set_in(*S, "process_idx", 1, to=["4"]), f"{WHERE}.process_idx[1]: must be a whole number"),
    "box": (set_in(*S, "process_bnd_box", 1, to=[1, 2, 3]), f"{WHERE}.process_bnd_box[1]: must be four numbers"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_annotations(root, case):
    change, expected = BAD[case]
    content = copy.deepcopy(ANNOTATIONS)
    change(content)
    path = write_json(root / "entities.json", content)
    with pytest.raises(InputError) as error:
        read(root)
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_MASKS = {
    "tracks": ([[rle(LEFT), None]], "v_abc/0: 1 tracks for 3 phrases"),
    "masks": ([[rle(LEFT)]] * 3, "v_abc/0[0]: 1 masks for the 2 frames of mask_frames"),
    "size": ([[rle(LEFT.T), None]] * 3, "v_abc/0[0][0].size: [6, 4], but it must be [4, 6]"),
    "type": (3, "v_abc/0: must be a list, not int"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks(root, case):
    made, expected = BAD_MASKS[case]
    path = write_json(root / "masks.json", {"v_abc/0": made})
    with pytest.raises(InputError) as error:
        read(root, masks=path)[0]
    assert str(error.value).startswith(f"{path}: {expected}")


def test_missing_files(root):
    with pytest.raises(InputError, match=r"masks.json: none of its names is a sample of entities.json"):
        read(root, masks=write_json(root / "masks.json", {"x": []}))
    (root / "frames" / "v_abc" / "0" / "4.png").unlink()
    dataset = read(root)
    with pytest.raises(MediaError, match=r"v_abc/0: has 9 pictures, but a segment has 10 frames"):
        dataset[0]
    for path in (root / "frames" / "v_def" / "0").iterdir():
        path.unlink()
    with pytest.raises(MediaError, match=r"the folder holds no pictures"):
        dataset[2]
    (root / "frames" / "v_def" / "0").rmdir()
    with pytest.raises(MediaError, match=r"v_def/0"):
        dataset[2]
