"""What a model is called on the command line: a folder, or an id on the Hub."""

import os
import re

from ..errors import InputError

_HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[A-Za-z0-9][\w.-]*")


def check_model_name(name: str, file: str | None = None) -> None:
    """Refuses what can be no model, before anybody asks the Hub for it.

    Args:
        name: What was given.
        file: A file of a model that may be given in its place.

    Raises:
        InputError: If there is no such folder, and it is no id on the Hub either.
    """
    if os.path.isdir(name) or (file is not None and os.path.isfile(name)):
        return
    advice = "give the folder that `videoglamm convert` or save_pretrained wrote, or the id of a model on the Hub"
    if os.path.exists(name):
        raise InputError(f"{name} is a file, no folder of a model; {advice} (USER/NAME).")
    if not _HUB_ID.fullmatch(name):
        raise InputError(
            f"{name} cannot be loaded as a VideoGLaMM model: there is no folder of that name; {advice} (USER/NAME)."
        )
