"""`videoglamm import-data` and `export-data`: what is written, said and refused; answers of a model, too."""

import json
import os

import numpy as np
import pytest

from tests.exchange.made_data import FRAMES, imported, made, masks, pixels, write_data, write_pictures, write_video
from videoglamm_hf import cli
from videoglamm_hf.cli.answer_file import FORMAT, answer_problems
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.errors import InputError, OutputError
from videoglamm_hf.exchange import export_data, import_data
from videoglamm_hf.exchange.choices import EXPORT_FORMATS


@pytest.fixture
def exported(tmp_path):
    """Five videos as COCO, whose frames lie beside."""
    videos = [made(f"clip{i}", write_pictures(tmp_path / "frames" / f"clip{i}")) for i in range(5)]
    export_data(write_data(tmp_path / "own", videos), tmp_path / "coco", format="coco")
    return tmp_path / "coco"


def test_import_says_what_it_assumes_and_passes_check_data(exported, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["import-data", "coco", "--output", "data", "--split", "0.4"]) == 0
    out, err = capsys.readouterr()
    assert "coco: read as coco (say otherwise with --format)" in err
    assert "by the names of the files" in err and "00000.jpg -> 0" in err and "00008.jpg -> 8" in err
    assert (tmp_path / "data" / "notes.txt").read_text().splitlines() == [
        line[2:] for line in err.splitlines() if line.startswith("- ")
    ]
    assert out.splitlines()[0] == "5 videos with 15 objects and 60 masks (coco)"
    assert "data/train.jsonl: 3 samples" in out and "data/validation.jsonl: 2 samples" in out
    assert sorted(path.name for path in (tmp_path / "data" / "preview").iterdir()) == [
        f"clip{i}.png" for i in range(5)
    ]
    for name in ("samples", "train", "validation"):
        assert cli.main(["check-data", f"data/{name}.jsonl"]) == 0
    lines = [json.loads(line) for line in (tmp_path / "data" / "samples.jsonl").read_text().splitlines()]
    assert [line["video"] for line in lines] == [f"media/clip{i}" for i in range(5)]
    assert lines[0]["mask_frames"] == FRAMES
    (question, answer), *_ = lines[0]["messages"]
    assert question["content"][1]["text"] == "Can you segment the thing 0?"
    assert answer["content"][0]["text"] == "It is <p> the thing 0 </p> [SEG]."
    halves = [
        {json.loads(line)["id"] for line in (tmp_path / "data" / f"{name}.jsonl").read_text().splitlines()}
        for name in ("train", "validation")
    ]
    assert halves[0].isdisjoint(halves[1]) and halves[0] | halves[1] == {f"clip{i}" for i in range(5)}
    assert cli.main(["import-data", "coco", "--output", "again", "--split", "0.4", "-q"]) == 0
    assert capsys.readouterr().err == ""
    for name in ("samples", "train", "validation"):
        assert (tmp_path / "again" / f"{name}.jsonl").read_bytes() == (
            tmp_path / "data" / f"{name}.jsonl"
        ).read_bytes()


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_bars_of_what_takes_long(tmp_path, format, capsys):
    media = write_video(tmp_path / "clip.mp4")
    export_data(write_data(tmp_path / "own", [made("clip", media)]), tmp_path / "out", format=format, progress=True)
    assert "reading" in capsys.readouterr().err
    import_data(tmp_path / "out", tmp_path / "data", video=media, progress=True)
    assert "importing: 1video" in capsys.readouterr().err


def test_media_are_linked_or_copied(exported, tmp_path):
    for copy in (False, True):
        import_data(exported, tmp_path / f"data{copy}", copy=copy)
        own = tmp_path / f"data{copy}" / "media" / "clip0" / "00000.jpg"
        there = exported / "images" / "clip0" / "00000.jpg"
        assert own.read_bytes() == there.read_bytes() and not own.is_symlink()
        assert os.path.samefile(own, there) != copy


def test_disks_without_links_get_copies(exported, tmp_path, monkeypatch):
    def refuse(*_):
        raise OSError("no links here")

    monkeypatch.setattr(os, "link", refuse)
    report = import_data(exported, tmp_path / "data")
    assert any("were copied" in note for note in report.notes)
    assert len(imported(tmp_path / "data")) == 5


def test_phrases_by_template_table_and_hand(exported, tmp_path, monkeypatch, capsys):
    import_data(exported, tmp_path / "a", phrase="a {label} that moves")
    assert imported(tmp_path / "a")[0].objects[0].phrase == "a thing 0 that moves"
    table = tmp_path / "phrases.csv"
    table.write_text(
        'label,phrase,video\nthing 0,"the red, round one",\nthing 0,the ball,clip1\n', encoding="utf-8-sig"
    )
    import_data(exported, tmp_path / "b", phrases=table)
    first, second = (video.objects for video in imported(tmp_path / "b")[:2])
    assert [own.phrase for own in first] == ["the red, round one", "the thing 1", "the thing 2"]
    assert [own.label for own in first] == ["thing 0", "thing 1", "thing 2"]
    assert second[0].phrase == "the ball"
    asked = []
    import_data(exported, tmp_path / "c", ask=lambda label, proposed: asked.append((label, proposed)) or "")
    assert asked == [(f"thing {i}", f"the thing {i}") for i in range(3)]
    assert cli.main(["import-data", str(exported), "--output", str(tmp_path / "d"), "--ask"]) == 1
    assert "only on a terminal" in capsys.readouterr().err
    monkeypatch.setattr("sys.stdin", type("Terminal", (), {"isatty": lambda _: True, "readline": lambda _: "it\n"})())
    assert cli.main(["import-data", str(exported), "--output", str(tmp_path / "d"), "--ask", "-q"]) == 0
    assert imported(tmp_path / "d")[0].objects[0].phrase == "it"


@pytest.mark.parametrize(
    "options, words",
    [
        ({"phrase": "it"}, "has no place for {label}"),
        ({"phrase": "<p> {label}"}, "mark phrases"),
        ({"split": 1.0}, "split must be between 0 and 1"),
        ({"split": float("nan")}, "split must be between 0 and 1"),
        ({"format": "voc"}, "format must be one of"),
        ({"format": "cvat"}, "holds no XML files"),
        ({"format": "sam2-json"}, "holds no such JSON file"),
        ({"video": "nowhere"}, "no such video"),
        ({"phrases": "nowhere.csv"}, "cannot be read as CSV"),
    ],
)
def test_options_that_cannot_be(exported, tmp_path, options, words):
    with pytest.raises((InputError, OSError), match=words):
        import_data(exported, tmp_path / "data", **options)
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize(
    "text, words",
    [
        ("name,phrase\n", ":1: must name its columns"),
        ("label,phrase\na,b\na,c\n", ":3: 'a' is there twice"),
        ("label,phrase\na,\n", ":2: needs a label and a phrase"),
        ("label,phrase\na,[SEG]\n", ":2: .* mark phrases"),
        ("label,phrase\na\n", ":2: needs a label and a phrase"),
        ("\xff", "cannot be read as CSV"),
    ],
)
def test_tables_that_cannot_be_read(exported, tmp_path, text, words):
    (tmp_path / "phrases.csv").write_text(text, encoding="latin-1")
    with pytest.raises(InputError, match=words):
        import_data(exported, tmp_path / "data", phrases=tmp_path / "phrases.csv")


def test_one_video_is_not_split(tmp_path):
    export_data(
        write_data(tmp_path / "own", [made("a", write_pictures(tmp_path / "a"))]), tmp_path / "x", format="coco"
    )
    with pytest.raises(InputError, match="one video cannot be split"):
        import_data(tmp_path / "x", tmp_path / "data", split=0.2)
    assert not (tmp_path / "data").exists()


def test_only_what_was_written_by_an_import_is_replaced(exported, tmp_path):
    import_data(exported, tmp_path / "data")
    with pytest.raises(OutputError, match="not empty"):
        import_data(exported, tmp_path / "data")
    (tmp_path / "data" / "mine.txt").write_text("mine")
    import_data(exported, tmp_path / "data", overwrite=True)
    assert (tmp_path / "data" / "mine.txt").read_text() == "mine"
    with pytest.raises(OutputError, match="another kind of output"):
        export_data(tmp_path / "data", exported.parent / "other", format="cvat")
        import_data(exported, exported.parent / "other", overwrite=True)


def answer(tmp_path, video) -> dict:
    size = (32, 48)
    frames = [0, 3, 6]
    nothing = np.zeros(size, bool)
    tracks = [masks(i, size, frames) for i in range(2)]
    objects = [
        {
            "index": i,
            "phrase": f"a thing {i}",
            "score": 0.5 + i / 4,
            "object_scores": [1.0] * 3,
            "iou_scores": [0.5] * 3,
            "masks": [encode_rle(track.get(frame, nothing)) for frame in frames],
        }
        for i, track in enumerate(tracks)
    ]
    document = {
        **{"format": FORMAT, "version": "0", "model": None, "text": "", "raw_text": "", "finish_reason": "stop"},
        **{"note": None, "phrases": [], "objects": objects, "frame_indices": frames, "timestamps": [0.0, 0.6, 1.2]},
        **{"size": {"height": 32, "width": 48}, "pixel_aspect": 1.0, "fps": 5.0, "num_frames": 9},
        "settings": {"question": "what?", "video": str(video)},
    }
    path = tmp_path / "answer.json"
    path.write_text(json.dumps(document))
    assert answer_problems(path) == []
    return path, {f"a thing {i}": track for i, track in enumerate(tracks)}


@pytest.mark.parametrize("format", EXPORT_FORMATS)
def test_an_answer_goes_to_a_tool_and_its_correction_comes_back(tmp_path, format, capsys):
    media = write_video(tmp_path / "clip.mp4")
    path, truth = answer(tmp_path, media)
    out = str(tmp_path / "out")
    assert cli.main(["export-data", str(path), "--format", format, "--output", out]) == 0
    assert "1 video with 2 objects and" in capsys.readouterr().out
    import_data(out, tmp_path / "data", video=media)
    (video,) = imported(tmp_path / "data")
    assert [own.phrase for own in video.objects] == ["a thing 0", "a thing 1"]
    expected = {
        name: {frame: np.packbits(mask).tobytes() for frame, mask in track.items()} for name, track in truth.items()
    }
    assert pixels(video) == expected


def test_answers_are_proposals_where_the_tool_knows_such(tmp_path):
    path, _ = answer(tmp_path, write_video(tmp_path / "clip.mp4"))
    export_data(path, tmp_path / "ls", format="label-studio")
    tasks = json.loads((tmp_path / "ls" / "tasks.json").read_text())
    assert all("annotations" not in task and task["predictions"][0]["score"] > 0 for task in tasks)
    export_data(path, tmp_path / "cvat", format="cvat")
    assert 'source="auto"' in (tmp_path / "cvat" / "clip.xml").read_text()
    export_data(path, tmp_path / "coco", format="coco")
    assert json.loads((tmp_path / "coco" / "annotations.json").read_text())["annotations"][0]["score"] == 0.5


def test_an_answer_without_its_video(tmp_path):
    """What needs no pictures can be written all the same."""
    media = write_video(tmp_path / "clip.mp4")
    path, _ = answer(tmp_path, media)
    media.rename(tmp_path / "elsewhere.mp4")
    for format in ("cvat", "cvat-video", "sam2-json", "png"):
        export_data(path, tmp_path / format, format=format)
    for format in ("coco", "labelme", "label-studio", "ytvos"):
        with pytest.raises(OSError, match="give its video as --video"):
            export_data(path, tmp_path / format, format=format)
        assert not (tmp_path / format).exists()
        export_data(path, tmp_path / format, format=format, video=tmp_path / "elsewhere.mp4")


@pytest.mark.parametrize("text, words", [("{}", "check-answer"), ("", "is not JSON"), ('{"format": 3', "is not JSON")])
def test_answers_that_are_none(tmp_path, text, words):
    (tmp_path / "answer.json").write_text(text)
    with pytest.raises(InputError, match=words):
        export_data(tmp_path / "answer.json", tmp_path / "out", format="coco")


def test_samples_of_others_are_exported_by_their_phrases(tmp_path):
    """A sentence that names two objects, one mask each, as data sets of captions have it."""
    write_video(tmp_path / "clip.mp4")
    mask = encode_rle(np.eye(32, 48, dtype=bool))
    sample = {
        "messages": [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "What is there?"}]},
            {
                "role": "assistant",
                "content": [{"type": "text", "text": "A <p> cat </p> [SEG] on a <p> mat </p> [SEG]."}],
            },
        ],
        **{"video": "clip.mp4", "masks": [[mask, None], [None, mask]], "mask_frames": [1, 4]},
    }
    (tmp_path / "train.jsonl").write_text(json.dumps(sample))
    export_data(tmp_path / "train.jsonl", tmp_path / "out", format="ytvos")
    document = json.loads((tmp_path / "out" / "instances.json").read_text())
    assert [category["name"] for category in document["categories"]] == ["cat", "mat"]
    with pytest.raises(InputError, match="name their videos themselves"):
        export_data(tmp_path / "train.jsonl", tmp_path / "out2", format="ytvos", video="clip.mp4")
    (tmp_path / "train.jsonl").write_text(json.dumps({**sample, "mask_frames": [1, 40]}))
    with pytest.raises(InputError, match=r"train.jsonl: sample 1: mask_frames: 40"):
        export_data(tmp_path / "train.jsonl", tmp_path / "out2", format="ytvos")
    assert not (tmp_path / "out2").exists()
