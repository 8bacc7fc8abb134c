"""`videoglamm cache-features`: computes what frozen towers see of a dataset, once."""

import argparse

from ..data import JsonlDataset, cache_features
from ..loading.models import load_model, load_processor
from .screen import library_bars, shows_progress
from .wording import counted


def run(arguments: argparse.Namespace) -> None:
    """Writes the cache."""
    dataset = JsonlDataset(arguments.dataset)
    processor = load_processor(arguments.model)
    with library_bars(shows_progress(arguments.quiet)):
        model = load_model(arguments.model, arguments.dtype, arguments.device)
        written = cache_features(
            model,
            processor,
            dataset,
            arguments.output,
            frame_features=arguments.frames,
            progress=not arguments.quiet,
        )
    if not arguments.quiet:
        files, samples = counted(written, "file"), counted(len(dataset), "sample")
        print(f"{files} written to {arguments.output}, {samples} covered")
