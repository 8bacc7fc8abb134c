"""Which frames are taken of a video of constant rate."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from videoglamm_hf.errors import InputError
from videoglamm_hf.frame_sampling import FrameSampling


def original_positions(total, native_fps, fps, num_frames, max_frames, start_time, end_time):
    """The loader of the original model, with `num_frames` as this package adds it."""
    f_start = int(start_time * native_fps) if start_time else 0
    f_end = int(min(end_time * native_fps, total - 1)) if end_time is not None else total - 1
    if num_frames is not None:
        positions = sorted(set(np.linspace(f_start, f_end, num=num_frames, dtype=int).tolist()))
    else:
        stride = 1 if fps is None else max(1, round(native_fps / fps))
        positions = list(range(f_start, f_end + 1, stride))
    if max_frames is not None and len(positions) > max_frames:
        positions = [positions[i] for i in np.linspace(0, len(positions) - 1, num=max_frames, dtype=int)]
    return positions


@st.composite
def samplings(draw):
    total = draw(st.integers(1, 3000))
    native_fps = draw(st.sampled_from([23.976, 24.0, 25.0, 30000 / 1001, 30.0, 60.0]) | st.floats(0.5, 240))
    duration = total / native_fps
    start = draw(st.none() | st.floats(0, 0.99).map(lambda share: share * duration))
    end = draw(st.none() | st.floats(0.001, 2).map(lambda share: (start or 0) + share * duration))
    return {
        "total": total,
        "native_fps": native_fps,
        "fps": draw(st.none() | st.sampled_from([0.5, 1.0, 2.0]) | st.floats(0.01, 300)),
        "num_frames": draw(st.none() | st.integers(1, 100)),
        "max_frames": draw(st.none() | st.integers(1, 80)),
        "start_time": start,
        "end_time": end,
    }


def sample_frame_indices(total, native_fps, **options) -> list[int]:
    return FrameSampling(**options).at_rate(total, native_fps)


@given(samplings())
def test_the_frames_of_the_original_loader_are_taken(sampling):
    assert sample_frame_indices(**sampling) == original_positions(**sampling)


@given(samplings())
def test_sampled_positions_increase_within_the_limits(sampling):
    positions = sample_frame_indices(**sampling)
    assert positions
    assert all(type(position) is int for position in positions)
    assert all(a < b for a, b in itertools.pairwise(positions))
    assert positions[0] >= 0 and positions[-1] < sampling["total"]
    assert len(positions) <= min(sampling["max_frames"] or 10**9, sampling["num_frames"] or 10**9)


NO_LIMITS = {"fps": None, "num_frames": None, "max_frames": None, "start_time": None, "end_time": None}


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"fps": 1.0}, [0, 25, 50, 75]),
        ({"fps": 1.0, "start_time": 1.02}, [25, 50, 75]),
        ({"fps": 1.0, "end_time": 2.0}, [0, 25, 50]),
        ({"fps": 100.0, "end_time": 0.1}, [0, 1, 2]),
        ({"num_frames": 3}, [0, 49, 99]),
        ({"num_frames": 500}, list(range(100))),
        ({"num_frames": 10**12, "max_frames": 2}, [0, 99]),
        ({"fps": 1e-300}, [0]),
        ({"max_frames": 1}, [0]),
    ],
)
def test_sampling_by_example(options, expected):
    assert sample_frame_indices(100, 25.0, **{**NO_LIMITS, **options}) == expected


def test_without_a_frame_rate_every_frame_counts_and_times_are_refused():
    assert sample_frame_indices(5, None, **{**NO_LIMITS, "fps": 1.0}) == [0, 1, 2, 3, 4]
    with pytest.raises(InputError, match="frame rate"):
        sample_frame_indices(5, None, **{**NO_LIMITS, "end_time": 1.0})
