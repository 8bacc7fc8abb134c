"""JSONL: what is written is read, and whatever else a file holds is told by file, line and field."""

import json
import pickle
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from torch.utils.data import DataLoader

from tests.data.builders import HEIGHT, LEFT, RIGHT, TOP, WIDTH, conversation, plain_rle, rle, sample, write_frames
from tests.data.test_sample import BAD, JSON
from videoglamm_hf import InputError, MediaError
from videoglamm_hf.data import JsonlDataset, check_sample, jsonl_lines, validate_jsonl, write_jsonl
from videoglamm_hf.errors import OutputError
from videoglamm_hf.render.video_encoding import write_mp4


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder with a clip of four frames in `clip`, as `sample()` wants it."""
    write_frames(tmp_path / "clip", ["0.png", "1.png", "2.png", "3.png"])
    return tmp_path


def lines(folder: Path, *values: object) -> Path:
    path = folder / "train.jsonl"
    path.write_text("".join((v if isinstance(v, str) else json.dumps(v)) + "\n" for v in values), encoding="utf-8")
    return path


def identity(batch):
    return batch


def test_a_line_is_a_sample_with_media_beside_the_file(folder):
    path = lines(folder, sample(id="a"))
    assert JsonlDataset(path)[0] == sample(id="a", video=str(folder / "clip"))
    frames = [str(folder / "clip" / f"{i}.png") for i in range(4)]
    path = lines(folder, sample(video=["clip/0.png", "clip/1.png", frames[2], "./clip/3.png"]))
    assert JsonlDataset(path)[0] == sample(video=frames)


def test_urls_stay_as_they_are(folder):
    path = lines(folder, sample(video="https://example.org/a.mp4"))
    assert JsonlDataset(path)[0]["video"] == "https://example.org/a.mp4"
    assert validate_jsonl(path) == []


def test_images_and_text_only(folder):
    image = {"messages": conversation(kind="image"), "image": "clip/0.png", "masks": [[rle(TOP)]], "mask_frames": [0]}
    text = {"messages": conversation("Hi?", "Hello.", kind=None)}
    path = lines(folder, image, text)
    assert list(JsonlDataset(path)) == [{**image, "image": str(folder / "clip" / "0.png")}, text]
    assert validate_jsonl(path) == []


def test_uncompressed_counts_come_out_compressed(folder):
    path = lines(folder, sample(masks=[[{**plain_rle(LEFT), "ignore": plain_rle(RIGHT)["counts"]}, None]]))
    assert JsonlDataset(path)[0]["masks"] == [[{**rle(LEFT), "ignore": rle(RIGHT)["counts"]}, None]]


def test_random_access_and_streaming_agree_over_blank_lines(folder):
    path = lines(folder, sample(id="0"), "", sample(id="1", word="grün"), "  \t", sample(id="2"))
    dataset = JsonlDataset(path)
    assert [s["id"] for s in dataset] == ["0", "1", "2"]
    assert dataset._offsets is None, "streaming needs no index"
    assert len(dataset) == 3
    assert [dataset[i]["id"] for i in (2, 0, 1, -1)] == ["2", "0", "1", "2"]
    for index in (3, -4):
        with pytest.raises(IndexError, match="has 3"):
            dataset[index]
    for index in (slice(1), "0", 1.0, None):
        with pytest.raises(TypeError, match="one whole number, not"):
            dataset[index]


def test_windows_line_ends_and_a_missing_last_one(folder):
    path = folder / "train.jsonl"
    path.write_bytes(b"\r\n".join(json.dumps(sample(id=str(i))).encode() for i in range(2)))
    assert [s["id"] for s in JsonlDataset(path)] == ["0", "1"]


def test_workers_of_a_data_loader_read_it(folder):
    dataset = JsonlDataset(lines(folder, *(sample(id=str(i)) for i in range(5))))
    assert len(pickle.loads(pickle.dumps(dataset))) == len(dataset) == 5
    loader = DataLoader(pickle.loads(pickle.dumps(dataset)), batch_size=2, num_workers=2, collate_fn=identity)
    assert [[s["id"] for s in batch] for batch in loader] == [["0", "1"], ["2", "3"], ["4"]]


def test_a_dataset_of_the_hub_takes_the_samples(folder):
    datasets = pytest.importorskip("datasets")
    ours = JsonlDataset(lines(folder, sample(id="0"), sample(id="1", masks=[[None, rle(TOP)]])))
    theirs = datasets.Dataset.from_list([ours[i] for i in range(len(ours))])
    for i in range(len(ours)):
        check_sample(theirs[i])
        assert theirs[i]["masks"] == ours[i]["masks"]


# Writing


def test_paths_below_the_file_are_written_relative_to_it(folder, monkeypatch):
    (folder / "sub").mkdir()
    inside, outside = str(folder / "sub" / "a.mp4"), str(folder / "clip")
    assert write_jsonl(folder / "sub" / "train.jsonl", [sample(video=Path(inside)), sample(video=outside)]) == 2
    written = [json.loads(line)["video"] for line in (folder / "sub" / "train.jsonl").read_text().splitlines()]
    assert written == ["a.mp4", outside]
    monkeypatch.chdir(folder)
    write_jsonl("train.jsonl", [sample(video=["clip/0.png", "clip/1.png", "clip/2.png", "clip/3.png"])])
    assert JsonlDataset("train.jsonl")[0]["video"] == ["clip/0.png", "clip/1.png", "clip/2.png", "clip/3.png"]


def test_arrays_and_numpy_numbers_are_written_plain(folder):
    changed = sample(video=str(folder / "clip"), masks=((LEFT, None),), mask_frames=tuple(np.arange(0, 4, 3)))
    write_jsonl(folder / "train.jsonl", [changed])
    assert JsonlDataset(folder / "train.jsonl")[0] == sample(video=str(folder / "clip"))


BAD_WRITES = {
    "not a sample": (sample(masks=[]), "sample 1: masks: 0 mask tracks for 1"),
    "video as an array": (sample(video=np.zeros((4, 4, 6, 3), np.uint8)), "sample 1: video: is not a path; write it"),
    "not JSON": (sample(extra=object()), "sample 1: cannot be written as JSON: .*object"),
    "not a number": (sample(extra=float("nan")), "sample 1: cannot be written as JSON: "),
    "not Unicode": (sample(extra="\ud800"), "sample 1: cannot be written as JSON: "),
}


@pytest.mark.parametrize("case", BAD_WRITES)
def test_what_cannot_be_written_leaves_the_old_file(folder, case):
    bad, expected = BAD_WRITES[case]
    path = lines(folder, "old")
    with pytest.raises(InputError, match=expected):
        write_jsonl(path, [sample(), bad])
    assert path.read_text() == "old\n" and {p.name for p in folder.iterdir()} == {"clip", "train.jsonl"}


def test_errors_of_the_source_stay_what_they_are(folder):
    source = JsonlDataset(lines(folder, sample(video="gone.mp4")))
    with pytest.raises(MediaError, match=r"gone.mp4"):
        write_jsonl(folder / "copy.jsonl", source)
    with pytest.raises(OutputError, match="cannot be written"):
        write_jsonl(folder / "no such folder" / "train.jsonl", [sample()])


BOXES = arrays.arrays(bool, (HEIGHT, WIDTH))
MASKS = (
    st.none() | BOXES.map(rle) | st.tuples(BOXES, BOXES).map(lambda p: {**rle(p[0]), "ignore": rle(p[1])["counts"]})
)
WORDS = st.text(st.characters(exclude_categories=["Cs"]), max_size=12).filter(lambda text: "[SEG]" not in text)


@st.composite
def conversations(draw, num_frames: int):
    """Messages about a video, and their tracks."""
    messages, tracks = [], []
    for turn in range(draw(st.integers(1, 2))):
        objects = draw(st.integers(0, 2))
        tracks += [[draw(MASKS) for _ in range(num_frames)] for _ in range(objects)]
        answer = "A" + draw(WORDS) + " <p> thing </p> [SEG]" * objects
        messages += conversation("Q" + draw(WORDS), answer, "video" if turn == 0 else None)
    return messages, tracks


@st.composite
def samples(draw):
    frames = sorted(draw(st.sets(st.integers(0, 1000), min_size=1, max_size=3)))
    media = {"video": draw(st.sampled_from(["a.mp4", "ä b.mp4"])), "mask_frames": frames}
    if draw(st.booleans()):
        messages, tracks = draw(conversations(len(frames)))
        return {"messages": messages, "masks": tracks, **media, "note": draw(WORDS)}
    pairs = draw(st.lists(conversations(len(frames)), min_size=1, max_size=2))
    return {"messages": [pair[0] for pair in pairs], "masks": [pair[1] for pair in pairs], **media}


@settings(max_examples=60)
@given(st.lists(samples(), max_size=3))
def test_what_is_written_is_read(written):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.jsonl")
        for each in written:
            Path(folder, each["video"]).touch()
            each["video"] = str(Path(folder, each["video"]))
        assert write_jsonl(path, written) == len(written)
        dataset = JsonlDataset(path)
        assert [dataset[i] for i in range(len(dataset))] == list(dataset) == written


# Validation

BAD_LINES = {
    "not JSON": ('{"messages": ', "line: is not JSON: Expecting value at character "),
    "NaN": ('{"mask_frames": [NaN]}', "line: is not JSON: NaN is not a number"),
    "infinity": ('{"mask_frames": [-Infinity]}', "line: is not JSON: -Infinity is not a number"),
    "endless number": ("1" * 5000, "line: is not JSON: Exceeds the limit"),
    "deep nesting": ("[" * 100_000, "line: is not JSON: "),
    "no object": ("[]", "sample: must be a dict with 'messages', not list"),
    "half a surrogate pair": (
        json.dumps(sample(masks=[[{**rle(LEFT), "counts": "\ud800"}, None]])),
        "masks[0][0].counts: the counts of a mask encoding are cut short or hold what does not belong",
    ),
    "array as numbers": (json.dumps(sample(video=[[0]])), "video[0]: must be the path of a picture, not list"),
    **{
        f"sample: {case}": (json.dumps(bad), expected)
        for case, (bad, expected) in BAD.items()
        if case in {"runs beyond the size", "too few tracks", "sizes differ", "huge size", "assistant first"}
    },
}


@pytest.mark.parametrize("case", BAD_LINES)
def test_reader_and_validator_say_the_same_of_a_bad_line(folder, case):
    line, expected = BAD_LINES[case]
    path = lines(folder, sample(), "", line, sample())
    problems = validate_jsonl(path)
    assert len(problems) == 1 and problems[0].startswith(f"{path}:3: {expected}")
    dataset = JsonlDataset(path)
    assert dataset[0] == dataset[2]
    with pytest.raises(InputError) as error:
        dataset[1]
    assert str(error.value) == problems[0]
    with pytest.raises(InputError, match=r"train.jsonl:3: "):
        list(dataset)


def test_missing_media_are_media_errors_with_the_same_message(folder):
    path = lines(folder, sample(video="gone.mp4"), sample(video=["clip/0.png", "clip/9.png"], mask_frames=[0, 1]))
    problems = validate_jsonl(path)
    hint = "no such file or folder; paths start from the folder of the JSONL file"
    assert problems == [
        f"{path}:1: video: {folder / 'gone.mp4'}: {hint}",
        f"{path}:2: video[1]: {folder / 'clip' / '9.png'}: {hint}",
    ]
    for i, problem in enumerate(problems):
        with pytest.raises(MediaError) as error:
            JsonlDataset(path)[i]
        assert str(error.value) == problem


def test_the_validator_names_every_problem(folder):
    bad = sample(masks=[[{"size": [4, 6], "counts": "o"}, 3]], mask_frames=[5, 2])
    path = lines(folder, "x", bad)
    fields = [problem.split(": ")[:2] for problem in validate_jsonl(path)]
    assert fields == [
        [f"{path}:1", "line"],
        [f"{path}:2", "mask_frames[1]"],
        [f"{path}:2", "masks[0][0].counts"],
        [f"{path}:2", "masks[0][1]"],
    ]


def test_the_validator_opens_the_media(folder):
    write_mp4(folder / "a.mp4", np.zeros((3, 4, 6, 3), np.uint8), fps=5)
    write_frames(folder / "wide", ["0.png"], (4, 8))
    (folder / "text.mp4").write_text("no video")
    image = {"messages": conversation(kind="image"), "image": "wide/0.png", "masks": [[rle(TOP)]], "mask_frames": [0]}
    path = lines(
        folder,
        sample(video="a.mp4", mask_frames=[0, 2]),
        sample(video="a.mp4", mask_frames=[0, 3]),
        sample(video="wide"),
        sample(video=["wide/0.png"] * 4),
        sample(video="text.mp4"),
        sample(video="clip/0.png"),
        image,
    )
    wide = "masks[0][0].size: [4, 6], but the video is [4, 8], as [height, width]"
    problems = validate_jsonl(path)
    assert problems[:4] == [
        f"{path}:2: mask_frames[1]: 3, but the video has 3 frames, numbered from 0",
        f"{path}:3: mask_frames[1]: 3, but the video has 1 frames, numbered from 0",
        f"{path}:3: {wide}",
        f"{path}:4: {wide}",
    ]
    assert problems[4].startswith(f"{path}:5: video: {folder / 'text.mp4'}: not a video")
    assert problems[5:] == [
        f"{path}:6: mask_frames[1]: 3, but the video has 1 frames, numbered from 0",
        f"{path}:7: {wide}",
    ]


def test_files_that_are_no_jsonl(folder, monkeypatch):
    path = folder / "train.jsonl"
    assert validate_jsonl(path) == [f"{path}: no such file; check the path"]
    assert validate_jsonl(folder) == [f"{folder}: no such file; check the path"]
    assert validate_jsonl("a\0b") == ["a\0b: no such file; check the path"]
    for missing in (path, folder):
        with pytest.raises(InputError, match="no such file"):
            JsonlDataset(missing)
    assert validate_jsonl(lines(folder, " ")) == [f"{path}: holds no samples; write one per line"]
    path.write_bytes(b"\xff\xfe\n\x00\n")
    problems = validate_jsonl(path)
    assert problems[0] == f"{path}:1: line: is not UTF-8 text at byte 1" and len(problems) == 2
    monkeypatch.setattr(jsonl_lines, "MAX_LINE_BYTES", 1000)
    lines(folder, "x" * 5000, sample(note="y" * 400), "z" * 999)
    assert [problem.split(": ", 1)[1][:18] for problem in validate_jsonl(path)] == [
        "line: is longer th",
        "line: is not JSON:",
    ]
    with pytest.raises(InputError, match="1: line: is longer than 1000 bytes"):
        JsonlDataset(path)[0]
    assert JsonlDataset(path)[1]["note"] == "y" * 400


LIKE_SAMPLES = st.fixed_dictionaries(
    {"messages": st.just(conversation()) | JSON},
    optional=dict.fromkeys(["video", "image", "masks", "mask_frames"], JSON),
)


@settings(max_examples=100)
@given(st.lists(JSON | LIKE_SAMPLES, max_size=3), st.binary(max_size=20))
def test_the_validator_never_raises(values, junk):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "train.jsonl")
        path.write_bytes(junk + b"\n" + "\n".join(json.dumps(value) for value in values).encode())
        problems = validate_jsonl(path)
        assert all(problem.startswith(f"{path}:") for problem in problems)
        dataset = JsonlDataset(path)
        for i in range(len(dataset)):
            try:
                check_sample(dataset[i])
            except (InputError, MediaError) as error:
                assert str(error) in problems
