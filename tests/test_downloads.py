"""Where a URL may lead, and files that name other files."""

import http.server
import socket
import tempfile
import threading

import pytest
from PIL import Image

from tests.videos import make_video, numbered_frame, quarters
from videoglamm_hf import MediaError, downloads, media_files, read_clip
from videoglamm_hf.clip_sources import read_image


@pytest.fixture
def server(tmp_path, monkeypatch):
    """A server whose `/to?TARGET` redirects to TARGET, whose `/flood` redirects with an endless body, and that has a
    picture otherwise; with the paths asked for as `asked`."""
    Image.fromarray(quarters()).save(tmp_path / "served.png")
    picture = (tmp_path / "served.png").read_bytes()

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            httpd.asked.append(self.path)
            if self.path.startswith(("/to?", "/flood")):
                self.send_response(302)
                self.send_header("Location", self.path[4:] if self.path.startswith("/to?") else "ftp://example.org/")
                self.end_headers()
                while self.path == "/flood" and not finished.wait(0.01):
                    self.wfile.write(b"x" * 1000)
            else:
                self.send_response(200)
                self.end_headers()
                self.wfile.write(picture)

        def log_message(self, *args):
            pass

    monkeypatch.setenv("no_proxy", "*")
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    finished = threading.Event()
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as httpd:
        httpd.asked, httpd.handle_error = [], lambda *_: None
        httpd.url = f"http://127.0.0.1:{httpd.server_port}"
        thread = threading.Thread(target=httpd.serve_forever, args=(0.05,), daemon=True)
        thread.start()
        yield httpd
        finished.set()
        httpd.shutdown()
        thread.join()


def names(monkeypatch: pytest.MonkeyPatch, **answers: list[str]) -> list[str]:
    """Answers questions for `NAME.test` from lists, one address after the other, the last one again and again."""
    asked, real = [], socket.getaddrinfo

    def getaddrinfo(host, port, *args, **kwargs):
        name = str(host).removesuffix(".test")
        if name not in answers:
            return real(host, port, *args, **kwargs)
        asked.append(host)
        address = answers[name].pop(0) if len(answers[name]) > 1 else answers[name][0]
        found = [real(one, port, *args, **kwargs) for one in address.split()]
        return [entry for entries in found for entry in entries]

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    return asked


PRIVATE = ["127.0.0.1", "127.1", "2130706433", "[::1]", "[::ffff:127.0.0.1]", "10.0.0.1", "192.168.1.1", "172.16.0.1"]
PRIVATE += ["169.254.169.254", "[fe80::1]", "[fd00::1]", "0.0.0.0", "100.64.0.1", "224.0.0.1", "localhost"]


@pytest.mark.parametrize("host", PRIVATE)
def test_a_redirect_to_a_private_address_is_not_followed(server, host):
    target = f"http://{host}:{server.server_port}/secret"
    for read in (read_clip, read_image):
        with pytest.raises(MediaError, match="private address, which is not followed") as caught:
            read(f"{server.url}/to?{target}")
        assert target in str(caught.value)
    assert "/secret" not in server.asked


def test_every_address_of_a_name_counts_and_so_does_the_one_that_is_taken(server, monkeypatch):
    port = server.server_port
    asked = names(monkeypatch, mixed=["8.8.8.8 127.0.0.1"], rebinding=["8.8.8.8", "127.0.0.1"])
    for name in ("mixed", "rebinding"):
        with pytest.raises(MediaError, match=rf"http://{name}.test:{port}/secret leads to 127.0.0.1, a private"):
            read_image(f"{server.url}/to?http://{name}.test:{port}/secret")
    assert asked == ["mixed.test", "rebinding.test", "rebinding.test"] and "/secret" not in server.asked


@pytest.mark.parametrize("target", ["file:///etc/hostname", "ftp://example.org/x.png", "data:image/png;base64,AAAA"])
def test_a_redirect_to_another_scheme_is_not_followed(server, target):
    with pytest.raises(MediaError, match=r"302 and redirects from http to (file|ftp|data), which is not followed"):
        read_image(f"{server.url}/to?{target}")


@pytest.mark.parametrize(
    ("before", "after", "followed"),
    [("http", "https", True), ("https", "https", True), ("http", "http", True), ("https", "http", False)],
)
def test_no_redirect_gives_up_encryption(before, after, followed):
    if followed:
        target = downloads._redirected(f"{before}://a.org/b/c", f"{after}://b.org/ä", "it")
        assert target == f"{after}://b.org/%C3%A4" or target == f"{after}://b.org/%E4"
    else:
        with pytest.raises(MediaError, match="from https to http"):
            downloads._redirected(f"{before}://a.org/b/c", f"{after}://b.org/d", "it")


def test_redirects_elsewhere_are_followed_but_not_for_ever(server, monkeypatch):
    checked = []
    monkeypatch.setattr(downloads, "_check_public", lambda address, url: checked.append((address, url)))
    assert read_image(f"{server.url}/to?{server.url}/to?/picture").shape == quarters().shape
    assert server.asked[-1] == "/picture"
    assert checked == [("127.0.0.1", f"{server.url}/to?/picture")] * 2 + [("127.0.0.1", f"{server.url}/picture")] * 2
    with pytest.raises(MediaError, match="redirected more than 10 times"):
        read_image(f"{server.url}{'/to?' * 20}/picture")


def test_the_size_is_bounded_after_redirects_and_of_redirects(server, tmp_path, monkeypatch):
    monkeypatch.setattr(downloads, "_check_public", lambda *_: None)
    monkeypatch.setattr(media_files, "MAX_DOWNLOAD_BYTES", 50)
    with pytest.raises(MediaError, match=r"larger than .* set the environment variable VIDEOGLAMM_MAX_DOWNLOAD_BYTES"):
        read_image(f"{server.url}/to?/picture")
    with pytest.raises(MediaError, match="to ftp"):  # without reading what comes with it
        read_image(f"{server.url}/flood")
    assert not list((tmp_path / "temporary").iterdir())


def test_a_private_url_that_a_person_gives_is_read_unless_forbidden(server, monkeypatch):
    assert read_image(f"{server.url}/picture").shape == quarters().shape
    monkeypatch.setenv(downloads.PUBLIC_ONLY, "1")
    with pytest.raises(MediaError, match="private address"):
        read_image(f"{server.url}/picture")
    assert server.asked == ["/picture"]


def test_a_proxy_on_a_private_address_is_no_private_target(server, monkeypatch):
    monkeypatch.delenv("no_proxy")
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.setenv("http_proxy", server.url)
    monkeypatch.setenv(downloads.PUBLIC_ONLY, "1")
    names(monkeypatch, media=["8.8.8.8"])
    assert read_image("http://media.test/picture").shape == quarters().shape
    assert server.asked == ["http://media.test/picture"]


# Files that open other files


CONCAT = "ffconcat version 1.0\nfile '{}'\n"
HLS = "#EXTM3U\n#EXT-X-TARGETDURATION:5\n#EXTINF:3,\n{}\n#EXT-X-ENDLIST\n"
SDP = "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 9 RTP/AVP 96\na=rtpmap:96 H264/90000\n"
DASH = '<?xml version="1.0"?><MPD xmlns="urn:mpeg:dash:schema:mpd:2011"><BaseURL>{}</BaseURL></MPD>'


@pytest.mark.parametrize(
    ("name", "text"),
    [("x.ffconcat", CONCAT), ("x.mp4", CONCAT), ("x.m3u8", HLS), ("x.mp4", HLS), ("x.sdp", SDP), ("x.mpd", DASH)],
)
def test_a_script_opens_no_other_file(tmp_path, name, text):
    make_video(tmp_path / "secret.ts", [numbered_frame(7)] * 5)
    (tmp_path / name).write_text(text.format("secret.ts"))
    with pytest.raises(MediaError, match=f"{name}: not a video"):
        read_clip(tmp_path / name)


def test_a_name_is_no_pattern(tmp_path):
    for i in range(3):
        Image.fromarray(numbered_frame(i)).save(tmp_path / f"i{i}.png")
    (tmp_path / "i%d.png").write_bytes(b"\x89PNG" + bytes(2000))
    with pytest.raises(MediaError, match="not a video"):
        read_clip(tmp_path / "i%d.png")


FORMATS = ["mp4", "mov", "mkv", "webm", "avi", "ts", "flv", "wmv", "mpg", "nut", "mxf", "3gp", "h264", "y4m"]
CODECS = {"webm": "libvpx-vp9", "wmv": "wmv2", "mpg": "mpeg2video", "mxf": "mpeg2video"}
CODECS |= {"y4m": "rawvideo", "flv": "flv", "avi": "mpeg4"}


@pytest.mark.parametrize("suffix", FORMATS)
def test_what_holds_its_frames_itself_is_read(tmp_path, suffix):
    frames = [numbered_frame(i).repeat(4, axis=0) for i in range(6)]
    try:
        make_video(tmp_path / f"v.{suffix}", frames, fps=25, codec=CODECS.get(suffix, "libx264"))
    except ValueError as error:
        pytest.skip(f"this FFmpeg cannot write it: {error}")
    assert len(read_clip(tmp_path / f"v.{suffix}", fps=None, max_frames=None)) == 6
