"""GranD-f: pictures with grounded captions, in the three layouts of its files."""

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

from tests.data.builders import LEFT, RIGHT, TOP, plain_rle, rle, write_frames, write_json
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import GrandFDataset, VideoGlammDataCollator, check_sample, decode_masks
from videoglamm_hf.data.grounded_captions import trimmed_spans

CAPTION = "A man rides a horse"
HUMAN = [
    {
        "file_name": "a.jpg",
        "image_id": 1,
        "caption": f'"{CAPTION}"',
        "groundings": {
            "a horse": {"token_positives": [12, 19], "rle_masks": [rle(TOP)]},
            "A man": {"token_positives": [0, 5], "rle_masks": [rle(LEFT), [plain_rle(RIGHT)]]},
        },
    },
    {"file_name": "b.jpg", "image_id": 2, "caption": "Nothing", "groundings": {}},
]
REFERENCES = [
    {
        "7": {
            "img_file_name": "a.jpg",
            "caption": CAPTION,
            "refs": [
                {"sentence": "a horse", "segmentation": [[0, 0, 6, 0, 6, 1, 0, 1]]},
                {"sentence": "A man", "segmentation": [[0, 0, 2, 0, 2, 4, 0, 4], [4, 0, 6, 0, 6, 4, 4, 4]]},
                {"sentence": "a dog", "segmentation": [[0, 0, 1, 0, 1, 1]]},
            ],
        }
    }
]
FLICKR = {
    "images": [{"id": 5, "file_name": "a.jpg", "caption": CAPTION, "height": 4, "width": 6}],
    "annotations": [
        {"id": 1, "image_id": 5, "bbox": [0, 0, 6, 1], "area": 6, "tokens_positive": [[12, 19]], "sam_mask": rle(TOP)},
        {"id": 2, "image_id": 5, "tokens_positive": [[0, 5]], "sam_mask": rle(LEFT | RIGHT)},
        {"id": 3, "image_id": 5, "tokens_positive": [[6, 11]], "sam_mask": rle(LEFT), "ignore": 1},
    ],
}
LAYOUTS = {"human": HUMAN, "references": REFERENCES, "flickr": FLICKR}


@pytest.fixture
def read(tmp_path: Path):
    write_frames(tmp_path / "images", ["a.jpg", "b.jpg"])

    def dataset(content):
        return GrandFDataset(write_json(tmp_path / "train.json", content), tmp_path / "images")

    return dataset


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_samples(read, layout, tmp_path):
    dataset = read(LAYOUTS[layout])
    sample = dataset[0]
    man = "a man" if layout == "references" else "A man"
    assert sample["messages"][1]["content"][0]["text"] == f"<p> {man} </p> [SEG] rides <p> a horse </p> [SEG]"
    assert sample["messages"][0]["content"][0] == {"type": "image"}
    assert sample["image"] == str(tmp_path / "images" / "a.jpg") and sample["id"] == "a/0"
    assert sample["mask_frames"] == [0]
    assert np.array_equal(decode_masks(sample["masks"], (4, 6))[:, 0], np.stack([LEFT | RIGHT, TOP]))
    assert pickle.loads(pickle.dumps(dataset))[0] == sample
    for other in dataset:
        check_sample(other)


def test_a_caption_without_groundings_and_training(read, processor):
    dataset = read(HUMAN)
    assert dataset[-1]["masks"] == [] and dataset[1]["messages"][1]["content"][0]["text"] == "Nothing"
    batch = VideoGlammDataCollator(processor)(list(dataset))
    assert [tuple(masks.shape) for masks in batch["mask_labels"]] == [(2, 1, 4, 6), (0, 1, 4, 6)]


def test_spans_that_overlap():
    text = "the red car there"
    assert trimmed_spans([(4, 11), (8, 11)], text) == [(4, 7), (8, 11)]
    assert trimmed_spans([(8, 11), (0, 11)], text) == [(8, 11), (0, 7)]
    assert trimmed_spans([(4, 7), (4, 7)], text) == [None, (4, 7)]
    assert trimmed_spans([(3, 8)], text) == [(4, 7)]


def set_in(*keys, to):
    def change(content):
        for key in keys[:-1]:
            content = content[key]
        content[keys[-1]] = to

    return change


MAN = (0, "groundings", "A man")
BAD = {
    "entry": ("human", set_in(0, to="x"), "[0]: must be an object, not str"),
    "no caption": ("human", lambda c: c[0].pop("caption"), "[0].caption: missing"),
    "empty caption": ("human", set_in(0, "caption", to='" "'), "[0].caption: must have words"),
    "[SEG]": ("human", set_in(0, "caption", to="a [SEG]"), "[0].caption: must have words, and no [SEG]"),
    "outside": ("human", set_in(0, "file_name", to="/a.jpg"), "[0].file_name: '/a.jpg' leads out of"),
    "span": ("human", set_in(*MAN, "token_positives", to=[0, 20]), "[0].groundings.A man: its span [0, 20] is not in"),
    "words": ("human", set_in(*MAN, "token_positives", to=["0", 5]), "[0].groundings.A man: its span ['0', 5] is"),
    "no masks": ("human", lambda c: c[0]["groundings"]["A man"].pop("rle_masks"), "[0].groundings.A man.rle_masks: m"),
    "no references": ("references", lambda c: c[0]["7"].pop("refs"), "[0].7.refs: missing"),
    "no sentence": ("references", lambda c: c[0]["7"]["refs"][1].pop("sentence"), "[0].7.refs[1].sentence: missing"),
    "twice": ("flickr", lambda c: c["images"].append(c["images"][0]), "images[1].id: 5 is there twice"),
    "no picture": (
        "flickr",
        set_in("annotations", 1, "image_id", to=6),
        "annotations[1].image_id: there is no image 6",
    ),
    "no span": (
        "flickr",
        set_in("annotations", 1, "tokens_positive", to=[]),
        "annotations[1].tokens_positive[0]: must",
    ),
    "no mask": ("flickr", lambda c: c["annotations"][1].pop("sam_mask"), "annotations[1].sam_mask: missing"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_annotations(read, tmp_path, case):
    layout, change, expected = BAD[case]
    content = copy.deepcopy(LAYOUTS[layout])
    change(content)
    with pytest.raises(InputError) as error:
        read(content)
    assert str(error.value).startswith(f"{tmp_path / 'train.json'}: {expected}")


BAD_MASKS = {
    "size": ("human", set_in(*MAN, "rle_masks", 0, to=rle(LEFT.T)), "[0].groundings.A man.rle_masks[0].size: [6, 4],"),
    "polygon": (
        "references",
        set_in(0, "7", "refs", 1, "segmentation", 0, to=[1, 2]),
        "[0].7.refs[1].segmentation[0][0]: must be at least three points",
    ),
    "counts": (
        "flickr",
        set_in("annotations", 1, "sam_mask", "counts", to="o"),
        "annotations[1].sam_mask[0].counts: ",
    ),
}


@pytest.mark.parametrize("case", BAD_MASKS)
def test_bad_masks(read, tmp_path, case):
    layout, change, expected = BAD_MASKS[case]
    content = copy.deepcopy(LAYOUTS[layout])
    change(content)
    dataset = read(content)
    with pytest.raises(InputError) as error:
        dataset[0]
    assert str(error.value).startswith(f"{tmp_path / 'train.json'}: {expected}")


def test_missing_files(read, tmp_path):
    dataset = read(HUMAN)
    (tmp_path / "images" / "a.jpg").write_text("no picture")
    with pytest.raises(MediaError, match=r"a.jpg: not a picture"):
        dataset[0]
    (tmp_path / "images" / "a.jpg").unlink()
    with pytest.raises(MediaError, match=r"a.jpg: no such frame"):
        dataset[0]
    with pytest.raises(InputError, match=r"train.json: must hold a JSON object or list, not int"):
        read(3)
    with pytest.raises(InputError, match=r"nowhere: no such folder"):
        GrandFDataset(tmp_path / "train.json", tmp_path / "nowhere")
