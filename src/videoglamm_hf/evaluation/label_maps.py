"""Maps of labels as pictures, in the colours of DAVIS."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
import torch
from PIL import Image

from ..output_files import explained_writes
from ..pixel_decoder import resize_mask_logits
from .merging import merge_expressions

# Of one video at a time, at its own size.
_CHUNK_FRAMES = 16


def write_label_maps(
    folder: Path, logits: Sequence[np.ndarray | None], size: tuple[int, int], frames: Sequence[str]
) -> None:
    """Writes the merged masks of one annotator's expressions about one video, `<frame>.png`.

    Args:
        folder: Where to.
        logits: float `[T, h, w]` of every expression, in the order of the objects; None where there is no answer.
        size: (height, width) of the video; logits are resized to it, as masks are.
        frames: T names.

    Raises:
        InputError: Logits hold NaN, or are not of one length.
        OutputError: A file cannot be written.
    """
    palette = voc_palette()
    with explained_writes(folder):
        folder.mkdir(parents=True, exist_ok=True)
        for start in range(0, len(frames), _CHUNK_FRAMES):
            names = frames[start : start + _CHUNK_FRAMES]
            nothing = np.zeros((len(names), *size), np.float32)
            chunk = [nothing if own is None else _resized(own[start : start + len(names)], size) for own in logits]
            for name, labels in zip(names, merge_expressions(chunk), strict=True):
                picture = Image.fromarray(labels)
                picture.putpalette(palette)
                picture.save(folder / f"{name}.png")


def voc_palette() -> list[int]:
    """The colours of PASCAL VOC's and DAVIS' label maps, 256 times red, green and blue.

    >>> voc_palette()[:9]
    [0, 0, 0, 128, 0, 0, 0, 128, 0]
    """
    colors = []
    for label in range(256):
        # Bits 0, 3 and 6 of a label are the highest ones of red, 1, 4 and 7 those of green, 2 and 5 of blue.
        bits = [[label >> (3 * place + channel) & 1 for place in range(3)] for channel in range(3)]
        colors += [sum(bit << (7 - place) for place, bit in enumerate(own)) for own in bits]
    return colors


def _resized(logits: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    return resize_mask_logits(torch.from_numpy(np.array(logits)), size).numpy()
