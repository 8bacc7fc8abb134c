"""`videoglamm export`: a model back in the layout of the original VideoGLaMM."""

import argparse

from ..conversion.export import export_videoglamm


def run(arguments: argparse.Namespace) -> None:
    """Exports."""
    export_videoglamm(
        arguments.model,
        arguments.output,
        like=arguments.like,
        overwrite=arguments.overwrite,
        progress=not arguments.quiet,
    )
