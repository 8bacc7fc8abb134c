"""`videoglamm cache-features`: computes what frozen towers see of a dataset, once."""

import argparse

from ..data import JsonlDataset, cache_features
from ..loading.models import DTYPES, load_model, load_processor


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Adds the command's arguments."""
    parser.add_argument("dataset", help="JSONL file, one sample per line")
    parser.add_argument("output", metavar="DIR", help="folder to write; what is in it already is kept")
    parser.add_argument("--model", required=True, metavar="DIR", help="folder or Hub id of the model to train")
    parser.add_argument(
        "--frames", action="store_true", help="also keep the pixel decoder's features of all mask frames"
    )
    parser.add_argument("--dtype", choices=DTYPES, default="auto", help="precision (default: as stored)")
    parser.add_argument("--device", help="cpu, cuda, mps, ... (default: the best there is)")
    parser.set_defaults(run=run)


def run(arguments: argparse.Namespace) -> None:
    """Writes the cache."""
    dataset = JsonlDataset(arguments.dataset)
    processor = load_processor(arguments.model)
    model = load_model(arguments.model, arguments.dtype, arguments.device)
    written = cache_features(model, processor, dataset, arguments.output, frame_features=arguments.frames)
    print(f"{written} files written to {arguments.output}, {len(dataset)} samples covered")
