"""Stand-in for `fetch_hub_objects_for_ci`: the media that suites would fetch, made here instead."""

import atexit
import shutil
import tempfile
from functools import cache
from pathlib import Path
from urllib.parse import urlparse

import av
import numpy as np
from PIL import Image

PICTURE_SIZE = (48, 40)
# What the suite's own tiny video has, and expects to count.
VIDEO_FRAMES, VIDEO_RATE = 11, 30


@cache
def _folder() -> Path:
    folder = tempfile.mkdtemp(prefix="videoglamm_suites")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return Path(folder)


def url_to_local_path(url: str, *args: object, **kwargs: object) -> str:
    """A picture or video file of the URL's name; the URL itself if it names neither."""
    path = _folder() / Path(urlparse(url).path).name
    if path.suffix in (".png", ".jpg", ".jpeg"):
        if not path.exists():
            Image.fromarray(np.full((*PICTURE_SIZE, 3), 128, np.uint8)).save(path)
    elif path.suffix == ".mp4":
        if not path.exists():
            _write_video(path)
    else:
        return url
    return str(path)


def _write_video(path: Path) -> None:
    with av.open(str(path), "w") as container:
        stream = container.add_stream("mpeg4", rate=VIDEO_RATE)
        stream.height, stream.width = PICTURE_SIZE
        stream.pix_fmt = "yuv420p"
        for i in range(VIDEO_FRAMES):
            frame = av.VideoFrame.from_ndarray(np.full((*PICTURE_SIZE, 3), 20 * i, np.uint8), format="rgb24")
            container.mux(stream.encode(frame))
        container.mux(stream.encode())
