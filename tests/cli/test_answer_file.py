"""`answer.json`: what it says of an answer, and `videoglamm check-answer`."""

import copy
import json
from pathlib import Path

import numpy as np
import pytest
import torch

from tests.tiny_checkpoint import frames
from videoglamm_hf import __version__, cli
from videoglamm_hf.cli.answer_file import SCHEMA, answer_document, answer_problems, note_of
from videoglamm_hf.cli.json_schema import KEYWORDS, schema_problems
from videoglamm_hf.clip_sources import open_clip, sample_clip
from videoglamm_hf.errors import MediaError
from videoglamm_hf.frame_sampling import FrameSampling
from videoglamm_hf.grounded_answer import GroundedAnswer, Phrase
from videoglamm_hf.render.video_encoding import write_mp4

# Fields of answers that say how sure they are; others are as they were.
OF_CALIBRATED_MODELS = {"presence_probability", "left_out"}


def an_answer(objects: int = 2, length: int = 3, **changes) -> GroundedAnswer:
    masks = torch.from_numpy(np.random.default_rng(0).random((objects, length, 32, 48)) > 0.5)
    scores, ious = torch.full((objects, length), 2.0), torch.full((objects, length), 0.75)
    if objects:
        scores[0, 0], ious[0, 0] = -1, 0.1
    phrases = [Phrase("A cat", 0, 5, 0), Phrase("dog", 9, 12, 1)][:objects]
    answer = GroundedAnswer("A cat, a dog.", "raw", phrases, masks, scores, [0.0, 1.0, 2.0], ious, "stop")
    for name, value in changes.items():
        setattr(answer, name, value)
    return answer


@pytest.fixture(scope="module")
def document(tmp_path_factory) -> dict:
    path = tmp_path_factory.mktemp("videos") / "clip.mp4"
    write_mp4(path, frames(25, 32, 48), fps=10)
    with open_clip(path) as clip:
        sampled = sample_clip(clip, FrameSampling()).load()
        made = answer_document(sampled, an_answer(), {"question": "What?", "model": "some/model"})
    return json.loads(json.dumps(made))


def test_what_it_says_of_the_source_and_of_the_answer(document):
    assert document["version"] == __version__ and document["model"] == "some/model"
    # Of frames 0 to 24 at ten a second, every tenth.
    assert document["frame_indices"] == [0, 10, 20] and document["timestamps"] == [0.0, 1.0, 2.0]
    assert document["fps"] == 10 and document["num_frames"] == 25 and document["pixel_aspect"] == 1
    assert document["finish_reason"] == "stop" and document["note"] is None
    # The mean predicted IoU where the object is.
    assert [entry["score"] for entry in document["objects"]] == [0.75, 0.75]
    assert document["objects"][0]["iou_scores"] == [0.1, 0.75, 0.75]


def test_answers_that_are_not_whole_say_so():
    cut = note_of(an_answer(finish_reason="length"))
    assert "cut" in cut and "2 objects" in cut
    assert "1 object;" in note_of(an_answer(1, finish_reason="length"))
    assert "no objects" in note_of(an_answer(0)) and "cut" not in note_of(an_answer(0))
    neither = note_of(an_answer(0, finish_reason="length"))
    assert "no objects" in neither and "cut" in neither
    assert note_of(an_answer()) is None


def test_the_schema_uses_only_what_is_checked():
    def walk(schema):
        assert set(schema) <= KEYWORDS
        for own in [*schema.get("properties", {}).values(), *([schema["items"]] if "items" in schema else [])]:
            walk(own)

    walk(json.loads(SCHEMA.read_text()))


def test_every_field_is_described_and_asked_for(document):
    schema = json.loads(SCHEMA.read_text())
    assert set(document) == set(schema["required"])
    assert set(document) | OF_CALIBRATED_MODELS == set(schema["properties"])
    assert not list(schema_problems(document, schema))
    for name in document:
        lacking = {key: value for key, value in document.items() if key != name}
        assert list(schema_problems(lacking, schema)) == [(name, "is missing")]
    jsonschema = pytest.importorskip("jsonschema")
    jsonschema.validate(document, schema)


def put(document: dict, place: str, value) -> dict:
    changed = copy.deepcopy(document)
    *path, last = [int(step) if step.isdigit() else step for step in place.split(".")]
    inner = changed
    for step in path:
        inner = inner[step]
    inner[last] = value
    return changed


LIES = [
    ("format", "videoglamm-answer-1"),
    ("version", 1),
    ("finish_reason", "maybe"),
    ("frame_indices", [0, 10, 25]),
    ("frame_indices", [0, 20, 10]),
    ("frame_indices", [0, True, 2]),
    ("timestamps", [0.0, 1.0]),
    ("pixel_aspect", 0),
    ("size.height", 31),
    ("size.height", 10**30),
    ("phrases.0.end", 4),
    ("phrases.1.object_index", 2),
    ("objects.1.index", 0),
    ("objects.0.score", 1.5),
    ("objects.0.score", None),
    ("objects.0.masks", []),
    ("objects.0.masks.0.counts", "0"),
    ("objects.0.masks.0.counts", "\ud800"),
    ("objects.0.masks.1.size", [10**9, 10**9]),
    ("objects.0.object_scores", [1.0, 2.0]),
    ("objects.0.extra", 1),
    ("settings", []),
]


@pytest.mark.parametrize("place, value", LIES)
def test_lies_are_found_at_their_place(document, tmp_path, place, value, capsys):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(put(document, place, value)))
    assert cli.main(["check-answer", str(path)]) == 1
    printed = capsys.readouterr()
    assert place.split(".")[0] in printed.out and "problem" in printed.err and "Traceback" not in printed.err


@pytest.mark.parametrize(
    "content", [b"", b"\xff", b"[" * 100_000, b"[]", b"NaN", b"{}", b"9" * 5000, b'{"fps": 1e999}', b'"\\ud800"']
)
def test_what_is_no_answer_is_refused_with_words(tmp_path, content):
    path = tmp_path / "answer.json"
    path.write_bytes(content)
    assert answer_problems(path)


def test_a_whole_file_passes_and_a_missing_one_is_named(document, tmp_path, capsys):
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document))
    assert cli.main(["check-answer", str(path)]) == 0 and "no problems" in capsys.readouterr().out
    assert cli.main(["check-answer", str(tmp_path / "none.json")]) == 1
    assert "no such file" in capsys.readouterr().err
    with pytest.raises(MediaError):
        answer_problems(Path(tmp_path))
