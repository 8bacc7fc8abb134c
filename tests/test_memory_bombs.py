"""Small files that declare much: refused by what they declare, before any memory is taken for it."""

import json
import pickle
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from tests.videos import make_video, numbered_frame
from videoglamm_hf import InputError, limits
from videoglamm_hf.data import masks, rle

SIDE = 60_000

# Reads files by kinds, a line each, with a gigabyte to spare.
READ = """
import json, resource, sys, warnings
from pathlib import Path
import av, decord, torch
from videoglamm_hf.clip_sources import open_clip, read_clip, read_image
from videoglamm_hf.conversion.checkpoint_reader import TensorReader, read_files
from videoglamm_hf.encoded_video import EncodedVideo
from videoglamm_hf.errors import VideoGlammError

def weights(path):
    reader = TensorReader()
    for stored in read_files([Path(path)]).values():
        reader.read(stored).float().sum()

READERS = {"clip": read_clip, "image": read_image, "weights": weights, "encoded": EncodedVideo.load}
warnings.simplefilter("ignore")
used = next(int(line.split()[1]) for line in open("/proc/self/status") if line.startswith("VmSize")) * 1024
resource.setrlimit(resource.RLIMIT_AS, (used + 2**30, resource.RLIM_INFINITY))
for kind, path in json.loads(sys.argv[1]):
    try:
        READERS[kind](path)
        print("read")
    except VideoGlammError as error:
        print(f"{type(error).__name__}: {error}".replace("\\n", " "))
    except BaseException as error:
        print("RAW", type(error).__name__, error)
"""


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def png(side: int, frames: int = 0, frame_side: int | None = None) -> bytes:
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
    if frames:
        header += chunk(b"acTL", struct.pack(">II", frames, 0))
        header += chunk(
            b"fcTL", struct.pack(">IIIIIHHBB", 0, frame_side or side, frame_side or side, 0, 0, 1, 10, 0, 0)
        )
    return b"\x89PNG\r\n\x1a\n" + header + chunk(b"IDAT", zlib.compress(bytes(100))) + chunk(b"IEND", b"")


def gif(side: int, *frames: int) -> bytes:
    parts = [b"\x2c" + struct.pack("<HHHHB", 0, 0, one, one, 0) + b"\x02\x02\x44\x01\x00" for one in frames]
    return b"GIF89a" + struct.pack("<HHBBB", side, side, 0x80, 0, 0) + bytes(6) + b"".join(parts) + b";"


def tiff(side: int, **tags: int) -> bytes:
    numbers = {256: side, 257: side, 258: 8, 259: tags.pop("compression", 1), 262: 1, 277: 1}
    numbers |= {int(name[1:]): value for name, value in tags.items()}
    entries = b"".join(struct.pack("<HHII", tag, 4, 1, value) for tag, value in sorted(numbers.items()))
    return b"II*\0" + struct.pack("<IH", 8, len(numbers)) + entries + bytes(4) + b"x" * 100


def webp(side: int) -> bytes:
    canvas = b"\x02\0\0\0" + 2 * (side - 1).to_bytes(3, "little")
    body = b"VP8X" + struct.pack("<I", 10) + canvas + b"ANIM" + struct.pack("<I", 6) + bytes(6)
    body += b"ANMF" + struct.pack("<I", 24) + bytes(24)
    return b"RIFF" + struct.pack("<I", 4 + len(body)) + b"WEBP" + body


def still_webp(path: Path, lossless: bool) -> bytes:
    """A whole WebP whose picture says that it is as large as can be."""
    Image.new("RGB", (16, 16)).save(path, "WEBP", lossless=lossless)
    data = bytearray(path.read_bytes())
    if lossless:
        data[21:25] = (int.from_bytes(data[21:25], "little") | 0x0FFFFFFF).to_bytes(4, "little")
    else:
        data[26:30] = 2 * (2**14 - 1).to_bytes(2, "little")
    return bytes(data)


def jpeg(path: Path) -> bytes:
    Image.new("RGB", (16, 16)).save(path, "JPEG")
    data = bytearray(path.read_bytes())
    place = data.index(b"\xff\xc0")
    data[place + 5 : place + 9] = struct.pack(">HH", SIDE, SIDE)
    return bytes(data)


def video(path: Path, codec: str, pix_fmt: str) -> bytes:
    """A whole AVI whose header declares more."""
    make_video(path, [numbered_frame(i) for i in range(3)], codec=codec, pix_fmt=pix_fmt)
    data = bytearray(path.read_bytes())
    place = data.index(b"strf") + 12
    data[place : place + 8] = struct.pack("<II", SIDE, SIDE)
    return bytes(data)


class Made:
    """What a pickle makes by calling something."""

    def __init__(self, function, *arguments):
        self.made = function, arguments

    def __reduce__(self):
        return self.made


def archive(content: bytes, compression: int = zipfile.ZIP_STORED, padding: int = 0):
    def write(path: Path) -> None:
        with zipfile.ZipFile(path, "w", compression) as file:
            file.writestr("weights/data.pkl", content)
            file.writestr("weights/version", "3\n")
            file.writestr("weights/data/0", bytes(padding))

    return write


def safetensors(header: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(header) if length is None else length) + header


def encoded(**changes) -> None:
    described = {"kind": "video", "original_size": [8, 8], "frame_timestamps": [0.0], "fingerprints": {}} | changes

    def write(path: Path) -> None:
        metadata = {"format": "videoglamm-encoded-video-1", "video": json.dumps(described)}
        save_file({"visual_tokens": torch.zeros(2, 2)}, path, metadata=metadata)

    return write


PIXELS = "pixels.*VIDEOGLAMM_MAX_PIXELS"
BMP = b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, SIDE, SIDE, 1, 24) + bytes(24)
BUFFER = pickle.dumps({"a": Made(bytearray, 20 * 2**30)}, 2)
# How files of torch before 1.6 begin.
OLD = pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(torch.serialization.PROTOCOL_VERSION, 2)
BOMBS = {
    "a.png": ("clip image", png(SIDE), PIXELS),
    "many.apng": ("clip", png(SIDE, 5), PIXELS),
    "long.apng": ("clip", png(10, 2**31 - 1), "VIDEOGLAMM_MAX_ANIMATION_BYTES"),
    "frame.apng": ("clip", png(10, 2, SIDE), ""),
    "a.gif": ("clip image", gif(SIDE, SIDE), PIXELS),
    "first.gif": ("clip image", gif(10, SIDE), PIXELS),
    "second.gif": ("clip", gif(10, 10, SIDE), ""),
    "a.bmp": (
        "clip image",
        b"BM" + struct.pack("<IHHIIiiHH", 54, 0, 0, 54, 40, SIDE, SIDE, 1, 24) + bytes(24),
        PIXELS,
    ),
    "a.ppm": ("clip image", b"P6 60000 60000 255\n" + bytes(50), PIXELS),
    "a.tiff": ("clip image", tiff(SIDE, t273=8, t278=SIDE, t279=100), PIXELS),
    "tile.tiff": ("clip image", tiff(10, compression=8, t322=SIDE, t323=SIDE, t324=8, t325=100), ""),
    "strip.tiff": ("clip image", tiff(10, compression=8, t273=8, t278=2**31, t279=100), ""),
    "a.webp": ("clip image", webp(SIDE), PIXELS),
    "largest.webp": ("clip image", webp(2**14 - 1), PIXELS),
    "lossless.webp": ("clip image", lambda path: still_webp(path, True), PIXELS),
    "lossy.webp": ("clip image", lambda path: still_webp(path, False), PIXELS),
    "a.jpg": ("clip image", jpeg, PIXELS),
    "a.y4m": ("clip", b"YUV4MPEG2 W60000 H60000 F1:1\nFRAME\n" + bytes(100), ""),
    "raw.avi": ("clip", lambda path: video(path, "rawvideo", "bgr24"), PIXELS),
    "lossless.avi": ("clip", lambda path: video(path, "ffv1", "yuv420p"), PIXELS),
    "deflated.pth": ("weights", archive(pickle.dumps({}), zipfile.ZIP_DEFLATED, 10**7), "is compressed"),
    "buffer.pth": ("weights", archive(BUFFER), "bytearray"),
    "old.pth": (
        "weights",
        pickle.dumps(torch.serialization.MAGIC_NUMBER, 2) + pickle.dumps(1001, 2) + BUFFER,
        "bytearray",
    ),
    "views.pth": ("weights", lambda path: torch.save({"a": torch.zeros(1).expand(10**5, 10**5)}, path), "claims 1000"),
    "meta.pth": ("weights", lambda path: torch.save({"a": torch.zeros(9, device="meta")}, path), "claims 9 values"),
    "long.safetensors": ("weights encoded", safetensors(b"{}", 2**60), "cannot be read"),
    "large.safetensors": (
        "weights encoded",
        safetensors(b'{"a":{"dtype":"F32","shape":[1000000,1000000],"data_offsets":[0,4000000000000]}}'),
        "cannot be read",
    ),
    "a.encoded": ("encoded", encoded(original_size=[SIDE, SIDE]), PIXELS),
    "sizes.encoded": ("encoded", encoded(original_size=[-1, "8"]), "size"),
    "times.encoded": ("encoded", encoded(frame_timestamps=[0, "1"]), "times"),
}


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="limits of memory are Linux's")
def test_what_is_declared_is_refused_before_memory_is_taken(tmp_path):
    cases = []
    for name, (kinds, content, expected) in BOMBS.items():
        path = tmp_path / name
        content = content if isinstance(content, bytes) else content(path)
        if content is not None:
            path.write_bytes(content)
        assert path.stat().st_size < 200_000
        cases += [(kind, path, expected) for kind in kinds.split()]
    todo = json.dumps([(kind, str(path)) for kind, path, _ in cases])
    done = subprocess.run([sys.executable, "-c", READ, todo], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    assert len(lines) == len(cases)
    for (kind, path, expected), line in zip(cases, lines, strict=True):
        where = f"{kind} {path.name}: {line}"
        assert line.startswith(("MediaError: ", "CheckpointError: ")) and path.name in line, where
        assert "fit into memory" not in line and "alloc" not in line, where
        assert all(part in line for part in expected.split(".*")), where


def test_masks_that_declare_much():
    huge = {"size": [10**5, 10**4], "counts": [10**9]}
    for read in (rle.decode_rle, rle.compress_rle):
        with pytest.raises(InputError, match=r"pixels \(VIDEOGLAMM_MAX_PIXELS\)"):
            read(huge)
    assert masks.mask_problem(huge)[0] == ".size"
    largest = {"size": [2**14, 2**14], "counts": [2**28]}
    with pytest.raises(InputError, match=r"2 x 100 masks of 16384x16384 .* VIDEOGLAMM_MAX_CLIP_BYTES"):
        masks.decode_masks([[largest] * 100] * 2, (2**14, 2**14))


def test_limits_can_be_lifted(tmp_path, monkeypatch):
    """By the environment, of a process that starts with it."""
    Image.fromarray(np.zeros((200, 200, 3), np.uint8)).save(tmp_path / "p.png")
    script = "import sys; from videoglamm_hf.clip_sources import read_image; print(read_image(sys.argv[1]).shape)"
    for most, expected in (("1000", "VIDEOGLAMM_MAX_PIXELS"), ("40000", "(200, 200, 3)"), ("many", "whole number")):
        monkeypatch.setenv("VIDEOGLAMM_MAX_PIXELS", most)
        done = subprocess.run([sys.executable, "-c", script, tmp_path / "p.png"], capture_output=True, text=True)
        assert expected in done.stdout + done.stderr
    with pytest.raises(InputError, match="VIDEOGLAMM_MAX_PIXELS is 'many'"):
        limits.limit("VIDEOGLAMM_MAX_PIXELS", 1)
