"""Clips of the shapes world as our JSONL; some masks are of something else, so that not every answer is right."""

from pathlib import Path
from typing import Any

import numpy as np

from tests.evaluation.shapes_folders import clips, write_frames
from videoglamm_hf.data import write_jsonl
from videoglamm_hf.data.rle import encode_rle


def write_data(folder: Path, count: int = 14, wrong: int = 4, absent: int = 3, pictures: int = 0) -> Path:
    """Writes `validation.jsonl` and its frames.

    Args:
        count: Clips about what is there.
        wrong: How many of these have masks of the opposite corner.
        absent: Clips about what is not there.
        pictures: How many of the clips are pictures, their first frame.
    """
    samples: list[dict[str, Any]] = []
    for kind, number in (("referring", count), ("absent", absent)):
        for i, sample in enumerate(clips(number, kind) if number else []):
            place = folder / f"{kind}{i}"
            names = write_frames(place, sample["video"], "png")
            masks = sample["masks"][:, :, ::-1, ::-1] if i < wrong else sample["masks"]
            if kind == "referring" and i < pictures:
                masks = masks[:, :1]
            tracks = [[encode_rle(np.ascontiguousarray(m)) if m.any() else None for m in track] for track in masks]
            paths = [str(place / f"{name}.png") for name in names]
            media = {"video": paths, "mask_frames": list(range(len(paths)))}
            if kind == "referring" and i < pictures:
                media = {"image": paths[0], "mask_frames": [0]}
                sample["messages"] = _about_a_picture(sample["messages"])
            samples.append({"id": f"{kind}{i}", "messages": sample["messages"], "masks": tracks, **media})
    write_jsonl(folder / "validation.jsonl", samples)
    return folder


def _about_a_picture(messages: list[dict[str, Any]]) -> list[dict[str, Any]]:
    question, answer = messages
    parts = [{"type": "image"} if part["type"] == "video" else part for part in question["content"]]
    return [{**question, "content": parts}, answer]
