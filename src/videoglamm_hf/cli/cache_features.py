"""`videoglamm cache-features`: computes what frozen towers see of a dataset, once."""

import argparse

from ..data import JsonlDataset, cache_features
from ..loading.models import load_model, load_processor


def run(arguments: argparse.Namespace) -> None:
    """Writes the cache."""
    dataset = JsonlDataset(arguments.dataset)
    processor = load_processor(arguments.model)
    model = load_model(arguments.model, arguments.dtype, arguments.device)
    written = cache_features(model, processor, dataset, arguments.output, frame_features=arguments.frames)
    print(f"{written} files written to {arguments.output}, {len(dataset)} samples covered")
