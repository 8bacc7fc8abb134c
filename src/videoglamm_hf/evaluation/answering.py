"""A model asked everything that a benchmark asks: what it sees of a video is shared by all questions about it.

Every question takes the same way, also one that is alone with its video: else a run that was ended and goes on would
answer a little differently than one that was not.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import groupby
from typing import Any

import numpy as np
import torch

from ..clip import SampledClip
from ..data.clips import read_training_clip
from ..errors import VideoGlammError, is_out_of_memory
from .benchmark import Benchmark, Item
from .data_digest import DIGEST, data_digest
from .prediction import Prediction
from .run_folder import RunFolder

# Of the pixel decoder's features of one video, kept between questions.
_MOST_FEATURE_BYTES = 4 * 2**30
# What is seen of a video does not depend on the question; this one is read by nobody.
_ANY_QUESTION = "What is this?"


@dataclass(frozen=True)
class Answering:
    """How questions are answered: greedily, as the original's scripts do.

    Attributes:
        mask_mode: As `generate` takes it; None for the model's own.
        max_new_tokens: Longest answer.
        share: Whether questions about one video share what the model sees of it.
    """

    mask_mode: str | None = None
    max_new_tokens: int = 512
    share: bool = True


def answer_items(
    model: Any,
    processor: Any,
    benchmark: Benchmark,
    items: Sequence[Item],
    run: RunFolder,
    how: Answering,
    *,
    done: Callable[[Item], None] = lambda item: None,
) -> None:
    """Asks about items that have no answer yet, and notes every answer in the run's folder as soon as it is there.

    Frames of the next video are read while this one is asked about. What cannot be read or answered is noted, too.

    Args:
        model: A [`VideoGlammForGroundedGeneration`].
        processor: Its [`VideoGlammProcessor`].
        benchmark: The benchmark.
        items: Some of its items.
        run: Where answers go.
        how: How to answer.
        done: Called with every item that was answered or failed.

    Raises:
        OutputError: An answer cannot be written.
    """
    model.eval()
    groups = [list(group) for _, group in groupby(run.unanswered(items), key=lambda item: item.video)]
    for group, read in _read_ahead(groups, lambda group: _read(processor, benchmark, group)):
        video, problem = _Video(), None
        try:
            video = read()
            pieces = [_seen(model, inputs, how.share) for inputs in video.pieces]
        except (VideoGlammError, RuntimeError, MemoryError) as error:
            problem = error
        for item in group:
            try:
                if problem or item.index in video.problems:
                    raise video.problems.get(item.index, problem)
                start = time.perf_counter()
                prediction, logits = _answer(model, processor, benchmark, item, pieces, how)
                prediction.about["seconds"] = round(time.perf_counter() - start, 3)
            except (VideoGlammError, RuntimeError, MemoryError) as error:
                run.fail(item, _reason(error))
            else:
                prediction.about[DIGEST] = video.digests[item.index]
                run.write(item, prediction, logits)
            done(item)


def _reason(error: BaseException) -> str:
    """Why a question could not be answered; raises what is no fault of the question."""
    if not isinstance(error, VideoGlammError) and not is_out_of_memory(error):
        raise error
    return str(error) or type(error).__name__


@dataclass(frozen=True)
class _Piece:
    """A piece of a video as every question about it takes it.

    Attributes:
        kind: "video" or "image".
        source: What a message gives as the video: an encoded video, or the frames.
        options: What `generate` takes beside what the message gives.
    """

    kind: str
    source: Any
    options: dict[str, Any]


@dataclass
class _Video:
    """A video as it was read, on the CPU.

    Attributes:
        pieces: Kind, frames, and inputs of any question about them.
        digests: What each sample is, by its index, see [`data_digest`].
        problems: Why a sample cannot be read, by its index.
    """

    pieces: list[tuple[str, Any, Any]] = field(default_factory=list)
    digests: dict[int, str] = field(default_factory=dict)
    problems: dict[int, VideoGlammError] = field(default_factory=dict)


def _read(processor: Any, benchmark: Benchmark, group: Sequence[Item]) -> _Video:
    """The video that some questions are about, decoded if any of their samples can be read."""
    video, sample = _Video(), None
    for index in dict.fromkeys(item.index for item in group):
        try:
            sample = benchmark.sample(index)
            video.digests[index] = data_digest(sample)
        except VideoGlammError as error:
            video.problems[index] = error
    for part in _pieces(sample, benchmark.clip_frames) if sample is not None else ():
        kind = "image" if part.get("image") is not None else "video"
        source = part["image"]
        if kind == "video":
            source = _clip(processor.video_processor, part)
        video.pieces.append((kind, source, _inputs(processor, kind, source, _ANY_QUESTION)))
    return video


def _clip(videos: Any, sample: dict[str, Any]) -> SampledClip:
    """The frames of a video; where no frame is said to have masks, those that an answer takes."""
    frames = sample.get("mask_frames")
    if frames is None:
        return videos.sample(sample["video"])
    return read_training_clip(sample, frames, num_tower_frames=videos.num_tower_frames, sampling=videos.sampling)


def _pieces(sample: dict[str, Any], longest: int | None) -> Iterator[dict[str, Any]]:
    """A sample, or pieces of one that is longer."""
    frames = sample.get("video")
    if longest is None or not isinstance(frames, list):
        yield {"image": None, **sample}
        return
    for start in range(0, len(frames), longest):
        part = frames[start : start + longest]
        yield {"image": None, "video": part, "mask_frames": list(range(len(part)))}


def _inputs(processor: Any, kind: str, source: Any, question: str) -> Any:
    messages = [{"role": "user", "content": [{"type": kind, kind: source}, {"type": "text", "text": question}]}]
    return processor.apply_chat_template(
        messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
    )


def _seen(model: Any, read: tuple[str, Any, Any], shared: bool) -> _Piece:
    kind, source, inputs = read
    if not shared:
        return _Piece(kind, source, {})
    inputs = inputs.to(model.device)
    frames = inputs["grounding_frames"]
    # At 1/16, 1/8 and 1/4 of the side, with 256, 64 and 32 channels.
    size = 4 * model.config.grounding_config.image_size**2 * model.dtype.itemsize * len(frames[0])
    keep = size <= _MOST_FEATURE_BYTES
    (encoded,) = model.encode_videos(**inputs, keep_frames=keep, read_prompt=True)
    options = {} if keep else {name: inputs[name] for name in ("grounding_frames", "original_sizes")}
    return _Piece(kind, encoded, options)


def _answer(
    model: Any, processor: Any, benchmark: Benchmark, item: Item, pieces: Sequence[_Piece], how: Answering
) -> tuple[Prediction, np.ndarray | None]:
    """The answer about all pieces of a video: words of the first one, masks one after another."""
    predictions: list[Prediction] = []
    lengths, logits = [], []
    for piece in pieces:
        inputs = _inputs(processor, piece.kind, piece.source, item.question).to(model.device)
        output = model.generate(
            **inputs,
            **piece.options,
            max_new_tokens=how.max_new_tokens,
            do_sample=False,
            num_beams=1,
            mask_mode=how.mask_mode,
            return_masks=True,
            output_mask_logits=benchmark.with_logits,
            pack_masks=True,
        )
        answer = processor.post_process_grounded_generation(output)[0]
        count, frames, *size = answer.masks.shape
        masks = [[np.asarray(answer.masks[i, t]) for t in range(frames)] for i in range(count)]
        about = {"finish_reason": answer.finish_reason, "object_scores": _rounded(answer.object_scores)}
        predictions.append(Prediction.of(answer.raw_text, masks, size, **about))
        lengths.append(frames)
        if benchmark.with_logits:
            side = model.config.grounding_config.image_size // 4
            logits.append(output.mask_logits[0][0] if count else torch.zeros(frames, side, side))
    return _joined(predictions, lengths), torch.cat(logits).float().numpy() if logits else None


def _joined(predictions: Sequence[Prediction], lengths: Sequence[int]) -> Prediction:
    """Answers about the pieces of a video as one: the words of the first; the n-th objects of all are one object."""
    if len(predictions) == 1:
        return predictions[0]
    count = max(len(prediction.masks) for prediction in predictions)
    masks, scores = [[] for _ in range(count)], [[] for _ in range(count)]
    for prediction, frames in zip(predictions, lengths, strict=True):
        for i in range(count):
            there = i < len(prediction.masks)
            masks[i] += prediction.masks[i] if there else [None] * frames
            scores[i] += prediction.about["object_scores"][i] if there else [None] * frames
    first = predictions[0]
    return Prediction(first.text, first.size, masks, {**first.about, "object_scores": scores})


def _read_ahead(
    groups: Sequence[list[Item]], read: Callable[[list[Item]], Any]
) -> Iterator[tuple[list[Item], Callable[[], Any]]]:
    """Groups, each with a function that waits for what was read of it; the next one is read meanwhile."""
    with ThreadPoolExecutor(1, "reading ahead") as reader:
        following: Future | None = None
        for number, group in enumerate(groups):
            current = following or reader.submit(read, group)
            following = reader.submit(read, groups[number + 1]) if number + 1 < len(groups) else None
            yield group, current.result


def _rounded(scores: torch.Tensor) -> list[list[float]]:
    return [[round(float(value), 3) for value in row] for row in scores]
