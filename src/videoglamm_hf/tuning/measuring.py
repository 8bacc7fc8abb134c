"""What a model makes of the validation part, in a folder that goes on where it was ended."""

from pathlib import Path
from typing import Any

from tqdm.auto import tqdm

from ..evaluation.answering import Answering, answer_items
from ..evaluation.evaluate import finish, read_benchmark, run_settings
from ..evaluation.run_folder import RunFolder
from ..evaluation.scores import Scores


def measure(
    model: Any,
    processor: Any,
    validation: Path,
    folder: Path,
    facts: dict[str, Any],
    max_new_tokens: int,
    *,
    progress: bool,
) -> Scores:
    """Asks everything of the validation part, and scores the answers: answers, scores.json and report.html.

    Args:
        model, processor: What is asked.
        validation: The JSONL file.
        folder: Where answers go.
        facts: What the answers depend on: model, weights, adapter.
        max_new_tokens: Longest answer.
        progress: Whether to show bars.

    Raises:
        InputError: The folder holds answers of something else.
        OutputError: It cannot be written.
    """
    benchmark = read_benchmark("folder", str(validation))
    how = Answering(None, max_new_tokens)
    run = RunFolder(folder, run_settings(benchmark, how, **facts))
    left = run.unanswered(benchmark.items)
    done = len(benchmark.items) - len(left)
    with tqdm(
        desc=f"asking ({folder.name})",
        total=len(benchmark.items),
        initial=done,
        unit="question",
        leave=False,
        disable=not progress,
    ) as bar:
        if left:
            answer_items(model, processor, benchmark, left, run, how, done=lambda _: bar.update())
    return finish(benchmark, benchmark.items, run, progress=progress)
