"""The app with the small model, served on this machine, and a browser's side of it without a browser."""

import contextlib
import json
import secrets
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from videoglamm_hf.app.launch import start
from videoglamm_hf.app.settings import AppSettings
from videoglamm_hf.toy import TINY_MODEL

# Without the extra, the test files skip themselves and say so.
with contextlib.suppress(ImportError):
    import httpx


class Visitor:
    """One browser: its session's cookie, and what its page would ask."""

    def __init__(self, url: str) -> None:
        self.client = httpx.Client(base_url=url, timeout=60)
        self.client.get("/")

    def upload(self, content: bytes, name: str = "a.mp4") -> Any:
        return self.client.post("/media", content=content, headers={"X-Name": name})

    def join(self, function: str, data: list) -> tuple[str, str]:
        hash = secrets.token_hex(8)
        index = {"ask": 0, "correct": 1}[function]
        body = {"data": data, "fn_index": index, "session_hash": hash, "event_data": None, "trigger_id": None}
        # As browsers write it: half a character is escaped.
        headers = {"Content-Type": "application/json"}
        response = self.client.post("/gradio_api/queue/join", content=json.dumps(body), headers=headers)
        response.raise_for_status()
        return hash, response.json()["event_id"]

    def messages(self, hash: str) -> Iterator[dict]:
        """What the queue says of one piece of work."""
        with self.client.stream("GET", "/gradio_api/queue/data", params={"session_hash": hash}) as stream:
            for line in stream.iter_lines():
                if line.startswith("data: "):
                    yield json.loads(line[6:])

    def events(self, function: str, data: list) -> Iterator[dict]:
        """What happens in one piece of work, as the app tells it."""
        last = ""
        for message in self.messages(self.join(function, data)[0]):
            if message["msg"] == "process_generating":
                value = message["output"]["data"][0]
                for change in [["replace", [], value]] if isinstance(value, str) else value:
                    last = last + change[2] if change[0] == "append" else change[2]
                yield from json.loads(last.partition(" ")[2])
            elif message["msg"] == "process_completed":
                if not message["success"]:
                    yield {"event": "failed", "message": message["output"].get("error")}
                return

    def last(self, function: str, data: list) -> dict:
        return list(self.events(function, data))[-1]

    def ask(self, media: str, text: str = "Describe the video.", **options: Any) -> dict:
        found = self.last("ask", [media, text, options])
        assert found["event"] == "answer", found
        return found


@pytest.fixture(scope="session")
def app_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("app")


@pytest.fixture(scope="session")
def served() -> Iterator[Callable[..., str]]:
    """Starts apps; gives where each is."""
    apps, lock = [], threading.Lock()

    def serve(folder: Path, **options: Any) -> str:
        settings = AppSettings(folder, **options.pop("settings", {}))
        with lock:
            app = start(str(TINY_MODEL), settings, dtype="float32", say=lambda line: None, wait=False, **options)
        apps.append(app)
        return app.blocks.local_url

    yield serve
    for app in apps:
        app.blocks.close(verbose=False)


@pytest.fixture(scope="session")
def url(served: Callable[..., str], app_folder: Path) -> str:
    return served(app_folder)


@pytest.fixture
def visitor(url: str) -> Visitor:
    return Visitor(url)


@pytest.fixture(scope="session")
def clip_file(app_folder: Path, url: str) -> Path:
    """A video that the small model answers well."""
    return app_folder / "examples" / "shapes_28.mp4"
