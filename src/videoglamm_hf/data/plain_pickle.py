"""Pickles of plain lists, dicts, texts and numbers, read without running anything that a pickle may name."""

import io
import pickle
from pathlib import Path
from typing import Any, ClassVar, NoReturn

from ..errors import InputError


class _PlainUnpickler(pickle._Unpickler):
    """Knows no class or function, so that a pickle can only build what has syntax of its own.

    It is the one in Python: the other reserves as much memory as a number in the file asks for, as this one does for
    arrays of bytes alone.
    """

    dispatch: ClassVar[dict[int, Any]] = {
        code: load for code, load in pickle._Unpickler.dispatch.items() if code != pickle.BYTEARRAY8[0]
    }

    def find_class(self, module: str, name: str) -> NoReturn:
        raise pickle.UnpicklingError(f"it names {module}.{name}, which could run code")

    def get_extension(self, code: int) -> NoReturn:
        raise pickle.UnpicklingError(f"it names the extension {code}, which could run code")

    def persistent_load(self, pid: Any) -> NoReturn:
        raise pickle.UnpicklingError("it refers to objects outside of it")


def load_plain_pickle(path: Path) -> Any:
    """What a pickle of lists, dicts, tuples, texts and numbers holds; bytes of Python 2 are read as UTF-8.

    Raises:
        InputError: the file cannot be read, is damaged, or holds anything else; nothing of it has run.
    """
    try:
        # From memory, where reading more than there is costs nothing.
        return _PlainUnpickler(io.BytesIO(path.read_bytes()), encoding="utf-8", errors="replace").load()
    except FileNotFoundError as error:
        raise InputError(f"{path}: no such file; check the path and the layout of the folder") from error
    # A damaged pickle raises whatever its instructions run into.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise InputError(
            f"{path}: not a pickle of plain lists, dicts, texts and numbers: {reason}; download it again, or write "
            "its content as JSON"
        ) from error
