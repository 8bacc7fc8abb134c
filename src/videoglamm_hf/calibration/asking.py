"""A model asked everything that held-out data ask, and what its scores and the truth were."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch

from ..answer_scores import least_word_log_probs, mean_predicted_iou, object_features, sentence_features
from ..data.clips import read_training_clip
from ..data.sample import kind_of
from ..errors import InputError, VideoGlammError, is_out_of_memory
from ..evaluation.benchmark import Benchmark, Item
from ..mask_collection import collect_masks
from .truth import object_ious, true_objects

# Of the pixel decoder's features of one video, kept between questions and mask modes.
_MOST_FEATURE_BYTES = 4 * 2**30


@dataclass
class Observations:
    """What was seen of many answers, in columns.

    Attributes:
        features: Of each, a row.
        scores: The untuned score of each, 0 to 1.
        right: Whether each was right.
        videos: Which video or picture each is of.
    """

    features: list[list[float]] = field(default_factory=list)
    scores: list[float] = field(default_factory=list)
    right: list[bool] = field(default_factory=list)
    videos: list[str] = field(default_factory=list)

    def add(self, features: Sequence[float], score: float, right: bool, video: str, what: str) -> None:
        """One more.

        Raises:
            InputError: A score is not finite; `what` names it.
        """
        if not np.isfinite([*features, score]).all():
            raise InputError(f"{what}: some of the model's scores are NaN or infinite, so nothing can be learned")
        self.features.append([float(own) for own in features])
        self.scores.append(float(score))
        self.right.append(bool(right))
        self.videos.append(video)

    def __len__(self) -> int:
        return len(self.right)


@dataclass
class Observed:
    """Of all questions: objects and sentences by mask mode, and what could not be answered."""

    objects: dict[str, Observations]
    sentences: dict[str, Observations]
    failed: dict[str, str] = field(default_factory=dict)
    questions: int = 0

    @classmethod
    def of(cls, modes: Iterable[str]) -> "Observed":
        return cls(*({mode: Observations() for mode in modes} for _ in range(2)))


def ask_all(
    model: Any,
    processor: Any,
    benchmark: Benchmark,
    items: Sequence[Item],
    observed: Observed,
    *,
    iou: float,
    max_new_tokens: int,
    done: Any = lambda item: None,
) -> None:
    """Asks about all items, greedily, and notes what is seen in every mask mode of `observed`.

    What the model sees of a video is computed once. What cannot be read or answered is noted, too.
    """
    model.eval()
    for group in [list(own) for _, own in groupby(items, key=lambda item: item.video)]:
        seen = None
        for item in group:
            sample = benchmark.sample(item.index)
            try:
                seen = seen or _seen(model, processor, sample, item.question)
                _observe(model, processor, sample, item, seen, observed, iou, max_new_tokens)
                observed.questions += 1
            except (VideoGlammError, RuntimeError, MemoryError) as error:
                if not isinstance(error, VideoGlammError) and not is_out_of_memory(error):
                    raise
                observed.failed[item.name] = str(error) or type(error).__name__
            done(item)


@dataclass(frozen=True)
class _Seen:
    """A video or picture as every question about it takes it."""

    kind: str
    encoded: Any
    frames: Any
    size: tuple[int, int]
    options: dict[str, Any]


def _seen(model: Any, processor: Any, sample: dict[str, Any], question: str) -> _Seen:
    kind = kind_of(sample)
    source = sample[kind]
    videos = processor.video_processor
    if kind == "video":
        numbers = sample.get("mask_frames")
        if numbers is None:
            source = videos.sample(source).load()
        else:
            towers = {"num_tower_frames": videos.num_tower_frames, "sampling": videos.sampling}
            source = read_training_clip(sample, numbers, **towers)
    inputs = _inputs(processor, kind, source, question).to(model.device)
    frames = inputs["grounding_frames"]
    # At 1/16, 1/8 and 1/4 of the side, with 256, 64 and 32 channels.
    size = 4 * model.config.grounding_config.image_size**2 * model.dtype.itemsize * len(frames[0])
    keep = size <= _MOST_FEATURE_BYTES
    (encoded,) = model.encode_videos(**inputs, keep_frames=keep)
    options = {} if keep else {name: inputs[name] for name in ("grounding_frames", "original_sizes")}
    own = encoded.frame_features if keep else frames[0]
    return _Seen(kind, encoded, own, tuple(map(int, encoded.original_size)), options)


def _inputs(processor: Any, kind: str, source: Any, question: str) -> Any:
    messages = [{"role": "user", "content": [{"type": kind, kind: source}, {"type": "text", "text": question}]}]
    return processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )


def _observe(
    model: Any,
    processor: Any,
    sample: dict[str, Any],
    item: Item,
    seen: _Seen,
    observed: Observed,
    iou: float,
    max_new_tokens: int,
) -> None:
    first, *others = observed.objects
    truth, phrases = true_objects(sample, seen.size, len(seen.frames))
    inputs = _inputs(processor, seen.kind, seen.encoded, item.question).to(model.device)
    options = {"max_new_tokens": max_new_tokens, "do_sample": False, "num_beams": 1}
    output = model.generate(**inputs, **seen.options, **options, mask_mode=first, return_masks=True, pack_masks=True)
    if output.word_log_probs is None:
        raise InputError("the model's own decoding method says nothing of its words; use another one")
    answer = processor.post_process_grounded_generation(output)[0]
    log_probs = output.word_log_probs[0]
    tokens = output.sequences[0, output.prompt_length :][: len(log_probs)].cpu()
    words = least_word_log_probs(tokens, log_probs, model.config.seg_token_id)
    video = _source_of(sample)
    for mode, masks, scores, ious in _decoded(model, output, seen, first, others):
        features = object_features(scores, ious, words)
        untuned = [mean_predicted_iou(*own) for own in zip(scores, ious, strict=True)]
        found = object_ious((own.numpy() for own in masks), answer.labels, truth, phrases)
        for row, score, own in zip(features.tolist(), untuned, found, strict=True):
            observed.objects[mode].add(row, score, own >= iou, video, item.name)
        least = float(log_probs.amin()) if len(log_probs) else 0.0
        row = sentence_features(features, least).tolist()
        observed.sentences[mode].add(row, max(untuned, default=0.0), bool((truth == 1).any()), video, item.name)


def _decoded(
    model: Any, output: Any, seen: _Seen, first: str, others: Sequence[str]
) -> Iterator[tuple[str, Any, torch.Tensor, torch.Tensor]]:
    """The masks of one answer in every mode, with their scores."""
    yield first, output.masks[0], output.object_scores[0], output.iou_scores[0]
    prompts, frames, sizes = output.prompt_embeddings, [seen.frames], [seen.size]
    for mode in others:
        stream = model.iter_masks(prompts, frames, sizes, mask_mode=mode)
        found = collect_masks(stream, prompts, frames, sizes, packed=True)
        yield mode, found["masks"][0], found["object_scores"][0], found["iou_scores"][0]


def _source_of(sample: dict[str, Any]) -> str:
    """A name of the video or picture that all its questions share, whatever frames they are about."""
    source = sample[kind_of(sample)]
    return source if isinstance(source, str) else "\n".join(map(str, source))
