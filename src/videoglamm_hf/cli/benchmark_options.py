"""What commands say of a benchmark, as evaluation takes it."""

import argparse
from pathlib import Path

from ..evaluation.options import Options


def chosen_options(arguments: argparse.Namespace, judge_replies: Path) -> Options:
    """The options of `evaluate` and `score`, which has no prompt.

    Args:
        arguments: Of the command line.
        judge_replies: Folder that keeps what a judge replies.

    Raises:
        InputError: They contradict each other.
    """
    return Options(
        prompt=getattr(arguments, "prompt", None),
        objects=arguments.objects,
        split=arguments.split,
        moments=arguments.moments,
        text_encoder=arguments.text_encoder,
        judge=arguments.judge,
        judge_model=arguments.judge_model,
        judge_replies=judge_replies,
    )
