"""What libraries raise of a model folder that is not what it should be, in our words: one place for all of them."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pickle import PickleError
from typing import Any

from safetensors import SafetensorError

from .errors import CheckpointError, CheckpointFileError, VideoGlammError, is_out_of_memory

# Of content that cannot be: transformers reads its files without looking at them first.
_OF_CONTENT = (
    SafetensorError,
    ArithmeticError,
    AttributeError,
    LookupError,
    PickleError,
    RecursionError,
    RuntimeError,
    TypeError,
    ValueError,
)
LONGEST_REASON = 300  # characters


@contextmanager
def explained(what: str) -> Iterator[None]:
    """Says what could not be used, for whatever libraries raise of it.

    Args:
        what: What is read or built, as the sentence begins.

    Raises:
        CheckpointFileError: A file is missing or cannot be read.
        CheckpointError: Something in it cannot be used.
    """
    try:
        yield
    except VideoGlammError:
        raise
    except OSError as error:
        raise CheckpointFileError(f"{what}: {reason(error)}") from error
    except _OF_CONTENT as error:
        # The second is about where it is loaded, not what.
        if is_out_of_memory(error) or "meta device context" in str(error):
            raise
        raise CheckpointError(f"{what} cannot be used: {reason(error)}") from error
    except Exception as error:
        # tokenizers raises Exception itself; the types of fields are checked by huggingface_hub, not imported here.
        if type(error) is not Exception and not type(error).__name__.startswith("StrictDataclass"):
            raise
        raise CheckpointError(f"{what} cannot be used: {reason(error)}") from error


def reason(error: BaseException) -> str:
    """What an exception says, on one line."""
    text = " ".join(str(error).split())
    if isinstance(error, (LookupError, AttributeError, TypeError)) or not text:
        text = f"{type(error).__name__}: {text}"
    return text if len(text) <= LONGEST_REASON else text[: LONGEST_REASON - 3] + "..."


def check_regular_files(folder: Any, subfolder: str = "") -> None:
    """Raises CheckpointFileError if one of a folder's files is a pipe or device, which opening would wait for, or a
    link that leads nowhere; what is no folder is passed over."""
    if not isinstance(folder, (str, os.PathLike)) or not os.path.isdir(os.path.join(folder, subfolder)):
        return
    for path in Path(folder, subfolder).iterdir():
        if path.suffix not in (".json", ".jinja", ".safetensors", ".bin", ".model"):
            continue
        try:
            is_usable = path.is_file()
        except OSError:
            is_usable = False
        if not is_usable:
            raise CheckpointFileError(f"{path} is not a file that can be read; put the file itself there.")


class ExplainedLoadingMixin:
    """A `from_pretrained` that says in our words what of a folder cannot be used; before transformers' own class."""

    # What messages call what is loaded.
    _called = "model"

    @classmethod
    def from_pretrained(cls, pretrained_model_name_or_path: Any, *args: Any, **kwargs: Any) -> Any:
        """As in the base class.

        Raises:
            CheckpointError: A file is missing or damaged, or what the files hold does not fit together.
            InputError: A field or option cannot be as it is; the message names it.
        """
        check_regular_files(pretrained_model_name_or_path, kwargs.get("subfolder") or "")
        with explained(f"The {cls._called} of {pretrained_model_name_or_path}"):
            return super().from_pretrained(pretrained_model_name_or_path, *args, **kwargs)
