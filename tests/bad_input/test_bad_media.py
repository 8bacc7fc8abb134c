"""What cannot be read: every bad source ends in one typed error that names it and says what was wrong."""

import http.server
import io
import os
import socket
import tempfile
import threading
from pathlib import Path

import av
import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.videos import make_video, numbered_frame
from videoglamm_hf import frame_arrays, media_files, picture_files, video_decoding
from videoglamm_hf.clip_sources import read_clip, read_image
from videoglamm_hf.errors import InputError, MediaError
from videoglamm_hf.render.video_encoding import write_mp4

FRAMES = [numbered_frame(i) for i in range(20)]
RANDOM_BYTES = np.random.default_rng(0).integers(0, 256, 50_000, np.uint8).tobytes()


# Files


def empty(path: Path) -> None:
    path.write_bytes(b"")


def text(path: Path) -> None:
    path.write_text("I am not a video.\n" * 100)


def web_page(path: Path) -> None:
    path.write_text("<!DOCTYPE html>\n<html><body>404</body></html>")


def playlist(path: Path) -> None:
    path.write_text("#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:3,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n")


def garbage(path: Path) -> None:
    path.write_bytes(RANDOM_BYTES)


def truncated(path: Path) -> None:
    make_video(path, FRAMES)
    path.write_bytes(path.read_bytes()[:-600])  # within the index, which comes last


def truncated_early(path: Path) -> None:
    make_video(path, FRAMES)
    path.write_bytes(path.read_bytes()[:200])


def overwritten(path: Path) -> None:
    """An mp4 whose index is whole, but whose frames are not."""
    make_video(path, FRAMES)
    data = path.read_bytes()
    index = data.index(b"moov")
    path.write_bytes(data[:48] + RANDOM_BYTES[: index - 52] + data[index - 4 :])


def audio_only(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("aac", rate=16000, layout="mono")
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))


def song_with_cover(path: Path) -> None:
    """Sound, and a picture that players show with it."""
    with av.open(str(path), "w") as container:
        sound = container.add_stream("aac", rate=16000, layout="mono")
        cover = container.add_stream("mjpeg", rate=1)
        cover.width, cover.height, cover.pix_fmt = 64, 48, "yuvj420p"
        cover.disposition = av.stream.Disposition.attached_pic
        frame = av.AudioFrame.from_ndarray(np.zeros((1, 16000), np.float32), format="fltp", layout="mono")
        frame.sample_rate = 16000
        container.mux(sound.encode(frame))
        container.mux(sound.encode(None))
        picture = av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")
        container.mux(cover.encode(picture.reformat(format="yuvj420p")))
        container.mux(cover.encode(None))


def without_frames(path: Path) -> None:
    """The beginning of a Matroska file: it declares a video track, and no frame follows."""
    make_video(path, FRAMES)
    data = path.read_bytes()
    path.write_bytes(data[: data.index(b"\x1f\x43\xb6\x75") + 16])  # the first cluster has only begun


def without_tracks(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.start_encoding()


def changing_size(path: Path) -> None:
    parts = []
    for size in (32, 64):
        part = path.with_name(f"{size}.ts")
        make_video(part, [np.zeros((size, size, 3), np.uint8)] * 10)
        parts.append(part.read_bytes())
    path.write_bytes(b"".join(parts))


def cut_picture(path: Path) -> None:
    Image.fromarray(FRAMES[0]).save(path, "JPEG")
    path.write_bytes(path.read_bytes()[:400])


def pipe(path: Path) -> None:
    os.mkfifo(path)


def empty_folder(path: Path) -> None:
    path.mkdir()
    (path / "notes.txt").write_text("no pictures here")


def folder_with_damage(path: Path) -> None:
    path.mkdir()
    Image.fromarray(FRAMES[0]).save(path / "1.png")
    (path / "2.png").write_bytes(b"not a picture \x00\x01")


def folder_of_two_sizes(path: Path) -> None:
    path.mkdir()
    Image.new("RGB", (8, 8)).save(path / "1.png")
    Image.new("RGB", (8, 9)).save(path / "2.png")


BAD_SOURCES = {
    "missing": ("gone.mp4", lambda path: None, "no such file"),
    "missing folder": ("no/where.mp4", lambda path: None, "no such file"),
    "name too long": ("x" * 5000, lambda path: None, "cannot be opened"),
    "zero byte in name": ("a\0b.mp4", lambda path: None, "cannot be opened"),
    "empty": ("empty.mp4", empty, "empty"),
    "text": ("text.mp4", text, "is text"),
    "text file": ("text.txt", text, "is text"),
    "web page": ("page.mp4", web_page, "web page"),
    "playlist": ("list.m3u8", playlist, "not a video"),
    "garbage": ("garbage.mp4", garbage, "not a video"),
    "truncated": ("cut.mp4", truncated, "cut short"),
    "truncated early": ("cut.mp4", truncated_early, "cut short"),
    "overwritten": ("overwritten.mp4", overwritten, "can be decoded"),
    "audio only": ("song.mp4", audio_only, "only audio"),
    "song with cover": ("cover.mp4", song_with_cover, "only audio"),
    "no frames": ("none.mkv", without_frames, "no frames"),
    "no tracks": ("none.mp4", without_tracks, "no video"),
    "changing size": ("change.ts", changing_size, "frame 10 is 64x64.* 32x32"),
    "cut picture": ("cut.jpg", cut_picture, "(?i)truncated"),
    "pipe": ("pipe.mp4", pipe, "not a regular file"),
    "empty folder": ("folder", empty_folder, "no pictures"),
    "folder with damage": ("folder", folder_with_damage, r"2\.png.*not a picture"),
    "folder of two sizes": ("folder", folder_of_two_sizes, r"2\.png is 8x9.* 8x8"),
}


@pytest.mark.parametrize("case", BAD_SOURCES)
def test_bad_files_are_named_and_explained(tmp_path, case):
    name, prepare, message = BAD_SOURCES[case]
    path = tmp_path / name
    prepare(path)
    with pytest.raises(MediaError, match=message) as caught:
        read_clip(path, fps=None, max_frames=None)
    assert media_files.short_name(str(path)) in str(caught.value)


@pytest.mark.parametrize("case", ["missing", "empty", "text", "garbage", "truncated", "cut picture", "pipe"])
def test_bad_pictures_are_named_and_explained(tmp_path, case):
    name, prepare, _ = BAD_SOURCES[case]
    prepare(tmp_path / name)
    with pytest.raises(MediaError, match=name):
        read_image(tmp_path / name)


def test_a_video_or_a_folder_is_no_picture(tmp_path):
    make_video(tmp_path / "v.mp4", FRAMES[:1])
    with pytest.raises(MediaError, match=r"v\.mp4: not a picture"):
        read_image(tmp_path / "v.mp4")
    with pytest.raises(MediaError, match="not a regular file"):
        read_image(tmp_path)


@pytest.mark.parametrize("source", ["", "s3://bucket/video.mp4", "rtsp://127.0.0.1/stream", "http://", "http://["])
def test_addresses_that_cannot_be_read(source):
    for read in (read_clip, read_image):
        with pytest.raises(MediaError):
            read(source)


BAD_DATA_URLS = {
    "no comma": ("data:image/png;base64", "needs a comma"),
    "a long name": ("data:image/png;base64;" + "A" * 500_000, "needs a comma"),
    "no data": ("data:image/png;base64,", "empty"),
    "not base64": ("data:image/png;base64,A" + "~" * 500_000, "cannot be decoded"),
    "cut base64": ("data:image/png;base64,AAAAA", "cannot be decoded"),
    "half a surrogate pair": ("data:image/png,\ud800", "cannot be decoded"),
    "text": ("data:text/plain,words", "the file is text"),
    "no picture": ("data:image/png;base64," + "AAAA" * 100_000, "format is unknown"),
    "too large": ("data:image/png;base64," + "AAAA" * 500, "larger than"),
}


@pytest.mark.parametrize("case", BAD_DATA_URLS)
def test_data_urls_that_hold_no_media(monkeypatch, case):
    source, expected = BAD_DATA_URLS[case]
    if case == "too large":
        monkeypatch.setattr(media_files, "MAX_DOWNLOAD_BYTES", 1000)
    for read in (read_clip, read_image):
        with pytest.raises(MediaError, match=expected) as error:
            read(source)
        assert str(error.value).startswith(source[:100]) and len(str(error.value)) < 500


@pytest.mark.parametrize("start", ["", "s3://", "http://[", "http://127.0.0.1:9/ "])
def test_long_names_are_shortened_in_messages(tmp_path, start):
    (tmp_path / ("d" * 200)).mkdir()
    for source in (start + "x" * 100_000 + ".mp4", str(tmp_path / ("d" * 200))):
        for read in (read_clip, read_image):
            with pytest.raises(MediaError) as error:
                read(source)
            assert len(str(error.value)) < 600 and source[-10:] in str(error.value)


@pytest.mark.skipif(os.geteuid() == 0, reason="root may read everything")
def test_files_without_permission(tmp_path):
    path = make_video(tmp_path / "locked.mp4", FRAMES)
    path.chmod(0)
    with pytest.raises(MediaError, match="locked"):
        read_clip(path)


def test_frames_of_absurd_size_are_refused(tmp_path, monkeypatch):
    make_video(tmp_path / "v.mp4", FRAMES)
    Image.fromarray(FRAMES[0]).save(tmp_path / "p.png")
    monkeypatch.setattr(frame_arrays, "MAX_PIXELS", 100)
    for name in ("v.mp4", "p.png"):
        with pytest.raises(MediaError, match=f"{name}: 128x16 is more than 100 pixels"):
            read_clip(tmp_path / name)
    with pytest.raises(InputError, match="more than 100 pixels"):
        read_clip(np.stack(FRAMES))


@pytest.mark.filterwarnings("ignore::PIL.Image.DecompressionBombWarning")
def test_decompression_bombs_are_refused(tmp_path, monkeypatch):
    Image.fromarray(FRAMES[0]).save(tmp_path / "p.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    for read in (read_clip, read_image):
        with pytest.raises(MediaError, match=r"p\.png.*too many pixels"):
            read(tmp_path / "p.png")


def test_clips_that_would_fill_the_memory_are_refused(tmp_path, monkeypatch):
    make_video(tmp_path / "v.mp4", FRAMES)
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    pictures[0].save(tmp_path / "p.gif", save_all=True, append_images=pictures[1:11])
    pictures[0].save(tmp_path / "q.gif", save_all=True, append_images=pictures[1:10])
    monkeypatch.setattr(frame_arrays, "MAX_CLIP_BYTES", 10 * FRAMES[0].size)
    monkeypatch.setattr(picture_files, "MAX_ANIMATION_BYTES", 10 * FRAMES[0].size)
    assert len(read_clip(tmp_path / "v.mp4", num_frames=10).array) == 10
    with pytest.raises(MediaError, match="11 frames of 128x16"):
        read_clip(tmp_path / "v.mp4", num_frames=11)
    assert len(read_clip(tmp_path / "q.gif", fps=None).array) == 10
    with pytest.raises(MediaError, match="11 frames of 128x16"):
        read_clip(tmp_path / "p.gif", num_frames=2)


def test_running_out_of_memory_is_explained(tmp_path, monkeypatch):
    path = make_video(tmp_path / "v.mp4", FRAMES)

    def full(*args):
        raise MemoryError

    monkeypatch.setattr(video_decoding, "upright_frame", full)
    with pytest.raises(MediaError, match="memory"):
        read_clip(path)


@pytest.fixture(scope="module")
def whole_files(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("whole")
    for suffix in ("mp4", "mkv", "ts"):
        make_video(folder / f"v.{suffix}", FRAMES)
    pictures = [Image.fromarray(frame) for frame in FRAMES]
    for name in ("v.gif", "v.webp", "v.png"):
        pictures[0].save(folder / name, save_all=True, append_images=pictures[1:], duration=100)
    return folder


@pytest.mark.parametrize("name", ["v.mp4", "v.mkv", "v.ts", "v.gif", "v.webp", "v.png"])
@settings(max_examples=25)
@given(data=st.data())
@pytest.mark.filterwarnings("ignore")  # Pillow warns about oddities in files
def test_damage_gives_a_clip_or_a_media_error(whole_files, name, data):
    content = bytearray((whole_files / name).read_bytes())
    for _ in range(data.draw(st.integers(0, 8))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    del content[data.draw(st.integers(1, len(content))) :]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(content)
        try:
            clip = read_clip(path, fps=None, max_frames=5)
        except MediaError as error:
            assert str(path) in str(error)
        else:
            assert 1 <= len(clip.array) == len(clip.seconds) <= 5
            assert np.isfinite(clip.seconds).all()


# Arrays and lists

VIDEO = np.zeros((3, 8, 8, 3), np.uint8)

BAD_FRAMES = {
    "float array": (VIDEO.astype(np.float32) + 255, "float32 values from 255 to 255.*uint8"),
    "float tensor": (torch.zeros(3, 3, 8, 8) - 1, "float32 values from -1 to -1.*uint8"),
    "bfloat16 tensor": (torch.full((3, 8, 8, 3), 2, dtype=torch.bfloat16), "values from 2 to 2.*uint8"),
    "not a number": (np.full((3, 8, 8, 3), np.nan), "values from nan to nan"),
    "one frame": (VIDEO[0], r"\[8, 8, 3\].*\[T, H, W, 3\]"),
    "grey": (VIDEO[..., 0], r"\[3, 8, 8\]"),
    "four channels": (np.zeros((3, 8, 8, 4), np.uint8), r"\[3, 8, 8, 4\]"),
    "no frames": (VIDEO[:0], "no frames"),
    "no pixels": (VIDEO[:, :0], r"\[0, 8, 3\]"),
    "empty list": ([], "empty"),
    "sizes": ([VIDEO[0], VIDEO[0], VIDEO[0, :, :4]], "frame 2 of the list is 4x8.*8x8"),
    "float in list": ([VIDEO[0], VIDEO[0] + 1.5], "frame 1 of the list: .*float64"),
    "thing in list": ([VIDEO[0], 7], "frame 1 of the list: .*int"),
    "none": (None, "NoneType"),
    "bytes path": (os.fsencode, "function|builtin"),
    "number": (42, "int"),
}


@pytest.mark.parametrize("case", BAD_FRAMES)
def test_bad_frames_are_explained(case):
    source, message = BAD_FRAMES[case]
    with pytest.raises(InputError, match=message):
        read_clip(source)


@pytest.mark.parametrize(
    "picture",
    [None, 3, VIDEO, VIDEO[0, 0], VIDEO[0].astype(int), torch.zeros(8, 8), np.zeros((0, 8, 3), np.uint8)],
)
def test_bad_pictures_in_memory_are_explained(picture):
    with pytest.raises(InputError):
        read_image(picture)


@pytest.mark.parametrize(
    "content", [b"", b"x", b"video", bytearray(b"\0" * 9), io.BytesIO(b"GIF89a"), io.StringIO("text")]
)
@pytest.mark.parametrize("read", [read_clip, read_image])
def test_content_that_is_no_media_is_explained(read, content):
    if hasattr(content, "seek"):
        content.seek(0)
    with pytest.raises(MediaError, match=r"bytes|BytesIO|bytearray|StringIO"):
        read(content)


def test_frames_have_no_times():
    for source in (VIDEO, list(VIDEO)):
        for option in ("fps", "start_time", "end_time"):
            with pytest.raises(InputError, match=f"{option}.*video_metadata"):
                read_clip(source, **{option: 1.0})


@pytest.mark.parametrize("frame", [VIDEO[0].astype(float), VIDEO[0, 0], VIDEO, "frame", None])
def test_bad_frames_are_not_written(tmp_path, frame):
    with pytest.raises(InputError, match="frame 1"):
        write_mp4(tmp_path / "v.mp4", [VIDEO[0], frame], fps=5)
    assert list(tmp_path.iterdir()) == []


# Options

BAD_OPTIONS = [
    ("fps", {"fps": 0}),
    ("fps", {"fps": -1.0}),
    ("fps", {"fps": float("nan")}),
    ("fps", {"fps": float("inf")}),
    ("fps", {"fps": "1"}),
    ("fps", {"fps": True}),
    ("num_frames", {"num_frames": 0}),
    ("num_frames", {"num_frames": -4}),
    ("num_frames", {"num_frames": 2.0}),
    ("num_frames", {"num_frames": True}),
    ("max_frames", {"max_frames": 0}),
    ("max_frames", {"max_frames": 1.5}),
    ("start_time", {"start_time": -0.1}),
    ("start_time", {"start_time": float("nan")}),
    ("start_time", {"start_time": 1.0, "end_time": 1.0}),
    ("start_time", {"start_time": 2.0}),  # the video lasts exactly so long
    ("start_time", {"start_time": 1e300}),
    ("end_time", {"end_time": 0}),
    ("end_time", {"end_time": float("nan")}),
    ("end_time", {"start_time": 1.0, "end_time": 0.5}),
]


@pytest.mark.parametrize(("option", "options"), BAD_OPTIONS)
def test_options_out_of_range_are_named(tmp_path, option, options):
    path = make_video(tmp_path / "v.mp4", FRAMES)
    with pytest.raises(InputError, match=option):
        read_clip(path, **options)


# Downloads


@pytest.fixture
def bad_server(monkeypatch):
    """A server that answers /missing with 404, /short with too few bytes, /huge with a size, /silent with none."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/silent":
                finished.wait(10)
            elif self.path in ("/short", "/huge"):
                self.send_response(200)
                self.send_header("Content-Length", "1000" if self.path == "/short" else str(2**50))
                self.end_headers()
                self.wfile.write(b"0123456789")
            elif self.path == "/nothing":
                self.send_response(200)
                self.end_headers()
            elif self.path == "/local":
                self.send_response(302)
                self.send_header("Location", "file:///etc/hostname")
                self.end_headers()
            else:
                self.send_error(404)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(media_files, "DOWNLOAD_SILENCE", 0.5)
    finished = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}"
        finished.set()
        server.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("page", "message"),
    [
        ("missing", "404"),
        ("short", "10 of 1000 bytes"),
        ("huge", "larger than"),
        ("silent", "timed out"),
        ("nothing", "empty"),
        ("local", "302"),
    ],
)
def test_failed_downloads_are_explained_and_cleaned_up(bad_server, tmp_path, monkeypatch, page, message):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    url = f"{bad_server}/{page}"
    for read in (read_clip, read_image):
        with pytest.raises(MediaError, match=message) as caught:
            read(url)
        assert url in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_a_refused_connection_is_explained(monkeypatch):
    monkeypatch.setenv("no_proxy", "*")
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with pytest.raises(MediaError, match=rf"127\.0\.0\.1:{port}.*refused"):
        read_clip(f"http://127.0.0.1:{port}/video.mp4")


def test_a_download_without_end_is_given_up(bad_server, monkeypatch):
    monkeypatch.setattr(media_files, "DOWNLOAD_DEADLINE", 0.0)
    with pytest.raises(MediaError, match="given up"):
        read_clip(f"{bad_server}/short")
