"""Ref-YouTube-VOS: asked as MeViS, every frame that the file lists; its server wants a mask for every one of them."""

import os
from functools import partial
from pathlib import Path

from ..data.ref_youtube_vos import RefYoutubeVosDataset
from ..data.referring import read_expressions, split_folder
from .benchmark import Benchmark, Item, check_items
from .expression_scores import MASK_FILES, check_subject, export_expressions, score_items
from .mevis import PROMPT, frames_of, subjects_of, unlabelled
from .options import Options, asked

SPLIT = "valid"


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    The file of `valid` lists the videos of `test` too, which the server does not take: they are left out where the
    file of `test` is there to tell them, as in ReferFormer's `inference_ytvos.py`.

    Args:
        data: The dataset's root, see [`RefYoutubeVosDataset`]; a split whose expressions have no `obj_id`, or which
            has no `Annotations`, has no figures here.
        options: See [`Options`]; the split is `valid` unless told.

    Raises:
        InputError: The data are missing or inconsistent.
    """
    split = options.split or SPLIT
    folder, path = split_folder(data, split), _file(Path(data), split)
    expressions = read_expressions(path)
    with_truth = (folder / "Annotations").is_dir() and any("obj_id" in e.entry for e in expressions)
    dataset = RefYoutubeVosDataset(data, split) if with_truth else None
    others = _videos_of_test(Path(data)) if split == SPLIT else set()
    items = [
        Item((e.video, e.number), e.video, index, asked(PROMPT, options, e.entry["exp"]))
        for index, e in enumerate(expressions)
        if e.video not in others
    ]
    check_items(items, str(path), as_folders=True)
    frames, subjects = partial(frames_of, expressions), subjects_of(dataset) if with_truth else []
    return Benchmark(
        "ref-youtube-vos",
        items,
        dataset.__getitem__ if with_truth else partial(unlabelled, folder, expressions),
        partial(export_expressions, frames=frames, objects=options.objects, empty_files=True),
        partial(score_items, "ref-youtube-vos", subjects) if with_truth else None,
        MASK_FILES,
        f"{split}/Annotations, or no obj_id in its meta_expressions.json",
        {"prompt": options.prompt or PROMPT, "objects": options.objects, "split": split},
        submitted=True,
        zip_folder="Annotations",
        check=partial(check_subject, subjects) if with_truth else None,
    )


def _file(root: Path, split: str) -> Path:
    return root / "meta_expressions" / split / "meta_expressions.json"


def _videos_of_test(root: Path) -> set[str]:
    path = _file(root, "test")
    return {expression.video for expression in read_expressions(path)} if path.exists() else set()
