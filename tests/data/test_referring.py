"""MeViS, Refer-YouTube-VOS and Ref-DAVIS17: one sample per expression."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from torch.utils.data import DataLoader

from tests.data.builders import LEFT, RIGHT, TOP, rle, write_frames, write_ids, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import MevisDataset, RefDavisDataset, RefYoutubeVosDataset, check_sample, decode_masks
from videoglamm_hf.data.referring import QUESTIONS

FRAMES = ["00000", "00005"]


def identity(batch):
    return batch


def expected_sample(dataset, index, name, words, video, masks, answer="It is [SEG].", **more):
    question = dataset[index]["messages"][0]["content"][1]["text"]
    assert question in [template.replace("{expression}", words) for template in QUESTIONS]
    return {
        "id": name,
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": question}]},
            {"role": "assistant", "content": [{"type": "text", "text": answer}]},
        ],
        "video": video,
        "masks": masks,
        "mask_frames": [0, 1],
        **more,
    }


# MeViS

MEVIS = {
    "videos": {
        "v0": {
            "expressions": {
                "0": {"exp": "The dogs  running away.", "obj_id": [0, 1], "anno_id": [3, 4]},
                "1": {"exp": "a {still} cat", "obj_id": [2], "anno_id": [5]},
                "2": {"exp": "a flying cow", "obj_id": [], "anno_id": []},
            },
            "vid_id": 0,
            "frames": ["00005", "00000"],
        }
    }
}
MASK_DICT = {
    "3": [rle(LEFT), None],
    "4": [rle(TOP), rle(RIGHT), None],
    "5": [None, rle(TOP)],
}


@pytest.fixture
def mevis(tmp_path: Path) -> Path:
    root = tmp_path / "train"
    write_frames(root / "JPEGImages" / "v0", [f"{f}.jpg" for f in FRAMES])
    write_json(root / "meta_expressions.json", MEVIS)
    write_json(root / "mask_dict.json", MASK_DICT)
    return root


def test_mevis(mevis):
    dataset = MevisDataset(mevis)
    video = [str(mevis / "JPEGImages" / "v0" / f"{f}.jpg") for f in FRAMES]
    assert len(dataset) == 3
    united = [[rle(LEFT | TOP), rle(RIGHT)]]
    assert dataset[0] == expected_sample(dataset, 0, "v0/0", "The dogs running away", video, united)
    assert dataset[1] == expected_sample(dataset, 1, "v0/1", "a {still} cat", video, [[None, rle(TOP)]])
    nothing = "There is no such object in this video."
    assert dataset[2] == expected_sample(dataset, 2, "v0/2", "a flying cow", video, [], nothing)
    for sample in dataset:
        check_sample(sample)
    with pytest.raises(IndexError):
        dataset[3]


def test_mevis_in_the_workers_of_a_data_loader(mevis):
    dataset = MevisDataset(mevis)
    loader = DataLoader(pickle.loads(pickle.dumps(dataset)), batch_size=2, num_workers=1, collate_fn=identity)
    assert [sample for batch in loader for sample in batch] == list(dataset)


def changed(root: Path, name: str, content: dict, change) -> None:
    content = copy.deepcopy(content)
    change(content)
    write_json(root / name, content)


def about(content: dict) -> dict:
    return content["videos"]["v0"]


BAD_EXPRESSIONS = {
    "no videos": (lambda c: c.pop("videos"), "videos: missing"),
    "video of a wrong type": (lambda c: c["videos"].update(v0=[]), "videos.v0: must be an object, not list"),
    "no frames": (lambda c: about(c).pop("frames"), "videos.v0.frames: missing"),
    "empty frames": (lambda c: about(c).update(frames=[]), "videos.v0.frames: is empty"),
    "frame of a wrong type": (lambda c: about(c).update(frames=[0]), "videos.v0.frames: must be text, not int"),
    "no words": (lambda c: about(c)["expressions"]["1"].update(exp=" . "), "videos.v0.expressions.1.exp: is empty"),
    "no expression": (lambda c: about(c)["expressions"]["1"].pop("exp"), "videos.v0.expressions.1.exp: missing"),
    "no annotation": (
        lambda c: about(c)["expressions"]["1"].pop("anno_id"),
        "videos.v0.expressions.1.anno_id: missing",
    ),
    "unknown annotation": (
        lambda c: about(c)["expressions"]["1"].update(anno_id=[9]),
        "videos.v0.expressions.1.anno_id: 9 is not in mask_dict.json",
    ),
}


@pytest.mark.parametrize("case", BAD_EXPRESSIONS)
def test_bad_expressions(mevis, case):
    change, expected = BAD_EXPRESSIONS[case]
    changed(mevis, "meta_expressions.json", MEVIS, change)
    with pytest.raises(InputError) as error:
        MevisDataset(mevis)
    assert str(error.value).startswith(f"{mevis / 'meta_expressions.json'}: {expected}")


def test_bad_masks_of_mevis(mevis):
    changed(mevis, "mask_dict.json", MASK_DICT, lambda c: c.update({"3": [None]}))
    with pytest.raises(InputError, match=r"mask_dict.json: 3: 1 masks for the 2 frames of v0"):
        MevisDataset(mevis)
    changed(mevis, "mask_dict.json", MASK_DICT, lambda c: c.update({"3": [rle(LEFT.T), None]}))
    with pytest.raises(InputError, match=r"mask_dict.json: 4\[0\].size: \[4, 6\], but it must be \[6, 4\]"):
        MevisDataset(mevis)[0]
    changed(mevis, "mask_dict.json", MASK_DICT, lambda c: c.update({"5": [None, {"size": [4, 6], "counts": "o"}]}))
    dataset = MevisDataset(mevis)
    assert dataset[0]["masks"]
    with pytest.raises(InputError, match=r"mask_dict.json: 5\[1\].counts: .* cut short"):
        dataset[1]


def test_missing_files_of_mevis(mevis):
    with pytest.raises(InputError, match="no such folder"):
        MevisDataset(mevis / "nowhere")
    (mevis / "JPEGImages" / "v0" / "00005.jpg").unlink()
    with pytest.raises(MediaError, match=r"00005.jpg: no such frame"):
        MevisDataset(mevis)[0]
    (mevis / "mask_dict.json").unlink()
    with pytest.raises(InputError, match=r"mask_dict.json: no such file; give a split with masks, train or valid_u"):
        MevisDataset(mevis)


# Refer-YouTube-VOS and Ref-DAVIS17

YTVOS = {
    "videos": {
        "v0": {
            "expressions": {
                "0": {"exp": "a man on the left", "obj_id": "1"},
                "1": {"exp": "a dog", "obj_id": "2"},
                "2": {"exp": "the dog", "obj_id": "2"},
            },
            "frames": FRAMES,
        }
    }
}


@pytest.fixture
def ytvos(tmp_path: Path) -> Path:
    write_frames(tmp_path / "train" / "JPEGImages" / "v0", [f"{f}.jpg" for f in (*FRAMES, "00010")])
    annotations = tmp_path / "train" / "Annotations" / "v0"
    write_ids(annotations / "00000.png", LEFT * 1 + RIGHT * 2)
    write_ids(annotations / "00005.png", TOP * 2)
    write_json(tmp_path / "meta_expressions" / "train" / "meta_expressions.json", YTVOS)
    return tmp_path


def test_ref_youtube_vos(ytvos):
    dataset = RefYoutubeVosDataset(ytvos)
    video = [str(ytvos / "train" / "JPEGImages" / "v0" / f"{f}.jpg") for f in FRAMES]
    assert len(dataset) == 3
    assert dataset[0] == expected_sample(dataset, 0, "v0/0", "a man on the left", video, [[rle(LEFT), None]])
    assert dataset[1] == expected_sample(dataset, 1, "v0/1", "a dog", video, [[rle(RIGHT), rle(TOP)]])
    assert np.array_equal(decode_masks(dataset[1]["masks"], (4, 6))[0], np.stack([RIGHT, TOP]))
    for sample in pickle.loads(pickle.dumps(dataset)):
        check_sample(sample)


def test_the_wording_depends_on_seed_and_sample_alone(ytvos):
    path = ytvos / "meta_expressions" / "train"
    many = {str(i): {"exp": "a dog", "obj_id": 2} for i in range(40)}
    changed(path, "meta_expressions.json", YTVOS, lambda c: about(c).update(expressions=many))

    def asked(seed: int) -> list[str]:
        return [s["messages"][0]["content"][1]["text"] for s in RefYoutubeVosDataset(ytvos, seed=seed)]

    assert asked(0) == asked(0) != asked(1)
    assert len(set(asked(0))) == len(QUESTIONS)


@pytest.mark.parametrize("number", ["0", "256", "dog", 1.5, [1], True])
def test_bad_object_numbers(ytvos, number):
    path = ytvos / "meta_expressions" / "train"
    changed(path, "meta_expressions.json", YTVOS, lambda c: about(c)["expressions"]["1"].update(obj_id=number))
    with pytest.raises(InputError, match=r"videos.v0.expressions.1.obj_id: must be the number of an object, 1 to 255"):
        RefYoutubeVosDataset(ytvos)


def test_a_split_without_masks(ytvos):
    path = ytvos / "meta_expressions" / "train"
    changed(path, "meta_expressions.json", YTVOS, lambda c: about(c)["expressions"]["1"].pop("obj_id"))
    with pytest.raises(InputError, match=r"expressions.1.obj_id: missing; give a split that is published with masks"):
        RefYoutubeVosDataset(ytvos)
    with pytest.raises(InputError, match=r"valid: no such folder; check the path and the layout"):
        RefYoutubeVosDataset(ytvos, "valid")


def test_bad_annotation_pictures(ytvos):
    path = ytvos / "train" / "Annotations" / "v0" / "00005.png"
    dataset = RefYoutubeVosDataset(ytvos)
    write_ids(path, np.zeros((4, 7), np.uint8))
    with pytest.raises(MediaError, match=r"00005.png: is \[4, 7\], but the first of the video is \[4, 6\]"):
        dataset[0]
    Image.new("RGB", (6, 4)).save(path)
    with pytest.raises(
        MediaError, match=r"00005.png: a picture of mode RGB; annotations are PNG files with a palette"
    ):
        dataset[0]
    path.write_text("no picture")
    with pytest.raises(MediaError, match=r"00005.png: not a picture"):
        dataset[0]
    path.write_bytes((path.parent / "00000.png").read_bytes()[:60])
    with pytest.raises(MediaError, match=r"00005.png: "):
        dataset[0]
    path.unlink()
    with pytest.raises(MediaError, match=r"00005.png: no such file; check the path"):
        dataset[0]


def test_grey_annotation_pictures_hold_object_numbers_too(ytvos):
    Image.fromarray((TOP * 1).astype(np.uint8)).save(ytvos / "train" / "Annotations" / "v0" / "00005.png")
    assert RefYoutubeVosDataset(ytvos)[0]["masks"] == [[rle(LEFT), rle(TOP)]]


def test_ref_davis_says_whose_expression_it_is(ytvos):
    path = ytvos / "meta_expressions" / "train"
    objects = ["1"] * 4 + ["2"] * 4
    many = {str(i): {"exp": f"thing {i}", "obj_id": number} for i, number in enumerate(objects)}
    changed(path, "meta_expressions.json", YTVOS, lambda c: about(c).update(expressions=many))
    dataset = RefDavisDataset(ytvos, "train")
    video = [str(ytvos / "train" / "JPEGImages" / "v0" / f"{f}.jpg") for f in FRAMES]
    masks = [[rle(RIGHT), rle(TOP)]]
    assert dataset[5] == expected_sample(dataset, 5, "v0/5", "thing 5", video, masks, annotator=1)
    assert [sample["annotator"] for sample in dataset] == [0, 1, 2, 3] * 2
    assert dataset[-1]["annotator"] == 3
    for sample in pickle.loads(pickle.dumps(dataset)):
        check_sample(sample)
