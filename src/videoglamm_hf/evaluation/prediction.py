"""What a model, ours or another, answered to one question, as a file.

    {
        "text": "It is <p> the red car </p> [SEG].",
        "size": [480, 854],
        "masks": [[COCO RLE or null per frame], ...],
        "seconds": 1.2
    }

Masks are one track per [SEG], of the frames that get masks. Any other member is kept.
"""

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from ..data.masks import check_mask
from ..data.rle import decode_rle, encode_rle, size_problem
from ..errors import InputError, MediaError
from ..output_files import explained_writes, replacing_file

Track = list[dict[str, Any] | None]


@dataclass
class Prediction:
    """One answer.

    Attributes:
        text: With `<p> phrase </p>` and [SEG].
        size: (height, width) of its masks.
        masks: One track per [SEG]: COCO RLE of every frame, None where it is empty.
        about: What else is known: `seconds` it took, `finish_reason`, scores of objects.
    """

    text: str
    size: tuple[int, int]
    masks: list[Track] = field(default_factory=list)
    about: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, text: str, masks: Sequence[Sequence[np.ndarray]], size: tuple[int, int], **about: Any) -> "Prediction":
        """From masks, bool `[H, W]` by object and frame."""
        tracks = [[encode_rle(np.ascontiguousarray(m)) if m.any() else None for m in track] for track in masks]
        return cls(text, tuple(size), tracks, about)

    def pixels(self, number: int) -> np.ndarray:
        """Masks of one object, bool `[T, H, W]`."""
        empty = np.zeros(self.size, bool)
        track = self.masks[number]
        frames = [empty if mask is None else decode_rle(mask) for mask in track]
        return np.stack(frames) if frames else np.zeros((0, *self.size), bool)

    def write(self, path: Path) -> None:
        """Writes the file, whole or not at all.

        Raises:
            OutputError: it cannot be written.
        """
        members = asdict(self)
        text = json.dumps({**members.pop("about"), **members, "size": list(self.size)}, ensure_ascii=False)
        with explained_writes(path):
            path.parent.mkdir(parents=True, exist_ok=True)
            with replacing_file(path) as aside:
                aside.write_text(text + "\n", encoding="utf-8", errors="backslashreplace")


def read_prediction(path: Path) -> Prediction:
    """Reads a file.

    Raises:
        MediaError: it cannot be read, or is not as it should be; the message names the member.
    """
    if not path.is_file():  # a pipe would be waited for
        raise MediaError(f"{path}: no prediction that can be read: it is no file")
    try:
        about = json.loads(path.read_bytes())
        text, size, masks = about.pop("text"), about.pop("size"), about.pop("masks")
        problem = size_problem(size)
        if problem or not isinstance(text, str) or not isinstance(masks, list):
            raise InputError(f"size {problem}" if problem else "text must be text, masks a list of tracks")
        if len({len(track) for track in masks if isinstance(track, list)}) > 1:
            raise InputError("the tracks of masks have different numbers of frames")
        for i, track in enumerate(masks):
            if not isinstance(track, list):
                raise InputError(f"masks[{i}] must be a list")
            for t, mask in enumerate(track):
                check_mask(mask, f"masks[{i}][{t}]", tuple(size))
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        reason = f"{error} is missing" if isinstance(error, KeyError) else str(error)
        raise MediaError(f"{path}: no prediction that can be read: {reason}") from error
    return Prediction(text, tuple(size), masks, about)
