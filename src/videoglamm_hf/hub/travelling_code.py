"""The modules that a model needs where this package is not installed (`trust_remote_code=True`)."""

from pathlib import Path

from transformers.dynamic_module_utils import get_relative_import_files

from ..configuration_videoglamm import AUTO_MAP
from ..errors import CheckpointError

PACKAGE = Path(__file__).parent.parent
# The files that `auto_map` names; they import the others.
ENTRY_FILES = sorted({f"{reference.split('.')[0]}.py" for reference in AUTO_MAP.values()})


def travelling_files(folder: Path = PACKAGE) -> list[Path]:
    """The files that `auto_map` names and all that they import from one another, sorted.

    Args:
        folder: Where they lie, flat; the installed package by default.

    Raises:
        CheckpointError: If one is missing.
    """
    files = {folder / name for name in ENTRY_FILES}
    try:
        for file in list(files):
            files |= {Path(needed) for needed in get_relative_import_files(file)}
    except FileNotFoundError as error:
        raise CheckpointError(
            f"{folder} holds code that imports {Path(error.filename).name}, which is not there; save the model again, "
            "or delete the .py files."
        ) from error
    return sorted(files)


def code_of(folder: Path) -> list[Path]:
    """The travelling files of a saved model: those that it carries, or else those of this package.

    Raises:
        CheckpointError: If it carries some but not all of them.
    """
    carried = any((folder / name).exists() for name in ENTRY_FILES)
    return travelling_files(folder if carried else PACKAGE)
