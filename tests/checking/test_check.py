"""What is found in training data, each with why it matters and what to do."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from tests.data.builders import conversation
from tests.videos import make_video
from videoglamm_hf import InputError, VideoGlammConfig
from videoglamm_hf.checking import check_data
from videoglamm_hf.checking.check import PUBLISHED_SIDE, PUBLISHED_TOWER_FRAMES
from videoglamm_hf.checking.report import write_check_report
from videoglamm_hf.cli import main
from videoglamm_hf.data.rle import encode_rle

SIZE = (48, 64)


def mask(top=10, left=10, height=20, width=20):
    found = np.zeros(SIZE, bool)
    found[top : top + height, left : left + width] = True
    return encode_rle(found)


def frames(folder, name, count=4, seed=0):
    """A folder of pictures that belong together."""
    (folder / name).mkdir()
    base = np.random.default_rng(seed).integers(0, 255, (6, 8, 3), np.uint8)
    for i in range(count):
        picture = Image.fromarray(base).resize((SIZE[1], SIZE[0]), Image.Resampling.BICUBIC)
        picture.save(folder / name / f"{i:05}.png")
    return name


def sample(video, *objects, mask_frames=(0, 3), answer=None):
    """A sample whose objects are `(phrase, track)`."""
    answer = answer or " and ".join(f"<p> {phrase} </p> [SEG]" for phrase, _ in objects) or "No."
    return {
        "messages": conversation(answer=answer),
        "video": video,
        "masks": [track for _, track in objects],
        "mask_frames": list(mask_frames),
    }


def write(path, *samples):
    path.write_text("".join(json.dumps(own) + "\n" for own in samples))
    return path


def found_in(data, **options):
    return {(finding.kind, finding.record) for finding in check_data(data, **options).findings}


def test_objects_that_teach_nothing(tmp_path):
    video = frames(tmp_path, "a")
    path = write(
        tmp_path / "samples.jsonl",
        sample(video, ("the dog", [mask(), mask()])),
        sample(video, ("the cat", [None, None])),
        sample(video, ("the ant", [mask(height=1, width=1), None])),
        sample(video, ("the two", [mask(height=1, width=2), None]), answer="It is [SEG]."),
        sample(video, ("the dog", [mask(), None]), ("the dog", [mask(top=30), mask(top=30, height=10)])),
        sample(video, ("the dog", [mask(), None]), ("the animal", [mask(), None])),
        sample(video),
    )
    found = {f"{kind} {record.rpartition(':')[2]}" for kind, record in found_in(tmp_path)}
    # One pixel of 48 x 64 is more than 20 of 1024 x 1024.
    assert found == {
        "object never appears 2",
        "object without a phrase 4",
        "one phrase for two objects 5",
        "two phrases for one object 6",
        "few videos samples.jsonl",
    }
    assert found_in(path) == found_in(tmp_path)


def test_sizes_are_those_of_the_model(tmp_path, processor):
    video = frames(tmp_path, "a")
    write(tmp_path / "samples.jsonl", sample(video, ("the ant", [mask(height=1, width=1), None])), sample(video))
    kinds = {kind for kind, _ in found_in(tmp_path)}
    small = {kind for kind, _ in found_in(tmp_path, processor=processor)}
    side = processor.video_processor.grounding_image_size
    assert "mask of a few pixels" not in kinds
    assert ("mask of a few pixels" in small) == (side * side / (48 * 64) < 20)
    config = VideoGlammConfig()
    assert (config.grounding_config.image_size, config.num_tower_frames) == (PUBLISHED_SIDE, PUBLISHED_TOWER_FRAMES)


def test_objects_between_the_frames_that_are_seen(tmp_path):
    """Of 200 pictures at one a second, 64 are taken, and 16 of these are seen."""
    video = frames(tmp_path, "a", count=200)
    track = [mask(), mask()]
    write(
        tmp_path / "samples.jsonl",
        sample(video, ("the bird", track), mask_frames=(3, 5)),
        sample(video, ("the dog", track), mask_frames=(3, 150)),
        sample(video),
    )
    assert [(kind, record) for kind, record in found_in(tmp_path) if "between" in kind] == [
        ("object between sampled frames", "samples.jsonl:1")
    ]


def test_videos_on_both_sides(tmp_path):

    names = [frames(tmp_path, name, seed=seed) for seed, name in enumerate("abc")]
    shutil.copytree(tmp_path / "b", tmp_path / "b_again")
    for number in range(4):
        picture = Image.open(tmp_path / "c" / f"{number:05}.png")
        (tmp_path / "c_cut").mkdir(exist_ok=True)
        picture.resize((80, 60)).save(tmp_path / "c_cut" / f"{number:05}.jpg")
    frames(tmp_path, "other", seed=9)
    (tmp_path / "blank").mkdir()
    Image.new("RGB", (64, 48)).save(tmp_path / "blank" / "0.png")
    Image.new("RGB", (64, 48)).save(tmp_path / "blank" / "1.png")
    shutil.copytree(tmp_path / "blank", tmp_path / "blank2")
    write(tmp_path / "train.jsonl", *(sample(name) for name in [*names, "blank"]))
    write(tmp_path / "validation.jsonl", *(sample(name) for name in ["a", "b_again", "c_cut", "other", "blank2"]))
    leaks = sorted((kind, record) for kind, record in found_in(tmp_path) if "leak" in kind)
    assert leaks == [
        ("leak: frames look alike", "validation.jsonl:2"),
        ("leak: frames look alike", "validation.jsonl:3"),
        ("leak: same video", "validation.jsonl:1"),
    ]


def test_the_same_file_under_another_name(tmp_path):

    make_video(tmp_path / "one.mp4", np.zeros((4, 48, 64, 3), np.uint8))
    (tmp_path / "two.mp4").write_bytes((tmp_path / "one.mp4").read_bytes())
    write(tmp_path / "train.jsonl", sample("one.mp4"))
    write(tmp_path / "validation.jsonl", sample("two.mp4"))
    assert ("leak: same video", "validation.jsonl:1") in found_in(tmp_path)


def test_imbalance_and_nothing_absent(tmp_path):
    video = frames(tmp_path, "a")
    common = [sample(video, ("the dog", [mask(), None]))] * 11
    write(tmp_path / "samples.jsonl", *common, sample(video, ("the  Cat", [mask(), None])))
    kinds = {kind for kind, _ in found_in(tmp_path)}
    assert {"imbalance of phrases", "nothing is ever absent"} <= kinds
    write(tmp_path / "samples.jsonl", *common[1:], sample(video, ("the cat", [mask(), None])), sample(video))
    assert not {"imbalance of phrases", "nothing is ever absent"} & {kind for kind, _ in found_in(tmp_path)}


def test_broken_records_are_errors_and_the_rest_is_looked_at(tmp_path, capsys):
    video = frames(tmp_path, "a")
    path = tmp_path / "samples.jsonl"
    write(path, sample(video, ("the cat", [None, None])), sample("absent.mp4"))
    with path.open("a") as file:
        file.write("no json\n")
    check = check_data(tmp_path)
    assert [finding.record for finding in check.errors] == ["samples.jsonl:2", "samples.jsonl:3"]
    assert check.counts()["error"] == 2
    assert main(["check-data", str(tmp_path), "--quiet"]) == 1
    printed = capsys.readouterr()
    assert "warning: object never appears (1)" in printed.out and "fix: leave the object out" in printed.out
    assert "2 problems" in printed.err
    with pytest.raises(InputError, match=r"holds neither samples\.jsonl nor train\.jsonl"):
        check_data(tmp_path / "a")
    with pytest.raises(InputError, match="no such file or folder"):
        check_data(tmp_path / "b")


def test_a_page_to_look_at(tmp_path, capsys):
    video = frames(tmp_path, "a")
    path = write(tmp_path / "samples.jsonl", sample(video, ("<b>dog</b>", [mask(), None]), ("cat", [None, None])))
    assert main(["check-data", str(path), "--report", str(tmp_path / "page.html"), "--quiet"]) == 0
    page = (tmp_path / "page.html").read_text()
    assert "object never appears" in page and "data:image/jpeg;base64," in page
    assert "&lt;b&gt;dog" in page and "<b>dog" not in page and "cat (not here)" in page
    assert "src=" not in page.replace('src="data:', "") and "http" not in page
    write_check_report(tmp_path / "page.html", check_data(path))


def test_urls_are_not_opened_and_said_to_be(tmp_path):
    path = write(tmp_path / "samples.jsonl", sample("http://127.0.0.1:9/x.mp4", ("the dog", [mask(), None])))
    assert ("not opened", "samples.jsonl") in found_in(path)


def test_long_lists_are_cut_on_the_screen(tmp_path, capsys):
    video = frames(tmp_path, "a")
    path = write(tmp_path / "samples.jsonl", *[sample(video, ("the cat", [None, None]))] * 9)
    assert main(["check-data", str(path), "--quiet"]) == 0
    assert "... and 4 more (--all prints them)" in capsys.readouterr().out
    assert main(["check-data", str(path), "--quiet", "--all"]) == 0
    assert "samples.jsonl:9" in capsys.readouterr().out
