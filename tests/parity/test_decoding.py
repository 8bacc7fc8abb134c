"""Frames of real files equal those of decord, the original's decoder, at the positions the original samples.

decord knows no pixel aspect: its frames of a file with other than square pixels are stretched here as players do.
"""

import av
import numpy as np
import pytest
from PIL import Image

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
    with av.open(path) as container:
        aspect = float(container.streams.video[0].sample_aspect_ratio or 1)
    size = round(expected.shape[2] * aspect), expected.shape[1]
    if aspect != 1:
        expected = np.stack([np.asarray(Image.fromarray(frame).resize(size, Image.BICUBIC)) for frame in expected])
    clip = read_clip(path, fps=fps)
    assert clip.array.shape == expected.shape
    difference = np.abs(clip.array.astype(int) - expected.astype(int)).max()
    hold(f"decoding {name}", f"pixels at {fps or 'all'} fps", difference, 0)
