"""The three pixel streams: shapes, filters, and which frames the towers see."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from videoglamm_hf.frame_sampling import tower_frame_indices
from videoglamm_hf.image_streams import (
    grounding_stream,
    normalize_grounding_frames,
    opencv_resize_bilinear,
    spatial_stream,
    temporal_stream,
)

# What cv2.resize (OpenCV 4.10, INTER_LINEAR) makes of (37 i + 11) mod 256.
OPENCV = [
    ((2, 3), [[11, 34, 62, 85], [22, 45, 73, 96], [67, 90, 117, 141], [111, 134, 162, 185], [122, 145, 173, 196]]),
    ((6, 4), [[104, 114], [144, 90], [120, 130]]),
    ((5, 7), [[26, 90, 155, 220], [31, 96, 160, 225], [36, 100, 165, 230]]),
    ((1, 1), [[11, 11, 11], [11, 11, 11]]),
]


@pytest.mark.parametrize(("shape", "expected"), OPENCV)
def test_opencv_resize_is_bit_exact(shape, expected):
    picture = ((np.arange(shape[0] * shape[1]) * 37 + 11) % 256).astype(np.uint8).reshape(1, *shape, 1)
    expected = torch.tensor(expected, dtype=torch.uint8)
    assert torch.equal(opencv_resize_bilinear(torch.from_numpy(picture), *expected.shape)[0, ..., 0], expected)


sides = st.integers(1, 90)


@settings(max_examples=25)
@given(height=sides, width=sides, count=st.integers(1, 3))
def test_every_size_gives_the_towers_their_square(height, width, count):
    clip = np.random.default_rng(height * 91 + width).integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    assert spatial_stream(clip, 56).shape == (count, 3, 56, 56)
    assert temporal_stream(clip, 28).shape == (count, 3, 28, 28)
    resized = grounding_stream(clip, 64)
    assert resized.dtype == torch.uint8 and max(resized.shape[2:]) == 64
    assert normalize_grounding_frames(resized, 64, torch.float32).shape == (count, 3, 64, 64)


@settings(max_examples=25)
@given(height=sides, width=sides, value=st.integers(0, 255))
def test_a_flat_picture_stays_flat(height, width, value):
    clip = np.full((1, height, width, 3), value, dtype=np.uint8)
    for stream in (spatial_stream(clip, 28), temporal_stream(clip, 28)):
        assert (stream.amax((0, 2, 3)) - stream.amin((0, 2, 3))).max() < 1e-6
    assert grounding_stream(clip, 32).unique().tolist() == [value]


@given(num_frames=st.integers(1, 500), tower=st.integers(1, 32))
def test_tower_frames_are_in_order_and_span_the_clip(num_frames, tower):
    indices = tower_frame_indices(num_frames, tower)
    assert len(indices) == tower and indices == sorted(indices)
    assert indices[0] == 0 and max(indices) < num_frames
    if tower > 1:
        assert indices[-1] == num_frames - 1 if num_frames > tower else set(indices) == set(range(num_frames))


def test_dtype_of_the_grounding_stream_is_only_cast_at_the_end():
    frames = grounding_stream(np.random.default_rng(0).integers(0, 256, (1, 20, 30, 3), dtype=np.uint8), 32)
    full = normalize_grounding_frames(frames, 32, torch.float32)
    assert torch.equal(normalize_grounding_frames(frames, 32, torch.bfloat16), full.bfloat16())
