"""`videoglamm convert`: a checkpoint of the original VideoGLaMM, or one of its parts, to a folder."""

import argparse
from pathlib import Path

import torch

from ..conversion.checkpoint_reader import read_json
from ..conversion.convert import convert_videoglamm
from ..conversion.part_conversion import convert_part
from ..errors import CheckpointError


def run(arguments: argparse.Namespace) -> None:
    """Converts; raises CheckpointError if what is given does not go together, or as the functions called do."""
    if arguments.checkpoint is not None:
        convert_videoglamm(
            arguments.checkpoint,
            arguments.output,
            adapters=arguments.adapter,
            lora_alpha=arguments.lora_alpha,
            untrained_parts=arguments.untrained_parts,
            clip=arguments.clip,
            internvideo2=arguments.internvideo2,
            sam2=arguments.sam2,
            config=arguments.config,
            dtype=arguments.dtype,
            overwrite=arguments.overwrite,
            progress=not arguments.quiet,
        )
        return
    if arguments.adapter or arguments.untrained_parts:
        raise CheckpointError("--adapter and --untrained-parts need a --checkpoint to add to.")
    convert_part(
        arguments.output,
        clip=arguments.clip,
        internvideo2=arguments.internvideo2,
        sam2=arguments.sam2,
        config=None if arguments.config is None else read_json(Path(arguments.config).expanduser()),
        dtype=None if arguments.dtype is None else getattr(torch, arguments.dtype),
        overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )
