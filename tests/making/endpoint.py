"""An endpoint of OpenAI's form on this machine, which writes what tests want it to."""

import json
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer


def good(question: str) -> str:
    """A sentence that names every object of a question once."""
    objects = re.findall(r"^(\d+): (.+)$", question.partition("Objects:")[2].partition("What is known:")[0], re.M)
    return "There is " + " beside ".join(f"<p> the {label} </p> [{number}]" for number, label in objects) + "."


@contextmanager
def served(answer: Callable[[list[dict]], str | int]) -> Iterator[tuple[str, list[dict]]]:
    """Answers requests; gives the base URL and, as they come, what was asked.

    Args:
        answer: From the messages to a reply, or to an HTTP status.
    """
    asked: list[dict] = []

    class Endpoint(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            asked.append({"path": self.path, "key": self.headers.get("Authorization"), **body})
            said = answer(body["messages"])
            self.send_response(said if isinstance(said, int) else 200)
            self.end_headers()
            usage = {"prompt_tokens": 10, "completion_tokens": 3}
            document = {"choices": [{"message": {"content": said}}], "usage": usage}
            self.wfile.write(json.dumps(document).encode())

        def log_message(self, *arguments: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Endpoint)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/v1", asked
    finally:
        server.shutdown()
        server.server_close()


def writes(messages: list[dict]) -> str:
    """A good sentence about whatever is asked."""
    return good(messages[0]["content"])
