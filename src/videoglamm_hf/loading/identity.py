"""A name for the weights of a model folder, without loading them."""

import hashlib
import os
from pathlib import Path

from ..calibration_file import CALIBRATION_FILE

# Bytes that are looked at of a large file, at this many places.
_PROBE, _PLACES = 2**16, 32
# What words, masks or prompts depend on.
_ENDINGS = (".safetensors", ".bin", ".json", ".jinja", ".model", ".npz")


def weights_identity(folder: str | os.PathLike[str]) -> str | None:
    """A digest of what a model folder holds: names and sizes of its files, small ones whole, large ones at 32 places.

    Not of its calibration, which changes no word and no mask.

    Returns:
        16 hexadecimal digits; None of what is no folder, such as a Hub id.
    """
    root = Path(folder)
    if not root.is_dir():
        return None
    digest = hashlib.sha256()
    files = (path for path in root.iterdir() if path.is_file() and path.suffix in _ENDINGS)
    for path in sorted(path for path in files if path.name != CALIBRATION_FILE):
        size = path.stat().st_size
        digest.update(f"{path.name} {size}\n".encode(errors="surrogateescape"))
        with path.open("rb") as file:
            if size <= _PROBE * _PLACES:
                digest.update(file.read())
                continue
            for place in range(_PLACES):
                file.seek((size - _PROBE) * place // (_PLACES - 1))
                digest.update(file.read(_PROBE))
    return digest.hexdigest()[:16]
