"""Frames of files, growing or not, and of pipes: all of them or the newest, and what happens when they stop."""

import io
import os
import sys
import threading
import time

import av
import numpy as np
import pytest

from videoglamm_hf import InputError, MediaError
from videoglamm_hf.live.frame_sources import FrameSource

SIZE = (48, 64)


def write_clip(path, count=12, rate=12, format="mpegts"):
    """A clip whose frames grow brighter."""
    with av.open(str(path), "w", format=format) as container:
        stream = container.add_stream("libx264", rate=rate, options={"g": "4", "bf": "0"})
        stream.height, stream.width, stream.pix_fmt = *SIZE, "yuv420p"
        for i in range(count):
            picture = np.full((*SIZE, 3), 20 * (i % 12 + 1), np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def finished(path):
    """As if it had been written long ago."""
    os.utime(path, (1e9, 1e9))
    return str(path)


@pytest.mark.parametrize("format", ["mpegts", "mp4", "matroska"])
def test_every_frame_of_a_file(tmp_path, format):
    write_clip(tmp_path / "clip", format=format)
    with FrameSource(finished(tmp_path / "clip"), every=True, pace=False) as source:
        frames = list(source)
    assert [round(12 * frame.seconds) for frame in frames] == list(range(12))
    assert [frame.missed for frame in frames] == [0] * 12
    assert all(abs(int(f.picture.mean()) - 20 * (i + 1)) < 8 for i, f in enumerate(frames))


def test_whoever_is_slow_gets_the_newest(tmp_path):
    write_clip(tmp_path / "clip", count=12, rate=24)
    frames = []
    with FrameSource(finished(tmp_path / "clip")) as source:
        for frame in source:
            frames.append(frame)
            time.sleep(0.2)
    assert 2 <= len(frames) < 12
    # The last one may have been overtaken by the end.
    assert len(frames) + sum(frame.missed for frame in frames) == 12
    numbers = np.cumsum([1 + frame.missed for frame in frames]) - 1
    assert [round(24 * frame.seconds) for frame in frames] == numbers.tolist()


def test_a_file_is_read_while_it_grows(tmp_path):
    write_clip(tmp_path / "whole", count=48)
    data = (tmp_path / "whole").read_bytes()
    path = tmp_path / "growing"
    path.write_bytes(data[: len(data) // 2])

    def grow():
        with path.open("ab") as file:
            for start in range(len(data) // 2, len(data), 2000):
                time.sleep(0.05)
                file.write(data[start : start + 2000])
                file.flush()

    writer = threading.Thread(target=grow)
    writer.start()
    with FrameSource(str(path), every=True, pace=False, timeout=1.0) as source:
        frames = list(source)
    writer.join()
    assert len(frames) == 48


def test_a_pipe(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip")
    pipe = io.BufferedReader(io.FileIO(tmp_path / "clip"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(pipe))
    with FrameSource("-", every=True) as source:
        assert len(list(source)) == 12
        assert source.name == "standard input"


def test_times_that_go_back_go_on(tmp_path):
    write_clip(tmp_path / "clip")
    (tmp_path / "twice").write_bytes(2 * (tmp_path / "clip").read_bytes())
    with FrameSource(finished(tmp_path / "twice"), every=True, pace=False) as source:
        seconds = [frame.seconds for frame in source]
    assert len(seconds) == 24 and np.diff(seconds).min() > 0 and seconds[-1] == pytest.approx(23 / 12, abs=0.1)


def test_a_source_that_stops_is_told(tmp_path, monkeypatch):
    write_clip(tmp_path / "clip", count=48)
    reading, writing = os.pipe()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BufferedReader(io.FileIO(reading))))
    os.write(writing, (tmp_path / "clip").read_bytes()[:60000])
    try:
        with FrameSource("-", every=True, timeout=0.5) as source:
            with pytest.raises(MediaError, match=r"no frame for 0\.5 seconds"):
                list(source)
            os.close(writing)
    finally:
        sys.stdin.close()


def test_what_cannot_be_watched(tmp_path, monkeypatch):
    (tmp_path / "text.mp4").write_text("no video")
    with pytest.raises(MediaError, match=r"text\.mp4: cannot be watched"):
        FrameSource(finished(tmp_path / "text.mp4"))
    with pytest.raises(MediaError, match=r"absent\.mp4: no such file"):
        FrameSource(str(tmp_path / "absent.mp4"))
    with pytest.raises(MediaError, match="cannot be watched"):
        FrameSource("997")
    with pytest.raises(MediaError, match="cannot be watched"):
        FrameSource("rtsp://127.0.0.1:9/none", timeout=1.0)
    with pytest.raises(InputError, match="can be watched"):
        FrameSource("data:video/mp4;base64,AAAA")
    monkeypatch.setenv("VIDEOGLAMM_PUBLIC_URLS_ONLY", "1")
    with pytest.raises(InputError, match="VIDEOGLAMM_PUBLIC_URLS_ONLY"):
        FrameSource("rtsp://camera/1")


def test_a_file_without_video(tmp_path):
    with av.open(str(tmp_path / "sound.wav"), "w") as container:
        stream = container.add_stream("pcm_s16le", rate=8000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 800), np.int16), format="s16", layout="mono")
        frame.sample_rate = 8000
        container.mux(stream.encode(frame))
        container.mux(stream.encode())
    with (
        FrameSource(finished(tmp_path / "sound.wav")) as source,
        pytest.raises(MediaError, match="holds no video"),
    ):
        list(source)


def test_closing_ends_at_once(tmp_path):
    write_clip(tmp_path / "clip", count=100, rate=1)
    started = time.monotonic()
    with FrameSource(finished(tmp_path / "clip"), timeout=5.0) as source:
        next(iter(source))
    assert not source._thread.is_alive() and time.monotonic() - started < 60
