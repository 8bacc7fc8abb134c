"""Pictures and masks of scenes: the same everywhere, and true to each other."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoglamm_hf.toy.shapes_world import ShapesWorldConfig, ShapesWorldDataset, sample_scene, scene_targets
from videoglamm_hf.toy.shapes_world.render import draw_labels

from .worlds import EVERY_KIND, configs, shrink


def digest(**options) -> str:
    dataset = ShapesWorldDataset(length=8, questions_per_clip=2, **options)
    content = hashlib.sha256()
    for sample in dataset:
        content.update(sample["video"].tobytes())
        for masks, messages in zip(sample["masks"], sample["messages"], strict=True):
            content.update(masks.tobytes())
            content.update(repr(messages).encode())
    return content.hexdigest()[:16]


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"split": "train", "seed": 0}, "cc79b06db18ed9de"),
        ({"split": "train", "seed": 1}, "b1772dde711c15dd"),
        ({"split": "held_out", "seed": 0}, "cd60e4487da334f0"),
        ({"split": "held_out", "kind": "unseen_pairs", "seed": 7}, "7053d83f7e76b247"),
        (
            {"config": ShapesWorldConfig(frame_size=64, num_frames=5, noise_level=0, max_rotation=45)},
            "18ce6bdde08708e8",
        ),
    ],
)
def test_a_seed_gives_the_same_bytes_on_every_machine(options, expected):
    assert digest(**options) == expected


def test_samples_depend_on_nothing_but_their_index():
    dataset = ShapesWorldDataset(length=20)
    late = dataset[13]["video"]
    for i in range(13):
        dataset[i]
    np.random.seed(0)
    assert np.array_equal(dataset[13]["video"], late)
    assert np.array_equal(dataset[-7]["video"], late)
    assert not np.array_equal(dataset[12]["video"], late)


def test_drawing_leaves_the_global_random_state_alone():
    np.random.seed(3)
    before = np.random.get_state()[1].copy()
    ShapesWorldDataset()[0]
    assert np.array_equal(np.random.get_state()[1], before)


@settings(max_examples=40)
@given(configs(), st.sampled_from(EVERY_KIND), st.integers(0, 2**32 - 1), st.integers(0, 10**6))
def test_masks_share_the_frame_without_overlap(config, split_and_kind, seed, index):
    split, kind = split_and_kind
    targets = scene_targets(sample_scene(config, split=split, kind=kind, seed=seed, index=index))
    every = np.concatenate([targets.masks, targets.background[None]])
    assert every.shape[1:] == (config.num_frames, config.frame_size, config.frame_size)
    assert (every.sum(0) == 1).all()


@settings(max_examples=40)
@given(configs(), st.sampled_from(EVERY_KIND), st.integers(0, 1000))
def test_pixels_of_a_mask_have_the_colour_of_its_object(config, split_and_kind, seed):
    split, kind = split_and_kind
    scene = sample_scene(config, split=split, kind=kind, seed=seed)
    targets = scene_targets(scene)
    video = scene.video.astype(int)
    for mask, thing in zip(targets.masks, scene.objects, strict=True):
        # Within the rim, of which another object may hide any part.
        inner = shrink(mask, 4)
        rgb = np.clip(thing.rgb, config.noise_level, 255 - config.noise_level)
        assert np.abs(video[inner] - rgb).max(initial=0) <= config.noise_level
    dull = video[shrink(targets.background, 2)]
    assert np.ptp(dull, axis=-1).max(initial=0) <= 20 + 2 * config.noise_level


@settings(max_examples=30)
@given(configs(), st.integers(0, 1000))
def test_a_nearer_object_hides_those_behind_it_and_nothing_else(config, seed):
    scene = sample_scene(config, seed=seed)
    alone = [draw_labels([layer], config.num_frames, config.frame_size) == 1 for layer in scene.layers]
    for i, mask in enumerate(scene_targets(scene).masks):
        hidden = np.any(alone[i + 1 :], axis=0)
        assert np.array_equal(mask, alone[i] & ~hidden)


def test_objects_are_mostly_seen_yet_hide_each_other_and_come_and_go():
    dataset = ShapesWorldDataset(length=200)
    hidden, gone, several = 0, 0, 0
    for i in range(200):
        scene = dataset.scene(i)
        visibility = scene_targets(scene).visibility
        assert visibility.dtype == np.float32 and visibility.min() >= 0 and visibility.max() <= 1
        assert ((visibility >= 0.5).mean(1) > 0.5).all()
        several += len(scene.objects) > 1
        hidden += bool(((visibility < 0.8) & (visibility > 0)).any())
        gone += bool((visibility == 0).any())
    assert hidden > 0.3 * several
    assert 0.03 * 200 < gone < 0.4 * 200


def test_full_masks_have_the_area_of_their_shape():
    config = ShapesWorldConfig(enter_leave_rate=0, noise_level=0)
    seen = set()
    for index in range(60):
        scene = sample_scene(config, index=index)
        # The nearest object is hidden by none; only the frame can cut it off.
        thing, pixels = scene.objects[-1], scene.visible_pixels[-1]
        assert pixels.max() == pytest.approx(thing.area * config.frame_size**2, rel=0.06)
        seen.add(thing.shape)
    assert seen == set(config.shapes)


def test_a_scene_is_the_same_at_any_frame_size():
    small, large = (sample_scene(ShapesWorldConfig(frame_size=size), seed=4) for size in (48, 192))
    assert [o.pair for o in small.objects] == [o.pair for o in large.objects]
    shrunk = scene_targets(large).masks[..., 2::4, 2::4]
    assert (scene_targets(small).masks != shrunk).mean() < 0.01


def test_targets_name_colours_shapes_and_directions():
    scene = sample_scene(ShapesWorldConfig(), kind="motion", seed=2)
    targets = scene_targets(scene)
    assert list(zip(targets.colours, targets.shapes, strict=True)) == [o.pair for o in scene.objects]
    assert targets.directions[scene.target[0]] in {"left", "right", "up", "down"}
    assert np.array_equal(targets.background, ~targets.masks.any(0))
