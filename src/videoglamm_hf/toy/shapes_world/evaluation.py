"""How well a model does on held-out clips of the shapes world, one kind of question at a time.

A mean over everything hides what matters: whether a shape is told from another of its colour, whether absent
things are denied, whether memory holds. So nothing is averaged over kinds.
"""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch

from ...errors import InputError
from ...mask_overlap import mask_iou
from .config import KINDS, ShapesWorldConfig
from .dataset import ShapesWorldDataset
from .questions import split_words

# Clips of an evaluation; training never draws this seed of this split.
EVALUATION_SEED = 1_000_000
# A phrase is found if its mask overlaps the true one by this much.
FOUND_IOU = 0.5


@dataclass(frozen=True)
class ClipScore:
    """What one answer is worth.

    Attributes:
        iou: Mean IoU of the n-th mask track with the n-th true one, a missing one counting 0; None if the true
            answer has no [SEG].
        has_masks: Whether the answer has any [SEG].
        exact: Whether it is the true answer, word for word.
        found: For each true [SEG], whether the answer has one with the same words and an IoU of at least 0.5.
    """

    iou: float | None
    has_masks: bool
    exact: bool
    found: tuple[bool, ...]


@dataclass(frozen=True)
class KindScores:
    """Means over the clips of one kind of question.

    Attributes:
        kind: One of `KINDS`.
        mask_mode: How masks were decoded.
        clips: How many.
        mean_iou: Of [`ClipScore`]'s `iou`; None for absent objects.
        with_masks: Share of answers with a [SEG].
        exact: Share of answers that are right word for word.
        recall: Share of true phrases that were found; None for absent objects.
    """

    kind: str
    mask_mode: str
    clips: int
    mean_iou: float | None
    with_masks: float
    exact: float
    recall: float | None


@dataclass(frozen=True)
class Floor:
    """What a trained model reaches at least (or, `at_most`, stays below)."""

    kind: str
    mask_mode: str
    measure: str
    value: float
    at_most: bool = False


FLOORS = (
    Floor("referring", "framewise", "mean_iou", 0.80),
    Floor("referring", "video", "mean_iou", 0.75),
    Floor("same_colour", "framewise", "mean_iou", 0.65),
    Floor("same_colour", "video", "mean_iou", 0.65),
    Floor("present", "framewise", "with_masks", 0.95),
    Floor("absent", "framewise", "with_masks", 0.15, at_most=True),
    Floor("caption", "framewise", "recall", 0.70),
    Floor("size", "framewise", "mean_iou", 0.60),
)
# Unseen colour-shape pairs may fall this far behind seen ones.
UNSEEN_GAP = 0.10


def track_iou(predicted: np.ndarray, truth: np.ndarray) -> float:
    """Mean IoU of two mask tracks, bool `[T, H, W]`, over the frames in which there is something to see."""
    seen = truth.any((1, 2))
    return float(mask_iou(predicted[seen], truth[seen]).mean()) if seen.any() else float("nan")


def score_clip(
    text: str,
    phrases: Sequence[str],
    masks: np.ndarray,
    true_text: str,
    true_phrases: Sequence[str],
    truth: np.ndarray,
) -> ClipScore:
    """Compares an answer with the true one.

    Args:
        text, true_text: With `<p>`, `</p>` and `[SEG]`; spaces do not matter.
        phrases, true_phrases: Words of each [SEG]; an answer may have fewer than masks.
        masks, truth: bool `[objects, T, H, W]`.
    """
    ious = [track_iou(masks[i], truth[i]) if i < len(masks) else 0.0 for i in range(len(truth))]
    free = list(range(min(len(masks), len(phrases))))
    found = []
    for words, track in zip(true_phrases, truth, strict=True):
        suitable = [i for i in free if phrases[i] == words and track_iou(masks[i], track) >= FOUND_IOU]
        found.append(bool(suitable))
        if suitable:
            free.remove(suitable[0])
    return ClipScore(
        iou=statistics.fmean(ious) if ious else None,
        has_masks=len(masks) > 0,
        exact=split_words(text) == split_words(true_text),
        found=tuple(found),
    )


def summarize(kind: str, mask_mode: str, clips: Sequence[ClipScore]) -> KindScores:
    """Means over clips."""
    ious = [clip.iou for clip in clips if clip.iou is not None]
    found = [one for clip in clips for one in clip.found]
    return KindScores(
        kind=kind,
        mask_mode=mask_mode,
        clips=len(clips),
        mean_iou=statistics.fmean(ious) if ious else None,
        with_masks=statistics.fmean(clip.has_masks for clip in clips),
        exact=statistics.fmean(clip.exact for clip in clips),
        recall=statistics.fmean(found) if found else None,
    )


def evaluate(
    model: Any,
    processor: Any,
    *,
    kinds: Iterable[str] = KINDS,
    mask_modes: Sequence[str] = ("framewise", "video"),
    clips: int = 200,
    config: ShapesWorldConfig | None = None,
    split: str = "held_out",
    seed: int = EVALUATION_SEED,
    batch_size: int = 16,
    max_new_tokens: int = 64,
) -> list[KindScores]:
    """Asks a model about clips, greedily through `generate`, and scores its answers.

    Args:
        model: A [`VideoGlammForGroundedGeneration`]; put into evaluation mode.
        processor: Its [`VideoGlammProcessor`].
        kinds: Kinds of questions.
        mask_modes: Ways of decoding masks, each scored on its own.
        clips: How many of each kind.
        config, split, seed: Of the clips; by default held-out clips no training draws.
        batch_size: Clips at once.
        max_new_tokens: Longest answer.

    Returns:
        Scores by kind, then by mask mode.

    Raises:
        InputError: An unknown kind, or a number below 1.
    """
    found = evaluate_clips(
        model,
        processor,
        kinds=kinds,
        mask_modes=mask_modes,
        clips=clips,
        config=config,
        split=split,
        seed=seed,
        batch_size=batch_size,
        max_new_tokens=max_new_tokens,
    )
    return [summarize(kind, mode, own) for (kind, mode), own in found.items()]


def evaluate_clips(
    model: Any,
    processor: Any,
    *,
    kinds: Iterable[str] = KINDS,
    mask_modes: Sequence[str] = ("framewise", "video"),
    clips: int = 200,
    config: ShapesWorldConfig | None = None,
    split: str = "held_out",
    seed: int = EVALUATION_SEED,
    batch_size: int = 16,
    max_new_tokens: int = 64,
) -> dict[tuple[str, str], list[ClipScore]]:
    """What every answer is worth, by kind and mask mode, in the order of the clips; arguments and errors are those of
    [`evaluate`]."""
    if clips < 1 or batch_size < 1:
        raise InputError(f"clips is {clips} and batch_size {batch_size}; both must be at least 1.")
    model.eval()
    scores: dict[tuple[str, str], list[ClipScore]] = {}
    for kind in kinds:
        dataset = ShapesWorldDataset(split, kind, length=clips, config=config, seed=seed)
        by_mode: dict[str, list[ClipScore]] = {mode: [] for mode in mask_modes}
        for start in range(0, clips, batch_size):
            samples = [dataset[i] for i in range(start, min(start + batch_size, clips))]
            for mode, answers in _ask(model, processor, samples, mask_modes, max_new_tokens).items():
                by_mode[mode] += [_score(answer, sample) for answer, sample in zip(answers, samples, strict=True)]
        scores |= {(kind, mode): clip_scores for mode, clip_scores in by_mode.items()}
    return scores


def missed_floors(scores: Iterable[KindScores], floors: Iterable[Floor] = FLOORS) -> list[str]:
    """One sentence for every floor that is not reached, or not measured."""
    by_key = {(score.kind, score.mask_mode): score for score in scores}
    missed = []
    for floor in floors:
        score = by_key.get((floor.kind, floor.mask_mode))
        value = getattr(score, floor.measure) if score else None
        name = f"{floor.kind} ({floor.mask_mode}) {floor.measure}"
        if value is None:
            missed.append(f"{name} was not measured")
        elif value > floor.value if floor.at_most else value < floor.value:
            missed.append(f"{name} is {value:.3f}, {'above' if floor.at_most else 'below'} {floor.value:.2f}")
    for mode in ("framewise", "video"):
        seen, unseen = by_key.get(("referring", mode)), by_key.get(("unseen_pairs", mode))
        if seen and unseen and seen.mean_iou - unseen.mean_iou > UNSEEN_GAP:
            missed.append(
                f"unseen_pairs ({mode}) mean_iou is {unseen.mean_iou:.3f}, more than {UNSEEN_GAP:.2f} below that of "
                f"referring ({seen.mean_iou:.3f})"
            )
    return missed


def as_table(scores: Iterable[KindScores]) -> str:
    """Scores as a Markdown table."""
    rows = [
        "| kind | masks | clips | mean IoU | phrases found | with [SEG] | exact |",
        "|---|---|---|---|---|---|---|",
    ]
    for s in scores:
        measures = ("" if v is None else f"{v:.3f}" for v in (s.mean_iou, s.recall, s.with_masks, s.exact))
        rows.append(f"| {s.kind} | {s.mask_mode} | {s.clips} | {' | '.join(measures)} |")
    return "\n".join(rows)


@torch.no_grad()
def _ask(
    model: Any, processor: Any, samples: Sequence[dict[str, Any]], mask_modes: Sequence[str], max_new_tokens: int
) -> dict[str, list[Any]]:
    """Answers by mask mode; each video is encoded once."""
    questions = []
    for sample in samples:
        user = sample["messages"][0]
        parts = [{**p, "video": sample["video"]} if p["type"] == "video" else p for p in user["content"]]
        questions.append([{**user, "content": parts}])
    inputs = processor.apply_chat_template(
        questions, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    ).to(model.device)
    encoded = model.encode_videos(**inputs)
    tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    answers = {}
    for mode in mask_modes:
        output = model.generate(
            **tokens, encoded_videos=encoded, mask_mode=mode, max_new_tokens=max_new_tokens, do_sample=False
        )
        answers[mode] = processor.post_process_grounded_generation(output)
    return answers


def _score(answer: Any, sample: dict[str, Any]) -> ClipScore:
    return score_clip(
        text=answer.raw_text,
        phrases=[phrase.text for phrase in answer.phrases],
        masks=answer.masks.numpy(),
        true_text=sample["messages"][1]["content"][0]["text"],
        true_phrases=sample["phrases"],
        truth=sample["masks"],
    )
