"""Answers are true, checked against masks and tracks by other means than those that made them."""

import re
from collections import Counter

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from videoglamm_hf.grounded_answer import parse_grounded_text
from videoglamm_hf.toy.shapes_world import (
    DIRECTIONS,
    KINDS,
    PAIR_KINDS,
    Scene,
    ShapesWorldConfig,
    ShapesWorldDataset,
    main_question,
    sample_scene,
    sample_scene_questions,
    scene_targets,
    split_words,
    vocabulary,
)
from videoglamm_hf.toy.shapes_world.questions import Question

from .worlds import EVERY_KIND, configs

AXIS = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


def seen_travel(scene: Scene, index: int) -> np.ndarray:
    """How far an object goes while any of it is seen, in frame sides."""
    seen = np.flatnonzero(scene_targets(scene).masks[index].any((1, 2)))
    return scene.objects[index].centres[seen[-1]] - scene.objects[index].centres[seen[0]]


def matching(scene: Scene, words: str) -> list[int]:
    """The objects a phrase describes, from words, masks and tracks."""
    every = range(len(scene.objects))
    targets = scene_targets(scene)
    sizes = targets.masks.sum((2, 3)).max(1)
    text = words.removeprefix("the ").removeprefix("all ")
    if text in ("largest shape", "smallest shape"):
        order = sorted(every, key=lambda i: sizes[i], reverse=text.startswith("largest"))
        ratio = sizes[order[0]] / sizes[order[1]]
        assert max(ratio, 1 / ratio) >= 1.4
        return order[:1]
    if text.startswith("shape moving "):
        axis, sign = AXIS[text.rsplit(" ", 1)[1]]
        along = [sign * seen_travel(scene, i)[axis] for i in every]
        found = [i for i in every if along[i] > 0.1]
        assert all(along[i] >= 0.14 for i in found)
        return found
    wanted = [re.sub("s$", "", word) for word in text.split()]
    return [i for i in every if all(word in (*scene.objects[i].pair, "shape") for word in wanted)]


def check(scene: Scene, question: Question) -> None:
    """Everything that holds for a question, whatever its kind."""
    masks, answer = question.masks(scene), question.answer
    assert masks.dtype == bool and masks.shape == (answer.count("[SEG]"), *scene.labels.shape)
    assert answer.count("[SEG]") == answer.count("<p>") == answer.count("</p>") == len(question.phrases)
    _, phrases = parse_grounded_text(answer, len(masks))
    assert [(p.text, p.object_index) for p in phrases] == [(p, i) for i, p in enumerate(question.phrases)]
    assert set(split_words(question.question) + split_words(answer)) <= set(vocabulary())
    pictured = scene_targets(scene).masks
    for phrase, mask in zip(question.phrases, masks, strict=True):
        named = matching(scene, phrase)
        assert len(named) == 1 or phrase.startswith("all ")
        assert np.array_equal(mask, pictured[named].any(0))
        assert mask.any()
    if question.kind == "absent":
        assert answer.startswith(("There is no ", "No, there is no "))
        pair = re.fullmatch(r".*no (\w+ \w+)\.", answer)[1]
        assert pair in question.question
        assert matching(scene, pair) == []
    elif question.kind == "caption":
        check_caption(scene, question)
    else:
        asked = re.search(r"(?:all|the|a) [\w ]+(?=[.?])", question.question)[0].removeprefix("a ")
        found = matching(scene, asked)
        assert found == sorted(i for group in question.subject.objects for i in group)
        assert len(found) > 1 if question.kind == "all_of" else len(found) == 1


def check_caption(scene: Scene, question: Question) -> None:
    named = [matching(scene, phrase)[0] for phrase in question.phrases]
    assert sorted(named) == list(range(len(scene.objects)))
    middle = [scene.objects[i].centres[scene.config.num_frames // 2, 0] for i in named]
    if "passes" in question.answer:
        both = scene_targets(scene).masks.any((2, 3)).all(0).nonzero()[0]
        first, second = (scene.objects[i].centres[both[[0, -1]]] for i in named)
        axis = np.abs(first[1] - first[0]).argmax()
        gap = (first - second)[:, axis] * np.sign(first[1] - first[0])[axis]
        assert gap[0] < 0 < gap[1]
    else:
        assert middle == sorted(middle)
    deeds = re.findall(r"\[SEG\] (moves|stands)(?: (\w+))?", question.answer)
    assert len(deeds) == (0 if len(named) > 2 or "passes" in question.answer else len(named))
    for i, (verb, how) in zip(named, deeds, strict=False):
        travel = seen_travel(scene, i)
        if verb == "stands":
            assert np.ptp(scene.objects[i].centres, axis=0).max() == 0
        elif how in DIRECTIONS:
            axis, sign = AXIS[how]
            assert sign * travel[axis] >= 0.14 and abs(travel[1 - axis]) < 0.4 * abs(travel[axis])
        else:
            assert np.abs(travel).max() >= 0.14


@pytest.mark.parametrize(("split", "kind"), EVERY_KIND)
def test_answers_are_true(split, kind):
    dataset = ShapesWorldDataset(split, kind, length=60)
    for i in range(60):
        scene = dataset.scene(i)
        question = main_question(scene)
        assert question.kind == kind
        check(scene, question)


@settings(max_examples=60)
@given(configs(), st.sampled_from(EVERY_KIND), st.integers(0, 10**6), st.integers(1, 8))
def test_answers_are_true_in_any_world(config, split_and_kind, seed, count):
    split, kind = split_and_kind
    scene = sample_scene(config, split=split, kind=kind, seed=seed)
    questions = sample_scene_questions(scene, count)
    assert len(questions) == count
    assert questions[0] == main_question(scene)
    for question in questions:
        check(scene, question)


def test_further_questions_leave_the_earlier_ones_alone():
    scene = sample_scene(ShapesWorldConfig(min_objects=3), seed=1)
    many = sample_scene_questions(scene, 6)
    assert sample_scene_questions(scene, 3) == many[:3]
    assert len({q.question for q in many}) == 6


@pytest.mark.parametrize("kind", ["same_colour", "same_shape"])
def test_distractors_are_there(kind):
    dataset = ShapesWorldDataset("held_out", kind, length=50)
    part = ("same_colour", "same_shape").index(kind)
    for i in range(50):
        scene = dataset.scene(i)
        pair = main_question(scene).subject.pair
        assert sum(o.pair[part] == pair[part] for o in scene.objects) > 1


def test_present_and_absent_ask_about_the_same_scenes():
    there, missing = (ShapesWorldDataset("held_out", kind, length=30) for kind in ("present", "absent"))
    for i in range(30):
        yes, no = there[i], missing[i]
        assert np.array_equal(yes["video"], no["video"])
        assert len(yes["masks"]) == 1 and no["masks"].shape == (0, 8, 96, 96)
        # The wording tells nothing.
        first, second = (s["messages"][0]["content"][1]["text"].split() for s in (yes, no))
        assert first[:-2] == second[:-2]


def test_negatives_are_hard_as_often_as_configured():
    hard = [s["target"]["hard"] for s in ShapesWorldDataset(kind="absent", length=300)]
    # Some scenes of the other quarter are hard by chance.
    assert 0.7 < np.mean(hard) < 0.9
    for sample in ShapesWorldDataset(kind="absent", length=50, config=ShapesWorldConfig(hard_negative_rate=1)):
        target = sample["target"]
        assert target["hard"]
        assert target["colour"] in {o["colour"] for o in sample["objects"]}
        assert target["shape"] in {o["shape"] for o in sample["objects"]}


def test_kinds_and_distractors_come_as_often_as_configured():
    config = ShapesWorldConfig()
    dataset = ShapesWorldDataset(length=1500, config=config)
    kinds = Counter(dataset.scene(i).kind for i in range(1500))
    for kind, weight in config.kind_weights:
        assert kinds[kind] / 1500 == pytest.approx(weight, abs=0.03)
    pairs = sum(kinds[kind] for kind in PAIR_KINDS)
    assert 0.45 < kinds["absent"] / pairs < 0.55

    config = ShapesWorldConfig(same_colour_rate=0.3, same_shape_rate=0.7)
    same = np.zeros(2)
    for i in range(300):
        scene = sample_scene(config, index=i)
        target = scene.objects[scene.target[0]]
        same += [sum(o.pair[part] == target.pair[part] for o in scene.objects) > 1 for part in (0, 1)]
    assert same / 300 == pytest.approx([0.3, 0.7], abs=0.08)


def test_questions_of_one_clip_keep_about_half_of_negatives():
    kinds = Counter(k for s in ShapesWorldDataset(length=200, questions_per_clip=4) for k in s["kind"])
    assert set(kinds) == set(KINDS) - {"unseen_pairs"}
    assert 0.4 < kinds["absent"] / sum(kinds[kind] for kind in PAIR_KINDS) < 0.65


def test_the_target_is_at_any_depth_and_direction_shows_in_masks():
    depths, right = Counter(), []
    dataset = ShapesWorldDataset("held_out", "motion", length=150)
    for i in range(150):
        scene = dataset.scene(i)
        depths[scene.target[0]] += 1
        question = main_question(scene)
        frames = [np.argwhere(mask).mean(0)[::-1] for mask in question.masks(scene)[0] if mask.any()]
        axis, sign = AXIS[question.subject.words.rsplit(" ", 1)[1]]
        right.append(sign * (frames[-1] - frames[0])[axis] > 0)
    assert min(depths[depth] for depth in range(3)) > 20
    assert np.mean(right) > 0.97


def test_the_vocabulary_is_small_and_every_word_is_used():
    words = vocabulary()
    assert words == sorted(set(words)) and len(words) <= 80
    used: set[str] = set()
    for split in ("train", "held_out"):
        for sample in ShapesWorldDataset(split, length=300, questions_per_clip=6):
            for user, assistant in sample["messages"]:
                used |= set(split_words(user["content"][1]["text"]) + split_words(assistant["content"][0]["text"]))
    assert used == set(words)
