"""`videoglamm tune`: fine-tunes a model on one's own data, and says whether it got better."""

import argparse
from collections.abc import Sequence
from dataclasses import fields

from ..evaluation.comparison import Difference
from ..tuning.adapter_tuning import TuneOptions, TuneResult, tune
from .check_data import lines
from .model_choice import model_or_small
from .screen import library_bars, say, shows_progress

# A loss that nobody sees.
_NOTHING = 1e-3


def run(arguments: argparse.Namespace) -> None:
    """Tunes, and prints what it came to and how to use it."""
    model = model_or_small(arguments)
    options = TuneOptions(**{field.name: getattr(arguments, field.name) for field in fields(TuneOptions)})
    shown = shows_progress(arguments.quiet)
    with library_bars(shown):
        result = tune(
            arguments.data,
            model,
            arguments.output,
            options,
            edits=arguments.from_edits,
            device=arguments.device,
            progress=shown,
            say=lambda words: say(words, arguments.quiet),
        )
    if not arguments.quiet:
        print("\n".join(lines(result.check)))
    print("\n".join(summary(result, model)))


def summary(result: TuneResult, model: str) -> list[str]:
    """What a person reads at the end: figures before and after, and the two lines that use the result."""
    last, best = result.steps
    found = ["", f"trained {last} steps, best after {best}; on the videos held out:", *table(result.differences)]
    sure = [own for own in result.differences if own.interval is not None and own.interval[1] < 0]
    worse = [own for own in sure if own.value < -_NOTHING]
    if worse:
        found.append(f"{', '.join(own.figure for own in worse)} got worse: look at the page before you use it")
    return [
        *found,
        f"page: {result.page}",
        "",
        f'model = AutoModel.from_pretrained("{model}")',
        f'model = PeftModel.from_pretrained(model, "{result.adapter}")',
    ]


def table(differences: Sequence[Difference]) -> list[str]:
    """Lines of figures: before, after, and their difference with its 95 % interval."""
    rows = []
    for own in differences:
        interval = "" if own.interval is None else f"   ({own.interval[0]:+.3f} to {own.interval[1]:+.3f})"
        rows.append(f"{own.figure:<24}{own.first:>10.3f}{own.second:>10.3f}{own.value:>+10.3f}{interval}")
    return [f"{'figure':<24}{'before':>10}{'after':>10}{'change':>10}   95 %", *rows]
