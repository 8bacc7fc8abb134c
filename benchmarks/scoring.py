"""Scoring MeViS: `score_mevis` against the official way, expression by expression and frame by frame.

The official side is `eval_mevis.py`'s definition written out plainly, in one process, with OpenCV where it can be
imported, and otherwise with Pillow and scipy's distance transform. Data and predictions are by formula. The sizes of
the real valid_u are about `--videos 50 --expressions 793 --frames 60`, which takes long to write.
"""

import argparse
import json
import os
import tempfile
import tracemalloc
from math import ceil
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from pycocotools import mask as coco
from scipy.ndimage import distance_transform_edt

from common import benchmark_main, seconds
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.evaluation.mevis import score_mevis

try:
    import cv2
except ImportError:
    cv2 = None
else:
    cv2.setNumThreads(1)


def track(number: int, frames: int, height: int, width: int) -> np.ndarray:
    """Two ellipses and a box that drift: bool `[T, H, W]`."""
    random = np.random.default_rng(number)
    y, x = np.mgrid[:height, :width]
    masks = np.zeros((frames, height, width), bool)
    for part in range(3):
        middle, radius = random.uniform(0.2, 0.8, 2), random.uniform(0.05, 0.2, 2)
        speed = random.normal(0, 0.01, 2)
        for t in range(frames):
            v, u = (
                (y / height - middle[0] - t * speed[0]) / radius[0],
                (x / width - middle[1] - t * speed[1]) / radius[1],
            )
            masks[t] |= np.maximum(abs(u), abs(v)) < 0.8 if part == 2 else u * u + v * v < 1
    return masks


def predicted(masks: np.ndarray, number: int) -> np.ndarray:
    """Shifted, with a few specks, and one frame lost."""
    random = np.random.default_rng(number)
    found = np.roll(masks, tuple(random.integers(-6, 7, 2)), (1, 2)) | (random.random(masks.shape) > 0.9999)
    found[int(random.integers(len(found)))] = False
    return found


def write_benchmark(root: Path, arguments: argparse.Namespace) -> None:
    """valid_u's layout: three objects a video; every expression names one of them, or two."""
    videos: dict[str, Any] = {}
    masks: dict[str, Any] = {}
    for v in range(arguments.videos):
        frames = [f"{i:05d}" for i in range(arguments.frames)]
        tracks = [track(3 * v + o, arguments.frames, arguments.height, arguments.width) for o in range(3)]
        masks |= {str(3 * v + o): [encode_rle(m) if m.any() else None for m in own] for o, own in enumerate(tracks)}
        expressions = {}
        for e in range(v, arguments.expressions, arguments.videos):
            objects = [[0], [1], [2], [0, 1]][e // arguments.videos % 4]
            number = str(e // arguments.videos)
            expressions[number] = {"exp": "it moves", "anno_id": [3 * v + o for o in objects]}
            folder = root / "predictions" / f"clip{v}" / number
            folder.mkdir(parents=True)
            for frame, mask in zip(frames, predicted(np.any([tracks[o] for o in objects], 0), e), strict=True):
                Image.fromarray(mask * np.uint8(255)).save(folder / f"{frame}.png", compress_level=1)
        videos[f"clip{v}"] = {"frames": frames, "expressions": expressions}
    (root / "valid_u").mkdir()
    (root / "valid_u" / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    (root / "valid_u" / "mask_dict.json").write_text(json.dumps(masks))


def grown(edge: np.ndarray, disc: np.ndarray) -> np.ndarray:
    if cv2 is None:
        return edge.any() & (distance_transform_edt(~edge) <= len(disc) // 2)
    return cv2.dilate(edge.astype(np.uint8), disc.astype(np.uint8))


def boundary(mask: np.ndarray) -> np.ndarray:
    """DAVIS' `seg2bmap`."""
    right, below, both = (np.zeros_like(mask) for _ in range(3))
    right[:, :-1], below[:-1], both[:-1, :-1] = mask[:, 1:], mask[1:], mask[1:, 1:]
    edge = mask ^ right | mask ^ below | mask ^ both
    edge[-1], edge[:, -1], edge[-1, -1] = mask[-1] ^ right[-1], mask[:, -1] ^ below[:, -1], False
    return edge


def plain_accuracy(truth: np.ndarray, found: np.ndarray) -> float:
    radius = ceil(0.008 * np.linalg.norm(truth.shape))
    y, x = np.mgrid[-radius : radius + 1, -radius : radius + 1]
    disc = y * y + x * x <= radius * radius
    edges = boundary(found), boundary(truth)
    lengths = [int(edge.sum()) for edge in edges]
    reach = [grown(edge, disc) for edge in edges]
    if not all(lengths):
        return float(lengths[0] == lengths[1])
    precision, recall = np.sum(edges[0] * reach[1]) / lengths[0], np.sum(edges[1] * reach[0]) / lengths[1]
    return 2 * precision * recall / (precision + recall) if precision + recall else 0.0


def read(path: Path) -> np.ndarray:
    return np.array(Image.open(path)) if cv2 is None else cv2.imread(str(path), cv2.IMREAD_GRAYSCALE)


def official_way(root: Path) -> dict[str, list[float]]:
    """J and F of every expression."""
    videos = json.loads((root / "valid_u" / "meta_expressions.json").read_text())["videos"]
    masks = json.loads((root / "valid_u" / "mask_dict.json").read_text())
    scores = {}
    for video, about in videos.items():
        for number, expression in about["expressions"].items():
            truths, found = [], []
            for place, frame in enumerate(about["frames"]):
                found.append(read(root / "predictions" / video / number / f"{frame}.png"))
                truths.append(np.zeros(found[0].shape, np.uint8))
                for key in expression["anno_id"]:
                    if masks[str(key)][place]:
                        truths[-1] += coco.decode(masks[str(key)][place])
            truth, own = np.array(truths).astype(bool), np.array(found).astype(bool)
            shared, union = np.sum(truth & own, axis=(1, 2)), np.sum(truth | own, axis=(1, 2))
            j = np.where(union == 0, 1, shared / np.maximum(union, 1))
            f = [plain_accuracy(*pair) for pair in zip(truth, own, strict=True)]
            scores[f"{video}_{number}"] = [float(j.mean()), float(np.mean(f))]
    return scores


def most_memory(root: Path) -> int:
    """Peak of what scoring allocates, in bytes."""
    tracemalloc.start()
    score_mevis(root / "valid_u", root / "predictions")
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    return most


def run(arguments: argparse.Namespace) -> dict[str, Any]:
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        write_benchmark(root, arguments)
        scores: dict[str, Any] = {}
        memory = most_memory(root)  # also what is done once, such as imports
        ours = seconds(lambda: scores.update(ours=score_mevis(root / "valid_u", root / "predictions").per_expression))
        theirs = seconds(lambda: scores.update(theirs=official_way(root)))
        names = list(scores["theirs"])
        difference = np.abs(np.array([np.subtract(scores["ours"][n], scores["theirs"][n]) for n in names])).max()
        return {
            "official side": "Pillow and scipy" if cv2 is None else f"OpenCV {cv2.__version__}, one process",
            "masks": f"{arguments.expressions} x {arguments.frames} of {arguments.width}x{arguments.height}",
            "official seconds": round(theirs, 2),
            "our seconds": round(ours, 2),
            "ours / official": round(ours / theirs, 3),
            "largest difference": float(difference),
            "our memory MB": round(memory / 1e6, 1),
            "cores": os.cpu_count(),
        }


def options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--videos", type=int, default=1, help="(default: 1)")
    parser.add_argument("--expressions", type=int, default=16, help="of all videos together (default: 16)")
    parser.add_argument("--frames", type=int, default=8, help="of each video (default: 8)")
    parser.add_argument("--height", type=int, default=720, help="(default: 720)")
    parser.add_argument("--width", type=int, default=1280, help="(default: 1280)")


if __name__ == "__main__":
    benchmark_main("scoring", run, options)
