"""Parts that are nowhere or not what they should be."""

import shutil

import pytest
import torch

from tests.conversion.checkpoints import FIRST, SECOND, change_tensors, edit_json, raiser, refused
from videoglamm_hf.conversion import original_parts


def test_a_part_that_is_nowhere(original, monkeypatch):
    def without(text):
        return lambda tensors: [tensors.pop(key) for key in list(tensors) if text in key]

    for name in (FIRST, SECOND):
        change_tensors(original, without("visual_model"), name)
    refused(original, "give SAM 2's own file with --sam2")
    for name in (FIRST, SECOND):
        change_tensors(original, without("vision_tower"), name)
    refused(original, "--internvideo2")
    shutil.rmtree(original / "clip")
    monkeypatch.setattr(original_parts, "snapshot_download", raiser(ConnectionError("no network")))
    refused(original, "no network.*--clip")
    refused(original, "not/there.*--clip", clip="not/there")


def test_part_files_that_are_not_what_they_should_be(original, tmp_path):
    refused(original, "absent.pt is not a file", sam2=tmp_path / "absent.pt")
    torch.save({"model": {"weight": torch.ones(2)}}, tmp_path / "other.pt")
    refused(original, "checkpoint has no model.visual_model", sam2=tmp_path / "other.pt")
    refused(original, "checkpoint has no model.vision_tower", internvideo2=tmp_path / "other.pt")


@pytest.mark.parametrize(
    "change", [{"image_mean": [0.5, 0.5, 0.5]}, {"size": {"shortest_edge": 224}}, {"resample": 2}]
)
def test_a_clip_that_wants_other_pixels(original, change):
    edit_json(original / "clip" / "preprocessor_config.json", **change)
    refused(original, next(iter(change)))
