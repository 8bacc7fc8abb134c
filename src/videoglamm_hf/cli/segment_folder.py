"""One question about every video of a folder, split over processes, going on where an earlier run stopped.

Every process takes every n-th video, whatever is answered already: no two take one, and none needs another's word. An
answer's folder appears only when it is complete, so one that exists is finished.
"""

import argparse
import json
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from tqdm.auto import tqdm

from ..data.output_names import safe_name
from ..errors import InputError, MediaError, VideoGlammError
from ..output_files import clear_leftovers, explained_writes
from .processes import joined, own_device, wait_for_all
from .screen import shows_progress
from .wording import counted


def answer_videos(
    videos: Sequence[Path],
    output: Path,
    settings: Callable[[Path], dict[str, Any]],
    load: Callable[[str | None], Callable[[Path, Path], tuple[str, str | None]]],
    arguments: argparse.Namespace,
) -> None:
    """Answers every video that has no answer yet.

    Args:
        videos: All videos.
        output: The answer of a video is the folder of the video's whole name in here, so `a.mp4` and `a.mkv` are two.
        settings: What a finished answer must have been made with.
        load: Loads the model on a device (None: the best there is) and returns what answers a video: its path and the
            folder to write, to the words of the answer and what a person should know of it.
        arguments: The command's `overwrite`, `device` and `quiet`.

    Raises:
        InputError: If finished answers were made with other settings.
        MediaError: At the end, on the main process: which videos could not be answered, and why.
    """
    with explained_writes(output):
        output.mkdir(parents=True, exist_ok=True)
    folders = {video: output / safe_name(video.name) for video in videos}
    finished = set() if arguments.overwrite else {v for v in videos if _is_finished(folders[v], settings(v))}
    processes = joined(arguments.device)
    index, count = (processes.process_index, processes.num_processes) if processes else (0, 1)
    for video in videos[index::count]:
        clear_leftovers(folders[video])
    own = [video for video in videos[index::count] if video not in finished]
    failures: list[str] = []
    # Before the bar, for loading shows one of its own.
    answer = load(own_device(arguments.device, processes)) if own else None
    shown = index == 0 and shows_progress(arguments.quiet)
    with tqdm(desc="videos", total=len(videos), initial=len(finished), unit="video", disable=not shown) as bar:
        for video in own:
            try:
                text, note = answer(video, folders[video])
                tqdm.write(f"{video.name}: {text}")
                if note is not None:
                    tqdm.write(f"{video.name}: {note}", file=sys.stderr)
            except (VideoGlammError, torch.OutOfMemoryError) as error:
                failures.append(f"{video.name}: {str(error).partition(chr(10))[0]}")
            bar.update()
        if processes:
            failures = wait_for_all(
                failures, bar, lambda: sum((f / "answer.json").exists() for f in folders.values()), index
            )
    if failures and index == 0:
        listed = "\n  ".join(sorted(failures))
        failed = f"{len(failures)} of {counted(len(videos), 'video')}"
        raise MediaError(f"{failed} could not be answered; run again to try them again:\n  {listed}")


def _is_finished(folder: Path, settings: dict[str, Any]) -> bool:
    """Whether a folder holds an answer; raises InputError if it was made with other settings."""
    try:
        found = dict(json.loads((folder / "answer.json").read_text(encoding="utf-8"))["settings"])
    except (OSError, ValueError, KeyError, TypeError):
        return False
    # The precision is the model's business: `--dtype auto` is not known before it is loaded.
    other = [name for name in settings | found if name != "dtype" and found.get(name) != settings.get(name)]
    if other:
        before, now = found.get(other[0]), settings.get(other[0])
        raise InputError(
            f"{folder} was answered with another {other[0]} ({before!r}, not {now!r}). Give another --output, or "
            "--overwrite to answer all videos anew."
        )
    return True
