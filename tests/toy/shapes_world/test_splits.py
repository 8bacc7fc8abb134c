"""Training and held-out clips share neither draws, nor pairs, nor backgrounds."""

import itertools
import re

import numpy as np
import pytest

from videoglamm_hf.errors import InputError
from videoglamm_hf.toy.shapes_world import KINDS, ShapesWorldConfig, ShapesWorldDataset, sample_scene
from videoglamm_hf.toy.shapes_world.scene import scene_stream

HELD_OUT = set(ShapesWorldConfig().held_out_pairs)


def named_pairs(text: str) -> set[tuple[str, str]]:
    config = ShapesWorldConfig()
    words = re.findall(r"\w+", text)
    pairs = itertools.pairwise(words)
    return {pair for pair in pairs if pair[0] in config.colours and pair[1] in config.shapes}


def test_training_never_draws_or_names_a_held_out_pair():
    drawn, named = set(), set()
    for sample in ShapesWorldDataset("train", length=500, questions_per_clip=5):
        drawn |= {(o["colour"], o["shape"]) for o in sample["objects"]}
        for user, assistant in sample["messages"]:
            named |= named_pairs(user["content"][1]["text"] + " " + assistant["content"][0]["text"])
    assert drawn == named == set(ShapesWorldConfig().seen_pairs())
    assert not drawn & HELD_OUT


def test_held_out_pairs_are_the_targets_of_their_kind_alone():
    targets = set()
    for sample in ShapesWorldDataset("held_out", "unseen_pairs", length=100):
        pairs = [(o["colour"], o["shape"]) for o in sample["objects"]]
        target = (sample["target"]["colour"], sample["target"]["shape"])
        assert [pair for pair in pairs if pair in HELD_OUT] == [target]
        targets.add(target)
    assert targets == HELD_OUT
    for kind in set(KINDS) - {"unseen_pairs"}:
        dataset = ShapesWorldDataset("held_out", kind, length=30)
        assert not any(o.pair in HELD_OUT for i in range(30) for o in dataset.scene(i).objects)


def test_backgrounds_are_of_different_families():
    families = {}
    for split in ("train", "held_out"):
        dataset = ShapesWorldDataset(split, length=150)
        families[split] = {dataset.scene(i).background.family for i in range(150)}
    assert families == {"train": {"plain", "gradient", "checks", "clouds"}, "held_out": {"stripes", "rings", "dots"}}


def test_no_two_scenes_share_draws():
    keys = [
        (split, kind, seed, index, purpose)
        for split in ("train", "held_out")
        for kind in (*KINDS, None)
        for seed in (0, 1, 2)
        for index in (0, 1, 2)
        for purpose in range(4)
        if kind != "present"
    ]
    assert len({scene_stream(*key).unit() for key in keys}) == len(keys)


def test_splits_give_different_clips():
    train, held_out = (ShapesWorldDataset(split, "referring", length=20) for split in ("train", "held_out"))
    for i in range(20):
        assert not np.array_equal(train[i]["video"], held_out[i]["video"])
        tracks = [dataset.scene(i).objects[0].centres for dataset in (train, held_out)]
        assert not np.array_equal(*tracks)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"split": "test"}, "train, held_out"),
        ({"kind": "colour"}, "referring"),
        ({"kind": "unseen_pairs"}, "held_out"),
        ({"seed": -1}, "seed is -1"),
        ({"seed": 2**32}, "2\\*\\*32"),
        ({"index": -1}, "index is -1"),
    ],
)
def test_what_there_is_not_is_refused(options, says):
    with pytest.raises(InputError, match=says):
        sample_scene(ShapesWorldConfig(), **options)


def test_a_world_without_held_out_pairs_has_no_such_kind():
    config = ShapesWorldConfig(held_out_pairs=())
    with pytest.raises(InputError, match="held_out_pairs"):
        ShapesWorldDataset("held_out", "unseen_pairs", config=config)
