"""The Space: its folder alone starts the app."""

import os
import socket
import subprocess
import sys
import time

import pytest

from videoglamm_hf.cli import main

httpx = pytest.importorskip("httpx", reason="the app's extra is not installed: pip install 'videoglamm-hf[app]'")
pytest.importorskip("gradio", reason="the app's extra is not installed: pip install 'videoglamm-hf[app]'")


def test_its_folder_alone_starts_the_app(tmp_path):
    assert main(["app", "--space", str(tmp_path)]) == 0
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "app.py", "requirements.txt"]
    assert "videoglamm-hf[app]" in (tmp_path / "requirements.txt").read_text()
    assert (tmp_path / "README.md").read_text().startswith("---\ntitle: VideoGLaMM\nsdk: gradio\n")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = os.environ | {"PORT": str(port)}
    process = subprocess.Popen([sys.executable, "app.py"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE)
    try:
        for _ in range(600):
            assert process.poll() is None, process.stderr.read().decode()
            try:
                page = httpx.get(f"http://127.0.0.1:{port}/")
                break
            except httpx.TransportError:
                time.sleep(0.1)
        assert page.status_code == 200 and "VideoGLaMM" in page.text
    finally:
        process.terminate()
        process.wait(30)


@pytest.mark.parametrize(
    "options, said",
    [
        (["--auth", "nobody"], "NAME:PASSWORD"),
        (["--max-upload", "0"], "must be above 0"),
        (["--model", "/nowhere/at/all"], "/nowhere/at/all"),
    ],
)
def test_options_that_cannot_be_are_said(options, said, capsys, tmp_path):
    assert main(["app", "--folder", str(tmp_path), *options]) == 1
    assert said in capsys.readouterr().err
