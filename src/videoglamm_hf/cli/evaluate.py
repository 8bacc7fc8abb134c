"""`videoglamm evaluate`: asks a model what a benchmark asks, and scores the answers."""

import argparse
from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..errors import InputError
from ..evaluation.answering import Answering, answer_items
from ..evaluation.benchmark import Benchmark, Item, check_truth, first_videos, part_of_videos
from ..evaluation.data_digest import check_same_data
from ..evaluation.evaluate import check_limit, finish, read_benchmark, run_settings
from ..evaluation.run_folder import RunFolder
from ..loading.identity import weights_identity
from ..loading.models import load_model, load_processor
from ..toy import TINY_MODEL
from .benchmark_options import chosen_options
from .model_choice import model_or_small
from .processes import joined, own_device, wait_for_all
from .score_table import show_scores
from .screen import library_bars, say, shows_progress
from .wording import counted


def run(arguments: argparse.Namespace) -> None:
    """Answers what has no answer yet; scores once everything has one."""
    for name in ("limit", "max_new_tokens"):
        value = getattr(arguments, name)
        if value is not None and value < 1:
            raise InputError(f"--{name.replace('_', '-')} is {value}; it must be at least 1.")
    shard, shards = _shard(arguments.shard)
    arguments.model = model_or_small(arguments)
    benchmark = read_benchmark(
        arguments.benchmark,
        arguments.data,
        chosen_options(arguments, Path(arguments.output, "judged")),
    )
    how = Answering(arguments.mask_mode, arguments.max_new_tokens)
    items = first_videos(benchmark.items, arguments.limit)
    folder = RunFolder(
        arguments.output,
        run_settings(benchmark, how, **_model_facts(arguments)),
        with_logits=benchmark.with_logits,
    )
    for other in arguments.merge:
        folder.take_over(other)
    check_limit(benchmark, items, folder, arguments.limit)
    processes = joined(arguments.device)
    index, count = (processes.process_index, processes.num_processes) if processes else (0, 1)
    own = part_of_videos(part_of_videos(items, shard, shards), index, count)
    shown = index == 0 and shows_progress(arguments.quiet)
    check_same_data(benchmark, own, folder, progress=shown)
    with library_bars(shown):
        _answer(arguments, benchmark, own, items, folder, how, processes, shown)
    if index:
        return
    failures = folder.failures(items)
    left = [item for item in folder.unanswered(items) if item.name not in failures]
    if left:
        answered = len(items) - len(left)
        say(f"{answered} of {counted(len(items), 'question')} answered; the other shards score them when they end")
        return
    with folder.scoring() as alone:
        if not alone:
            say("another process scores these answers")
            return
        scores = finish(benchmark, items, folder, limit=arguments.limit, progress=shown)
    if scores is None:
        _say_failures(failures)
        print(f"the truth of {benchmark.name} is not public in {arguments.data}: no figures")
        if len(items) < len(benchmark.items):
            say(f"warning: the submission lacks the videos beyond --limit {arguments.limit}")
    else:
        show_scores(scores, failures)
    say(f"written to {folder.path}", arguments.quiet)
    if len(failures) == len(items):
        raise InputError(
            f"none of {counted(len(items), 'question')} could be answered: {next(iter(failures.values()))}"
        )


def _answer(
    arguments: argparse.Namespace,
    benchmark: Benchmark,
    own: list[Item],
    items: list[Item],
    folder: RunFolder,
    how: Answering,
    processes: Any,
    shown: bool,
) -> None:
    """Loads the model if there is something to answer, and answers it."""
    left = folder.unanswered(own)
    if left:
        check_truth(benchmark, left, progress=shown)
        processor = load_processor(arguments.model)
        device = own_device(arguments.device, processes)
        model = load_model(arguments.model, arguments.dtype, device, arguments.quantization)
    total, done = len(items if processes else own), len(own) - len(left)
    with tqdm(desc="asking", total=total, initial=done, unit="question", disable=not shown) as bar:
        if left:
            answer_items(model, processor, benchmark, left, folder, how, done=lambda _: bar.update())
        if processes:
            count = len(items)
            wait_for_all((), bar, lambda: count - len(folder.unanswered(items)), processes.process_index)


def _model_facts(arguments: argparse.Namespace) -> dict[str, Any]:
    model = "the small model" if arguments.model == str(TINY_MODEL) else arguments.model
    return {
        "model": model,
        "weights": weights_identity(arguments.model),
        "dtype": arguments.dtype,
        "quantization": arguments.quantization,
    }


def _shard(text: str | None) -> tuple[int, int]:
    """`2/8` is the second of eight."""
    if text is None:
        return 0, 1
    number, _, count = text.partition("/")
    if not (number.isdecimal() and count.isdecimal() and 1 <= int(number) <= int(count)):
        raise InputError(f"--shard is {text!r:.40}; give I/N, such as 1/8 for the first of eight.")
    return int(number) - 1, int(count)


def _say_failures(failures: dict[str, str]) -> None:
    for name, reason in failures.items():
        say(f"warning: {name} could not be answered: {reason}")
