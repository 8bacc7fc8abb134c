"""A judge of captions behind an endpoint: asked as it should be, refused where it gives no score."""

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer

import pytest

from videoglamm_hf import InputError
from videoglamm_hf.errors import ResourceError
from videoglamm_hf.evaluation.judging import KEY, Judge
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


def test_scores(endpoint):
    Endpoint.answers += [(200, '{"score": 80, "reason": "alike"}'), (500, ""), (200, 'Well: {"score": 5}')]
    assert Judge(endpoint, "clever").scores(["a cat", "a {dog}"], ["a cat sits", "rain"]) == [0.8, 0.05]
    first = Endpoint.asked[0]
    assert first["path"] == "/v1/chat/completions" and first["key"] == "Bearer secret" and first["model"] == "clever"
    content = first["messages"][0]["content"]
    assert "True caption: a cat sits" in content and "judge: a cat" in content
    assert "a {dog}" in Endpoint.asked[2]["messages"][0]["content"]


@pytest.mark.parametrize("answer", [(200, "no idea"), (200, '{"score": 700}'), (503, "")])
def test_no_score_is_an_error_after_three_tries(endpoint, answer):
    Endpoint.answers += [answer] * 3
    with pytest.raises(ResourceError, match="gives no score"):
        Judge(endpoint, "m").scores(["a"], ["b"])
    assert not Endpoint.answers


def test_a_refused_key_is_not_tried_again_nor_told(endpoint):
    Endpoint.answers += [(401, "")] * 2
    with pytest.raises(ResourceError) as refused:
        Judge(endpoint, "m").scores(["a"], ["b"])
    assert "401" in str(refused.value) and "secret" not in str(refused.value) and len(Endpoint.answers) == 1


def test_where_there_is_no_judge():
    with pytest.raises(ResourceError, match="gives no score"):
        Judge("http://127.0.0.1:9/v1", "m").scores(["a"], ["b"])
    with pytest.raises(InputError, match="no http"):
        Judge("file:///etc/passwd", "m").scores(["a"], ["b"])
    with pytest.raises(InputError, match="give both"):
        Options(judge="http://127.0.0.1")
