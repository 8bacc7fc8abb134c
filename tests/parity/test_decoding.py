"""Frames of real files equal those of decord, the original's decoder, at the positions the original samples."""

import numpy as np
import pytest

from tests.cli.test_cli import real_file
from videoglamm_hf.clip_sources import read_clip

pytestmark = pytest.mark.parity


@pytest.mark.parametrize("name", ["bikes.mp4", "carphone_pristine.mp4"])
@pytest.mark.parametrize("fps", [1.0, 2.0, None])
def test_frames_equal_decords(name, fps, hold):
    decord = pytest.importorskip("decord", reason="decord has no wheel for this platform")
    path = str(real_file(name))
    reader = decord.VideoReader(path, ctx=decord.cpu(0))
    stride = 1 if fps is None else max(1, round(reader.get_avg_fps() / fps))
    positions = list(range(0, len(reader), stride))
    if len(positions) > 64:
        positions = [positions[i] for i in np.linspace(0, len(positions) - 1, num=64, dtype=int)]
    expected = reader.get_batch(positions).asnumpy()
    clip = read_clip(path, fps=fps)
    assert clip.array.shape == expected.shape
    difference = np.abs(clip.array.astype(int) - expected.astype(int)).max()
    hold(f"decoding {name}", f"pixels at {fps or 'all'} fps", difference, 0)
