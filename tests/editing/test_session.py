"""Correcting an answer: what changes, what does not, back and forth, and what cannot be used."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.conftest import force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.grounded_answer import Phrase
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.mask_runs import mask_from_runs, mask_to_runs
from videoglamm_hf.region_prompts import region_prompt
from videoglamm_hf.retracking import SaidOfObject, retrack
from videoglamm_hf.tracking import TrackingOptions

SIZE, NUM_FRAMES = (48, 64), 6
BRUSH = np.zeros(SIZE, bool)
BRUSH[8:30, 12:40] = True


@pytest.fixture(scope="module")
def video() -> np.ndarray:
    return frames(NUM_FRAMES, *SIZE)


@pytest.fixture
def asked(model, ask, video):
    """Inputs, the output with two objects, and what was encoded of the video."""
    inputs = ask(video=video)
    (encoded,) = model.encode_videos(**inputs)
    length = inputs["input_ids"].shape[1]
    output = model.generate(
        **inputs, encoded_videos=[encoded], max_new_tokens=6, logits_processor=force_seg([2, 4], length)
    )
    assert output.masks[0].shape == (2, NUM_FRAMES, *SIZE)
    return inputs, output, encoded


@pytest.fixture
def session(model, asked):
    _, output, encoded = asked
    return model.edit(output, encoded_videos=[encoded])


def same(one, other) -> bool:
    return torch.equal(one.masks, other.masks) and torch.equal(one.object_scores, other.object_scores)


def test_nothing_said_is_the_answer(model, asked, session):
    inputs, output, encoded = asked
    assert torch.equal(session.masks, output.masks[0])
    assert torch.equal(session.object_scores, output.object_scores[0])
    assert torch.equal(session.iou_scores, output.iou_scores[0])
    assert session.labels == ["object 1", "object 2"]
    # Frames as pixels, and encoded alone, are the same.
    for given in (inputs, {"encoded_videos": encoded}):
        assert torch.equal(model.edit(output, **given).masks, session.masks)


def test_neither_towers_nor_words_nor_encoder_run_again(model, asked, monkeypatch):
    _, output, encoded = asked
    session = model.edit(output, encoded_videos=[encoded])

    def refuse(*args, **kwargs):
        raise AssertionError("ran again")

    parts = (model.model.spatial_tower, model.model.temporal_tower, model.model.language_model)
    for part in (*parts, model.pixel_decoder.vision_encoder):
        monkeypatch.setattr(part, "forward", refuse)
    session.click(0, 3, (20, 30))
    assert len(session.masks) == 2


def test_a_brush_mask_is_taken_and_carried_on(session):
    before = session.masks
    session.brush(0, 2, BRUSH)
    assert mask_iou(session.masks[0, 2], torch.from_numpy(BRUSH)) > 0.9
    assert session.iou_scores[0, 2] == 1
    assert not torch.equal(session.masks[0, 5], before[0, 5])
    assert torch.equal(session.masks[1], before[1])


def test_an_object_said_to_be_absent_is_not_there(session):
    session.absent(1, 3)
    assert not session.masks[1, 3].any()
    assert session.object_scores[1, 3] < 0


def test_two_corrections_are_the_same_in_any_order_and_at_once(model, asked):
    _, output, encoded = asked
    first = {"object": 0, "frame": 1, "points": [(20, 30), (5, 5)], "labels": [1, 0]}
    second = {"object": 0, "frame": 4, "mask": BRUSH}
    third = {"object": 1, "frame": 0, "box": (5, 5, 30, 40)}

    def edited(*steps):
        session = model.edit(output, encoded_videos=[encoded])
        for step in steps:
            session.correct(step)
        return session

    at_once = edited([first, second, third])
    for other in (edited([first], [second], [third]), edited([third], [second], [first])):
        assert same(at_once, other)
    clicks = [{"object": 0, "frame": 2, "points": (20, 30)}, {"object": 0, "frame": 2, "points": (8, 9), "labels": 0}]
    assert same(edited(clicks), edited(clicks[:1], clicks[1:]))
    around = {"object": 0, "frame": 2, "box": (5, 5, 30, 40)}
    assert same(edited([clicks[0]], [around]), edited([around, clicks[0]]))
    # Numbers of NumPy are numbers.
    assert same(edited([{**first, "object": np.int64(0), "frame": np.int64(1)}]), edited([first]))
    late = model.edit(output, encoded_videos=[encoded])
    late.correct([first], propagate=False)
    assert not torch.equal(late.masks, at_once.masks)
    late.correct([second, third], propagate=False)
    late.propagate()
    assert same(late, at_once)


def test_without_propagating_only_the_frame_changes(session):
    before = session.masks
    session.click(0, 3, (20, 30), propagate=False)
    changed = (session.masks != before).flatten(2).any(-1)
    assert changed[0].tolist() == [t == 3 for t in range(NUM_FRAMES)] and not changed[1].any()


def test_framewise_corrections_stay_in_their_frame(model, asked):
    _, output, encoded = asked
    output = model.generate(
        **asked[0],
        encoded_videos=[encoded],
        max_new_tokens=6,
        mask_mode="framewise",
        logits_processor=force_seg([2, 4], asked[0]["input_ids"].shape[1]),
    )
    session = model.edit(output, encoded_videos=[encoded], mask_mode="framewise")
    before = session.masks
    session.brush(0, 3, BRUSH)
    assert torch.equal(session.masks[0, [0, 1, 2, 4, 5]], before[0, [0, 1, 2, 4, 5]])
    session.forget(0, 3)
    assert torch.equal(session.masks, before)


def test_forgetting_gives_the_answer_back(session, asked):
    session.click(0, 3, (20, 30))
    session.brush(0, 1, BRUSH)
    only = session.masks
    session.forget(0, 3)
    assert not torch.equal(session.masks, only)
    session.forget(0, 1)
    assert torch.equal(session.masks, asked[1].masks[0])
    with pytest.raises(InputError, match="Nothing was said of object 0 in frame 1"):
        session.forget(0, 1)


def test_undo_and_redo(session):
    states = [session.masks]
    for step in (
        lambda: session.click(0, 3, (20, 30)),
        lambda: session.add(2, box=(3, 4, 20, 30)),
        lambda: session.remove(1),
        lambda: session.merge(0, 2),
    ):
        step()
        states.append(session.masks)
    assert [len(state) for state in states] == [2, 2, 3, 2, 1]
    for state in reversed(states[:-1]):
        assert session.undo() and torch.equal(session.masks, state)
    assert not session.undo()
    for state in states[1:]:
        assert session.redo() and torch.equal(session.masks, state)
    assert not session.redo()
    session.undo()
    session.click(0, 0, (1, 1))
    assert not session.redo()


def test_added_removed_merged_and_split(session):
    number = session.add(2, points=[(20, 30), (22, 31)], label="a dog")
    assert number == 2 and session.labels == ["object 1", "object 2", "a dog"]
    masks = session.masks
    session.remove(1)
    assert torch.equal(session.masks, masks[[0, 2]])
    session.merge(0, 2)
    assert torch.equal(session.masks[0], masks[0] | masks[2])
    # What is said afterwards starts from there.
    session.click(0, 5, (3, 3), 0)
    session.undo()
    part = session.split(0, 1, mask=BRUSH, label="part")
    assert part == 3 and session.labels == ["object 1", "part"]
    assert not (session.masks[0] & session.masks[1]).any()
    assert torch.equal(session.masks[0] | session.masks[1] & (masks[0] | masks[2]), masks[0] | masks[2])
    session.rename(3, " the  part ")
    assert session.labels[1] == "the part"
    # Numbers are never given twice.
    assert session.add(0, box=(1, 1, 9, 9)) == 4


def test_a_new_label_stands_in_the_words(model, processor, asked):
    _, output, encoded = asked
    (given,) = processor.post_process_grounded_generation(output)
    phrases = [Phrase("dog", 2, 5, 0), Phrase("cat", 12, 15, 1), Phrase("tree", 20, 24, None)]
    answer = replace(given, text="A dog and a cat, no tree.", phrases=phrases)
    session = model.edit(output, answer=answer, encoded_videos=[encoded])
    session.rename(0, "black puppy")
    renamed = session.answer
    assert renamed.text == "A black puppy and a cat, no tree." and renamed.raw_text == answer.raw_text
    assert [renamed.text[one.start : one.end] for one in renamed.phrases] == ["black puppy", "cat", "tree"]
    assert renamed.labels[:2] == ["black puppy", "cat"]
    session.undo()
    assert session.answer.text == answer.text and session.answer.phrases == answer.phrases


def test_words_name_objects(model, processor, asked):
    _, output, encoded = asked
    (answer,) = processor.post_process_grounded_generation(output)
    session = model.edit(output, answer=answer, encoded_videos=[encoded])
    assert session.answer.text == answer.text and torch.equal(session.answer.masks, answer.masks)
    session.add(2, mask=BRUSH, label="the ball")
    assert session.answer.labels[-1] == "the ball"
    assert session.answer.text.endswith("the ball")


def test_phrases_are_linked(model, asked):
    from videoglamm_hf import GroundedAnswer, Phrase

    _, output, encoded = asked
    phrases = [Phrase("a man", 0, 5, 0), Phrase("a dog", 10, 15, 1)]
    raw = "<p> a man </p> [SEG] and <p> a dog </p> [SEG]"
    answer = GroundedAnswer("a man and a dog", raw, phrases, output.masks[0], output.object_scores[0], [])
    session = model.edit(output, answer=answer, encoded_videos=[encoded])
    assert session.labels == ["a man", "a dog"]
    cat = session.add(0, mask=BRUSH)
    session.link(1, cat)
    # The dog, whom no phrase names any more, is named behind the text.
    assert [phrase.object_index for phrase in session.answer.phrases] == [0, 2, 1]
    assert session.labels == ["a man", "a dog", "a dog"]
    session.remove(0)
    assert [phrase.object_index for phrase in session.answer.phrases[:2]] == [None, 1]
    session.merge(1, cat)
    assert [phrase.object_index for phrase in session.answer.phrases[:2]] == [None, 0]
    session.link(0, None)
    with pytest.raises(InputError, match="There is no phrase 2; the answer has 2"):
        session.link(2, 1)


def test_an_answer_alone_can_be_corrected(model, asked):
    from videoglamm_hf import GroundedAnswer

    encoded = asked[2]
    given = torch.zeros((1, NUM_FRAMES, *SIZE), dtype=torch.bool)
    given[0, 2:] = torch.from_numpy(BRUSH)
    answer = GroundedAnswer("", "", [], given, torch.ones(1, NUM_FRAMES), [])
    session = model.edit(answer=answer, encoded_videos=[encoded])
    assert torch.equal(session.masks, given)
    session.absent(0, 4)
    assert not session.masks[0, 4].any() and session.masks[0, 2].any()


def test_what_was_corrected_is_not_said_to_be_sure(model, processor, asked):
    _, output, encoded = asked
    (answer,) = processor.post_process_grounded_generation(output)
    answer.probabilities, answer.presence_probability = torch.tensor([0.9, 0.4]), 0.8

    def sure(session):
        found = session.answer.probabilities
        return None if found is None else found.tolist(), session.answer.presence_probability

    def opened():
        return model.edit(output, answer=answer, encoded_videos=[encoded])

    session = opened()
    untouched = pytest.approx([0.9, 0.4]), 0.8
    assert sure(session) == untouched
    session.rename(0, "another")
    assert sure(session) == untouched
    session.click(1, 2, (20, 30))
    assert sure(session) == (None, None)
    session.undo()
    assert sure(session) == untouched
    session.remove(0)
    assert sure(session) == (pytest.approx([0.4]), None)
    for change in (lambda own: own.add(0, points=(5, 5)), lambda own: own.merge(0, 1), lambda own: own.absent(0, 1)):
        change(session := opened())
        assert sure(session) == (None, None)


def test_a_log_is_taken_again(model, asked, session):
    session.click(0, 3, (20, 30))
    session.add(2, box=(3, 4, 20, 30), label="box")
    session.correct([{"object": 1, "frame": 2, "mask": BRUSH}], propagate=False)
    session.propagate()
    session.split(0, 1, points=(20, 20))
    session.rename(1, "one")
    session.remove(2)
    again = model.edit(asked[1], encoded_videos=[asked[2]])
    again.replay(session.log)
    assert same(session, again) and again.labels == session.labels and again.log == session.log
    with pytest.raises(InputError, match="There is no step 'undo'"):
        again.replay([{"step": "undo"}])
    with pytest.raises(InputError, match="The step 'remove' cannot be taken"):
        again.replay([{"step": "remove"}])


def test_a_log_is_plain_json_that_is_taken_again_bit_for_bit(model, asked, session):
    session.brush(0, np.int64(2), BRUSH)
    session.click(np.int64(1), 1, torch.tensor([[0.1, 30.7]]), np.array([1]))
    session.box(1, 3, np.array([3, 4, 20, 30], np.float32), propagate=np.bool_(False))
    session.absent(1, 4)
    part = session.split(0, 2, mask=torch.from_numpy(BRUSH & (np.arange(SIZE[1]) > 20)), label=" a  part ")
    session.add(0, points=np.array([5.5, 6.5]), box=(1.0, 2.0, 30.0, 40.0))
    session.merge(1, part)
    text = json.dumps(session.log, allow_nan=False)
    mask = session.log[0]["corrections"][0]["mask"]
    assert mask == encode_rle(BRUSH)
    again = model.edit(asked[1], encoded_videos=[asked[2]])
    again.replay(json.loads(text))
    assert same(session, again) and again.labels == session.labels and again.log == session.log
    # What is read is a copy.
    session.log[0]["corrections"][0]["frame"] = 5
    assert session.log == again.log


@pytest.mark.parametrize("size", [(1, 1), (3, 5), (48, 64), (1, 70000), (701, 1)])
def test_masks_of_a_log_are_those_of_pycocotools(size):
    generator = np.random.default_rng(0)
    smooth = np.zeros(size, bool)
    smooth[size[0] // 3 :, size[1] // 2 :] = True
    for mask in (np.zeros(size, bool), np.ones(size, bool), generator.random(size) > 0.6, smooth, ~smooth):
        written = mask_to_runs(mask)
        assert written == encode_rle(mask)
        assert np.array_equal(mask_from_runs(written, size), mask)
        flat = mask.ravel(order="F")
        edges = np.flatnonzero(np.diff(flat, prepend=False))
        runs = np.diff(edges, prepend=0, append=flat.size).tolist()
        assert np.array_equal(mask_from_runs({"size": list(size), "counts": runs}, size), mask)


def test_a_callback_sees_every_frame_and_can_stop(model, asked):
    _, output, encoded = asked
    seen = []

    def callback(step):
        seen.append((step.sequence_index, step.frame_index))
        if len(seen) > NUM_FRAMES + 2:
            raise KeyboardInterrupt

    session = model.edit(output, encoded_videos=[encoded], mask_callback=callback)
    session.brush(1, 2, BRUSH)
    assert sorted(seen) == [(1, t) for t in range(NUM_FRAMES)]
    before = session.masks
    with pytest.raises(KeyboardInterrupt):
        session.click(0, 1, (5, 5))
    assert torch.equal(session.masks, before) and session.undo() and not session.undo()


BAD = [
    ("click", (0, 3, (64.5, 30)), "lies outside the video of 64 x 48"),
    ("click", (0, 3, (float("nan"), 30)), "no finite number"),
    ("click", (0, 3, []), "give \\[\\(x, y\\), ...\\]"),
    ("click", (0, 3, [(1, 2, 3)]), "give \\[\\(x, y\\)"),
    ("click", (0, 3, "ab"), "no finite number|give"),
    ("click", (0, 3, [(1, 2)], [2]), "give 1 \\(on the object\\)"),
    ("click", (0, 3, [(1, 2)], [1, 0]), "for 1 points"),
    ("click", (0, 6, (1, 2)), "There is no frame 6; the video has 6"),
    ("click", (0, -1, (1, 2)), "There is no frame -1"),
    ("click", (0, 1.0, (1, 2)), "There is no frame 1.0"),
    ("click", (7, 0, (1, 2)), "There is no object 7; there are: 0 \\(object 1\\), 1"),
    ("click", (True, 0, (1, 2)), "There is no object True"),
    ("box", (0, 0, (10, 10, 5, 20)), "is not one of"),
    ("box", (0, 0, (1, 2, 3)), "give \\(left, top"),
    ("brush", (0, 0, np.zeros((4, 4))), "the mask is \\[4, 4\\], and the video \\[48, 64\\]"),
    ("brush", (0, 0, "mask"), "the mask is of type str"),
    ("brush", (0, 0, {"size": [4, 4], "counts": "0d0"}), "encoding is \\[4, 4\\], and the video \\[48, 64\\]"),
    ("brush", (0, 0, {"size": list(SIZE), "counts": "P"}), "frame 0 of object 0: the counts .* cut short"),
    ("brush", (0, 0, {"size": list(SIZE), "counts": [3, -3, 3072]}), "add up to 48 x 64"),
    ("brush", (0, 0, {"size": list(SIZE), "counts": [2**62, 2**62, 2**62, 2**62]}), "add up to 48 x 64"),
    ("brush", (0, 0, {"size": list(SIZE), "counts": [[1], 2]}), "text or a flat list"),
    ("brush", (0, 0, {"size": list(SIZE), "counts": None}), "text or a list of whole numbers"),
    ("brush", (0, 0, {"size": list(SIZE)}), "text or a list of whole numbers"),
    ("correct", ([{"object": 0, "frame": 0}],), "Nothing is said of frame 0 of object 0"),
    ("correct", ([{"object": 0, "frame": 0, "absent": True, "points": (1, 2)}],), "contradict each other"),
    ("correct", ([{"object": 0, "frame": 0, "labels": [1]}],), "Nothing is said"),
    ("correct", ([{"object": 0, "frme": 0, "points": (1, 2)}],), "did you mean 'frame'"),
    ("correct", (["click"],), "A correction is a dict"),
    ("add", (0,), "Nothing is said"),
    ("merge", (0, 0), "cannot be merged with itself"),
    ("remove", (9,), "There is no object 9"),
    ("rename", (0, " "), "give some words"),
    ("rename", (0, "half a character \ud83d"), "give some words"),
    ("rename", (0, "<p> x </p> [SEG]"), "give some words, without <p>"),
    ("correct", (None,), "corrections are a list of dicts, not a NoneType"),
    ("replay", (None,), "the steps of a log are a list of dicts"),
    ("replay", (["x"],), "A step is a dict, not a str"),
    ("brush", (0, 0, np.full(SIZE, np.nan)), "NaN or infinite"),
    (
        "correct",
        ([{"object": 0, "frame": 1, "absent": True}, {"object": 0, "frame": 1, "points": (1, 2)}],),
        "several things are said at once",
    ),
]


@pytest.mark.parametrize(("method", "arguments", "message"), BAD)
def test_what_cannot_be_used_changes_nothing(session, method, arguments, message):
    before = session.masks
    with pytest.raises(InputError, match=message):
        getattr(session, method)(*arguments)
    assert torch.equal(session.masks, before) and not session.undo()


def test_what_cannot_be_edited(model, asked):
    inputs, output, encoded = asked
    with pytest.raises(InputError, match="There is nothing to edit on"):
        model.edit(output)
    with pytest.raises(InputError, match="sequence_index is 1; there are 1 sequences"):
        model.edit(output, encoded_videos=[encoded], sequence_index=1)
    with pytest.raises(InputError, match="without masks cannot be edited"):
        model.edit(output.sequences, encoded_videos=[encoded])
    shorter = {**inputs, "grounding_frames": [inputs["grounding_frames"][0][:4]]}
    with pytest.raises(InputError, match="pass the sample that was asked about"):
        model.edit(output, **shorter)
    with pytest.raises(InputError, match="original_sizes of sample 0 are missing"):
        model.edit(output, grounding_frames=inputs["grounding_frames"])


def test_half_precision(fresh_model, ask, video):
    model = fresh_model(dtype=torch.bfloat16)
    session = model.edit(**ask(video=video))
    number = session.add(1, points=[(20, 30), (50, 40)], labels=[1, 0])
    session.brush(number, 3, BRUSH)
    assert mask_iou(session.masks[0, 3], torch.from_numpy(BRUSH)) > 0.9


def test_clicks_keep_their_place_in_half_precision(fresh_model):
    """In bfloat16 the encoding of a place would be that of another one."""
    half = fresh_model(dtype=torch.bfloat16).pixel_decoder.prompt_encoder.shared_embedding
    assert half.positional_embedding.dtype == torch.float32


def test_an_added_object_is_corrected_like_any_other(model, asked):
    """Clicks correct what followed from the frames it started from, in any order."""
    _, _, encoded = asked
    beside = {"object": 0, "frame": 4, "points": [(50, 40)], "labels": [0]}
    more = {"object": 0, "frame": 1, "points": [(25, 20)]}

    def edited(*steps):
        session = model.edit(encoded_videos=[encoded])
        session.add(1, points=[(20, 30), (22, 31)])
        for step in steps:
            session.correct(step)
        return session

    start, one = edited(), edited([beside], [more])
    assert same(one, edited([more], [beside])) and same(one, edited([more, beside]))
    # What is not there cannot be taken from: a click beside an object corrects its mask there.
    alone = model.edit(encoded_videos=[encoded])
    alone.add(4, points=(50, 40), labels=0)
    assert not torch.equal(alone.masks[0, 4], one.masks[0, 4])
    one.forget(0, 4)
    one.forget(0, 1)
    assert same(one, start)


def test_frames_said_of_before_it_is_followed_all_start_it(model, asked):
    """As in SAM 2: what is said of several frames before the first propagation are prompts, not corrections."""
    _, _, encoded = asked
    first, second = {"points": [(20, 30)]}, {"points": [(50, 40), (10, 10)], "labels": [1, 0]}

    def started(a, b):
        session = model.edit(encoded_videos=[encoded])
        session.add(a[0], **a[1], propagate=False)
        session.correct([{"object": 0, "frame": b[0], **b[1]}], propagate=False)
        session.propagate()
        return session

    one = started((1, first), (4, second))
    assert same(one, started((4, second), (1, first)))
    assert sorted(one.objects[0].start) == [1, 4] and not one.objects[0].corrections
    prompts = {t: region_prompt(SIZE, "", **own) for t, own in ((1, first), (4, second))}
    said = SaidOfObject(0, prompts, lambda t: None)
    with torch.no_grad():
        steps = list(retrack(model.pixel_decoder, encoded.frame_features, SIZE, [said], TrackingOptions()))
    assert all(torch.equal(step.masks[0], one.masks[0, step.frame_index]) for step in steps)
