"""What comes out of video files: the right frames at the right times, upright, as many as there are."""

import contextlib
import logging

import av
import numpy as np
import pytest

from tests.videos import make_video, numbered_frame, numbers_in, quarters, real_video
from videoglamm_hf import video_decoding
from videoglamm_hf.clip_sources import read_clip


@pytest.fixture
def numbered_video(tmp_path):
    return make_video(tmp_path / "numbered.mp4", [numbered_frame(i) for i in range(40)])


def test_a_file_is_sampled_once_a_second_by_default(numbered_video):
    clip = read_clip(numbered_video)
    assert numbers_in(clip.array) == [0, 10, 20, 30]
    assert clip.array.dtype == np.uint8 and clip.array.shape == (4, 16, 128, 3)
    assert clip.seconds == pytest.approx((0, 1, 2, 3))
    assert clip.rate == 10
    assert clip.source == str(numbered_video)


def test_a_part_of_a_file_is_sampled(numbered_video):
    clip = read_clip(str(numbered_video), fps=5, start_time=1.5, end_time=2.05)
    assert numbers_in(clip.array) == [15, 17, 19]
    assert clip.seconds == pytest.approx((1.5, 1.7, 1.9))


CONTAINERS = {
    "mp4": {},
    "mov": {},
    "mkv": {},  # no frame count in the header
    "ts": {},  # neither frame count nor index
    "webm": {"codec": "libvpx-vp9", "options": {"cpu-used": "8", "deadline": "realtime"}},
    "avi": {},  # out of order, without presentation times
    "h264": {"format": "h264"},  # not even times
}


@pytest.mark.parametrize("suffix", CONTAINERS)
def test_every_container_gives_the_frames_asked_for(tmp_path, suffix):
    frames = [numbered_frame(i) for i in range(30)]
    path = make_video(tmp_path / f"video.{suffix}", frames, **CONTAINERS[suffix])
    clip = read_clip(path, num_frames=4)
    assert numbers_in(clip.array) == [0, 9, 19, 29]
    rate = clip.rate  # raw streams carry no rate, FFmpeg assumes 25
    assert clip.seconds == pytest.approx((0, 9 / rate, 19 / rate, 29 / rate), abs=2e-3)
    assert numbers_in(read_clip(path, fps=None).array) == list(range(30))


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"x264-params": "open-gop=1:bframes=3:keyint=10:min-keyint=10:scenecut=0"},
        {"x264-params": "intra-refresh=1:keyint=20"},  # no frame decodes alone
    ],
    ids=["closed", "open", "refresh"],
)
@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
def test_sparse_frames_of_a_long_video_are_the_right_ones(tmp_path, suffix, options):
    frames = [numbered_frame(i) for i in range(250)]
    path = make_video(tmp_path / f"long.{suffix}", frames, fps=25, gop=10, options=options)
    for wanted in ({"num_frames": 3}, {"num_frames": 7, "start_time": 4.2}, {"num_frames": 2, "end_time": 5}):
        clip = read_clip(path, **wanted)
        assert numbers_in(clip.array) == [round(second * 25) for second in clip.seconds]
        assert len(clip.array) == wanted["num_frames"]


def test_stretches_without_wanted_frames_are_not_decoded(tmp_path, monkeypatch):
    path = make_video(tmp_path / "long.mp4", [numbered_frame(i) for i in range(250)], gop=10)
    decoded = []
    whole = video_decoding._decoded_frames

    def counting(container, stream):
        for frame in whole(container, stream):
            decoded.append(frame.pts)
            yield frame

    monkeypatch.setattr(video_decoding, "_decoded_frames", counting)
    assert numbers_in(read_clip(path, num_frames=3).array) == [0, 124, 249]
    assert 3 <= len(decoded) < 100


def test_variable_frame_rates_give_true_times(tmp_path):
    times = [0, 100, 150, 400, 1000, 1033, 3000]
    frames = [numbered_frame(i) for i in range(len(times))]
    for suffix in ("mp4", "mkv"):
        path = make_video(tmp_path / f"vfr.{suffix}", frames, pts=times)
        assert read_clip(path, fps=None).seconds == pytest.approx([t / 1000 for t in times], abs=2e-3)


def test_times_count_from_the_first_frame(tmp_path):
    frames = [numbered_frame(i) for i in range(3)]
    path = make_video(tmp_path / "late.mkv", frames, pts=[5000, 5100, 5200])
    assert read_clip(path, fps=None).seconds == pytest.approx((0, 0.1, 0.2))


def test_recordings_put_together_have_running_times(tmp_path):
    """Transport streams may be concatenated as bytes: times start anew, and tracks appear in the middle."""
    noise = list(np.random.default_rng(0).integers(0, 256, (150, 128, 192, 3), np.uint8))
    lossless = {"crf": "0", "preset": "ultrafast"}
    first = make_video(tmp_path / "first.ts", noise, options=lossless).read_bytes()
    second = make_video(
        tmp_path / "second.ts", noise[:10], options=lossless, container={"mpegts_start_pid": "768"}
    ).read_bytes()
    assert len(first) > 5_000_000  # FFmpeg looks this far for tracks when it opens a file
    (tmp_path / "both.ts").write_bytes(first + second + first)
    for count, times in ((2, (0, 29.9)), (4, (0, 9.9, 19.9, 29.9))):
        assert read_clip(tmp_path / "both.ts", num_frames=count).seconds == pytest.approx(times)


def test_frames_trimmed_away_do_not_count(tmp_path):
    """As when a phone cuts off the beginning: the frames are still in the file, its edit list skips them."""
    frames = [numbered_frame(i) for i in range(20)]
    path = make_video(tmp_path / "trimmed.mp4", frames, pts=[100 * i - 500 for i in range(20)])
    clip = read_clip(path, num_frames=3)
    assert numbers_in(clip.array) == [5, 12, 19]
    assert clip.seconds == pytest.approx((0, 0.7, 1.4))


@pytest.mark.parametrize("suffix", ["mp4", "mkv"])
@pytest.mark.parametrize("turns", [0, 1, 2, 3])
def test_phone_videos_stand_upright(tmp_path, suffix, turns):
    angle = (0, 90, 180, -90)[turns]  # the display matrix counts counterclockwise, as np.rot90 does
    path = make_video(tmp_path / f"turned.{suffix}", [quarters()] * 2, pix_fmt="yuv444p", display={"degrees": angle})
    frame = read_clip(path).array[0]
    expected = np.rot90(quarters(), turns)
    assert frame.shape == expected.shape
    assert np.abs(frame.astype(int) - expected).max() < 40


def test_mirrored_videos_are_mirrored_back(tmp_path):
    path = make_video(tmp_path / "mirror.mp4", [quarters()], pix_fmt="yuv444p", display={"degrees": 0, "hflip": True})
    assert np.abs(read_clip(path).array[0].astype(int) - quarters()[:, ::-1]).max() < 40


@pytest.mark.parametrize("shape", [(1, 1, 3), (1, 7, 3), (33, 35, 3)])
def test_tiny_and_odd_videos_are_read_exactly(tmp_path, shape):
    frames = list(np.random.default_rng(0).integers(0, 256, (3, *shape), np.uint8))
    path = make_video(tmp_path / "tiny.mkv", frames, codec="ffv1", pix_fmt="bgr0")
    clip = read_clip(path, fps=None)
    assert np.array_equal(clip.array, np.stack(frames))


def test_a_video_of_one_frame(tmp_path):
    clip = read_clip(make_video(tmp_path / "one.mp4", [numbered_frame(5)]), num_frames=8)
    assert numbers_in(clip.array) == [5]
    assert clip.seconds == (0.0,)


def test_a_video_cut_short_gives_the_frames_there_are(tmp_path, caplog):
    frames = [numbered_frame(i) for i in range(200)]
    path = make_video(tmp_path / "cut.mp4", frames, container={"movflags": "faststart"})
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 3 // 4])
    with caplog.at_level(logging.WARNING):
        clip = read_clip(path, fps=None, max_frames=20)
    assert 1 <= len(clip.array) < 20
    assert numbers_in(clip.array) == [round(second * 10) for second in clip.seconds]
    assert str(path) in caplog.text and "cut short" in caplog.text


def test_a_video_cut_short_gives_all_the_frames_there_are(tmp_path):
    noise = list(np.random.default_rng(0).integers(0, 256, (60, 32, 32, 3), np.uint8))
    path = make_video(
        tmp_path / "cut.mp4", noise, codec="mpeg4", options={"bf": "2"}, container={"movflags": "faststart"}
    )
    data = path.read_bytes()
    path.write_bytes(data[: len(data) * 2 // 3])
    packets = 0
    with av.open(str(path)) as container, contextlib.suppress(av.error.FFmpegError):
        for packet in container.demux(video=0):
            packets += packet.size > 0
    assert 20 < packets < 60
    assert len(read_clip(path, fps=None, max_frames=None).array) >= packets - 1  # the last one may be incomplete


def test_damage_in_the_middle_costs_only_the_frames_around(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (120, 32, 32, 3), np.uint8)
    path = make_video(tmp_path / "scratched.mp4", list(noise), gop=10)
    data = bytearray(path.read_bytes())
    middle = len(data) // 2
    data[middle : middle + 4000] = bytes(4000)
    path.write_bytes(data)
    clip = read_clip(path, fps=None, max_frames=None)
    assert 60 < len(clip.array) <= 120
    assert clip.seconds[-1] == pytest.approx(11.9)


def test_a_colon_in_a_name_is_no_protocol(tmp_path, monkeypatch):
    make_video(tmp_path / "a:b.mp4", [numbered_frame(3)])
    monkeypatch.chdir(tmp_path)
    assert numbers_in(read_clip("a:b.mp4").array) == [3]


def test_a_real_recording(tmp_path):
    path = real_video("bikes.mp4")
    clip = read_clip(path, max_frames=4)
    assert clip.array.shape == (4, 272, 640, 3)
    assert clip.rate == 25
    assert clip.seconds == pytest.approx((0, 3, 6, 9))
    with av.open(str(path)) as container:
        expected = [f.to_ndarray(format="rgb24") for i, f in enumerate(container.decode(video=0)) if i % 75 == 0]
    assert np.array_equal(clip.array, np.stack(expected))
