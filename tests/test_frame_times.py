"""Which frames are taken where frames stay on screen for different times, held against times read independently."""

import itertools
import json
import shutil
import subprocess

import av
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.videos import make_video, numbered_frame, numbers_in
from videoglamm_hf import FrameSampling, InputError, open_clip, read_clip
from videoglamm_hf.render.video_encoding import write_mp4

DELAYS = [100, 100, 300, 40, 40, 1000, 250, 60, 500, 110]  # milliseconds
STARTS = [0, *itertools.accumulate(DELAYS)][:-1]
TOTAL = sum(DELAYS)
FILES = ("phone.mp4", "screen.mkv", "cast.webm", "stream.ts", "a.gif", "a.png", "a.webp", "folder")


@pytest.fixture(scope="module", params=FILES)
def timed(request, tmp_path_factory):
    """A source of frames that show their numbers, and when each appears and the last leaves, by another reader."""
    path = tmp_path_factory.mktemp("timed") / request.param
    frames = [numbered_frame(i) for i in range(len(DELAYS))]
    if path.suffix in (".mp4", ".mkv", ".webm", ".ts"):
        webm = {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}}
        make_video(path, frames, pts=STARTS, **(webm if path.suffix == ".webm" else {}))
        return path, *times_by_demuxing(path)
    pictures = [Image.fromarray(frame) for frame in frames]
    if path.suffix:
        extra = {"lossless": True} if path.suffix == ".webp" else {}
        pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=DELAYS, **extra)
        return path, *times_by_pillow(path)
    path.mkdir()
    for i, picture in enumerate(pictures):
        picture.save(path / f"{i}.png")
    return path, [float(i) for i in range(len(frames))], float(len(frames))


def times_by_demuxing(path):
    """By ffprobe where it is installed, else by the decoded frames' own times."""
    if shutil.which("ffprobe"):
        command = ["ffprobe", "-v", "error", "-select_streams", "v", "-show_frames", "-of", "json", str(path)]
        shown = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)["frames"]
        times = [float(frame["pts_time"]) for frame in shown]
    else:
        with av.open(str(path)) as container:
            times = [frame.time for frame in container.decode(video=0)]
    return [time - times[0] for time in times], None


def times_by_pillow(path):
    with Image.open(path) as picture:
        delays = []
        for i in range(picture.n_frames):
            picture.seek(i)
            picture.load()
            delays.append(picture.info["duration"] / 1000)
    return [0.0, *itertools.accumulate(delays)][:-1], sum(delays)


def on_screen(times, second):
    return max(i for i, time in enumerate(times) if time <= second + 1e-3)


def test_every_frame_has_the_time_another_reader_finds(timed):
    path, times, duration = timed
    with open_clip(path) as clip:
        assert clip.seconds == pytest.approx(times, abs=1e-3)
        assert clip.duration == pytest.approx(duration, abs=1e-3) if duration else clip.duration > times[-1]
        assert len(clip) == len(times)
    read = read_clip(path, fps=None)
    assert numbers_in(read.array) == list(range(len(times)))
    assert read.seconds == pytest.approx(times, abs=1e-3)


@pytest.mark.parametrize("window", [(0, 0.45), (0.15, 0.55), (0.5, 0.541), (1.0, 1.2), (0.55, 2.4), (2.2, 9)])
def test_a_window_holds_exactly_the_frames_shown_in_it(timed, window):
    path, times, _ = timed
    if path.suffix == "":
        window = tuple(4 * second for second in window)
    start, end = window
    read = read_clip(path, fps=None, start_time=start or None, end_time=end)
    leaves = [*times[1:], float("inf")]
    expected = [i for i, (a, b) in enumerate(zip(times, leaves, strict=True)) if a <= end + 1e-3 and b > start + 1e-3]
    assert numbers_in(read.array) == expected
    assert read.seconds == pytest.approx([times[i] for i in expected], abs=1e-3)


@pytest.mark.parametrize(("fps", "start"), [(1.0, None), (2.0, None), (4.0, 0.3), (10.0, None), (0.5, 1.1)])
def test_a_rate_takes_the_frames_on_screen_at_its_seconds(timed, fps, start):
    path, times, _ = timed
    if path.suffix == "":
        fps, start = fps / 4, None  # its frames come once a second
    with open_clip(path) as clip:
        duration = clip.duration
    asked = [(start or 0) + k / fps for k in range(100) if (start or 0) + k / fps < duration - 1e-3]
    expected = sorted({on_screen(times, second) for second in asked})
    assert numbers_in(read_clip(path, fps=fps, start_time=start).array) == expected


def test_an_overlay_runs_as_long_as_its_clip(timed, tmp_path):
    path, _, _ = timed
    read = read_clip(path, fps=None)
    write_mp4(tmp_path / "overlay.mp4", read.array, seconds=read.seconds, duration=read.duration)
    with open_clip(tmp_path / "overlay.mp4") as overlay:
        assert overlay.seconds == pytest.approx(read.seconds, abs=2e-4)
        assert overlay.duration == pytest.approx(read.duration, abs=2e-4)


@st.composite
def uneven(draw):
    delays = draw(st.lists(st.floats(0.01, 5), min_size=1, max_size=40))
    seconds = [0.0, *itertools.accumulate(delays)]
    return seconds[:-1], seconds[-1]


@given(uneven(), st.none() | st.floats(0.01, 100), st.floats(0, 0.99), st.none() | st.floats(0.01, 1.5))
@settings(max_examples=200)
def test_the_rule_by_brute_force(clip, fps, start_share, end_share):
    seconds, duration = clip
    start = start_share * duration
    end = None if end_share is None else start + end_share * duration
    taken = FrameSampling(fps=fps, max_frames=None, start_time=start, end_time=end).at_seconds(seconds, duration)
    last = duration if end is None else end
    leaves = [*seconds[1:], duration]
    window = [i for i, (a, b) in enumerate(zip(seconds, leaves, strict=True)) if a <= last + 1e-6 and b > start + 1e-6]
    assert taken and set(taken) <= set(window)
    assert all(a < b for a, b in itertools.pairwise(taken))
    if fps is None:
        assert taken == window
        return
    asked = (start + k / fps for k in range(10**6))
    for second in itertools.islice(itertools.takewhile(lambda t: t < min(last, duration) - 1e-5, asked), 500):
        near = {
            max(i for i, time in enumerate(seconds) if time <= second + slack)
            for slack in (-2e-6, 2e-6)
            if second + slack >= 0
        }
        assert near & set(taken)


def test_a_constant_rate_is_sampled_as_before(tmp_path):
    """By the original's rule of strides, however its times are rounded."""
    for suffix, fps in (("mp4", 25), ("mkv", 30)):
        path = make_video(tmp_path / f"even.{suffix}", [numbered_frame(i) for i in range(100)], fps=fps)
        for options in ({"fps": 1.0}, {"fps": 7.0}, {"fps": None, "start_time": 1.13, "end_time": 2.0}):
            expected = FrameSampling(**options).at_rate(100, float(fps))
            assert numbers_in(read_clip(path, **options).array) == expected


def test_times_beyond_the_end_are_refused(timed):
    path, _, _ = timed
    with pytest.raises(InputError, match="start_time"):
        read_clip(path, start_time=100)
