"""`calibration.json`: read as it was written, and what is none is refused by its field."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.calibration.made import calibration_of
from videoglamm_hf.calibration_file import read_calibration, write_calibration
from videoglamm_hf.errors import CheckpointError


def test_it_reads_as_it_was_written(tmp_path):
    path = tmp_path / "folder" / "calibration.json"
    for sentences in (True, False):
        made = calibration_of(sentences=sentences)
        write_calibration(made, path)
        assert read_calibration(path) == made
    assert [file.name for file in path.parent.iterdir()] == ["calibration.json"]


@pytest.mark.parametrize(
    "content, says",
    [
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "format"),
        (b'{"format": "TRT-8601-EntropyCalibration2"}', "format"),
        (b'{"format": "videoglamm-calibration-2"}', "format"),
        (b" " * (2**20 + 1), "bytes"),
    ],
)
def test_what_is_none_is_refused(tmp_path, content, says):
    path = tmp_path / "calibration.json"
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=says) as refused:
        read_calibration(path)
    assert "videoglamm calibrate" in str(refused.value)


LIES = [
    ("weights", {}),
    ("weights", "abc"),
    ("iou", 0),
    ("iou", "0.5"),
    ("mask_modes", {}),
    ("mask_modes", {"video": 1}),
    ("mask_modes.video", {}),
    ("mask_modes.video.objects", []),
    ("mask_modes.video.objects.features", ["other"]),
    ("mask_modes.video.objects.coefficients", [1.0]),
    ("mask_modes.video.objects.coefficients", [1.0, 0.0, 0.0, -1.0]),
    ("mask_modes.video.objects.coefficients", [1.0, 0.0, 0.0, float("nan")]),
    ("mask_modes.video.objects.coefficients", [1.0, 0.0, 0.0, 10**400]),
    ("mask_modes.video.objects.intercept", None),
    ("mask_modes.video.sentences.intercept", True),
    ("measured", []),
]


@pytest.mark.parametrize("place, value", LIES)
def test_lies_are_refused_by_their_field(tmp_path, place, value):
    document = json.loads(calibration_of().to_json())
    *way, last = place.split(".")
    inner = document
    for step in way:
        inner = inner[step]
    inner[last] = value
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(document))
    with pytest.raises(CheckpointError, match=r"calibration\.json"):
        read_calibration(path)


def test_a_missing_one_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"calibration\.json: cannot be read"):
        read_calibration(tmp_path / "calibration.json")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda own: st.lists(own, max_size=5) | st.dictionaries(st.text(max_size=5), own, max_size=3),
    max_leaves=8,
)
PLACES = ["weights", "iou", "mask_modes", "mask_modes.video", "mask_modes.video.objects", "mask_modes.video.sentences"]
PLACES += [f"mask_modes.video.objects.{name}" for name in ("features", "coefficients", "intercept")] + ["measured"]


@given(st.sampled_from(PLACES), JSON)
def test_whatever_is_in_it_is_read_or_refused(tmp_path_factory, place, value):
    document = json.loads(calibration_of().to_json())
    *way, last = place.split(".")
    inner = document
    for step in way:
        inner = inner[step]
    inner[last] = value
    path = tmp_path_factory.getbasetemp() / "hostile.json"
    path.write_text(json.dumps(document))
    try:
        found = read_calibration(path)
    except CheckpointError:
        return
    for own in found.mask_modes.values():
        assert 0 < own.objects.probability([8.0] * len(own.objects.features)) < 1
