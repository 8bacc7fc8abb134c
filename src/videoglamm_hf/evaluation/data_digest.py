"""Whether data are still those that a question was asked about: by names and sizes of files, and the truth."""

import hashlib
import json
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..errors import InputError, VideoGlammError
from .benchmark import Benchmark, Item
from .run_folder import RunFolder

DIGEST = "data"  # the member of an answer's file
_TRUTH = ("masks", "mask_frames", "boxes", "moment")


def data_digest(sample: dict[str, Any]) -> str:
    """16 characters that tell a sample from others, wherever the dataset's folder lies.

    Pictures and videos are told apart by their names and sizes alone; none is opened.
    """
    media = sample["image"] if sample.get("image") is not None else sample.get("video")
    files = [media] if isinstance(media, str | os.PathLike) else media if isinstance(media, list) else []
    facts = [_facts(file) for file in files if isinstance(file, str | os.PathLike)]
    truth = [sample.get(name) for name in _TRUTH]
    return hashlib.sha256(json.dumps([facts, truth], default=_plain).encode()).hexdigest()[:16]


def check_same_data(benchmark: Benchmark, items: Sequence[Item], run: RunFolder, *, progress: bool = False) -> None:
    """Refuses data other than those that the answers of a run are about.

    Answers that do not say what they are about are taken as they are, and so are those about frames that are gone.

    Args:
        benchmark: The benchmark.
        items: Some of its items.
        run: The folder of the run.
        progress: Whether to show a bar.

    Raises:
        InputError: An answer is about other data.
        MediaError: An answer is not as it was written.
    """
    left = {item.name for item in run.unanswered(items)}
    answered = [item for item in items if item.name not in left]
    for item in tqdm(answered, "checking the data", unit="answer", leave=False, disable=not progress):
        answer = run.read(item)
        noted = None if answer is None else answer.about.get(DIGEST)
        if noted is None:
            continue
        try:
            found = data_digest(benchmark.sample(item.index))
        except VideoGlammError:
            continue
        if found != noted:
            raise InputError(
                f"{run.path}: the answer to {item.name} is about other data than these: frames of other names or "
                "sizes, or another truth. Give another --output, or the data that the run began with"
            )


def _facts(file: str | os.PathLike[str]) -> list[Any]:
    """The end of a path, and how many bytes lie there; None where nothing does, as with a URL."""
    path = Path(file)
    try:
        size: Any = path.stat().st_size if path.is_file() else sorted(os.listdir(path))
    except (OSError, ValueError):
        size = None
    return [*path.parts[-2:], size]


def _plain(value: Any) -> Any:
    if isinstance(value, bytes):
        return value.decode("latin-1")
    if isinstance(value, np.ndarray):
        return [value.shape, hashlib.sha256(np.ascontiguousarray(value).tobytes()).hexdigest()]
    return value.item() if isinstance(value, np.generic) else str(value)
