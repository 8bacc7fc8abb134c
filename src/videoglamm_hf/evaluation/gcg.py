"""Grounded captions, asked as the original's `eval_gcg_infer.py`, scored as its `eval_gcg_metrics.py`."""

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any

from ..data.gcg import GcgDataset
from ..data.masks import decode_masks
from ..data.referring import split_folder
from ..errors import InputError
from .answer_files import ANSWER_FILES, answers_in, check_size, export_answers, means
from .benchmark import Benchmark, Item, check_items
from .captions import caption_scores, clean_caption
from .grounded_captions import score_grounded_caption
from .options import Options
from .prediction import Prediction
from .scores import Scores
from .small_blobs import without_small_blobs
from .text_similarity import Similarity, encoder_similarity, word_similarity

PROMPT = (
    "Could you please give me a detailed description of the video? Please respond with interleaved segmentation masks "
    "for the corresponding parts of the answer."
)
# The original's encoder of phrases, that of the figure called `recall`.
OFFICIAL_ENCODER = "bert-base-uncased"


def read(data: str | os.PathLike[str], options: Options) -> Benchmark:
    """The benchmark.

    Args:
        data: Folder with `<split>.json` (`val` unless told), see [`GcgDataset`], and the frames in `frames/`.
        options: See [`Options`].

    Raises:
        InputError: As [`GcgDataset`], or the text encoder cannot be loaded.
    """
    root = split_folder(data)
    path = root / f"{options.split or 'val'}.json"
    dataset = GcgDataset(path, root / "frames")
    question = options.prompt or PROMPT
    items = [Item((name,), str(index), index, question) for index, name in enumerate(dataset.names)]
    check_items(items, str(path))
    return Benchmark(
        "gcg",
        items,
        dataset.__getitem__,
        export_answers,
        partial(_score, dataset, options, *similarity_of(options.text_encoder)),
        ANSWER_FILES,
        "masks",
        {"split": options.split or "val", "prompt": question},
        check=dataset.truth,
    )


def caption_sample(
    truth: dict[str, Any], prediction: Prediction | None, similarity: Similarity
) -> tuple[dict[str, float], str, str]:
    """Figures of one grounded caption, its words, and the true ones.

    Args:
        truth: A sample whose last message is the true caption.
        prediction: What was answered; None scores 0.
        similarity: Of phrases.

    Returns:
        `miou`, `recalled` and `phrases` (the truth's), and both captions without tags.

    Raises:
        InputError: Masks are not of the truth's size and frames.
    """
    caption, phrases = clean_caption(truth["messages"][-1]["content"][0]["text"])
    said, named = clean_caption(prediction.text) if prediction is not None else ("", [])
    tracks = truth["masks"]
    masks = prediction.masks if prediction is not None else []
    frames = len(truth["mask_frames"])
    if any(len(track) != frames for track in masks):
        raise InputError(f"its tracks need a mask for each of the {frames} frames")
    sizes = {tuple(mask["size"]) for track in tracks for mask in track if mask is not None}
    size = next(iter(sizes), prediction.size if prediction is not None else (1, 1))
    if masks:
        check_size(prediction, size)
    # A phrase without a mask, or a mask without a phrase, is no pair.
    count = min(len(named), len(masks))
    found = [without_small_blobs(own == 1) for own in decode_masks(masks[:count], size)] if count else []
    true = list(decode_masks(tracks, size) == 1) if tracks else []
    scored = score_grounded_caption(true, found, similarity(phrases, named[:count]))
    figures = {"miou": scored["miou"], "recalled": len(scored["matches"]), "phrases": scored["truths"]}
    return figures, said, caption


def similarity_of(encoder: str | None) -> tuple[Similarity, str]:
    """How phrases are compared, and what the recall by it is called: `recall` by the original's encoder alone."""
    if encoder is None:
        return word_similarity, "recall_by_words"
    official = Path(encoder).name == OFFICIAL_ENCODER
    return encoder_similarity(encoder), "recall" if official else f"recall_by_{Path(encoder).name}"


def caption_figures(
    scores: Scores,
    captions: Mapping[str, tuple[str, str]],
    options: Options,
    progress: bool,
) -> dict[str, Any]:
    """METEOR, CIDEr, BLEU and ROUGE-L of a set, and a judge's mean if there is one; adds those of every sample to the
    scores, or what they need.

    Args:
        scores: The scores.
        captions: What was said and the true caption, by the sample's name.
        options: See [`Options`].
        progress: Whether to show a bar.
    """
    judged: dict[str, float] = {}
    if options.judge is not None:
        values, problems = options.judging().scores(captions, progress=progress)
        for name, value in values.items():
            scores.per_sample[name]["judge"] = value
        if values:
            judged["judge"] = sum(values.values()) / len(values)
        scores.settings["judge"] = f"{options.judge_model} at {options.judge}"
        scores.settings["not_judged"] = problems
    found = caption_scores(*(list(side) for side in zip(*captions.values(), strict=True)))
    if "missing" in found:
        scores.settings["not_scored"] = found["missing"]
        return judged
    for figure in ("METEOR", "CIDEr"):
        for name, value in zip(captions, found[f"{figure}_per_sample"], strict=True):
            scores.per_sample[name][figure] = value
    bleu = {f"BLEU_{n}": value for n, value in enumerate(found["BLEU_1_to_4"], start=1)}
    return {"METEOR": found["METEOR"], "CIDEr": found["CIDEr"], "ROUGE_L": found["ROUGE_L"], **bleu, **judged}


def _score(
    dataset: GcgDataset,
    options: Options,
    similarity: Similarity,
    recall: str,
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str] = (),
    *,
    progress: bool = False,
) -> Scores:
    """mIoU and recall over samples, and figures of captions if Java is there."""
    scores = Scores("gcg", ratios={recall: ["recalled", "phrases"]})
    scores.settings["text_encoder"] = options.text_encoder or "none: words in common"
    captions = _score_captions(scores, dataset.truth, similarity, predictions, items, failed, progress)
    own = list(scores.per_sample.values())
    scores.figures = means([{"miou": sample["miou"]} for sample in own])
    scores.figures[recall] = sum(s["recalled"] for s in own) / max(1, sum(s["phrases"] for s in own))
    scores.figures |= caption_figures(scores, captions, options, progress)
    return scores


def _score_captions(
    scores: Scores,
    truth_of: Callable[[int], dict[str, Any]],
    similarity: Similarity,
    predictions: Path,
    items: Sequence[Item],
    failed: Collection[str],
    progress: bool,
) -> dict[str, tuple[str, str]]:
    """Adds the figures of every item to the scores; returns what was said and the true caption, by the item's name."""
    found = {}
    for item, prediction in answers_in(predictions, items, scores, failed, progress=progress):
        truth = truth_of(item.index)
        try:
            figures, *captions = caption_sample(truth, prediction, similarity)
        except InputError as error:
            scores.failed[item.name] = str(error)
            figures, *captions = caption_sample(truth, None, similarity)
        scores.per_sample[item.name] = figures
        found[item.name] = tuple(captions)
    return found
