"""The small files of a checkpoint, kept in a converted folder so that it can be exported again.

Transformers' tokenizer and configuration of the converted model replace them in use; the original code still needs
its own: `config.json` and the SentencePiece vocabulary.
"""

import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..errors import CheckpointError

KEPT_IN = "original"
TOKENIZER_FILES = (
    "tokenizer.model",
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
)
_COPIED = (*TOKENIZER_FILES, "generation_config.json")


def keep_original_files(checkpoint: Path, folder: Path, settings: Mapping[str, Any]) -> None:
    """Writes `folder/original`: the checkpoint's `config.json` as `settings`, and its tokenizer's files."""
    kept = folder / KEPT_IN
    kept.mkdir()
    (kept / "config.json").write_text(json.dumps(settings, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    copy_small_files(checkpoint, kept)


def copy_small_files(source: Path, target: Path) -> None:
    """Copies the tokenizer's files and `generation_config.json`, those that are there."""
    for name in _COPIED:
        if (source / name).is_file():
            shutil.copyfile(source / name, target / name)


def find_original_files(folder: Path, like: Path | None) -> Path:
    """The folder that holds a model's original `config.json` and tokenizer.

    Args:
        folder: The converted model.
        like: The original checkpoint, or another folder converted from it.

    Raises:
        CheckpointError: If there is none.
    """
    candidates = [folder / KEPT_IN] if like is None else [like / KEPT_IN, like]
    for candidate in candidates:
        if (candidate / "config.json").is_file() and any((candidate / name).is_file() for name in TOKENIZER_FILES[:2]):
            return candidate
    raise CheckpointError(
        f"{candidates[-1]} does not hold the original's config.json and tokenizer. Give the checkpoint that the model "
        "came from, or the folder it was first converted to, with --like."
    )
