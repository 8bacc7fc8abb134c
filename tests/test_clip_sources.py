"""What comes out of arrays, lists, folders and URLs."""

import base64
import http.server
import tempfile
import threading
import urllib.parse
from functools import partial

import numpy as np
import pytest
import torch
from PIL import Image

from tests.videos import make_video, numbered_frame, numbers_in, quarters
from videoglamm_hf.clip_sources import read_clip, read_image


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


@pytest.mark.parametrize("encoding", ["base64", "no padding", "lines", "percent"])
def test_data_urls_are_decoded_and_cleaned_up(tmp_path, monkeypatch, encoding):
    def url(path, kind: str) -> str:
        if encoding == "percent":
            return f"data:{kind},{urllib.parse.quote(path.read_bytes())}"
        text = base64.b64encode(path.read_bytes()).decode()
        if encoding == "no padding":
            text = text.rstrip("=")
        if encoding == "lines":
            text = "\r\n".join(text[i : i + 76] for i in range(0, len(text), 76)).replace("=", "%3D")
        return f"DATA:{kind};base64,{text}"

    make_video(tmp_path / "v.mp4", [numbered_frame(i) for i in range(20)])
    Image.fromarray(quarters()).save(tmp_path / "p.png")
    (tmp_path / "temporary").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    picture, video = url(tmp_path / "p.png", "image/png"), url(tmp_path / "v.mp4", "video/mp4;codecs=avc1")
    assert np.array_equal(read_image(picture), quarters())
    assert np.array_equal(read_clip([picture]).array[0], quarters())
    clip = read_clip(video)
    assert numbers_in(clip.array) == [0, 10]
    assert len(clip.source) == 200 and video.startswith(clip.source[:100])
    assert list((tmp_path / "temporary").iterdir()) == []


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
