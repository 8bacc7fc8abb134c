"""Benchmark folders in official layouts, whose videos are clips of the shapes world, which the small model knows."""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
from PIL import Image

from videoglamm_hf.data.rle import encode_rle
from videoglamm_hf.toy.shapes_world import ShapesWorldDataset

FRAMES = 3


def clips(count: int, kind: str = "referring") -> list[dict]:
    """Samples of a few frames each."""
    dataset = ShapesWorldDataset("held_out", kind, length=count, seed=5)
    samples = []
    for i in range(count):
        sample = dict(dataset[i])
        step = len(sample["video"]) // FRAMES
        sample["video"] = sample["video"][::step][:FRAMES]
        sample["masks"] = sample["masks"][:, ::step][:, :FRAMES]
        samples.append(sample)
    return samples


def write_frames(folder: Path, video: np.ndarray, suffix: str = "jpg") -> list[str]:
    """Writes the frames of a video, and returns their names without suffix."""
    folder.mkdir(parents=True)
    names = [f"{number:05d}" for number in range(len(video))]
    for name, frame in zip(names, video, strict=True):
        Image.fromarray(frame).save(folder / f"{name}.{suffix}", quality=98)
    return names


def write_mevis(folder: Path, samples: Sequence[dict]) -> Path:
    """A split of MeViS with two expressions of every clip's object."""
    videos, masks = {}, {}
    for number, sample in enumerate(samples):
        name = f"clip{number}"
        frames = write_frames(folder / "JPEGImages" / name, sample["video"])
        masks[str(number)] = [encode_rle(mask) if mask.any() else None for mask in sample["masks"][0]]
        words = sample["phrases"][0]
        expressions = {str(n): {"exp": exp, "anno_id": [number]} for n, exp in enumerate((words, f"{words} there"))}
        videos[name] = {"frames": frames, "expressions": expressions}
    (folder / "meta_expressions.json").write_text(json.dumps({"videos": videos}))
    (folder / "mask_dict.json").write_text(json.dumps(masks))
    return folder
