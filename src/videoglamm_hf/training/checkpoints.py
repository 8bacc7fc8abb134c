"""Which checkpoints of a `Trainer` are whole: one that was being written when the process died is not.

`Trainer` writes into the checkpoint's own folder, the trainer's state last; so a folder without a readable state was
never finished.
"""

import json
import os
import re
import zipfile
from pathlib import Path

from safetensors import SafetensorError, safe_open

from ..errors import CheckpointError

_STATE = "trainer_state.json"
_NAME = re.compile(r"checkpoint-(\d+)")


def check_training_checkpoint(folder: str | os.PathLike[str]) -> None:
    """Opens every file of a checkpoint without loading it.

    Raises:
        CheckpointError: It is missing or damaged; names the file and the newest whole checkpoint beside it.
    """
    folder = Path(folder)
    problem = _problem(folder)
    if problem is not None:
        other = last_complete_checkpoint(folder.parent)
        advice = f"resume from {other}" if other else "there is no whole one beside it: start again"
        raise CheckpointError(f"{folder} cannot be resumed from: {problem}; {advice}.")


def last_complete_checkpoint(output_dir: str | os.PathLike[str]) -> str | None:
    """The newest whole checkpoint of a training run, or None; for `trainer.train(resume_from_checkpoint=...)`."""
    output_dir = Path(output_dir)
    if not output_dir.is_dir():
        return None
    numbered = [(int(match[1]), path) for path in output_dir.iterdir() if (match := _NAME.fullmatch(path.name))]
    whole = (path for _, path in sorted(numbered, reverse=True) if _problem(path) is None)
    return next((str(path) for path in whole), None)


def _problem(folder: Path) -> str | None:
    if not folder.is_dir():
        return "there is no such folder"
    try:
        step = json.loads((folder / _STATE).read_text())["global_step"]
    except FileNotFoundError:
        return f"{_STATE} is missing, so it was never finished"
    except (OSError, ValueError, KeyError, TypeError) as error:
        return f"{_STATE} is damaged ({error})"
    if not isinstance(step, int):
        return f"{_STATE} is damaged (global_step is {step!r})"
    for path in sorted(folder.rglob("*")):
        try:
            if path.suffix == ".safetensors":
                with safe_open(path, framework="pt") as file:
                    file.keys()
            elif path.suffix in (".pt", ".pth", ".bin") and not zipfile.is_zipfile(path):
                # torch.save writes zip archives, their table of contents last.
                return f"{path.name} is cut off"
        except (OSError, SafetensorError) as error:
            return f"{path.name} is damaged ({error})"
    return None
