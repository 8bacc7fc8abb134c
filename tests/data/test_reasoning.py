"""ReVOS and ReasonVOS: expressions that take reasoning."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.data.builders import LEFT, RIGHT, TOP, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import ReasonVOSDataset, ReVOSDataset, VideoGlammDataCollator, check_sample

FRAMES = ["00000", "00005"]


def asked(sample):
    return sample["messages"][0]["content"][1]["text"]


def answered(sample):
    return sample["messages"][1]["content"][0]["text"]


def written(path, content, change=lambda content: None):
    content = copy.deepcopy(content)
    change(content)
    return write_json(path, content)


# ReVOS

REVOS = {
    "videos": {
        "v0": {
            "expressions": {
                "0": {"exp": "the dogs", "obj_id": [0, 1], "anno_id": [3, 4], "type_id": 0},
                "1": {"exp": "Which cat sleeps?", "obj_id": [2], "anno_id": [5], "type_id": 1},
                "2": {"exp": "a flying cow", "obj_id": [], "anno_id": [], "type_id": 2},
                "3": {"exp": "the cat", "obj_id": [2], "anno_id": [5]},
            },
            "vid_id": 0,
            "frames": FRAMES,
        }
    }
}
MASK_DICT = {"3": [rle(LEFT), None], "4": [rle(TOP), rle(RIGHT)], "5": [None, rle(TOP)], "9": [None]}
FOREGROUND = {"v0": {"masks_rle": [rle(LEFT | TOP), [rle(RIGHT), rle(TOP)]], "others": 1}}


@pytest.fixture
def revos(tmp_path: Path) -> Path:
    write_frames(tmp_path / "JPEGImages" / "v0", [f"{f}.jpg" for f in FRAMES])
    write_json(tmp_path / "meta_expressions_valid_.json", REVOS)
    write_json(tmp_path / "mask_dict.json", MASK_DICT)
    write_json(tmp_path / "mask_dict_foreground.json", FOREGROUND)
    return tmp_path


def test_revos(revos):
    dataset = ReVOSDataset(revos, "valid")
    samples = list(dataset)
    assert [sample["id"] for sample in samples] == ["v0/0", "v0/1", "v0/2", "v0/3"]
    assert [sample.get("kind") for sample in samples] == ["referring", "reasoning", "robustness", None]
    assert samples[0]["masks"] == [[rle(LEFT | TOP), rle(RIGHT)]]
    assert samples[1]["masks"] == [[None, rle(TOP)]] and asked(samples[1]).startswith("Which cat sleeps? ")
    assert samples[2]["masks"] == [] and answered(samples[2]) == "There is no such object in this video."
    assert samples[0]["video"] == [str(revos / "JPEGImages" / "v0" / f"{f}.jpg") for f in FRAMES]
    assert dataset.foreground(2) == [rle(LEFT | TOP), rle(RIGHT | TOP)]
    assert dataset[-1] == samples[3] == pickle.loads(pickle.dumps(dataset))[3]
    for sample in samples:
        check_sample(sample)


def test_revos_trains(revos, processor):
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)(list(ReVOSDataset(revos, "valid")))
    assert [tuple(masks.shape) for masks in batch["mask_labels"]] == [(1, 2, 4, 6)] * 2 + [(0, 2, 4, 6), (1, 2, 4, 6)]
    assert np.array_equal(batch["mask_labels"][1][0].bool().numpy(), np.stack([LEFT & ~LEFT, TOP]))


def about(content):
    return content["videos"]["v0"]


BAD_REVOS = {
    "type": (lambda c: about(c)["expressions"]["1"].update(type_id=3), "videos.v0.expressions.1.type_id: must be 0"),
    "type as text": (lambda c: about(c)["expressions"]["1"].update(type_id="1"), "videos.v0.expressions.1.type_id: "),
    "words": (lambda c: about(c)["expressions"]["0"].pop("exp"), "videos.v0.expressions.0.exp: missing"),
    "masks": (lambda c: about(c)["expressions"]["0"].pop("anno_id"), "videos.v0.expressions.0.anno_id: missing"),
    "frame": (
        lambda c: about(c).update(frames=["../0"]),
        "videos.v0.frames: '../0' leads out of the dataset's folder",
    ),
    "absolute": (lambda c: about(c).update(frames=["/0"]), "videos.v0.frames: '/0' leads out of"),
    "video": (lambda c: c["videos"].update({"../v0": about(c)}), "videos.../v0: '../v0' leads out of"),
}


@pytest.mark.parametrize("case", BAD_REVOS)
def test_bad_revos(revos, case):
    change, expected = BAD_REVOS[case]
    path = written(revos / "meta_expressions_valid_.json", REVOS, change)
    with pytest.raises(InputError) as error:
        ReVOSDataset(revos, "valid")
    assert str(error.value).startswith(f"{path}: {expected}")


def test_files_that_revos_lacks(revos):
    with pytest.raises(InputError, match=r"meta_expressions_train_.json: no such file"):
        ReVOSDataset(revos)
    written(revos / "mask_dict_foreground.json", FOREGROUND, lambda c: c["v0"]["masks_rle"].pop())
    dataset = ReVOSDataset(revos, "valid")
    with pytest.raises(InputError, match=r"foreground.json: v0.masks_rle: 1 masks for the 2 frames of v0"):
        dataset.foreground(0)
    (revos / "mask_dict_foreground.json").unlink()
    with pytest.raises(InputError, match=r"foreground.json: no such file"):
        ReVOSDataset(revos, "valid").foreground(0)
    (revos / "JPEGImages" / "v0" / "00005.jpg").unlink()
    with pytest.raises(MediaError, match=r"00005.jpg: no such frame"):
        dataset[0]


# ReasonVOS

REASON = {
    "videos": {
        "v0": {
            "source": "MeViS",
            "frames": [0, 5],
            "is_sent": True,
            "expressions": {
                "0": {"exp_text": "Who will win the race?", "obj_id": 0},
                "1": {"exp_text": "Tell me who loses.", "obj_id": 2},
            },
        },
        "v1": {
            "source": "BURST",
            "frames": [0, 5],
            "is_sent": False,
            "expressions": {"0": {"exp_text": "the thing that cuts", "obj_id": 1}},
        },
    }
}


def write_mask(path: Path, mask: np.ndarray) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(mask.astype(np.uint8) * 255).save(path)


@pytest.fixture
def reason(tmp_path: Path) -> Path:
    for video in ("v0", "v1"):
        write_frames(tmp_path / "JPEGImages" / video, [f"{f}.jpg" for f in FRAMES])
    annotations = tmp_path / "Annotations"
    for folder, masks in {"mevis_v0_0": (LEFT, RIGHT), "mevis_v0_2": (TOP, None), "BURST_v1_1": (None, RIGHT)}.items():
        for frame, mask in zip(FRAMES, masks, strict=True):
            if mask is not None:
                write_mask(annotations / folder / f"{frame}.png", mask)
    write_json(tmp_path / "meta_expressions.json", REASON)
    return tmp_path


def test_reason_vos(reason):
    dataset = ReasonVOSDataset(reason)
    samples = list(dataset)
    assert [sample["id"] for sample in samples] == ["v0/0", "v0/1", "v1/0"]
    assert [sample["kind"] for sample in samples] == ["sentence", "sentence", "phrase"]
    assert [sample["object"] for sample in samples] == ["0", "2", "1"]
    assert [sample["masks"] for sample in samples] == [[[rle(LEFT), rle(RIGHT)]], [[rle(TOP)]], [[rle(RIGHT)]]]
    assert [sample["mask_frames"] for sample in samples] == [[0, 1], [0], [1]]
    assert all(len(sample["video"]) == 2 for sample in samples)
    assert asked(samples[1]).startswith("Tell me who loses") and asked(samples[2]).find("the thing that cuts") > 0
    assert dataset[-1] == pickle.loads(pickle.dumps(dataset))[2]
    for sample in samples:
        check_sample(sample)


BAD_REASON = {
    "source": (lambda c: about(c).pop("source"), "videos.v0.source: must be text, not NoneType"),
    "source outside": (lambda c: about(c).update(source="../x"), "videos.v0.source: '../x' leads out of"),
    "is_sent": (lambda c: about(c).update(is_sent="yes"), "videos.v0.is_sent: must be true or false"),
    "object": (lambda c: about(c)["expressions"]["1"].pop("obj_id"), "videos.v0.expressions.1.obj_id: must be"),
    "object outside": (
        lambda c: about(c)["expressions"]["1"].update(obj_id="1/../../2"),
        "videos.v0.expressions.1.obj_id: '1/../../2' leads out of",
    ),
    "words": (lambda c: about(c)["expressions"]["1"].pop("exp_text"), "videos.v0.expressions.1.exp_text: missing"),
}


@pytest.mark.parametrize("case", BAD_REASON)
def test_bad_reason_vos(reason, case):
    change, expected = BAD_REASON[case]
    path = written(reason / "meta_expressions.json", REASON, change)
    with pytest.raises(InputError) as error:
        ReasonVOSDataset(reason)
    assert str(error.value).startswith(f"{path}: {expected}")


def test_pictures_that_reason_vos_lacks(reason):
    dataset = ReasonVOSDataset(reason)
    folder = reason / "Annotations" / "mevis_v0_0"
    write_mask(folder / "00005.png", RIGHT.T)
    with pytest.raises(MediaError, match=r"00005.png is \[6, 4\], but the first is \[4, 6\]"):
        dataset[0]
    Image.new("RGB", (6, 4)).save(folder / "00005.png")
    with pytest.raises(MediaError, match=r"00005.png: a picture of mode RGB; masks are PNG files"):
        dataset[0]
    write_mask(folder / "00005.png", RIGHT)
    write_mask(folder / "00007.png", RIGHT)
    with pytest.raises(MediaError, match=r"00007.png belongs to no frame of v0"):
        dataset[0]
    for path in (reason / "Annotations" / "BURST_v1_1").iterdir():
        path.unlink()
    with pytest.raises(MediaError, match=r"BURST_v1_1: no \*.png there"):
        dataset[2]
    (reason / "JPEGImages" / "v1" / "00000.jpg").unlink()
    with pytest.raises(MediaError, match=r"v1.00000.jpg: no such frame"):
        dataset[2]
    (reason / "JPEGImages" / "v1" / "00005.jpg").unlink()
    with pytest.raises(MediaError, match=r"v1: no \*.jpg there"):
        ReasonVOSDataset(reason)
