"""What samples look like to those who train and evaluate."""

import pickle

import numpy as np
import pytest

from videoglamm_hf.errors import InputError
from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset, demo_clip


def test_a_sample_is_a_conversation_with_masks():
    sample = ShapesWorldDataset("train", "referring", seed=3)[0]
    user, assistant = sample["messages"]
    assert (user["role"], assistant["role"]) == ("user", "assistant")
    assert user["content"][0] == {"type": "video"}
    name = f"{sample['target']['colour']} {sample['target']['shape']}"
    assert f"the {name}" in user["content"][1]["text"]
    assert assistant["content"] == [{"type": "text", "text": f"It is <p> the {name} </p> [SEG]."}]
    assert sample["video"].shape == (8, 96, 96, 3) and sample["video"].dtype == np.uint8
    assert sample["video"].flags.c_contiguous
    assert sample["masks"].shape == (1, 8, 96, 96) and sample["masks"].dtype == bool
    assert sample["mask_frames"] == list(range(8))
    assert sample["phrases"] == [f"the {name}"]
    assert (sample["kind"], sample["split"], sample["index"]) == ("referring", "train", 0)
    [[index]] = sample["target"]["objects"]
    assert sample["objects"][index] == {"colour": sample["target"]["colour"], "shape": sample["target"]["shape"]}


def test_frames_without_the_object_are_marked():
    dataset = ShapesWorldDataset(kind="referring", length=100, config=ShapesWorldConfig(enter_leave_rate=0.5))
    marked = 0
    for sample in dataset:
        empty = sample["masks"].sum((2, 3)) == 0
        assert sample["fully_hidden"].shape == (1, 8)
        assert np.array_equal(sample["fully_hidden"], empty)
        marked += int(empty.any())
    assert marked > 5


def test_several_questions_of_one_clip_are_lists():
    one = ShapesWorldDataset(seed=5)[2]
    several = ShapesWorldDataset(seed=5, questions_per_clip=3)[2]
    assert np.array_equal(several["video"], one["video"])
    for key in ("messages", "masks", "kind", "phrases", "target", "fully_hidden"):
        assert len(several[key]) == 3
    assert several["messages"][0] == one["messages"]
    for messages, masks in zip(several["messages"], several["masks"], strict=True):
        assert messages[1]["content"][0]["text"].count("[SEG]") == len(masks)


def test_one_mask_joins_all_of_a_sort():
    for sample in ShapesWorldDataset("held_out", "all_of", length=20):
        assert len(sample["masks"]) == 1
        [group] = sample["target"]["objects"]
        assert len(group) > 1
        assert sample["messages"][1]["content"][0]["text"] == f"They are <p> {sample['target']['words']} </p> [SEG]."


def test_it_is_a_map_of_its_length():
    dataset = ShapesWorldDataset(length=3)
    assert len(dataset) == 3 and len(list(dataset)) == 3
    for index in (3, -4):
        with pytest.raises(IndexError, match="3 samples"):
            dataset[index]
    assert dataset[np.int64(1)]["index"] == 1


def test_it_travels_to_worker_processes():
    dataset = pickle.loads(pickle.dumps(ShapesWorldDataset("held_out", "size", seed=9)))
    assert np.array_equal(dataset[4]["video"], ShapesWorldDataset("held_out", "size", seed=9)[4]["video"])


def test_the_demo_is_large_and_asks_different_things():
    clip = demo_clip()
    assert clip["video"].shape == (16, 192, 192, 3)
    assert clip["kind"] == ["referring", "motion", "all_of", "absent", "caption"]
    assert clip["target"][3]["hard"]
    assert not clip["fully_hidden"][0].any()
    assert demo_clip(frame_size=96, num_frames=8)["video"].shape == (8, 96, 96, 3)
    assert len(demo_clip(seed=0)["messages"]) >= 3


@pytest.mark.parametrize("options", [{"length": 0}, {"length": 1.5}, {"questions_per_clip": 0}, {"seed": "a"}])
def test_bad_options_are_refused(options):
    with pytest.raises(InputError, match="use a whole number"):
        ShapesWorldDataset(**options)
