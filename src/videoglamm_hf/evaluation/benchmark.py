"""A benchmark, as everything that asks and scores sees it."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm.auto import tqdm

from ..data.annotations import inner_name
from ..errors import InputError
from .scores import Scores


@dataclass(frozen=True)
class Item:
    """One question of a benchmark.

    Attributes:
        parts: What its files are called, folder by folder: `("clip0", "1")`. Joined with `_` they are its name.
        video: What it is about. Items about one video follow each other and share what the model sees of it.
        index: Which sample of the benchmark it is.
        question: What the model is asked.
        kind: Which of the benchmark's kinds of questions it is, such as `"reasoning"`; empty if there is one kind.
    """

    parts: tuple[str, ...]
    video: str
    index: int
    question: str
    kind: str = ""

    @property
    def name(self) -> str:
        return "_".join(self.parts)


@dataclass(frozen=True)
class Benchmark:
    """A benchmark with its data.

    Attributes:
        name: As the command line knows it.
        items: All questions.
        sample: A sample of training (see [`sample`]) by an item's `index`: its frames, and the truth if that is
            public. `mask_frames` are the frames that get masks.
        export: Writes what was predicted of some items as the benchmark takes it: items, a function that reads an
            item's [`Prediction`] (None where there is none), and a new folder.
        score: Scores such a folder: the folder, the items that are scored, names of those that failed and score 0, and
            whether to show `progress`; None if the truth is not public.
        predictions: What the folder holds, for messages.
        truth: The files that hold the truth, for messages where they are not there.
        check: Reads the truth of an item by its `index`, without its frames, and so finds what is wrong with it; None
            if the truth is not public.
        settings: What the questions and figures depend on, for the record.
        clip_frames: Longest piece of a video that is asked about at once; None for whole videos.
        with_logits: Whether predictions need logits of masks.
        submitted: Whether the exported folder, zipped, is what a server takes.
        zip_folder: The folder that holds it in the zip; empty if there is none.
    """

    name: str
    items: Sequence[Item]
    sample: Callable[[int], dict[str, Any]]
    export: Callable[..., None]
    score: Callable[..., Scores] | None
    predictions: str
    truth: str
    settings: dict[str, Any] = field(default_factory=dict)
    clip_frames: int | None = None
    with_logits: bool = False
    submitted: bool = False
    zip_folder: str = ""
    check: Callable[[int], Any] | None = None


def check_items(items: Sequence[Item], where: str, *, as_folders: bool = False) -> None:
    """Refuses names that would meet, or leave a folder, as names of files.

    Args:
        items: The items.
        where: What messages call them.
        as_folders: Whether predictions lie in folders of these very names.

    Raises:
        InputError: there is none, two items have one name, or a part of a name is no name of a file.
    """
    if not items:
        raise InputError(f"{where}: holds no question; check the path and the split")
    seen: set[str] = set()
    for item in items:
        for part in item.parts:
            if part in ("", ".", "..") or any(character in part for character in "/\\\0"):
                raise InputError(f"{where}: {part!r:.80} cannot be the name of a file; rename it in the data")
            if as_folders:
                inner_name(part, where)
        if item.name in seen:
            raise InputError(f"{where}: two questions are called {item.name}; rename a video")
        seen.add(item.name)


def check_truth(benchmark: Benchmark, items: Sequence[Item], *, progress: bool = False) -> None:
    """Finds truth that cannot be scored before anything is asked.

    Raises:
        InputError, MediaError: It contradicts itself, or a file is missing or damaged.
    """
    if benchmark.check is not None:
        for item in tqdm(items, "checking the truth", unit="question", leave=False, disable=not progress):
            benchmark.check(item.index)


def first_videos(items: Sequence[Item], limit: int | None) -> list[Item]:
    """The items about the first videos; all of them without a limit."""
    if limit is None:
        return list(items)
    videos = list(dict.fromkeys(item.video for item in items))[:limit]
    return [item for item in items if item.video in set(videos)]


def part_of_videos(items: Sequence[Item], index: int, count: int) -> list[Item]:
    """The items about every `count`-th video, from number `index`: no two parts share a video."""
    place = {video: number for number, video in enumerate(dict.fromkeys(item.video for item in items))}
    return [item for item in items if place[item.video] % count == index]
