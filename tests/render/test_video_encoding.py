"""What is written as mp4: it comes back, in any size and rate, complete or not at all."""

import tempfile
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.videos import numbered_frame
from videoglamm_hf.clip_sources import read_clip
from videoglamm_hf.errors import InputError, MediaError
from videoglamm_hf.render.video_encoding import write_mp4


def smooth_frames(count: int, height: int, width: int) -> list[np.ndarray]:
    y, x = np.mgrid[:height, :width]
    planes = [np.stack([x * 255 // width, y * 255 // height, x * 0 + 9 * i], -1) for i in range(count)]
    return [plane.astype(np.uint8) for plane in planes]


def test_written_frames_come_back(tmp_path):
    frames = smooth_frames(7, 48, 64)
    write_mp4(tmp_path / "out.mp4", iter(frames), fps=29.97)
    clip = read_clip(tmp_path / "out.mp4", fps=None)
    assert clip.rate == pytest.approx(29.97)
    assert clip.array.shape == (7, 48, 64, 3)
    assert np.abs(clip.array.astype(int) - np.stack(frames)).mean() < 4
    with av.open(str(tmp_path / "out.mp4")) as container:
        stream = container.streams.video[0]
        assert (stream.codec_context.name, stream.pix_fmt) == ("h264", "yuv420p")
    assert [path.name for path in tmp_path.iterdir()] == ["out.mp4"]


@pytest.mark.parametrize("times", ["even", "uneven"])
def test_every_reader_finds_the_same_duration(tmp_path, times):
    path = tmp_path / "out.mp4"
    delays = [0.1, 0.65, 0.3, 0.4] * 5 if times == "uneven" else [0.2] * 20
    starts = np.cumsum([0, *delays]).tolist()
    duration = starts.pop()
    timing = {"seconds": starts, "duration": duration} if times == "uneven" else {"fps": 5}
    write_mp4(path, [numbered_frame(i) for i in range(len(starts))], **timing)
    clip = read_clip(path, fps=None, max_frames=None)
    assert clip.seconds == pytest.approx(starts, abs=1e-3) and clip.duration == pytest.approx(duration, abs=1e-3)
    with av.open(str(path)) as container:
        stream = container.streams.video[0]
        assert container.duration / av.time_base == pytest.approx(duration, abs=1e-3)
        assert float(stream.duration * stream.time_base) == pytest.approx(duration, abs=1e-3)
        order = [(packet.dts, packet.pts) for packet in container.demux(stream) if packet.size]
    assert order == sorted(order) and all(dts == pts for dts, pts in order)


@pytest.mark.parametrize(("height", "width"), [(1, 1), (33, 64), (48, 35)])
def test_odd_sizes_are_padded_with_the_last_line(tmp_path, height, width):
    frame = smooth_frames(1, height, width)[0]
    write_mp4(tmp_path / "odd.mp4", [frame], fps=1)
    read = read_clip(tmp_path / "odd.mp4").array[0]
    assert read.shape == (height + height % 2, width + width % 2, 3)
    padded = np.pad(frame, ((0, height % 2), (0, width % 2), (0, 0)), mode="edge")
    assert np.abs(read.astype(int) - padded).mean() < 6


@pytest.mark.parametrize("fps", [0.01, 0.5, np.float32(12.5), 30000 / 1001, 240])
def test_unusual_rates_can_be_written(tmp_path, fps):
    write_mp4(tmp_path / "rate.mp4", smooth_frames(3, 16, 16), fps=fps)
    assert read_clip(tmp_path / "rate.mp4").rate == pytest.approx(fps, rel=1e-3)


def test_a_failed_write_leaves_nothing_and_spoils_nothing(tmp_path):
    path = tmp_path / "out.mp4"
    path.write_bytes(b"an older file")

    def failing():
        yield from smooth_frames(100, 16, 16)
        raise RuntimeError("the renderer broke")

    with pytest.raises(RuntimeError, match="renderer"):
        write_mp4(path, failing(), fps=5)
    with pytest.raises(InputError, match="frame 1 is 18x16"):
        write_mp4(path, [smooth_frames(1, 16, 16)[0], smooth_frames(1, 16, 18)[0]], fps=5)
    with pytest.raises(InputError, match="no frames"):
        write_mp4(path, [], fps=5)
    assert path.read_bytes() == b"an older file"
    assert [p.name for p in tmp_path.iterdir()] == ["out.mp4"]
    write_mp4(path, smooth_frames(1, 16, 16), fps=5)
    assert len(read_clip(path).array) == 1


@pytest.mark.parametrize("place", ["missing/out.mp4", "."])
def test_places_that_cannot_be_written_are_named(tmp_path, place):
    with pytest.raises(MediaError, match=str(tmp_path)):
        write_mp4(tmp_path / place, smooth_frames(1, 16, 16), fps=5)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("fps", [0, -1, float("nan"), float("inf"), 1e-9, 1e9, "5", True])
def test_writing_needs_a_sane_rate(tmp_path, fps):
    with pytest.raises(InputError, match="fps"):
        write_mp4(tmp_path / "out.mp4", smooth_frames(1, 16, 16), fps=fps)


@settings(max_examples=25)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_any_size_can_be_written_and_read(height, width, count):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.mp4"
        write_mp4(path, smooth_frames(count, height, width), fps=10)
        assert len(read_clip(path, fps=None).array) == count
