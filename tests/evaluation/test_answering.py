"""Questions about a video: what is shared, what is read ahead, and pieces of long videos."""

import numpy as np
import pytest
from PIL import Image

from tests.evaluation.shapes_folders import clips
from videoglamm_hf.errors import InputError
from videoglamm_hf.evaluation.answering import Answering, answer_items
from videoglamm_hf.evaluation.benchmark import Benchmark, Item
from videoglamm_hf.evaluation.run_folder import RunFolder
from videoglamm_hf.loading.models import load_model, load_processor
from videoglamm_hf.toy import TINY_MODEL


@pytest.fixture(scope="module")
def small():
    return load_model(str(TINY_MODEL), device="cpu"), load_processor(str(TINY_MODEL))


def benchmark_of(samples, items, **options) -> Benchmark:
    return Benchmark("made", items, samples, lambda *a: None, None, "", "", **options)


def item(name: str, index: int, question: str) -> Item:
    return Item((name,), str(index), index, question)


def test_towers_see_a_video_once_and_the_next_one_is_read_meanwhile(small, tmp_path, monkeypatch):
    model, processor = small
    samples = clips(3)
    happened: list[str] = []
    encode, generate = model.encode_videos, model.generate

    def sample(index: int) -> dict:
        happened.append(f"read {index}")
        return samples[index]

    monkeypatch.setattr(model, "encode_videos", lambda **inputs: happened.append("see") or encode(**inputs))
    monkeypatch.setattr(model, "generate", lambda **inputs: happened.append("answer") or generate(**inputs))
    question = "Please segment {}."
    items = [
        item(f"{i}{n}", i, question.format(samples[i]["phrases"][0])) for i in range(3) for n in range(1 + (i < 2))
    ]
    answer_items(model, processor, benchmark_of(sample, items), items, RunFolder(tmp_path / "run", {}), Answering())
    # Also a video that is asked about once, so that a question's answer does not depend on what is asked beside it.
    assert happened.count("see") == 3 and happened.count("answer") == 5
    assert [what for what in happened if what.startswith("read")] == ["read 0", "read 1", "read 2"]
    first_answer = happened.index("answer")
    assert "read 1" in happened[: first_answer + 2]
    found = [RunFolder(tmp_path / "run", {}).read(one) for one in items]
    assert all(len(one.masks) == 1 and len(one.masks[0]) == 3 for one in found)


def test_pieces_of_a_long_video_are_joined(small, tmp_path):
    """The frames of every piece are masked as if it were a video of its own; logits follow one another."""
    model, processor = small
    (sample,) = clips(1)
    folder = tmp_path / "frames"
    folder.mkdir()
    paths = []
    for number, frame in enumerate(np.concatenate([sample["video"]] * 2)[:5]):
        paths.append(str(folder / f"{number}.png"))
        Image.fromarray(frame).save(paths[-1])
    question = f"Please segment {sample['phrases'][0]}."
    whole = {"video": paths, "mask_frames": list(range(5))}
    parts = {
        0: whole,
        1: {"video": paths[:3], "mask_frames": [0, 1, 2]},
        2: {"video": paths[3:], "mask_frames": [0, 1]},
    }
    items = [item(str(index), index, question) for index in parts]
    pieces = benchmark_of(parts.__getitem__, items, clip_frames=3, with_logits=True)
    run = RunFolder(tmp_path / "run", {})
    answer_items(model, processor, pieces, items, run, Answering())
    joined, *single = (run.read(one) for one in items)
    assert joined.masks == [single[0].masks[0] + single[1].masks[0]] and joined.text == single[0].text
    logits = [run.logits(one) for one in items]
    assert np.array_equal(logits[0], np.concatenate(logits[1:])) and len(logits[0]) == 5


def test_a_question_left_alone_is_answered_as_among_others(small, tmp_path, monkeypatch):
    """Whatever ended a run, it goes on as if nothing had: the same calls of the model, the same answers."""
    model, processor = small
    (sample,) = clips(1)
    items = [item(str(n), 0, f"Please segment {sample['phrases'][0]}{' there' * n}.") for n in range(3)]
    benchmark = benchmark_of(lambda index: sample, items)
    runs = [RunFolder(tmp_path / name, {}) for name in ("whole", "ended")]
    answer_items(model, processor, benchmark, items, runs[0], Answering())
    given = []
    generate = model.generate
    monkeypatch.setattr(model, "generate", lambda **inputs: given.append(set(inputs)) or generate(**inputs))
    answer_items(model, processor, benchmark, items[:2], runs[1], Answering())
    answer_items(model, processor, benchmark, items, runs[1], Answering())
    assert len(given) == 3 and given[2] == given[0]
    for one in items:
        whole, ended = (run.read(one) for run in runs)
        assert (whole.text, whole.masks) == (ended.text, ended.masks)


@pytest.mark.parametrize("words", ["square " * 20000, "the \ud800 square"])
@pytest.mark.parametrize("place", [0, 1])
def test_a_question_that_cannot_be_asked_fails_alone(small, tmp_path, words, place):
    model, processor = small
    (sample,) = clips(1)
    questions = [f"Please segment {sample['phrases'][0]}."]
    questions.insert(place, words)
    items = [item(str(n), 0, question) for n, question in enumerate(questions)]
    run = RunFolder(tmp_path / "run", {})
    answer_items(model, processor, benchmark_of(lambda index: sample, items), items, run, Answering())
    assert list(run.failures(items)) == [str(place)] and run.unanswered(items) == [items[place]]


def test_a_sample_that_cannot_be_read_fails_alone(small, tmp_path):
    model, processor = small
    (sample,) = clips(1)

    def read(index: int) -> dict:
        if index == 0:
            raise InputError("masks are damaged")
        return sample

    items = [Item((str(n),), "video", n, f"Please segment {sample['phrases'][0]}.") for n in range(2)]
    run = RunFolder(tmp_path / "run", {})
    answer_items(model, processor, benchmark_of(read, items), items, run, Answering())
    assert run.failures(items) == {"0": "masks are damaged"} and run.unanswered(items) == items[:1]


def test_what_is_no_fault_of_a_question_ends_the_run(small, tmp_path, monkeypatch):
    model, processor = small
    samples = clips(1)

    def broken(**inputs):
        raise RuntimeError("a bug")

    monkeypatch.setattr(model, "generate", broken)
    items = [item("a", 0, "What is it?")]
    with pytest.raises(RuntimeError, match="a bug"):
        answer_items(
            model,
            processor,
            benchmark_of(samples.__getitem__, items),
            items,
            RunFolder(tmp_path / "run", {}),
            Answering(),
        )


def test_out_of_memory_is_noted(small, tmp_path, monkeypatch):
    model, processor = small
    samples = clips(1)

    def full(**inputs):
        raise RuntimeError("CUDA out of memory")

    monkeypatch.setattr(model, "generate", full)
    items = [item("a", 0, "What is it?")]
    run = RunFolder(tmp_path / "run", {})
    answer_items(model, processor, benchmark_of(samples.__getitem__, items), items, run, Answering())
    assert run.failures(items) == {"a": "CUDA out of memory"} and run.unanswered(items) == items
