"""ReasonVOS: expressions that take reasoning, scored on annotated frames as VideoLISA's `eval_reason_vos.py` does."""

import os
from functools import partial
from typing import Any

from ..data.reason_vos import ReasonVOSDataset
from ..data.referring import Expression
from .benchmark import Benchmark, Item, check_items
from .expression_scores import Subject, check_subject, export_expressions, score_items
from .mevis import PROMPT, frames_of
from .options import Options, asked, asked_sentence
from .revos import SENTENCE_PROMPT


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    There is no script of VideoGLaMM for it: a sentence (`is_sent`) is asked as it is, and a phrase as in MeViS. Every
    frame of a video gets a mask, as in VideoLISA's inference. Of expressions of one video that have one `obj_id` the
    last is asked, for in the official layout their masks are the same files.

    Args:
        data: The dataset's root, see [`ReasonVOSDataset`].
        options: See [`Options`].

    Raises:
        InputError, MediaError: The data are missing or inconsistent.
    """
    dataset = ReasonVOSDataset(data)
    expressions = dataset.expressions
    last = {_parts(expression): index for index, expression in enumerate(expressions)}
    items = [
        Item(parts, parts[0], index, _question(expressions[index], options), _kind(expressions[index]))
        for parts, index in last.items()
    ]
    check_items(items, str(dataset.root), as_folders=True)
    subjects = [
        Subject(_parts(e), dataset.annotated_frames(index), (e.entry["obj_id"],), partial(_track, dataset, index))
        for index, e in enumerate(expressions)
    ]
    return Benchmark(
        "reasonvos",
        items,
        partial(_sample, dataset),
        partial(export_expressions, frames=partial(frames_of, expressions), objects=options.objects, empty_files=True),
        partial(score_items, "reasonvos", subjects),
        "VIDEO/OBJECT/FRAME.png",
        "Annotations",
        {
            "prompt": options.prompt or PROMPT,
            "sentence_prompt": options.prompt or SENTENCE_PROMPT,
            "objects": options.objects,
        },
        submitted=True,
        check=partial(check_subject, subjects),
    )


def _parts(expression: Expression) -> tuple[str, str]:
    return expression.video, str(expression.entry["obj_id"])


def _kind(expression: Expression) -> str:
    return "sentence" if expression.about["is_sent"] else "phrase"


def _question(expression: Expression, options: Options) -> str:
    words = expression.entry["exp_text"]
    if expression.about["is_sent"]:
        return asked_sentence(SENTENCE_PROMPT, options, words)
    return asked(PROMPT, options, words)


def _track(dataset: ReasonVOSDataset, index: int) -> list[dict[str, Any] | None]:
    return dataset.track(index)[1]


def _sample(dataset: ReasonVOSDataset, index: int) -> dict[str, Any]:
    """A sample all of whose frames get masks; those without an annotation have no truth."""
    sample = dataset[index]
    truth = dict(zip(sample["mask_frames"], sample["masks"][0], strict=True))
    frames = range(len(sample["video"]))
    return sample | {"mask_frames": list(frames), "masks": [[truth.get(frame) for frame in frames]]}
