"""A benchmark from questions to figures, in a folder that a run which was ended goes on in."""

import hashlib
import json
import zipfile
from collections.abc import Sequence
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any

from ..errors import InputError
from ..output_files import explained_writes, replacing_file, replacing_folder
from .answering import Answering
from .benchmark import Benchmark, Item
from .choices import BENCHMARKS, ONLY_FOR, WITHOUT_SPLITS
from .intervals import figure_intervals
from .options import Options
from .report import write_report
from .run_folder import RunFolder
from .scores import Scores


def read_benchmark(name: str, data: str, options: Options | None = None) -> Benchmark:
    """A benchmark with its data.

    Args:
        name: One of `BENCHMARKS`.
        data: Folder as its authors ship it, see docs/evaluation.md.
        options: See [`Options`].

    Raises:
        InputError: There is no such benchmark, it has no splits to choose from, no use for an option, or the data
            are missing or inconsistent.
    """
    options = options or Options()
    if name not in BENCHMARKS:
        raise InputError(f"there is no benchmark {name!r:.80}; there are {', '.join(BENCHMARKS)}")
    if options.split is not None and name in WITHOUT_SPLITS:
        raise InputError(f"{name} has no splits to choose from: leave --split out, and give the data's folder itself")
    for option, takes in ONLY_FOR.items():
        if getattr(options, option) != getattr(Options(), option) and name not in takes:
            spelt = option.replace("_", "-")
            raise InputError(f"{name} has no use for --{spelt}, which is for {', '.join(takes)}; leave it out")
    if options.prompt is not None and "{phrase}" not in options.prompt and name != "gcg":
        raise InputError(
            f"the prompt {options.prompt!r:.80} has no place for {{phrase}}: all questions would be the same"
        )
    module = "refcoco" if name.startswith("refcoco") else name.replace("-", "_")
    return replace(import_module(f".{module}", __package__).read(data, options), name=name)


def run_settings(benchmark: Benchmark, how: Answering, **model: Any) -> dict[str, Any]:
    """What every answer of an evaluation depends on, and so must be the same when it goes on.

    Args:
        benchmark: The benchmark.
        how: How questions are answered.
        model: What is known of the model: its name, a digest of its weights, its precision.
    """
    questions = [[item.name, item.question] for item in benchmark.items]
    return {
        "benchmark": benchmark.name,
        **model,
        **benchmark.settings,
        "clip_frames": benchmark.clip_frames,
        "mask_mode": how.mask_mode,
        "max_new_tokens": how.max_new_tokens,
        "questions": hashlib.sha256(json.dumps(questions).encode()).hexdigest()[:16],
    }


def check_limit(benchmark: Benchmark, items: Sequence[Item], run: RunFolder, limit: int | None) -> None:
    """Refuses to score fewer videos than a run has answers about: its scores would pass for those of all.

    Raises:
        InputError: It has an answer about another video than those of `items`.
    """
    chosen = {item.name for item in items}
    left = {item.name for item in run.unanswered(benchmark.items)}
    beyond = next((i.name for i in benchmark.items if i.name not in chosen and i.name not in left), None)
    if beyond is not None:
        raise InputError(
            f"{run.path}: has answers about more videos than --limit {limit} takes, such as {beyond}, and its scores "
            "would be replaced by those of fewer; leave --limit out, or give another --output"
        )


def finish(
    benchmark: Benchmark, items: Sequence[Item], run: RunFolder, *, limit: int | None = None, progress: bool = False
) -> Scores | None:
    """Writes predictions as the benchmark takes them, its submission, scores.json and report.html.

    Args:
        benchmark: The benchmark.
        items: Those that are scored, all answered or failed; what failed scores 0.
        run: The folder.
        limit: What the items were limited to, for the record.
        progress: Whether to show bars.

    Returns:
        The scores; None if the truth is not public.

    Raises:
        InputError: Some items have not been answered yet, nor have they failed.
        MediaError: An answer is not as it was written.
        OutputError: A file cannot be written.
    """
    failures = run.failures(items)
    open_items = [item for item in run.unanswered(items) if item.name not in failures]
    if open_items:
        raise InputError(
            f"{run.path}: {len(open_items)} of {len(items)} questions have no answer yet, {open_items[0].name} among "
            "them; run again, with the other shards if there are several"
        )
    run.tidy()
    with replacing_folder(run.predictions, "predictions") as folder:
        benchmark.export(items, run.read, folder, **({"logits": run.logits} if benchmark.with_logits else {}))
    if benchmark.submitted:
        _zip(run.predictions, run.path / "submission.zip", benchmark.zip_folder)
    if benchmark.score is None:
        return None
    scores = benchmark.score(run.predictions, items, failures)
    scores.benchmark = benchmark.name
    scores.failed = failures | scores.failed
    scores.missing = [name for name in scores.missing if name not in scores.failed]
    scores.settings |= run.settings | {"limit": limit, "videos": f"{_videos(items)} of {_videos(benchmark.items)}"}
    answers = ((item.name, run.read(item)) for item in items)
    scores.answers = {name: answer.text for name, answer in answers if answer is not None}
    add_intervals(scores, items)
    scores.write(run.path / "scores.json")
    write_report(run.path / "report.html", benchmark, items, scores, run.read, progress=progress)
    return scores


def add_intervals(scores: Scores, items: Sequence[Item]) -> None:
    """Notes which videos the samples are about, and the intervals of figures by drawing those."""
    scores.videos = {item.name: item.video for item in items}
    scores.intervals = figure_intervals(
        scores.samples(), scores.videos, scores.ratios, scores.whole_figures(), scores.weights
    )


def _videos(items: Sequence[Item]) -> int:
    return len({item.video for item in items})


def _zip(folder: Path, target: Path, inside: str) -> None:
    """The files of a folder, in one; masks are compressed already."""
    with explained_writes(target), replacing_file(target) as aside, zipfile.ZipFile(aside, "w") as archive:
        for path in sorted(folder.rglob("*")):
            if path.is_file() and not path.name.startswith("."):
                archive.write(path, Path(inside, path.relative_to(folder)).as_posix())
