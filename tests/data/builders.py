"""Small samples, pictures and masks for the tests of the dataset readers."""

import json
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from videoglamm_hf.data.rle import encode_rle

HEIGHT, WIDTH = 4, 6


def box(top: int, left: int, bottom: int, right: int) -> np.ndarray:
    """bool [4, 6], True inside."""
    mask = np.zeros((HEIGHT, WIDTH), bool)
    mask[top:bottom, left:right] = True
    return mask


LEFT, RIGHT, TOP = box(0, 0, 4, 2), box(0, 4, 4, 6), box(0, 0, 1, 6)


def rle(mask: np.ndarray) -> dict[str, Any]:
    return encode_rle(mask)


def plain_rle(mask: np.ndarray) -> dict[str, Any]:
    """Uncompressed, as a list of run lengths."""
    flat = mask.ravel(order="F").tolist()
    counts, value = [0], False
    for pixel in flat:
        if pixel != value:
            counts.append(0)
            value = pixel
        counts[-1] += 1
    return {"size": list(mask.shape), "counts": counts}


def conversation(question: str = "What moves?", answer: str = "A <p> car </p> [SEG].", kind: str | None = "video"):
    content = [{"type": kind}] if kind else []
    return [
        {"role": "user", "content": [*content, {"type": "text", "text": question}]},
        {"role": "assistant", "content": [{"type": "text", "text": answer}]},
    ]


def sample(**changes: Any) -> dict[str, Any]:
    """One object in two frames, unseen in the second; a value of None takes a member away."""
    whole = {
        "messages": conversation(),
        "video": "clip",
        "masks": [[rle(LEFT), None]],
        "mask_frames": [0, 3],
    }
    return {key: value for key, value in {**whole, **changes}.items() if value is not None}


def write_frames(folder: Path, names: list[str], size: tuple[int, int] = (HEIGHT, WIDTH)) -> list[str]:
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / name for name in names]
    for i, path in enumerate(paths):
        Image.fromarray(np.full((*size, 3), 20 * i, np.uint8)).save(path)
    return [str(path) for path in paths]


def write_ids(path: Path, ids: np.ndarray) -> None:
    """A palette PNG whose indices are the numbers of objects."""
    path.parent.mkdir(parents=True, exist_ok=True)
    picture = Image.fromarray(ids.astype(np.uint8), mode="P") if ids.ndim == 2 else Image.fromarray(ids)
    if ids.ndim == 2:
        picture.putpalette([0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0])
    picture.save(path)


def write_json(path: Path, value: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value))
    return path
