"""The app over HTTP: questions, corrections, files, and what is kept from whom."""

import io
import itertools
import json
import subprocess
import sys
import time
import zipfile

import numpy as np
import pytest
from PIL import Image

from tests.app.conftest import Visitor
from tests.bad_input.test_bad_media import BAD_SOURCES
from videoglamm_hf.cli.answer_file import answer_masks, answer_problems
from videoglamm_hf.exchange import import_data

pytest.importorskip("gradio", reason="the app's extra is not installed: pip install 'videoglamm-hf[app]'")


@pytest.fixture(scope="module")
def asked(url, clip_file):
    """A visitor with one answer."""
    visitor = Visitor(url)
    about = visitor.upload(clip_file.read_bytes(), "clip%20one.mp4").json()
    return visitor, about, visitor.ask(about["id"])


def picture(width=64, height=48, format="PNG") -> bytes:
    written = io.BytesIO()
    Image.fromarray(np.zeros((height, width, 3), np.uint8)).save(written, format)
    return written.getvalue()


def test_words_and_masks_appear_while_they_come_to_be(url, clip_file):
    visitor = Visitor(url)
    media = visitor.upload(clip_file.read_bytes()).json()
    events = list(visitor.events("ask", [media["id"], "Describe the video.", {}]))
    kinds = [event["event"] for event in events]
    assert kinds.index("frames") < kinds.index("words") < kinds.index("masks") < kinds.index("answer")
    words = [event for event in events if event["event"] == "words"]
    assert all(after["text"].startswith(before["text"]) for before, after in itertools.pairwise(words))
    # A phrase names its object before the sentence is whole.
    first = next(i for i, event in enumerate(words) if any(p["object_index"] == 0 for p in event["phrases"]))
    assert first < len(words) - 1
    answer = events[-1]["answer"]
    assert words[-1]["text"].strip() == answer["text"].strip()
    seen = {event["frame"]: event["masks"] for event in events if event["event"] == "masks"}
    for index, shown in enumerate(answer["objects"]):
        assert [seen[frame][index]["mask"] for frame in range(len(answer["frames"]))] == shown["masks"]


def test_a_second_question_keeps_the_encoded_video(asked, url, monkeypatch):
    visitor, about, _ = asked
    from videoglamm_hf import VideoGlammForGroundedGeneration

    calls = []
    encode = VideoGlammForGroundedGeneration.encode_videos
    monkeypatch.setattr(
        VideoGlammForGroundedGeneration, "encode_videos", lambda *a, **k: calls.append(1) or encode(*a, **k)
    )
    visitor.ask(about["id"], "Where is the brown star?")
    assert not calls
    visitor.ask(about["id"], "Where is the brown star?", sampling={"num_frames": 4})
    assert calls


def test_what_the_model_has_seen_is_let_go_in_time(served, tmp_path, clip_file):
    visitor = Visitor(served(tmp_path, settings={"feature_bytes": 1}))
    first, second = (visitor.upload(clip_file.read_bytes()).json() for _ in range(2))
    given = visitor.ask(first["id"], sampling={"num_frames": 3})
    step = {"step": "correct", "corrections": [{"object": 0, "frame": 0, "points": [[60, 90]], "labels": [1]}]}
    corrected = visitor.last("correct", [given["question"]["id"], "step", step])
    visitor.ask(second["id"], sampling={"num_frames": 3})
    assert visitor.last("correct", [given["question"]["id"], "undo", {}])["answer"] == given["answer"]
    assert visitor.last("correct", [given["question"]["id"], "redo", {}])["answer"] == corrected["answer"]


def test_corrections_go_back_and_forward_and_outlive_a_restart(served, tmp_path, clip_file):
    visitor = Visitor(served(tmp_path))
    about = visitor.upload(clip_file.read_bytes()).json()
    given = visitor.ask(about["id"])
    question = given["question"]["id"]
    step = {"step": "correct", "corrections": [{"object": 0, "frame": 3, "points": [[60, 90]], "labels": [1]}]}
    corrected = visitor.last("correct", [question, "step", step])
    masks = [one["masks"] for one in corrected["answer"]["objects"]]
    assert masks[0] != given["answer"]["objects"][0]["masks"] and masks[1] == given["answer"]["objects"][1]["masks"]
    brush = {"size": [192, 192], "counts": [0, 500, 192 * 192 - 500]}
    added = visitor.last("correct", [question, "step", {"step": "add", "frame": 0, "mask": brush, "label": "a bit"}])
    assert [one["name"] for one in added["answer"]["objects"]][-1] == "a bit"
    undone = visitor.last("correct", [question, "undo", {}])
    assert [one["masks"] for one in undone["answer"]["objects"]] == masks
    assert undone["steps"] == {"back": 1, "forward": 1}

    again = Visitor(served(tmp_path))
    again.client.cookies = visitor.client.cookies
    found = again.client.get(f"/questions/{question}").json()
    assert [one["masks"] for one in found["answer"]["objects"]] == masks and found["steps"] == undone["steps"]
    redone = again.last("correct", [question, "redo", {}])
    assert redone["answer"]["objects"] == added["answer"]["objects"]
    assert again.last("correct", [question, "redo", {}])["message"] == "There is nothing to do again."


@pytest.mark.parametrize(
    "step",
    [
        None,
        {"step": "eval"},
        {"step": "correct", "corrections": [{"object": 99, "frame": 0, "points": [[1, 1]]}]},
        {"step": "correct", "corrections": [{"object": 0, "frame": 10**9, "absent": True}]},
        {"step": "correct", "corrections": [{"object": 0, "frame": 0, "points": [[float(10**30), -1]]}]},
        {"step": "correct", "corrections": "all"},
        {"step": "add", "frame": 0, "mask": {"size": [10**6, 10**6], "counts": "00"}},
        {"step": "add", "frame": 0, "mask": {"size": [192, 192], "counts": "zzzz"}, "label": "x"},
        {"step": "rename", "object": 0, "label": "<p>"},
        {"step": "rename", "object": 0, "label": "half \ud800"},
        {"step": "undo"},
    ],
)
def test_a_correction_that_cannot_be_is_refused_and_changes_nothing(asked, step):
    visitor, _, given = asked
    found = visitor.last("correct", [given["question"]["id"], "step", step])
    assert found["event"] in ("error", "failed"), found
    assert "went wrong" not in (found["message"] or "")
    shown = visitor.client.get(f"/questions/{given['question']['id']}").json()
    assert shown["answer"] == given["answer"] and shown["steps"] == {"back": 0, "forward": 0}


def test_what_is_taken_away_opens(asked, tmp_path, clip_file):
    visitor, _, given = asked
    question = given["question"]["id"]

    def file(format: str) -> bytes:
        response = visitor.client.get(f"/export/{question}/{format}")
        assert response.status_code == 200, response.text
        assert "clip_one_" in response.headers["content-disposition"].replace("%20", "_")
        return response.content

    (tmp_path / "answer.json").write_bytes(file("json"))
    assert not answer_problems(tmp_path / "answer.json")
    masks, labels = answer_masks(json.loads(file("json")))
    assert len(labels) == 3
    page = file("html").decode()
    assert page.count("data:image/jpeg") == 16 and "http" not in page.replace("http://www.w3.org", "")
    with zipfile.ZipFile(io.BytesIO(file("cutout-png"))) as pictures:
        alpha = np.stack([np.array(Image.open(pictures.open(name)))[..., 3] for name in sorted(pictures.namelist())])
    assert np.array_equal(alpha > 0, masks.any(axis=0))
    for format in ("coco", "cvat", "label-studio", "png"):
        folder = tmp_path / format
        with zipfile.ZipFile(io.BytesIO(file(format))) as archive:
            archive.extractall(folder)
        report = import_data(folder, tmp_path / f"{format}_back", format="auto", video=clip_file)
        assert report.objects >= 3, format
    import av

    for format, codec in (("mp4", "h264"), ("cutout-webm", "vp9")):
        with av.open(io.BytesIO(file(format))) as container:
            assert container.streams.video[0].codec_context.name.startswith(codec[:3])
            assert sum(1 for _ in container.decode(video=0)) >= 16
    assert visitor.client.get(f"/export/{question}/exe").status_code == 400


def test_the_python_that_is_copied_gives_the_same_answer(url, clip_file, tmp_path):
    visitor = Visitor(url)
    about = visitor.upload(clip_file.read_bytes(), "a%22%5C%0A'b.mp4").json()
    given = visitor.ask(about["id"], 'Can you "segment" the brown star?\n"""', sampling={"num_frames": 6})
    question = given["question"]["id"]
    step = {"step": "correct", "corrections": [{"object": 0, "frame": 1, "points": [[100, 100]], "labels": [0]}]}
    visitor.last("correct", [question, "step", step])
    visitor.last("correct", [question, "step", {"step": "rename", "object": 0, "label": "it"}])
    code = visitor.client.get(f"/export/{question}/python").text
    (tmp_path / about["name"]).write_bytes(clip_file.read_bytes())
    (tmp_path / "answer.py").write_text(f"{code}\nimport numpy as np\nnp.save('masks.npy', answer.masks.numpy())\n")
    subprocess.run([sys.executable, "answer.py"], cwd=tmp_path, check=True, capture_output=True)
    expected, names = answer_masks(visitor.client.get(f"/export/{question}/json").json())
    assert names[0] == "it"
    assert np.array_equal(np.load(tmp_path / "masks.npy"), expected)


def test_the_overlay_of_every_frame_plays_as_the_source_does(url, tmp_path):
    """At its rate, with its sound."""
    import av

    path = tmp_path / "a.mp4"
    with av.open(str(path), "w") as container:
        film, sound = container.add_stream("libx264", rate=12), container.add_stream("aac", rate=16000, layout="mono")
        film.width, film.height, film.pix_fmt = 64, 48, "yuv420p"
        for number in range(24):
            picture = av.VideoFrame.from_ndarray(np.full((48, 64, 3), 9 * number, np.uint8), format="rgb24")
            container.mux(film.encode(picture))
        for start in range(0, 32000, 1024):
            wave = np.sin(np.arange(start, start + 1024) / 9, dtype=np.float32)[None]
            frame = av.AudioFrame.from_ndarray(wave, format="fltp", layout="mono")
            frame.sample_rate, frame.pts = 16000, start
            container.mux(sound.encode(frame))
        container.mux(film.encode())
        container.mux(sound.encode())
    visitor = Visitor(url)
    about = visitor.upload(path.read_bytes()).json()
    given = visitor.ask(about["id"], "What moves?", sampling={"every": True}, max_new_tokens=8)
    assert len(given["answer"]["frames"]) == 24
    file = visitor.client.get(f"/export/{given['question']['id']}/mp4").content
    with av.open(io.BytesIO(file)) as container:
        assert container.streams.audio and float(container.streams.video[0].average_rate) == pytest.approx(12, abs=0.1)
        assert sum(1 for _ in container.decode(video=0)) == 24


def test_every_frame_of_a_part(url, clip_file, tmp_path):
    visitor = Visitor(url)
    about = visitor.upload(clip_file.read_bytes(), "a.mp4").json()
    sampling = {"every": True, "start_time": 1.0, "end_time": 2.5}
    given = visitor.ask(about["id"], sampling=sampling)
    assert given["answer"]["timestamps"] == [1.0, 1.25, 1.5, 1.75, 2.0, 2.25, 2.5]
    question = given["question"]["id"]
    assert visitor.client.get(f"/export/{question}/mp4").status_code == 200
    found = visitor.client.get(f"/export/{question}/json").json()
    assert found["frame_indices"] == list(range(4, 11))
    assert "part=True, end_time=2.5, start_time=1.0" in visitor.client.get(f"/export/{question}/python").text


def test_a_picture_is_asked_as_a_picture(url):
    visitor = Visitor(url)
    about = visitor.upload(picture(format="JPEG"), "a.mp4").json()
    assert about["kind"] == "picture"
    given = visitor.ask(about["id"], "What is this?")
    assert len(given["answer"]["frames"]) == 1


def test_cancelling_stops_within_a_frame(url, clip_file):
    visitor = Visitor(url)
    media = visitor.upload(clip_file.read_bytes()).json()
    hash, event = visitor.join("ask", [media["id"], "Describe the video.", {"sampling": {"every": True}}])
    for message in visitor.messages(hash):
        if message["msg"] == "process_generating" and "masks" in json.dumps(message):
            break
    visitor.client.post("/gradio_api/cancel", json={"session_hash": hash, "event_id": event, "fn_index": 0})
    assert visitor.ask(media["id"])["event"] == "answer"  # the model is free again
    assert len(visitor.client.get("/state").json()["questions"]) == 1


def test_a_dead_tab_frees_its_work(url, clip_file):
    visitor = Visitor(url)
    media = visitor.upload(clip_file.read_bytes()).json()
    hash, _ = visitor.join("ask", [media["id"], "Describe the video.", {}])
    for message in visitor.messages(hash):
        if message["msg"] == "process_generating":
            break  # the connection closes
    assert visitor.ask(media["id"])["event"] == "answer"
    assert len(visitor.client.get("/state").json()["questions"]) == 1


def test_sessions_cannot_see_one_another(asked, url):
    visitor, about, given = asked
    stranger = Visitor(url)
    assert stranger.client.get("/state").json()["media"] == []
    question = given["question"]["id"]
    frame = given["answer"]["frames"][0]
    assert visitor.client.get(f"/{frame}").status_code == 200
    for path in (f"/{frame}", f"/questions/{question}", f"/export/{question}/json"):
        assert stranger.client.get(path).status_code == 400, path
    assert stranger.client.delete(f"/media/{about['id']}").status_code == 400
    assert stranger.last("ask", [about["id"], "What?", {}])["event"] == "error"
    assert stranger.last("correct", [question, "undo", {}])["event"] == "error"
    assert visitor.client.get(f"/questions/{question}").status_code == 200
    nobody = Visitor(url)
    nobody.client.cookies.clear()
    assert nobody.client.get("/state").status_code == 401
    nobody.client.cookies.set("videoglamm_session", "../../../../etc/passwd")
    assert nobody.client.get("/state").status_code == 401


@pytest.mark.parametrize(
    "path",
    [
        "/gradio_api/file=/etc/passwd",
        "/gradio_api/upload",
        "/gradio_api/proxy=http://127.0.0.1/",
        "/file=/etc/passwd",
        "/config",
        "/gradio_api/info",
        "/static/../server.py",
        "/static/%2e%2e/server.py",
        "/static/server.py",
        "/frames/..%2f..%2f..%2fetc/passwd/0.jpg",
        "/frames/0123456789abcdef/..%2f..%2fabout/0.jpg",
        "/questions/..%2f..%2fexamples",
        "/export/0123456789abcdef/..%2f..%2fabout.json",
        "/monitoring",
        "/gradio_api/vibe-code",
        "/openapi.json",
    ],
)
def test_no_path_of_a_client_is_opened(visitor, path):
    for method in ("GET", "POST"):
        response = visitor.client.request(method, path)
        assert response.status_code in (400, 401, 403, 404, 405, 422), (path, response.text)
        assert "root:" not in response.text and "def build" not in response.text


BAD = {
    "nothing": b"",
    "text": b"hello, this is no video",
    "a page": b"<html><script>alert(1)</script></html>",
    "a drawing": b'<svg xmlns="http://www.w3.org/2000/svg"><image href="file:///etc/passwd"/></svg>',
    "a playlist": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n",
    "a list of files": b"ffconcat version 1.0\nfile '/etc/passwd'\n",
    "cut short": b"\0\0\0\x18ftypmp42" + b"\xff" * 500,
    "zeros": bytes(5000),
    "an archive": b"PK\x03\x04" + bytes(200),
    "a picture that lies": picture().replace(b"IHDR\0\0\0\x40", b"IHDR\x7f\xff\xff\xff"),
}


@pytest.mark.parametrize("content", BAD.values(), ids=BAD)
def test_what_is_no_video_is_refused_in_words(visitor, content):
    response = visitor.upload(content, "..%2F..%2Fetc%2Fpasswd.mp4")
    assert response.status_code == 400
    said = response.json()["detail"]
    assert said and "/tmp" not in said and "Traceback" not in said and "etc/" not in said, said
    assert visitor.client.get("/state").json()["media"] == []


# Those that are files, which a browser could send.
NO_FILES = ("missing", "folder", "name", "pipe")


@pytest.mark.parametrize("case", [case for case in BAD_SOURCES if not any(word in case for word in NO_FILES)])
def test_bad_files_are_refused_in_words_when_they_come_or_when_they_are_asked_about(visitor, tmp_path, case):
    name, make, _ = BAD_SOURCES[case]
    path = tmp_path / name
    make(path)
    response = visitor.upload(path.read_bytes(), "bad.mp4")
    if response.status_code == 200:
        response = visitor.client.post(f"/frames/{response.json()['id']}", json={"every": True})
    assert response.status_code == 400, response.text
    assert "bad.mp4" in response.json()["detail"] and str(tmp_path) not in response.json()["detail"]
    assert "source" not in response.json()["detail"], response.json()


def test_animated_pictures_are_videos(visitor):
    written = io.BytesIO()
    frames = [Image.new("RGB", (40, 30), (40 * t, 0, 0)) for t in range(5)]
    frames[0].save(written, "GIF", save_all=True, append_images=frames[1:], duration=200)
    about = visitor.upload(written.getvalue(), "a.png").json()
    assert about["kind"] == "video" and about["frames"] == 5


def test_work_that_takes_too_long_is_ended(served, tmp_path, clip_file):
    visitor = Visitor(served(tmp_path, settings={"answer_seconds": 0.05}))
    media = visitor.upload(clip_file.read_bytes()).json()
    assert "took longer" in visitor.last("ask", [media["id"], "Describe the video.", {}])["message"]
    assert visitor.client.get("/state").json()["questions"] == []


def test_limits_are_said(served, tmp_path, clip_file):
    limits = {"upload_bytes": 2**20, "most_seconds": 2.0, "most_pixels": 300 * 300, "most_frames": 8}
    visitor = Visitor(served(tmp_path, settings=limits))
    assert "2 are taken" in visitor.upload(clip_file.read_bytes()).json()["detail"]
    assert "larger than 1 MB" in visitor.upload(bytes(2**20 + 1)).json()["detail"]
    # A length that lies.
    chunks = (bytes(2**18) for _ in range(8))
    assert visitor.client.post("/media", content=chunks).status_code == 400
    assert "million pixels" in visitor.upload(picture(1000, 1000), "a.png").json()["detail"]
    media = visitor.upload(picture(), "a.png").json()
    found = visitor.last("ask", [media["id"], "x" * 2001, {}])
    assert "at most 2000" in found["message"]
    assert (
        "at most 8" in visitor.last("ask", [media["id"], "What?", {"sampling": {"num_frames": 9}}])["message"].lower()
    )


@pytest.mark.parametrize(
    "data",
    [
        ["0123456789abcdef", "What?", {}],
        ["../../etc", "What?", {}],
        [None, "What?", {}],
        [{"path": "/etc/passwd"}, "What?", {}],
        ["MEDIA", "", {}],
        ["MEDIA", ["What?"], {}],
        ["MEDIA", "What?", {"sampling": {"fps": -1}}],
        ["MEDIA", "What?", {"sampling": {"path": "/etc/passwd"}}],
        ["MEDIA", "What?", {"sampling": "all"}],
        ["MEDIA", "What?", {"mode": "__class__"}],
        ["MEDIA", "What?", {"max_new_tokens": 10**9}],
        ["MEDIA", "What?", {"max_new_tokens": True}],
        ["MEDIA", "What?", None],
    ],
)
def test_a_question_that_cannot_be_asked_is_refused_in_words(asked, data):
    visitor, about, _ = asked
    found = visitor.last("ask", [about["id"] if value == "MEDIA" else value for value in data])
    if data[2] is None:  # taken as no options
        assert found["event"] == "answer"
        return
    assert found["event"] in ("error", "failed")
    assert "went wrong" not in (found["message"] or ""), found


def test_another_site_can_send_nothing(visitor, clip_file):
    headers = {"Origin": "https://elsewhere.example"}
    response = visitor.client.post("/media", content=clip_file.read_bytes(), headers=headers)
    assert response.status_code == 403
    assert visitor.client.post("/gradio_api/queue/join", json={}, headers=headers).status_code == 403


def test_pages_may_run_only_their_own_scripts(visitor):
    policy = visitor.client.get("/").headers["content-security-policy"]
    assert "default-src 'self'" in policy and "unsafe-eval" not in policy and "frame-ancestors 'self'" in policy
    cookie = visitor.client.cookies.get("videoglamm_session")
    assert len(cookie) >= 40


def test_addresses_are_off_unless_allowed_and_never_private(visitor, served, tmp_path, monkeypatch):
    assert "no addresses" in visitor.client.post("/url", json={"url": "http://example.org/a.mp4"}).json()["detail"]
    monkeypatch.setenv("VIDEOGLAMM_PUBLIC_URLS_ONLY", "0")
    place = served(tmp_path, urls=True)
    other = Visitor(place)
    for url in (f"{place}state", "http://127.0.0.1:1/a.mp4", "http://169.254.169.254/latest", "http://[::1]/a"):
        response = other.client.post("/url", json={"url": url})
        assert response.status_code == 400 and "private" in response.json()["detail"], response.text
    for url in ("file:///etc/passwd", "data:image/png;base64,AAAA", 7, None, "ftp://a/b"):
        assert other.client.post("/url", json={"url": url}).status_code == 400


def test_names_and_passwords(served, tmp_path, clip_file):
    place = served(tmp_path, auth=("ann", "secret"))
    visitor = Visitor(place)
    assert visitor.client.get("/").status_code == 401
    assert visitor.client.get("/state").status_code == 401
    assert visitor.upload(clip_file.read_bytes()).status_code == 401
    body = {"data": [], "fn_index": 0, "session_hash": "x"}
    assert visitor.client.post("/gradio_api/queue/join", json=body).status_code == 401
    assert visitor.client.post("/login", data={"username": "ann", "password": "wrong"}).status_code == 400
    assert visitor.client.post("/login", data={"username": "ann", "password": "secret"}).status_code == 200
    assert visitor.client.get("/").status_code == 200
    media = visitor.upload(clip_file.read_bytes()).json()
    assert visitor.ask(media["id"])["event"] == "answer"


def test_the_oldest_makes_room(served, tmp_path, clip_file):
    size = clip_file.stat().st_size
    settings = {"upload_bytes": 2 * size, "disk_bytes": 4 * size}
    visitor = Visitor(served(tmp_path, settings=settings))
    names = []
    for number in range(4):
        about = visitor.upload(clip_file.read_bytes(), f"{number}.mp4").json()
        assert "id" in about, about
        names.append(about["name"])
        time.sleep(0.05)
        if number == 0:
            visitor.ask(about["id"], max_new_tokens=1, sampling={"num_frames": 1})
            first = tmp_path.glob("*/media/*")
            assert list(first) and visitor.client.get("/state").json()["questions"]
    state = visitor.client.get("/state").json()
    left = [one["name"] for one in state["media"]]
    assert left == names[-len(left) :] and len(left) < 4
    # Nothing can be shown of a video that is gone.
    assert state["questions"] == [] and not list(tmp_path.glob("*/questions/*"))


def test_a_queue_that_is_full_takes_no_more(served, tmp_path, clip_file):
    visitor = Visitor(served(tmp_path, settings={"waiting": 1}))
    media = visitor.upload(clip_file.read_bytes()).json()
    statuses = []
    for _ in range(6):
        body = {"data": [media["id"], "What?", {}], "fn_index": 0, "session_hash": "a" * 16, "event_data": None}
        statuses.append(visitor.client.post("/gradio_api/queue/join", json=body).status_code)
    assert statuses[0] == 200 and statuses[-1] == 503


def test_twenty_questions_queue_and_finish(url, clip_file):
    from concurrent.futures import ThreadPoolExecutor

    def one(number: int) -> tuple[int, int]:
        visitor = Visitor(url)
        media = visitor.upload(clip_file.read_bytes()).json()
        options = {"sampling": {"num_frames": 2}, "max_new_tokens": 8}
        hash, _ = visitor.join("ask", [media["id"], "Describe the video.", options])
        messages = list(visitor.messages(hash))
        assert messages[-1]["msg"] == "close_stream" and messages[-2]["success"]
        ranks = [message["rank"] for message in messages if message["msg"] == "estimation"]
        return len(visitor.client.get("/state").json()["questions"]), max(ranks, default=0)

    with ThreadPoolExecutor(20) as pool:
        found = list(pool.map(one, range(20)))
    assert [answers for answers, _ in found] == [1] * 20
    # Those who wait are told where in the queue they are.
    assert max(rank for _, rank in found) > 2


QUEUE = "/gradio_api/queue/join"
DATA = ["0123456789abcdef", "What?", {}]


@pytest.mark.parametrize(
    "body",
    [
        [],
        {"data": DATA, "fn_index": 99, "session_hash": "x"},
        {"data": DATA, "fn_index": -1, "session_hash": "x"},
        {"data": DATA, "fn_index": True, "session_hash": "x"},
        {"data": DATA, "fn_index": "0", "session_hash": "x"},
        {"data": DATA, "session_hash": "x"},
        {"data": DATA, "fn_index": 0},
        {"data": DATA, "fn_index": 0, "session_hash": ["x"]},
        {"data": DATA, "fn_index": 0, "session_hash": "x" * 10_000},
        {"data": DATA[:1], "fn_index": 0, "session_hash": "x"},
        {"data": DATA * 1000, "fn_index": 0, "session_hash": "x"},
        {"data": "all", "fn_index": 0, "session_hash": "x"},
    ],
)
def test_what_the_queue_cannot_take_is_refused_in_words(visitor, body):
    response = visitor.client.post(QUEUE, json=body)
    assert response.status_code == 400 and "no question" in response.json()["detail"], response.text
    deep = b'{"data": ' + b"[" * 100_000 + b"]" * 100_000 + b"}"
    assert visitor.client.post(QUEUE, content=deep).status_code == 400


def test_what_is_no_file_is_small(visitor):
    for content in (bytes(9 * 2**20), (bytes(2**20) for _ in range(2))):  # of a size that is told, and of none
        response = visitor.client.post(QUEUE, content=content)
        assert response.status_code == 413 and "MB" in response.json()["detail"]


MANY = "1" + 400 * "0"


@pytest.mark.parametrize("sampling", [f'{{"fps": {MANY}}}', f'{{"num_frames": {MANY}}}', '{"fps": NaN}'])
def test_numbers_that_no_float_holds_are_refused_in_words(asked, sampling):
    visitor, about, _ = asked
    response = visitor.client.post(f"/frames/{about['id']}", content=sampling)
    assert response.status_code == 400 and len(response.json()["detail"]) < 200, response.text


def test_what_is_removed_while_it_is_used_stays_removed(url, clip_file):
    visitor = Visitor(url)
    media = visitor.upload(clip_file.read_bytes()).json()["id"]
    question = visitor.ask(media)["question"]["id"]
    step = {"step": "correct", "corrections": [{"object": 0, "frame": 3, "points": [[60, 90]], "labels": [1]}]}

    def last_of(work, until: str, path: str) -> dict:
        removed = False
        for event in work:
            if event["event"] == until and not removed:
                removed = visitor.client.delete(path).status_code == 200
        assert removed
        return event

    found = last_of(visitor.events("correct", [question, "step", step]), "masks", f"/questions/{question}")
    assert "removed while it was corrected" in found["message"], found
    found = last_of(visitor.events("ask", [media, "Describe the video.", {}]), "words", f"/media/{media}")
    assert "removed while it was asked about" in found["message"], found
    state = visitor.client.get("/state").json()
    assert state["media"] == [] and state["questions"] == []


def test_steps_that_are_taken_again_can_be_stopped(served, tmp_path, clip_file):
    visitor = Visitor(served(tmp_path))
    question = visitor.ask(visitor.upload(clip_file.read_bytes()).json()["id"])["question"]["id"]
    step = {"step": "correct", "corrections": [{"object": 0, "frame": 3, "points": [[60, 90]], "labels": [1]}]}
    corrected = visitor.last("correct", [question, "step", step])
    again = Visitor(served(tmp_path, settings={"answer_seconds": 0.001}))
    again.client.cookies = visitor.client.cookies
    assert "took longer" in again.last("correct", [question, "undo", {}])["message"]
    assert again.client.get(f"/questions/{question}").json()["answer"] == corrected["answer"]


def test_the_same_file_taken_away_twice_at_once_is_whole_each_time(url, clip_file, app_folder):
    from concurrent.futures import ThreadPoolExecutor

    visitor = Visitor(url)
    question = visitor.ask(visitor.upload(clip_file.read_bytes()).json()["id"])["question"]["id"]
    with ThreadPoolExecutor(4) as pool:
        files = list(pool.map(lambda _: visitor.client.get(f"/export/{question}/cutout-png").content, range(4)))
    for file in files:
        with zipfile.ZipFile(io.BytesIO(file)) as archive:
            assert archive.testzip() is None and len(archive.namelist()) == 16
    # Nothing of them stays.
    for _ in range(100):
        left = list(app_folder.glob(f"*/questions/{question}/exports/*"))
        if not left:
            break
        time.sleep(0.05)
    assert not left


def test_frames_count_as_room_that_is_used(served, tmp_path, clip_file):
    size = clip_file.stat().st_size
    visitor = Visitor(served(tmp_path, settings={"disk_bytes": 2 * size}))
    media = visitor.upload(clip_file.read_bytes()).json()["id"]
    statuses = []
    for number in range(1, 17):
        response = visitor.client.post(f"/frames/{media}", json={"num_frames": 16, "start_time": number / 1000})
        statuses.append(response.status_code)
    used = sum(path.stat().st_size for path in tmp_path.glob("*/media/**/*") if path.is_file())
    assert statuses[0] == 200 and statuses[-1] == 503 and used < 4 * size, (statuses, used / size)
    # The video that is worked with does not make room for its own frames.
    assert [one["id"] for one in visitor.client.get("/state").json()["media"]] == [media]


def test_odd_letters_in_a_question_spoil_no_file(url, clip_file):
    visitor = Visitor(url)
    media = visitor.upload(clip_file.read_bytes()).json()["id"]
    question = visitor.ask(media, "What\x00 is\u202e it\x1b[31m?", max_new_tokens=4, sampling={"num_frames": 1})
    code = visitor.client.get(f"/export/{question['question']['id']}/python").text
    assert all(letter.isprintable() or letter == "\n" for letter in code)
    compile(code, "answer.py", "exec")


def test_a_video_of_one_frame_is_opened_by_the_python_that_is_copied(url, tmp_path, monkeypatch):
    import av

    with av.open(tmp_path / "one.mp4", "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        container.mux(stream.encode(av.VideoFrame.from_ndarray(np.zeros((48, 64, 3), np.uint8), format="rgb24")))
        container.mux(stream.encode())
    visitor = Visitor(url)
    about = visitor.upload((tmp_path / "one.mp4").read_bytes(), "one.mp4").json()
    question = visitor.ask(about["id"], "What is this?", max_new_tokens=4)["question"]["id"]
    code = visitor.client.get(f"/export/{question}/python").text
    monkeypatch.chdir(tmp_path)
    reading = code[code.index("with open_clip") : code.index("content =")]
    found = {}
    exec(f"from videoglamm_hf.clip_sources import open_clip\n{reading}", found)
    assert "from videoglamm_hf.clip_sources import open_clip\n" in code and found["seen"].shape == (48, 64, 3)
