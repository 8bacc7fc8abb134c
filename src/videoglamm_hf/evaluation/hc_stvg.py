"""HC-STVG: see [`tubes`]."""

import os

from ..data.hc_stvg import HcStvgDataset
from ..data.referring import split_folder
from .benchmark import Benchmark
from .options import Options
from .tubes import tube_benchmark


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    Args:
        data: Folder with `<split>.json` of HC-STVG (`val_v2` unless told), and the videos, or folders of all their
            frames, in `videos/`.
        options: See [`Options`].

    Raises:
        InputError, MediaError: As [`HcStvgDataset`].
    """
    root = split_folder(data)
    annotations = root / f"{options.split or 'val_v2'}.json"
    dataset = HcStvgDataset(annotations, root / "videos", moment_given=not options.moments)
    return tube_benchmark("hc-stvg", dataset, str(annotations), options)
