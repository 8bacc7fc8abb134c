"""Evaluates the small model on held-out clips of its own world, as one evaluates a model on one's own data.

    python examples/evaluate_shapes.py [--output DIR] [--clips N]

It writes the clips as folders of frames with a JSONL file, as `videoglamm evaluate folder` takes them, runs that
command, and prints where the page is. Every kind of question is there; `absent` are about what is not in the video.
"""

import argparse
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image
from tqdm.auto import tqdm

from videoglamm_hf import cli
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.toy.shapes_world import KINDS, ShapesWorldDataset
from videoglamm_hf.toy.shapes_world.evaluation import EVALUATION_SEED


def samples(folder: Path, clips: int) -> Iterator[dict[str, Any]]:
    """Writes the frames of every clip, and gives its sample."""
    for kind in KINDS:
        dataset = ShapesWorldDataset("held_out", kind, length=clips, seed=EVALUATION_SEED)
        for number in tqdm(range(clips), desc=f"writing {kind}", unit="clip", leave=False, disable=None):
            sample, place = dataset[number], folder / f"{kind}{number}"
            place.mkdir(parents=True, exist_ok=True)
            paths = [place / f"{t:05d}.png" for t in range(len(sample["video"]))]
            for path, frame in zip(paths, sample["video"], strict=True):
                Image.fromarray(frame).save(path)
            yield {
                "id": f"{kind}{number}",
                "kind": kind,
                "messages": sample["messages"],
                "video": [str(path) for path in paths],
                "masks": [[_encoded(mask) for mask in track] for track in sample["masks"]],
                "mask_frames": sample["mask_frames"],
            }


def _encoded(mask: np.ndarray) -> dict[str, Any] | None:
    return encode_rle(np.ascontiguousarray(mask)) if mask.any() else None


def main(argv: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--output", type=Path, default=Path("evaluate_output"))
    parser.add_argument("--clips", type=int, default=24, help="of every kind of question (default: 24)")
    options = parser.parse_args(argv)
    options.output.mkdir(parents=True, exist_ok=True)
    write_jsonl(options.output / "validation.jsonl", samples(options.output / "clips", options.clips))
    run = options.output / "run"
    return cli.main(["evaluate", "folder", "--data", str(options.output), "--output", str(run)])


if __name__ == "__main__":
    raise SystemExit(main())
