"""Grounded captions: words become phrases, their masks are united."""

import copy
import pickle
from pathlib import Path

import pytest

from tests.data.builders import LEFT, RIGHT, TOP, plain_rle, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import GcgDataset, check_sample
from videoglamm_hf.data.gcg import QUESTIONS

ANNOTATIONS = {
    "videos": [
        {
            "id": 31,
            "file_names": ["v0/00000.jpg", "v0/00005.jpg"],
            "width": 6,
            "height": 4,
            "length": 2,
            "dense_cap": {"caption": "two men ride a horse", "token_pos": [4, 1, 1], "mask_id": [9, 7, 8]},
            "metadata": {"dataset": "yt19"},
        },
        {
            "file_names": ["v1/a.jpg", "v1/b.jpg", "v1/c.jpg"],
            "width": 6,
            "height": 4,
            "length": 1,
            "dense_cap": {"caption": "nothing to see", "token_pos": [], "mask_id": []},
            "dataset_split": "burst",
        },
    ],
    "annotations": [
        {"id": 7, "segmentations": [rle(LEFT), None]},
        {"id": 9, "segmentations": [None, rle(TOP), rle(TOP)]},
        {"id": 8, "segmentations": [plain_rle(RIGHT), plain_rle(TOP)]},
    ],
}


@pytest.fixture
def root(tmp_path: Path) -> Path:
    write_frames(tmp_path / "frames" / "v0", ["00000.jpg", "00005.jpg"])
    write_frames(tmp_path / "frames" / "v1", ["a.jpg"])
    write_json(tmp_path / "train.json", ANNOTATIONS)
    return tmp_path


def test_frames_that_lead_out_of_the_folder(root):
    def leave(content):
        content["videos"][0]["file_names"][1] = "../secret.jpg"

    with pytest.raises(InputError, match=r"videos\[0\].file_names\[1\].*leads out"):
        GcgDataset(changed(root, leave), root / "frames")


def changed(root: Path, change) -> Path:
    content = copy.deepcopy(ANNOTATIONS)
    change(content)
    return write_json(root / "changed.json", content)


def test_the_samples(root):
    dataset = GcgDataset(root / "train.json", root / "frames")
    assert len(dataset) == 2
    first, second = dataset[0], dataset[1]
    question = first["messages"][0]["content"][1]["text"]
    assert question in QUESTIONS
    assert first == {
        "id": "31",
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": question}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "two <p> men </p> [SEG] ride a <p> horse </p> [SEG]"}],
            },
        ],
        "video": [str(root / "frames" / "v0" / name) for name in ("00000.jpg", "00005.jpg")],
        "masks": [[rle(LEFT | RIGHT), rle(TOP)], [None, rle(TOP)]],
        "mask_frames": [0, 1],
    }
    assert second["messages"][1]["content"][0]["text"] == "nothing to see"
    assert (second["id"], second["masks"], second["mask_frames"]) == ("1", [], [0])
    assert second["video"] == [str(root / "frames" / "v1" / "a.jpg")]
    for sample in dataset:
        check_sample(sample)
    assert dataset[-1] == second and pickle.loads(pickle.dumps(dataset))[0] == first
    with pytest.raises(IndexError):
        dataset[2]


def test_questions_depend_on_seed_and_sample_alone(root):
    path = changed(root, lambda content: content["videos"].extend([content["videos"][0]] * 30))

    def asked(seed: int) -> list[str]:
        return [s["messages"][0]["content"][1]["text"] for s in GcgDataset(path, root / "frames", seed=seed)]

    assert asked(0) == asked(0) != asked(1)
    assert set(asked(0)) == set(QUESTIONS)


def test_videos_of_several_sources(root):
    write_frames(root / "elsewhere" / "v0", ["00000.jpg", "00005.jpg"])
    dataset = GcgDataset(root / "train.json", {"yt19": root / "elsewhere", "burst": root / "frames"})
    assert dataset[0]["video"][0] == str(root / "elsewhere" / "v0" / "00000.jpg")
    assert dataset[1]["video"][0] == str(root / "frames" / "v1" / "a.jpg")
    with pytest.raises(InputError, match=r"videos\[1\]: is from 'burst'; give its folder in `frames`, beside"):
        GcgDataset(root / "train.json", {"yt19": root / "elsewhere"})[1]


def set_in(*keys, to):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


CAPTION = ("videos", 0, "dense_cap")
BAD = {
    "no videos": (lambda c: c.pop("videos"), "videos: missing"),
    "video of a wrong type": (set_in("videos", 0, to=3), "videos[0]: must be an object, not int"),
    "no caption": (set_in("videos", 0, "dense_cap", to={}), "videos[0].dense_cap.caption: missing"),
    "empty caption": (set_in(*CAPTION, "caption", to=" "), "videos[0].dense_cap.caption: must have words"),
    "[SEG] in the caption": (
        set_in(*CAPTION, "caption", to="a [SEG] b c d"),
        "videos[0].dense_cap.caption: must have",
    ),
    "no such word": (set_in(*CAPTION, "token_pos", to=[5, 1, 1]), "videos[0].dense_cap.token_pos[0]: 5 is no word of"),
    "empty word": (
        set_in(*CAPTION, "caption", to="two  men ride a horse"),
        "videos[0].dense_cap.token_pos[1]: 1 is no",
    ),
    "true as a word": (set_in(*CAPTION, "token_pos", to=[True, 1, 1]), "videos[0].dense_cap.token_pos[0]: must be a"),
    "masks of no word": (set_in(*CAPTION, "token_pos", to=[4]), "videos[0].dense_cap.mask_id: 3 masks for 1 words"),
    "no such mask": (
        set_in(*CAPTION, "mask_id", to=[9, 7, 6]),
        "videos[0].dense_cap.mask_id[2]: there is no annotation 6",
    ),
    "frames missing": (set_in("videos", 1, "length", to=4), "videos[1].length: 4, but there are 3 file_names"),
    "frame of a wrong type": (set_in("videos", 0, "file_names", 1, to=None), "videos[0].file_names[1]: must be text"),
    "no height": (lambda c: c["videos"][0].pop("height"), "videos[0].height: missing"),
    "no segmentations": (lambda c: c["annotations"][1].pop("segmentations"), "annotations[1].segmentations: missing"),
    "track too short": (
        set_in("annotations", 0, "segmentations", to=[None]),
        "videos[0].dense_cap.mask_id[1]: annotation 7 has 1 masks for 2 frames",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_inconsistent_annotations(root, case):
    change, expected = BAD[case]
    path = changed(root, change)
    with pytest.raises(InputError) as error:
        GcgDataset(path, root / "frames")
    assert str(error.value).startswith(f"{path}: {expected}")


BAD_MASKS = {
    "counts": ({"size": [4, 6], "counts": "o"}, "annotations[0].segmentations[0].counts: the counts of a mask"),
    "size": (rle(LEFT.T), "annotations[0].segmentations[0].size: [6, 4], but it must be [4, 6]"),
    "polygon": ([[0, 0, 1, 1]], "annotations[0].segmentations[0]: must be {"),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks(root, case):
    mask, expected = BAD_MASKS[case]
    path = changed(root, set_in("annotations", 0, "segmentations", 0, to=mask))
    with pytest.raises(InputError) as error:
        GcgDataset(path, root / "frames")[0]
    assert str(error.value).startswith(f"{path}: {expected}")


def test_missing_files(root):
    with pytest.raises(InputError, match=r"nowhere.json: no such file"):
        GcgDataset(root / "nowhere.json", root / "frames")
    with pytest.raises(InputError, match=r"frames: cannot be read"):
        GcgDataset(root / "frames", root / "frames")
    (root / "bad.json").write_text("{")
    with pytest.raises(InputError, match=r"bad.json: not JSON: "):
        GcgDataset(root / "bad.json", root / "frames")
    with pytest.raises(InputError, match=r"list.json: must hold a JSON object, not list"):
        GcgDataset(write_json(root / "list.json", []), root / "frames")
    (root / "frames" / "v0" / "00005.jpg").unlink()
    with pytest.raises(MediaError, match=r"00005.jpg: no such frame; check the dataset's folder"):
        GcgDataset(root / "train.json", root / "frames")[0]
