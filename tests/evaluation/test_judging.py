"""A judge of captions behind an endpoint: asked as it should be, and what becomes of captions it does not score."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from tests.evaluation.shapes_folders import clips, write_gcg
from videoglamm_hf import InputError, cli
from videoglamm_hf.evaluation.chat_endpoint import KEY
from videoglamm_hf.evaluation.evaluate import read_benchmark
from videoglamm_hf.evaluation.judging import Judge, score_of
from videoglamm_hf.evaluation.options import Options


class Endpoint(BaseHTTPRequestHandler):
    answers: list[tuple[int, str]] = []
    asked: list[dict] = []

    def do_POST(self):
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        self.asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
        status, content = self.answers.pop(0)
        self.send_response(status)
        self.end_headers()
        self.wfile.write(json.dumps({"choices": [{"message": {"content": content}}]}).encode())

    def log_message(self, *arguments):
        pass


@pytest.fixture
def endpoint(monkeypatch) -> Iterator[str]:
    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    Endpoint.answers, Endpoint.asked = [], []
    threading.Thread(target=server.serve_forever, daemon=True).start()
    monkeypatch.setenv(KEY, "secret")
    yield f"http://127.0.0.1:{server.server_port}/v1/"
    server.shutdown()
    server.server_close()


@pytest.fixture(autouse=True)
def pauses(monkeypatch) -> list[float]:
    """How long was waited between tries, instead of waiting."""
    waited: list[float] = []
    monkeypatch.setattr("videoglamm_hf.evaluation.judging.time.sleep", waited.append)
    return waited


def test_scores(endpoint, pauses):
    Endpoint.answers += [(200, '{"score": 80, "reason": "alike"}'), (500, ""), (200, 'Well: {"score": 5}')]
    captions = {"one": ("a cat", "a cat sits"), "two": ("a {dog}", "rain")}
    assert Judge(endpoint, "clever").scores(captions) == ({"one": 0.8, "two": 0.05}, {})
    assert len(pauses) == 1 and pauses[0] > 0
    first = Endpoint.asked[0]
    assert first["path"] == "/v1/chat/completions" and first["key"] == "Bearer secret" and first["model"] == "clever"
    content = first["messages"][0]["content"]
    assert "True caption: a cat sits" in content and "judge: a cat" in content
    assert "a {dog}" in Endpoint.asked[2]["messages"][0]["content"]


@pytest.mark.parametrize(
    ("reply", "score"),
    [
        ('{"score": 1e2}', 1.0),
        ('{"score": "70", "reason": "x"}', 0.7),
        ('```json\n{"score": 70.5\n}\n```', 0.705),
        ("85", 0.85),
        (" 85/100. ", 0.85),
        ("85%", 0.85),
        ("7 out of 10", None),
        ('{"score": -5}', None),
        ('{"score": 100.5}', None),
        ('{"score": 1e999}', None),
        ('{"score": 8 or 9}', None),
        ("-5", None),
        ("NaN", None),
        ("", None),
    ],
)
def test_the_score_in_a_reply(reply, score):
    assert score_of(reply) == score


@pytest.mark.parametrize("answer", [(200, "no idea"), (200, '{"score": 700}'), (503, "")])
def test_no_score_in_three_tries_is_listed_and_the_next_caption_asked_about(endpoint, answer):
    Endpoint.answers += [*[answer] * 3, (200, "40")]
    found, problems = Judge(endpoint, "m").scores({"a": ("x", "y"), "b": ("z", "y")})
    assert found == {"b": 0.4} and list(problems) == ["a"]
    assert "503" in problems["a"] or answer[1] in problems["a"]


def test_a_refused_key_is_not_tried_again_nor_told(endpoint):
    Endpoint.answers += [(401, "")] * 2
    found, problems = Judge(endpoint, "m").scores({"a": ("x", "y"), "b": ("z", "y")})
    assert not found and set(problems) == {"a", "b"} and len(Endpoint.answers) == 1
    assert all("401" in problem and "secret" not in problem for problem in problems.values())


def test_where_there_is_no_judge(pauses):
    found, problems = Judge("http://127.0.0.1:9/v1", "m").scores({str(n): (str(n), "y") for n in range(9)})
    assert not found and len(problems) == 9 and "no reply" in problems["8"]
    assert len(pauses) == 6  # three captions, and then no other
    with pytest.raises(InputError, match="no http"):
        Options(judge="file:///etc/passwd", judge_model="m")
    with pytest.raises(InputError, match="give both"):
        Options(judge="http://127.0.0.1")


def test_replies_are_kept(endpoint, tmp_path):
    captions = {"a": ("x", "y"), "b": ("z", "y")}
    judge = Judge(endpoint, "m", tmp_path / "judged")
    Endpoint.answers += [(200, "30"), *[(200, "no idea")] * 3]
    assert judge.scores(captions)[0] == {"a": 0.3}
    Endpoint.answers += [(200, "60")]
    assert judge.scores(captions) == ({"a": 0.3, "b": 0.6}, {})
    assert judge.scores(captions) == ({"a": 0.3, "b": 0.6}, {})
    Endpoint.answers += [(200, "10")] * 2
    assert Judge(endpoint, "another", tmp_path / "judged").scores(captions)[0] == {"a": 0.1, "b": 0.1}
    assert "secret" not in "".join(path.read_text() for path in (tmp_path / "judged").iterdir())
    for path in (tmp_path / "judged").iterdir():
        path.write_text("{")
    Endpoint.answers += [(200, "20")] * 2
    assert judge.scores(captions)[0] == {"a": 0.2, "b": 0.2}


def test_scores_are_written_without_those_of_the_judge(endpoint, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("videoglamm_hf.evaluation.captions._lacking", lambda: "Java")
    data = write_gcg(tmp_path / "gcg", clips(2, "caption"))
    benchmark = read_benchmark("gcg", str(data))
    for item in benchmark.items:
        sample = benchmark.sample(item.index)
        text = sample["messages"][-1]["content"][0]["text"]
        (tmp_path / "p").mkdir(exist_ok=True)
        about = {"text": text, "size": [96, 96], "masks": sample["masks"]}
        (tmp_path / "p" / f"{item.name}.json").write_text(json.dumps(about))
    given = ["score", "gcg", "--data", str(data), "--predictions", str(tmp_path / "p")]
    given += ["--output", str(tmp_path / "s.json"), "--judge", endpoint, "--judge-model", "m", "-q"]
    Endpoint.answers += [*[(200, "well")] * 3, (200, "90")]
    assert cli.main(given) == 0
    scores = json.loads((tmp_path / "s.json").read_text())
    assert scores["figures"]["judge"] == 0.9 and list(scores["settings"]["not_judged"]) == ["clip0"]
    assert not scores["failed"] and "clip0" in capsys.readouterr().err
    Endpoint.answers += [(200, "70")]
    assert cli.main(given) == 0
    assert json.loads((tmp_path / "s.json").read_text())["figures"]["judge"] == pytest.approx(0.8)
