"""refCOCO, refCOCO+ and refCOCOg: objects in pictures."""

import os
from collections.abc import Collection, Sequence
from functools import partial
from pathlib import Path

import numpy as np

from ..data.refcoco import RefCocoDataset
from ..data.referring import split_folder
from ..data.rle import decode_rle
from ..errors import InputError
from .answer_files import ANSWER_FILES, answers_in, export_answers, means
from .benchmark import Benchmark, Item, check_items
from .expression_scores import counted_masks
from .options import Options, asked
from .prediction import Prediction
from .scores import Scores

PROMPT = "What is {phrase} in this image? Please respond with segmentation masks."


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    Args:
        data: Folder of one of the three, with the references, `instances.json`, and the pictures in `images/`; or as
            `refer.py` lays them out, with the pictures in `../images/mscoco/images/train2014`.
        options: See [`Options`]; the split is `val` unless told.

    Raises:
        InputError: As [`RefCocoDataset`].
    """
    root = split_folder(data)
    beside = root.parent / "images" / "mscoco" / "images" / "train2014"
    images = root / "images" if (root / "images").is_dir() or not beside.is_dir() else beside
    dataset = RefCocoDataset(root, images, options.split or "val")
    items = [
        Item((e.video, e.number), e.video, index, asked(PROMPT, options, e.text))
        for index, e in enumerate(dataset.expressions)
    ]
    check_items(items, str(root))
    # Expressions about one picture share what is seen of it.
    items.sort(key=lambda item: item.video)
    settings = {"split": options.split or "val", "prompt": options.prompt or PROMPT, "objects": options.objects}
    return Benchmark(
        "refcoco",
        items,
        dataset.__getitem__,
        export_answers,
        partial(_score, dataset, options.objects),
        ANSWER_FILES,
        "instances.json",
        settings,
        check=dataset.mask,
    )


def _score(
    dataset: RefCocoDataset,
    objects: str,
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """gIoU: the mean of IoUs; cIoU: all intersections over all unions."""
    scores = Scores("refcoco", ratios={"cIoU": ["intersection", "union"]})
    for item, prediction in answers_in(predictions, items, scores, failed, progress=progress):
        truth = decode_rle(dataset.mask(item.index))
        try:
            mask = _mask(prediction, objects, truth.shape)
        except InputError as error:
            scores.failed[item.name] = str(error)
            mask = np.zeros_like(truth)
        shared, union = int(np.count_nonzero(mask & truth)), int(np.count_nonzero(mask | truth))
        iou = shared / union if union else 1.0
        scores.per_sample[item.name] = {"gIoU": iou, "intersection": shared, "union": union}
    own = list(scores.per_sample.values())
    scores.figures = means([{"gIoU": sample["gIoU"]} for sample in own])
    scores.figures["cIoU"] = sum(s["intersection"] for s in own) / max(1, sum(s["union"] for s in own))
    return scores


def _mask(prediction: Prediction | None, objects: str, size: tuple[int, int]) -> np.ndarray:
    if prediction is None or not prediction.masks:
        return np.zeros(size, bool)
    if len(prediction.masks[0]) != 1 or tuple(prediction.size) != size:
        raise InputError(f"it must have one mask of {size[1]}x{size[0]} for each object, the size of the picture")
    (mask,) = counted_masks(prediction.masks, objects, size)
    return mask
