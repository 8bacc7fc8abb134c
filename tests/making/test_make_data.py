"""Data made of every source: what comes of it, what is kept, and what stops it."""

import base64
import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.making.data_sets import BUILDERS
from tests.making.endpoint import good, served, writes
from videoglamm_hf import InputError, OutputError
from videoglamm_hf.checking.check import check_data
from videoglamm_hf.data import JsonlDataset
from videoglamm_hf.file_locks import locked
from videoglamm_hf.making import Writer, make_data
from videoglamm_hf.making.choices import SOURCES
from videoglamm_hf.render.colors import object_color


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """How long was waited between tries, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("videoglamm_hf.making.writer.time.sleep", waited.append)
    return waited


@pytest.fixture
def mevis(tmp_path: Path) -> Path:
    BUILDERS["mevis"](tmp_path / "mevis")
    return tmp_path / "mevis"


def text(sample) -> str:
    return sample["messages"][1]["content"][0]["text"]


EXPECTED = {
    "mevis": ["v0", "v1"],
    "ref-youtube-vos": ["v0"],
    "vidstg": ["101-0", "101-1"],
    "hc-stvg": ["a"],
    "anet-entities": ["v_abc/0"],
    "youtube-vis": ["one", "two"],
    "burst": ["LaSOT/s1"],
    "jsonl": ["one", "two"],
}


@pytest.mark.parametrize("source", SOURCES)
def test_every_source_becomes_data_without_problems(source, tmp_path, light_tiny):
    BUILDERS[source](tmp_path / "in")
    with served(writes) as (url, asked):
        report = make_data(
            source, tmp_path / "in", tmp_path / "out", model=str(light_tiny), writer=Writer(url, "clever")
        )
    assert report.file == tmp_path / "out" / "samples.jsonl" and report.samples == len(EXPECTED[source])
    assert len(asked) == report.estimate.requests == report.estimate.videos and report.failures == {}
    assert report.empty == (1 if source == "anet-entities" else 0)
    samples = list(JsonlDataset(report.file))
    assert [sample["id"] for sample in samples] == EXPECTED[source]
    for sample in samples:
        assert text(sample).count("[SEG]") == len(sample["masks"]) == len(sample["labels"]) > 0
        assert str(sample["video"]).startswith(str(tmp_path / "out" / "media"))
    assert check_data(tmp_path / "out").errors == []


def test_what_is_asked_and_kept(mevis, tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "secret")
    with served(lambda _: "<p> Two  dogs </p> [1, 2] run.") as (url, asked):
        report = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url + "/", "clever"))
    assert report.tokens == (20, 6) and report.objects == 2
    first = asked[0]
    assert first["path"] == "/v1/chat/completions" and first["key"] == "Bearer secret" and first["model"] == "clever"
    question = first["messages"][0]["content"]
    assert question.endswith(
        "Objects:\n1: object\n2: object\n\nWhat is known:\n1, 2: two dogs running\n2: the dog in front"
    )
    sample = JsonlDataset(report.file)[0]
    assert text(sample) == "<p> Two dogs </p> [SEG] run." and sample["labels"] == ["object"]
    kept = json.loads((tmp_path / "out" / "written" / "v0.json").read_text())
    assert kept["replies"] == ["<p> Two  dogs </p> [1, 2] run."] and kept["question"] == question
    for path in (tmp_path / "out").rglob("*.json*"):
        assert "secret" not in path.read_text()


def test_a_writer_that_sees(mevis, tmp_path):
    with served(lambda messages: good(messages[0]["content"][0]["text"])) as (url, asked):
        report = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"), pictures=2)
        with pytest.raises(InputError, match=r"out/written: was made with pictures 2, not 0"):
            make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
    assert report.samples == 2 and report.estimate.pictures == 4
    first, *urls = asked[0]["messages"][0]["content"]
    assert first["text"].endswith(
        "\n\n2 frames of the video follow, in order. A box around each object bears its number."
    )
    pictures = [Image.open(io.BytesIO(base64.b64decode(one["image_url"]["url"].partition(",")[2]))) for one in urls]
    assert [picture.size for picture in pictures] == [(64, 48)] * 2
    # The lower edge of the box of object 1, which is 20 pixels wide, in the first and the last frame.
    for picture, left in zip(pictures, (0, 2), strict=True):
        pixels = np.asarray(picture.convert("RGB")).astype(int)
        assert abs(pixels[29:31, left + 4 : left + 16].mean((0, 1)) - object_color(0)).max() < 60
    with pytest.raises(InputError, match="pictures is -1"):
        make_data("mevis", mevis, tmp_path / "out", pictures=-1)


def test_two_runs_at_once(mevis, tmp_path):
    (tmp_path / "out").mkdir()
    with locked(tmp_path / "out" / ".lock"), pytest.raises(OutputError, match="Another process is writing"):
        make_data("mevis", mevis, tmp_path / "out")


def test_files_that_are_not_as_they_were_written(mevis, tmp_path):
    make_data("mevis", mevis, tmp_path / "out")
    (tmp_path / "out" / "gathered" / "v0.json").write_text("{")
    with pytest.raises(InputError, match=r"v0\.json: is not as it was written .*; delete it, and run again"):
        make_data("mevis", mevis, tmp_path / "out")
    (tmp_path / "out" / "gathered" / "v0.json").unlink()
    assert make_data("mevis", mevis, tmp_path / "out").estimate.requests == 2


def test_the_same_call_again_asks_nothing(mevis, tmp_path):
    with served(writes) as (url, asked):
        first = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
        before = first.file.read_bytes()
        again = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
    assert len(asked) == 2 and again.estimate.requests == 0 and again.tokens == (0, 0)
    assert again.file.read_bytes() == before


@pytest.mark.parametrize("stage", ["gathered", "written"])
def test_a_run_ended_at_any_video_goes_on(stage, mevis, tmp_path, monkeypatch):
    from videoglamm_hf.making import stage as stages

    whole, count = stages.write_json, 0

    def killed(path, document):
        nonlocal count
        if path.parent.name == stage:
            count += 1
            if count == 2:
                raise KeyboardInterrupt
        whole(path, document)

    with served(writes) as (url, asked):
        monkeypatch.setattr(stages, "write_json", killed)
        with pytest.raises(KeyboardInterrupt):
            make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
        monkeypatch.setattr(stages, "write_json", whole)
        assert not (tmp_path / "out" / "samples.jsonl").exists()
        assert [path.name for path in (tmp_path / "out" / stage).iterdir()] == ["v0.json"]
        report = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
    assert report.samples == 2 and report.failures == {}
    assert len(asked) == (2 if stage == "gathered" else 3)
    assert check_data(tmp_path / "out").errors == []


def test_masks_are_made_once(tmp_path, light_tiny, monkeypatch):
    BUILDERS["vidstg"](tmp_path / "in")
    with served(lambda _: 401) as (url, _):
        for _ in range(2):
            with pytest.raises(InputError, match=r"gives no reply .*401.*0 of 2 sentences are written, and the same"):
                make_data("vidstg", tmp_path / "in", tmp_path / "out", model=str(light_tiny), writer=Writer(url, "x"))
            monkeypatch.setattr("videoglamm_hf.loading.models.load_model", None)
    masks = json.loads((tmp_path / "out" / "masks" / "101-0.json").read_text())["masks"]
    # Frames of the moment alone, and both the subject and the object.
    assert len(masks) == 2 and {len(track) for track in masks} == {3}
    with served(writes) as (url, asked):
        make_data("vidstg", tmp_path / "in", tmp_path / "out", model=str(light_tiny), writer=Writer(url, "x"))
    assert "1: adult\n2: ball\n" in asked[0]["messages"][0]["content"]


def test_boxes_of_a_video_made_smaller(tmp_path):
    BUILDERS["vidstg"](tmp_path / "in")
    with pytest.raises(InputError, match="vidstg has boxes and no masks: give --model"):
        make_data("vidstg", tmp_path / "in", tmp_path / "out")
    make_data("vidstg", tmp_path / "in", tmp_path / "out", model="unused")
    gathered = json.loads((tmp_path / "out" / "gathered" / "101-0.json").read_text())
    # Annotated in a picture of twice the size.
    assert gathered["objects"][0]["boxes"][0] == [[10, 10, 30, 30]] and gathered["size"] == [48, 64]


def test_replies_that_cannot_be_used_are_asked_for_again_and_listed(mevis, tmp_path):
    with served(lambda messages: "A dog." if len(messages) < 5 else writes(messages)) as (url, asked):
        report = make_data("mevis", mevis, tmp_path / "good", writer=Writer(url, "clever"))
    assert report.samples == 2 and len(asked) == 6
    assert "does not name object 1, 2" in asked[1]["messages"][-1]["content"]
    with served(lambda messages: "A dog.") as (url, asked):
        for _ in range(2):
            with pytest.raises(InputError, match="could be made of any of 2 videos; the first, v0: writing: "):
                make_data("mevis", mevis, tmp_path / "bad", writer=Writer(url, "clever"))
    failed = json.loads((tmp_path / "bad" / "failed" / "v1.json").read_text())
    assert failed["replies"] == ["A dog."] * 3 and "does not name object 1, 2" in failed["reason"]
    assert len(asked) == 12 and not (tmp_path / "bad" / "samples.jsonl").exists()
    with served(writes) as (url, _):
        report = make_data("mevis", mevis, tmp_path / "bad", writer=Writer(url, "clever"))
    assert report.samples == 2 and list((tmp_path / "bad" / "failed").iterdir()) == []


def test_one_video_that_is_refused_stops_no_other(mevis, tmp_path):
    with served(lambda messages: 400 if len(asked) == 1 else writes(messages)) as (url, asked):
        report = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
    assert report.samples == 1 and list(report.failures) == ["v0"] and "400" in report.failures["v0"]


def test_an_endpoint_that_is_not_there(tmp_path, pauses):
    BUILDERS["jsonl"](tmp_path / "in")
    with served(writes) as (url, _):
        pass
    with pytest.raises(InputError, match="nothing could be made of any of 2 videos"):
        make_data("jsonl", tmp_path / "in", tmp_path / "out", writer=Writer(url, "clever"))
    assert pauses == [2, 8, 30] * 2


def test_an_endpoint_that_is_busy(mevis, tmp_path, pauses):
    with served(lambda messages: 429 if len(asked) < 3 else writes(messages)) as (url, asked):
        assert make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever")).samples == 2
    assert pauses == [2, 8]


def test_other_settings_in_the_same_folder(mevis, tmp_path):
    with served(writes) as (url, _):
        make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
        before = (tmp_path / "out" / "samples.jsonl").read_bytes()
        with pytest.raises(InputError, match=r"out/written: was made with writer_model 'clever', not 'other'"):
            make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "other"))
        with pytest.raises(InputError, match=r"out/gathered: was made with source 'mevis', not 'jsonl'"):
            make_data("jsonl", mevis, tmp_path / "out", writer=Writer(url, "clever"))
        assert (tmp_path / "out" / "samples.jsonl").read_bytes() == before
        shutil.rmtree(tmp_path / "out" / "written")
        (tmp_path / "out" / "written.json").unlink()
        assert make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "other")).samples == 2


def test_a_folder_of_something_else(mevis, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("mine")
    with pytest.raises(OutputError, match=r"out: holds thesis\.txt and is no folder of make-data"):
        make_data("mevis", mevis, tmp_path / "out")
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["thesis.txt"]


def test_missing_frames(mevis, tmp_path):
    (mevis / "train" / "JPEGImages" / "v0" / "00001.jpg").unlink()
    with served(writes) as (url, asked):
        report = make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"))
    assert list(report.failures) == ["v0"] and "00001.jpg: no such frame" in report.failures["v0"]
    assert report.samples == len(asked) == 1


def test_a_folder_that_is_not_there_leaves_nothing_that_is_in_the_way(mevis, tmp_path):
    with pytest.raises(InputError, match="no such folder"):
        make_data("mevis", tmp_path / "nowhere", tmp_path / "out")
    assert make_data("mevis", mevis, tmp_path / "out").estimate.videos == 2


def test_first_some_then_all(mevis, tmp_path):
    with served(writes) as (url, asked):
        assert make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever"), limit=1).samples == 1
        assert make_data("mevis", mevis, tmp_path / "out", writer=Writer(url, "clever")).samples == 2
    assert len(asked) == 2
    with pytest.raises(InputError, match="limit is 0"):
        make_data("mevis", mevis, tmp_path / "out", limit=0)


def test_the_estimate(mevis, tmp_path):
    report = make_data("mevis", mevis, tmp_path / "out", price_in=1000, price_out=2000)
    estimate = report.estimate
    assert (estimate.videos, estimate.to_decode, estimate.requests) == (2, 0, 2) and report.file is None
    assert estimate.tokens_out == 2 * (25 + 2 * 15) and estimate.tokens_in > 100
    assert estimate.price == pytest.approx(estimate.tokens_in / 1000 + estimate.tokens_out / 500)
    with pytest.raises(InputError, match="price_in is -1"):
        make_data("mevis", mevis, tmp_path / "out", price_in=-1)
    with served(writes) as (url, asked):
        seen = []
        report = make_data(
            "mevis", mevis, tmp_path / "out", writer=Writer(url, "x"), confirm=lambda e: seen.append(e) or False
        )
    assert asked == [] and report.file is None and seen == [report.estimate]


def test_writers_that_cannot_be():
    with pytest.raises(InputError, match=r"is no http\(s\) URL"):
        Writer("file:///etc/passwd", "x")
    with pytest.raises(InputError, match="name of a model"):
        Writer("http://localhost", "")
