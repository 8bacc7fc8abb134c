"""VidSTG: see [`tubes`]."""

import os

from ..data.referring import split_folder
from ..data.vidstg import VidStgDataset
from .benchmark import Benchmark
from .options import Options
from .tubes import tube_benchmark


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    Args:
        data: Folder with `<split>_annotations.json` of VidSTG (`test` unless told), VidOR's annotations in `vidor/`,
            and the videos, or folders of all their frames, in `videos/`.
        options: See [`Options`].

    Raises:
        InputError, MediaError: As [`VidStgDataset`].
    """
    root = split_folder(data)
    annotations = root / f"{options.split or 'test'}_annotations.json"
    dataset = VidStgDataset(annotations, root / "vidor", root / "videos", moment_given=not options.moments)
    return tube_benchmark("vidstg", dataset, str(annotations), options)
