"""What a model makes of the validation part, in a folder that goes on where it was ended; two of them side by side."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from tqdm.auto import tqdm

from ..errors import VideoGlammError
from ..evaluation.animations import animation
from ..evaluation.answering import Answering, answer_items
from ..evaluation.evaluate import finish, read_benchmark, run_settings
from ..evaluation.run_folder import RunFolder, settings_of
from ..evaluation.scores import Scores

# Clips that are shown before and after.
PICTURED = 12


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


def pictures(validation: Path, folders: Sequence[Path], count: int = PICTURED) -> list[dict[str, Any]]:
    """The same clips with the truth and what was answered in each folder, as [`Comparison`] takes them.

    Args:
        validation: The JSONL file.
        folders: What [`measure`] wrote.
        count: How many, spread over the file.
    """
    benchmark = read_benchmark("folder", str(validation))
    runs = [RunFolder(folder, settings_of(folder) or {}) for folder in folders]
    places = np.unique(np.linspace(0, len(benchmark.items) - 1, min(count, len(benchmark.items))).round().astype(int))
    found = []
    for item in (benchmark.items[place] for place in places):
        answers = [run.read(item) for run in runs]
        try:
            sample = benchmark.sample(item.index)
            masks = [[] if answer is None else answer.masks for answer in answers]
            picture = animation(sample, sample.get("masks") or [], *masks)
        except VideoGlammError:  # what cannot be read is among the failures already
            continue
        texts = ["" if answer is None else answer.text for answer in answers]
        found.append({"question": item.question, "answers": texts, "picture": picture})
    return found
