"""The app: how long until its first page, and from a question to the first word and the first mask, against `generate`
alone; and its memory over many answers.

All with the small model, in one process, asked over HTTP as a page asks.
"""

import argparse
import json
import os
import secrets
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import httpx
import psutil
import torch
from transformers.generation.streamers import BaseStreamer

from common import benchmark_main
from videoglamm_hf.app.launch import start
from videoglamm_hf.app.settings import AppSettings
from videoglamm_hf.toy import TINY_MODEL


class FirstToken(BaseStreamer):
    """When the first word was there; the first call of a streamer is the prompt."""

    def __init__(self) -> None:
        self.calls, self.at = 0, 0.0

    def put(self, value: torch.Tensor) -> None:
        self.calls += 1
        if self.calls == 2:
            self.at = time.perf_counter()

    def end(self) -> None:
        pass


def first_page() -> tuple[float, float]:
    """Seconds from starting `videoglamm app` to its first page, and of loading the model alone in a new process."""
    load = (
        "from videoglamm_hf.loading.models import load_model, load_processor\n"
        "from videoglamm_hf.toy import TINY_MODEL\n"
        "load_processor(str(TINY_MODEL)), load_model(str(TINY_MODEL))"
    )
    began = time.perf_counter()
    subprocess.run([sys.executable, "-c", load], check=True, stderr=subprocess.DEVNULL)
    loading = time.perf_counter() - began
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "videoglamm_hf", "app", "--port", "7899", "--folder", folder, "--quiet"]
        began = time.perf_counter()
        process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
        try:
            while True:
                try:
                    httpx.get("http://127.0.0.1:7899/").raise_for_status()
                    return time.perf_counter() - began, loading
                except httpx.TransportError:
                    time.sleep(0.02)
        finally:
            process.terminate()
            process.wait()


def asked(client: httpx.Client, media: str) -> tuple[float, float, float]:
    """Seconds from a question to its first word, its first mask and its end."""
    hash, began, word, mask = secrets.token_hex(8), time.perf_counter(), 0.0, 0.0
    body = {"data": [media, "Describe the video.", {}], "fn_index": 0, "session_hash": hash, "event_data": None}
    client.post("/gradio_api/queue/join", json=body | {"trigger_id": None}).raise_for_status()
    with client.stream("GET", "/gradio_api/queue/data", params={"session_hash": hash}) as stream:
        for line in stream.iter_lines():
            if not word and '\\"words\\"' in line:
                word = time.perf_counter() - began
            if not mask and '\\"masks\\"' in line:
                mask = time.perf_counter() - began
            if line.startswith("data: ") and json.loads(line[6:])["msg"] == "process_completed":
                return word, mask, time.perf_counter() - began
    raise RuntimeError("the app ended its answer early")


def alone(engine: Any, file: Path) -> tuple[float, float, float]:
    """The same of `generate`, the video encoded already, as the app has it from the second question on."""
    model, processor = engine.model, engine.processor
    clip = processor.video_processor.sample(file)
    content = [{"type": "video", "video": clip}, {"type": "text", "text": "Describe the video."}]
    options = {"tokenize": True, "add_generation_prompt": True, "return_dict": True, "return_tensors": "pt"}
    inputs = processor.apply_chat_template([{"role": "user", "content": content}], **options)
    (encoded,) = model.encode_videos(**inputs)
    streamer, first = FirstToken(), []
    content[0]["video"] = encoded
    began = time.perf_counter()
    inputs = processor.apply_chat_template([{"role": "user", "content": content}], **options)
    model.generate(
        inputs["input_ids"],
        attention_mask=inputs["attention_mask"],
        encoded_videos=[encoded],
        max_new_tokens=256,
        streamer=streamer,
        mask_callback=lambda frame: first.append(time.perf_counter()),
    )
    return streamer.at - began, first[0] - began, time.perf_counter() - began


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    page, loading = first_page()
    with tempfile.TemporaryDirectory() as folder:
        app = start(str(TINY_MODEL), AppSettings(Path(folder)), dtype="float32", say=lambda line: None, wait=False)
        client = httpx.Client(base_url=app.blocks.local_url, timeout=120)
        client.get("/")
        file = Path(folder) / "examples" / "shapes_28.mp4"
        media = client.post("/media", content=file.read_bytes()).json()["id"]
        asked(client, media)
        ours, bare = [], []
        for _ in range(arguments.repeats):
            ours.append(asked(client, media))
            bare.append(alone(app.engine, file))
        times = {
            name: [statistics.median(run[place] for run in runs) for runs in (ours, bare)]
            for place, name in enumerate(("first word", "first mask", "whole answer"))
        }
        process, memory = psutil.Process(), []
        for number in range(arguments.answers):
            asked(client, media)
            question = client.get("/state").json()["questions"][-1]["id"]
            client.delete(f"/questions/{question}")
            if number % max(1, arguments.answers // 10) == 0:
                memory.append(process.memory_info().rss)
        app.blocks.close(verbose=False)
    return {
        "start to first page, seconds": round(page, 2),
        "loading alone, seconds": round(loading, 2),
        "start / loading alone": round(page / loading, 2),
        **{f"{name}: app, generate, ms": [round(1000 * own) for own in pair] for name, pair in times.items()},
        **{f"{name}: app / generate": round(pair[0] / pair[1], 2) for name, pair in times.items()},
        "answers": arguments.answers,
        "memory MB, tenth by tenth": [round(own / 1e6) for own in memory],
        "cores": os.cpu_count(),
    }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--repeats", type=int, default=5, help="questions that are timed (default: 5)")
    parser.add_argument("--answers", type=int, default=0, help="answers over which memory is looked at (default: 0)")


if __name__ == "__main__":
    benchmark_main("app", run, options)
