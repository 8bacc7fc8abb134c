"""Every fuzzer by its name, with how many cases a recorded run has."""

from collections.abc import Callable
from pathlib import Path

from tests.fuzz.annotations import Annotations
from tests.fuzz.messages import Messages
from tests.fuzz.model_folders import ModelFolders
from tests.fuzz.runner import Fuzzer
from tests.fuzz.training import Training
from tests.tiny_checkpoint import TINY_CONFIG, write_original
from videoglamm_hf.conversion import convert_videoglamm

FUZZERS: dict[str, tuple[Callable[[Path], Fuzzer], int]] = {
    "models": (ModelFolders, 560),
    "messages": (Messages, 4700),
    "annotations": (Annotations, 4800),
    "training": (Training, 772),
}


def valid_model(folder: Path) -> Path:
    """A valid tiny model folder."""
    write_original(folder / "original")
    output, clip = folder / "model", folder / "original" / "clip"
    convert_videoglamm(folder / "original", output, clip=clip, config=TINY_CONFIG, progress=False)
    return output
