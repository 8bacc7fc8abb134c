"""Models and processors, for commands."""

import logging
from typing import Any

import psutil
import torch
from transformers import AutoConfig, AutoModel, AutoProcessor, BitsAndBytesConfig
from transformers.utils import is_bitsandbytes_available

from ..errors import InputError, ResourceError, is_out_of_memory
from ..explained_loading import check_regular_files, explained
from ..processing_videoglamm import VideoGlammProcessor
from .choices import QUANTIZATIONS
from .kernel_messages import tell_kernel_messages
from .memory_estimate import weight_bytes
from .names import check_model_name


def quantization_config(name: str) -> BitsAndBytesConfig | None:
    """How weights are quantised while they are loaded: `"8bit"`, `"nf4"`, or `"none"`, which gives None.

    Raises:
        InputError: If there is no such quantisation, or bitsandbytes is not installed.
    """
    if name not in QUANTIZATIONS:
        raise InputError(f"There is no quantisation {name!r}; there are {', '.join(QUANTIZATIONS)}.")
    if name == "none":
        return None
    if not is_bitsandbytes_available():
        raise InputError(f"--quantization {name} needs bitsandbytes: pip install bitsandbytes")
    if name == "8bit":
        # At every layer of every call it would say that it computes in float16.
        logging.getLogger("bitsandbytes.autograd._functions").setLevel(logging.ERROR)
        return BitsAndBytesConfig(load_in_8bit=True)
    return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4")


def load_config(folder: str, quantization: str = "none") -> Any:
    """The config of a model, which may be quantised as asked.

    Raises:
        InputError: If there is no such model, or its weights are quantised and would be quantised again.
    """
    check_model_name(folder, file="config.json")
    try:
        check_regular_files(folder)
        with explained(folder):
            config = AutoConfig.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise _not_a_model(folder, error) from error
    if config.model_type != "videoglamm":
        raise _not_a_model(folder, f"it is of type {config.model_type!r}")
    stored = getattr(config, "quantization_config", None)
    if stored is not None and quantization != "none":
        raise InputError(
            f"The weights of {folder} are quantised already ({stored['quant_method']}); leave --quantization out."
        )
    return config


def load_processor(folder: str) -> VideoGlammProcessor:
    """The processor of a converted model.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model.
    """
    check_model_name(folder)
    try:
        check_regular_files(folder)
        with explained(folder):
            processor = AutoProcessor.from_pretrained(folder)
    except (OSError, ValueError) as error:
        raise _not_a_model(folder, error) from error
    if not hasattr(processor, "post_process_grounded_generation"):
        raise _not_a_model(folder, "it holds something else")
    return processor


def load_model(folder: str, dtype: str = "auto", device: str | None = None, quantization: str = "none") -> Any:
    """A converted model in evaluation mode, on the best device there is unless told.

    Args:
        folder: Folder or Hub id.
        dtype: One of `DTYPES`, or `auto` for the stored one, of the weights that are not quantised.
        device: Where to; None for the best there is.
        quantization: One of `QUANTIZATIONS`.

    Raises:
        InputError: If the folder or Hub id holds no VideoGLaMM model, it cannot be quantised so, or the device cannot
            be used.
        ResourceError: If it does not fit into memory; the message says what would.
    """
    device = device or best_device()
    try:
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise InputError(f"The model cannot be put on {device!r}: {str(error).splitlines()[0]}") from error
    config = load_config(folder, quantization)
    options: dict[str, Any] = {"dtype": dtype}
    if quantization == "nf4" or getattr(config, "quantization_config", None) is not None:
        tell_kernel_messages()
    if quantization != "none":
        # Quantised layer by layer where it will stay.
        options |= {"quantization_config": quantization_config(quantization), "device_map": {"": device}}
    try:
        with explained(folder):
            return AutoModel.from_pretrained(folder, **options).to(device).eval()
    except (OSError, ValueError, ImportError, RuntimeError, MemoryError) as error:
        if is_out_of_memory(error):
            raise _too_large(folder, config, dtype, device, quantization) from error
        raise _not_a_model(folder, error) from error


def best_device() -> str:
    """The best device there is."""
    accelerator = torch.accelerator.current_accelerator() if torch.accelerator.is_available() else None
    return accelerator.type if accelerator is not None else "cpu"


def answer_needs_less(quantization: str, frames: int) -> str:
    """What to change on the command line if an answer does not fit into memory."""
    smaller = [f"--quantization {name}" for name in QUANTIZATIONS[QUANTIZATIONS.index(quantization) + 1 :]]
    fewer = [f"--max-frames {frames // 2}"] if frames > 1 else []
    return " or ".join([*smaller[::-1], *fewer, "a shorter --max-new-tokens"])


def named_dtype(name: str, config: Any, unknown: torch.dtype) -> torch.dtype:
    """The dtype of a name in `DTYPES`; of `auto` the one a config says is stored, or `unknown`."""
    return (config.dtype or unknown) if name == "auto" else getattr(torch, name)


def _too_large(folder: str, config: Any, dtype: str, device: str, quantization: str) -> ResourceError:
    """Says how large the weights are and what would be smaller."""
    stored = named_dtype(dtype, config, torch.float32)
    rest = QUANTIZATIONS[QUANTIZATIONS.index(quantization) :]
    if getattr(config, "quantization_config", None) is not None:
        rest = ("none",)
    sizes = {
        name: sum(weight_bytes(config, stored, quantization_config(name)).values()) / 2**30
        for name in rest
        if name == quantization or is_bitsandbytes_available()
    }
    size = sizes.pop(quantization)
    smaller = [f"--quantization {name} takes {gib:.2f} GiB" for name, gib in sizes.items()]
    return ResourceError(
        f"Out of memory while loading {folder}: its weights take {size:.2f} GiB, and {device} has "
        f"{free_bytes(device) / 2**30:.2f} GiB free. "
        + (f"{', '.join(smaller)}. " if smaller else "Use a device with more memory. ")
        + f"`videoglamm memory {folder}` says what an answer takes beside them."
    )


def free_bytes(device: str) -> int:
    """Free memory of a device; of the machine, where the device cannot tell."""
    if torch.device(device).type == "cuda":
        return torch.cuda.mem_get_info(device)[0]
    return psutil.virtual_memory().available


def _not_a_model(folder: str, reason: object) -> InputError:
    first_line = (str(reason) or type(reason).__name__).splitlines()[0].rstrip(".")
    return InputError(
        f"{folder} cannot be loaded as a VideoGLaMM model: {first_line}. Checkpoints of the original code are "
        "converted with `videoglamm convert`."
    )
