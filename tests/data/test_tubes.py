"""VidSTG and HC-STVG: boxes and moments of sentences, with masks where they were made."""

import copy
import pickle
import re
from pathlib import Path

import numpy as np
import pytest

from tests.data.builders import LEFT, RIGHT, TOP, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import HcStvgDataset, VideoGlammDataCollator, VidStgDataset, check_sample
from videoglamm_hf.data.tube_frames import taken_frames
from videoglamm_hf.data.tubes import ASKED
from videoglamm_hf.render.video_encoding import write_mp4

COUNT = 12


def text(sample, turn):
    return sample["messages"][turn]["content"][-1]["text"]


def set_in(*keys, to):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


def written(path, content, change=lambda content: None):
    content = copy.deepcopy(content)
    change(content)
    return write_json(path, content)


def test_the_frames_that_are_taken():
    assert taken_frames(0, 10, 3, 40) == [0, 3, 6, 9]
    assert taken_frames(1, 10, 3, 40) == [1, 3, 6, 9]
    assert taken_frames(0, 4, 0.5, 40) == [0, 1, 2, 3]
    assert taken_frames(0, 10, 1, 4) == [0, 2, 5, 7]
    assert taken_frames(5, 6, 30, 40) == [5]


# VidSTG

VIDSTG = [
    {
        "vid": "101",
        "fps": 3,
        "frame_count": COUNT,
        "width": 6,
        "height": 4,
        "used_segment": {"begin_fid": 0, "end_fid": 12},
        "subject/objects": [{"tid": 0, "category": "adult"}, {"tid": 1, "category": "ball"}],
        "used_relation": {"subject_tid": 0, "object_tid": 1, "predicate": "watch", "begin_fid": 3, "end_fid": 7},
        "temporal_gt": {"begin_fid": 3, "end_fid": 7},
        "captions": [{"description": "the adult watches  a ball.", "type": "person", "target_id": 0}],
        "questions": [{"description": "what does the adult watch?", "type": "object", "target_id": 1}],
    },
    {
        "vid": "101",
        "fps": 3,
        "frame_count": COUNT,
        "width": 6,
        "height": 4,
        "used_segment": {"begin_fid": 2, "end_fid": 8},
        "temporal_gt": {"begin_fid": 4, "end_fid": 5},
        "captions": [{"description": "a ball is there", "type": "object", "target_id": 1}],
        "questions": [],
    },
]
VIDOR = {
    "video_id": "101",
    "video_path": "0000/101.mp4",
    "trajectories": [
        [
            {"tid": tid, "bbox": {"xmin": i + tid, "ymin": 0, "xmax": i + 2 + tid, "ymax": 2}, "generated": 0}
            for tid in (0, 1)
        ]
        for i in range(COUNT)
    ],
}


@pytest.fixture
def vidstg(tmp_path: Path) -> Path:
    write_frames(tmp_path / "frames" / "101", [f"{i}.png" for i in range(COUNT)])
    write_json(tmp_path / "vidor" / "training" / "0000" / "101.json", VIDOR)
    write_json(tmp_path / "train_annotations.json", VIDSTG)
    return tmp_path


def vidstg_of(root, videos="frames", **options):
    return VidStgDataset(root / "train_annotations.json", root / "vidor", root / videos, **options)


def test_vidstg(vidstg):
    dataset = vidstg_of(vidstg)
    samples = list(dataset)
    assert [sample["id"] for sample in samples] == ["101/0", "101/1", "101/2"]
    assert [sample["kind"] for sample in samples] == ["interrogative", "declarative", "declarative"]
    assert [told.text for told in dataset.expressions][:2] == [
        "what does the adult watch?",
        "the adult watches a ball",
    ]
    taken = [str(vidstg / "frames" / "101" / f"{i}.png") for i in (0, 3, 6, 9)]
    assert samples[0]["video"] == taken and samples[0]["mask_frames"] == [0, 1, 2, 3]
    # The object's boxes, within the picture, in the moment only.
    assert samples[0]["boxes"] == [None, [4, 0, 6, 2], [6, 0, 6, 2], None]
    assert samples[1]["boxes"] == [None, [3, 0, 5, 2], [6, 0, 6, 2], None]
    assert [sample["moment"] for sample in samples] == [[1, 2], [1, 2], None]
    assert [text(sample, 1) for sample in samples] == [
        "It is in frames:(1,2).",
        "It is in frames:(1,2).",
        "It is in none of these frames.",
    ]
    assert text(samples[0], 0) in [
        asked.replace("{expression}", "what does the adult watch?") for asked in ASKED["interrogative", False]
    ]
    assert all(sample["masks"] == [] for sample in samples)
    assert dataset[-1] == pickle.loads(pickle.dumps(dataset))[2]
    for sample in samples:
        check_sample(sample)


def test_the_moment_that_is_given(vidstg):
    sample = vidstg_of(vidstg, fps=3, moment_given=True)[0]
    assert len(sample["video"]) == 4 and sample["moment"] == [0, 3] and None not in sample["boxes"]
    assert len(vidstg_of(vidstg, fps=3, max_frames=5)[0]["boxes"]) == 5


def test_vidstg_with_masks_trains(vidstg, processor):
    made = {"101/0": [None, rle(LEFT), rle(RIGHT), None], "101/2": [None, rle(LEFT)]}
    dataset = vidstg_of(vidstg, masks=write_json(vidstg / "masks.json", made))
    samples = list(dataset)
    assert [text(sample, 1) for sample in samples][:2] == ["It is [SEG] in frames:(1,2).", "It is in frames:(1,2)."]
    assert re.search(r"frames:\((\d+),(\d+)\)", text(samples[0], 1)).groups() == ("1", "2")
    # Nothing is to be seen in a moment without frames.
    assert samples[2]["masks"] == []
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)(samples)
    assert [tuple(masks.shape) for masks in batch["mask_labels"]] == [(1, 4, 4, 6), (0, 4, 4, 6), (0, 3, 4, 6)]
    assert np.array_equal(batch["mask_labels"][0][0, 1].bool().numpy(), LEFT)


def test_a_video_file_keeps_its_numbers(vidstg, processor):
    folder = vidstg / "videos" / "0000"
    folder.mkdir(parents=True)
    write_mp4(folder / "101.mp4", np.zeros((COUNT, 4, 6, 3), np.uint8), fps=3)
    made = {"101/0": [None, rle(LEFT), rle(TOP), None]}
    dataset = vidstg_of(vidstg, "videos", masks=write_json(vidstg / "masks.json", made))
    assert dataset[0]["video"] == str(folder / "101.mp4") and dataset[0]["mask_frames"] == [0, 3, 6, 9]
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)([dataset[0]])
    assert tuple(batch["mask_labels"][0].shape) == (1, 4, 4, 6) and len(batch["grounding_frames"][0]) == 4


BAD_VIDSTG = {
    "a text": (set_in(0, to="x"), "[0]: must be an object, not str"),
    "no video": (lambda c: c[0].pop("vid"), "[0].vid: missing"),
    "outside": (set_in(0, "vid", to="../101"), "[0].vid: '../101' leads out of"),
    "no rate": (set_in(0, "fps", to=0), "[0].fps: must be the number of frames per second"),
    "no width": (set_in(0, "width", to=0), "[0].width: must be at least 1"),
    "no moment": (lambda c: c[0].pop("temporal_gt"), "[0].temporal_gt: missing"),
    "empty moment": (set_in(0, "temporal_gt", "end_fid", to=3), "[0].temporal_gt: from frame 3 to before 3, but"),
    "late": (
        set_in(0, "used_segment", "end_fid", to=13),
        "[0].used_segment: from frame 0 to before 13, but",
    ),
    "endless": (set_in(0, "frame_count", to=10**12), "[0].used_segment: the video has 1000000000000 frames"),
    "fraction": (set_in(0, "temporal_gt", "end_fid", to=3.5), "[0].temporal_gt.end_fid: must be a whole number"),
    "no captions": (lambda c: c[0].pop("captions"), "[0].captions: missing"),
    "no words": (set_in(0, "captions", 0, "description", to="."), "[0].captions[0].description: is empty"),
    "no object": (lambda c: c[0]["questions"][0].pop("target_id"), "[0].questions[0].target_id: missing"),
}


@pytest.mark.parametrize("case", BAD_VIDSTG)
def test_bad_vidstg(vidstg, case):
    change, expected = BAD_VIDSTG[case]
    path = written(vidstg / "train_annotations.json", VIDSTG, change)
    with pytest.raises(InputError) as error:
        vidstg_of(vidstg)
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_VIDOR = {
    "no trajectories": (lambda c: c.pop("trajectories"), "trajectories: missing"),
    "too few": (
        lambda c: c["trajectories"].pop() and c["trajectories"].__delitem__(slice(3, None)),
        "trajectories[3]: ",
    ),
    "no such object": (set_in("trajectories", 3, to=[]), "trajectories[3]: has no box of object 1, which "),
    "a text": (set_in("trajectories", 3, to="x"), "trajectories[3]: must be a list, not str"),
    "no number": (lambda c: c["trajectories"][3][0].pop("tid"), "trajectories[3].tid: missing"),
    "no corner": (lambda c: c["trajectories"][3][1]["bbox"].pop("xmax"), "trajectories[3].bbox: must be four numbers"),
    "not a number": (
        set_in("trajectories", 3, 1, "bbox", "xmax", to=float("nan")),
        "trajectories[3].bbox: must be four numbers",
    ),
}


@pytest.mark.parametrize("case", BAD_VIDOR)
def test_bad_boxes(vidstg, case):
    change, expected = BAD_VIDOR[case]
    path = written(vidstg / "vidor" / "training" / "0000" / "101.json", VIDOR, change)
    dataset = vidstg_of(vidstg)
    with pytest.raises(InputError) as error:
        dataset[0]
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_MASKS = {
    "count": ([None], "101/0: 1 masks for 4 frames; make them for the same frames"),
    "type": ({}, "101/0: must be a list, not dict"),
    "size": ([None, rle(LEFT.T), None, None], "101/0[1].size: [6, 4], but it must be [4, 6]"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks(vidstg, case):
    made, expected = BAD_MASKS[case]
    path = write_json(vidstg / "masks.json", {"101/0": made})
    with pytest.raises(InputError) as error:
        vidstg_of(vidstg, masks=path)[0]
    assert str(error.value).startswith(f"{path}: {expected}")


def test_masks_of_other_samples_and_bad_options(vidstg):
    path = write_json(vidstg / "masks.json", {"102/0": []})
    with pytest.raises(InputError, match=r"masks.json: none of its names is a sample of train_annotations.json, as"):
        vidstg_of(vidstg, masks=path)
    for options in ({"fps": 0}, {"fps": float("nan")}, {"max_frames": 0}):
        with pytest.raises(InputError, match="give at least one frame"):
            vidstg_of(vidstg, **options)


def test_files_that_vidstg_lacks(vidstg):
    (vidstg / "frames" / "101" / "11.png").unlink()
    assert vidstg_of(vidstg)[0]
    (vidstg / "frames" / "101" / "5.png").rename(vidstg / "frames" / "5.png")
    (vidstg / "frames" / "101" / "7.png").unlink()
    with pytest.raises(MediaError, match=r"101: has 9 pictures, but not frame 9; extract every frame"):
        vidstg_of(vidstg)[0]
    (vidstg / "vidor" / "101.json").write_text("{}")
    with pytest.raises(InputError, match=r"vidor: has .*101.json and .*101.json; of two of one name remove one"):
        vidstg_of(vidstg)
    for name in ("101.json", "training/0000/101.json"):
        (vidstg / "vidor" / name).unlink()
    with pytest.raises(MediaError, match=r"vidor: has no 101 \(1 of 1 missing\)"):
        vidstg_of(vidstg)
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        vidstg_of(vidstg, "nowhere")


# HC-STVG

BOXES = [[i, 1, 2, 2] for i in range(4)]
V1 = {"bbox": BOXES, "st_time": 5.0, "ed_time": 12.0, "img_num": 12, "st_frame": 4}
HC_STVG = {
    "1_abc.mp4": {**V1, "caption": "The woman turns.", "width": 6, "height": 4},
    "2_def.mkv": {**V1, "English": "The man sits", "img_size": [4, 6], "bbox": [*BOXES, *BOXES, BOXES[0]]},
}


@pytest.fixture
def hc_stvg(tmp_path: Path) -> Path:
    for part, video in (("0", "1_abc"), ("1", "2_def")):
        write_frames(tmp_path / "Video" / part / video, [f"{i:03}.png" for i in range(COUNT)])
    write_json(tmp_path / "val_v2.json", HC_STVG)
    return tmp_path


def hc_stvg_of(root, **options):
    return HcStvgDataset(root / "val_v2.json", root / "Video", **{"fps": 0.3, **options})


def test_hc_stvg(hc_stvg):
    dataset = hc_stvg_of(hc_stvg)
    first, second = dataset
    assert (first["id"], second["id"]) == ("1_abc/0", "2_def/0")
    assert first["video"] == [str(hc_stvg / "Video" / "0" / "1_abc" / f"{i:03}.png") for i in (0, 2, 4, 6, 8, 10)]
    assert first["boxes"] == [None, None, [0, 1, 2, 3], [2, 1, 4, 3], None, None] and first["moment"] == [2, 3]
    assert second["moment"] == [2, 5] and text(second, 1) == "It is in frames:(2,5)."
    assert first["kind"] == second["kind"] == "declarative"
    assert "The woman turns" in text(first, 0) and "The man sits" in text(second, 0)
    given = hc_stvg_of(hc_stvg, fps=0.6, moment_given=True)
    assert given[0]["moment"] == [0, 3] and given[0]["boxes"] == [[i, 1, i + 2, 3] for i in range(4)]
    # A box for the frame after the last, where frames were counted from 1, is left out.
    assert given[1]["moment"] == [0, 7]
    assert dataset[-1] == pickle.loads(pickle.dumps(dataset))[1]
    for sample in (first, second):
        check_sample(sample)


def test_hc_stvg_trains_with_and_without_masks(hc_stvg, processor):
    made = write_json(hc_stvg / "masks.json", {"1_abc/0": [None, None, rle(LEFT), rle(RIGHT), None, None]})
    samples = list(hc_stvg_of(hc_stvg, masks=made))
    assert [text(sample, 1) for sample in samples] == ["It is [SEG] in frames:(2,3).", "It is in frames:(2,5)."]
    batch = VideoGlammDataCollator(processor, num_mask_frames=None)(samples)
    assert [tuple(masks.shape) for masks in batch["mask_labels"]] == [(1, 6, 4, 6), (0, 6, 4, 6)]


V = "1_abc.mp4"
BAD_HC_STVG = {
    "a list": (set_in(V, to=[]), "1_abc.mp4: must be an object, not list"),
    "outside": (lambda c: c.update({"../x.mp4": c[V]}), "../x.mp4: '../x.mp4' leads out of"),
    "no boxes": (lambda c: c[V].pop("bbox"), "1_abc.mp4.bbox: missing"),
    "empty": (set_in(V, "bbox", to=[]), "1_abc.mp4.bbox: from frame 4 to before 4, but the video has"),
    "too late": (set_in(V, "st_frame", to=10), "1_abc.mp4.bbox: from frame 10 to before 14, but the video has"),
    "no start": (lambda c: c[V].pop("st_frame"), "1_abc.mp4.st_frame: missing"),
    "no caption": (lambda c: c[V].pop("caption"), "1_abc.mp4.caption: missing"),
    "no height": (lambda c: c[V].pop("height"), "1_abc.mp4.height: missing"),
    "size": (set_in(V, "img_size", to=[4]), "1_abc.mp4.img_size: must be two whole numbers of pixels"),
    "one name": (lambda c: c.update({"1_abc.mkv": c[V]}), "two videos have one name without suffix"),
}


@pytest.mark.parametrize("case", BAD_HC_STVG)
def test_bad_hc_stvg(hc_stvg, case):
    change, expected = BAD_HC_STVG[case]
    path = written(hc_stvg / "val_v2.json", HC_STVG, change)
    with pytest.raises(InputError) as error:
        hc_stvg_of(hc_stvg)
    assert str(error.value).startswith(f"{path}: {expected}")


def test_bad_boxes_and_missing_videos_of_hc_stvg(hc_stvg):
    path = written(hc_stvg / "val_v2.json", HC_STVG, set_in(V, "bbox", 2, to=[1, 2, "3", 4]))
    with pytest.raises(InputError) as error:
        hc_stvg_of(hc_stvg)[0]
    assert str(error.value).startswith(f"{path}: 1_abc.mp4.bbox[2]: must be four numbers")
    written(hc_stvg / "val_v2.json", HC_STVG, lambda c: c.update({"3_x.mp4": c[V]}))
    with pytest.raises(MediaError, match=r"Video: has no 3_x \(1 of 3 missing\)"):
        hc_stvg_of(hc_stvg)
