"""Models and processors, for commands."""

from typing import Any

import torch
from transformers import AutoModel, AutoProcessor

from ..errors import InputError
from ..processing_videoglamm import VideoGlammProcessor

DTYPES = {"float32": torch.float32, "float16": torch.float16, "bfloat16": torch.bfloat16, "auto": "auto"}


def load_processor(folder: str) -> VideoGlammProcessor:
    """The processor of a converted model.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model.
    """
    try:
        processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError, KeyError) as error:
        raise _not_a_model(folder, error) from error
    if not hasattr(processor, "post_process_grounded_generation"):
        raise _not_a_model(folder, "it holds something else")
    return processor


def load_model(folder: str, dtype: str = "auto", device: str | None = None) -> Any:
    """A converted model in evaluation mode, on the best device there is unless told.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model, or the device cannot be used.
    """
    if device is None:
        accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
        device = accelerator.type if accelerator is not None else "cpu"
    try:
        model = AutoModel.from_pretrained(folder, dtype=DTYPES[dtype])
    except (OSError, ValueError, KeyError) as error:
        raise _not_a_model(folder, error) from error
    try:
        return model.to(device).eval()
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The model cannot be put on {device!r}: {str(error).splitlines()[0]}") from error


def _not_a_model(folder: str, reason: object) -> InputError:
    first_line = (str(reason) or type(reason).__name__).splitlines()[0]
    return InputError(
        f"{folder} cannot be loaded as a VideoGLaMM model: {first_line}. Checkpoints of the original code are "
        "converted with `videoglamm convert`."
    )
