"""What a sample was answered: words, the phrases in them that name objects, and the objects' masks."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, replace
from importlib import import_module
from typing import TYPE_CHECKING, Any

from .errors import InputError
from .messages import SEG_TOKEN
from .short_repr import short_repr

if TYPE_CHECKING:
    import torch


@dataclass(frozen=True)
class Phrase:
    """A phrase of an answer that names an object.

    Attributes:
        text: The words.
        start, end: Character span in the clean text.
        object_index: Which mask it names; None if the answer has fewer masks.
    """

    text: str
    start: int
    end: int
    object_index: int | None


@dataclass(frozen=True)
class LeftOut:
    """An object whose masks were left out of an answer, being too little sure.

    Attributes:
        phrase: What the answer calls it.
        probability: That its masks are right.
    """

    phrase: str
    probability: float


@dataclass(repr=False)
class GroundedAnswer:
    """One sample's answer.

    Attributes:
        text: The answer without markup.
        raw_text: The answer as generated, `<p>`, `</p>` and `[SEG]` included.
        phrases: Phrases of `text` with their character spans and the object each names.
        masks: bool `[num_objects, T, H, W]` at the video's own size.
        object_scores: float32 `[num_objects, T]`, logits of the object being in the frame.
        timestamps: Seconds of each frame, `[T]`.
        iou_scores: float32 `[num_objects, T]`, predicted IoU of each mask; None if the output has none.
        finish_reason: `"stop"` if the answer is complete, `"length"` if it was cut at the limit on its length (more
            objects might have followed); None if that is not known.
        probabilities: float32 `[num_objects]`, that the IoU of each object's masks with the truth is at least 0.5;
            None if the model was not calibrated (`videoglamm calibrate`), as those that follow.
        presence_probability: That what was asked about is there at all; of an answer without objects, too.
        left_out: What [`abstain`] left out.
    """

    text: str
    raw_text: str
    phrases: list[Phrase]
    masks: torch.Tensor
    object_scores: torch.Tensor
    timestamps: list[float]
    iou_scores: torch.Tensor | None = None
    finish_reason: str | None = None
    probabilities: torch.Tensor | None = None
    presence_probability: float | None = None
    left_out: list[LeftOut] | None = None

    __repr__ = short_repr

    @property
    def labels(self) -> list[str]:
        """A name for every object: its phrase, or `object n`."""
        names = {phrase.object_index: phrase.text for phrase in self.phrases}
        return [names.get(i, f"object {i + 1}") for i in range(len(self.masks))]

    def show(self, video: Any = None, *, title: str = "") -> Any:
        """The answer to look at: a notebook shows what this returns, with a scrubber, phrases and masks, offline.

        Args:
            video: The frames below the masks: the video or picture that was asked about (a path, frames, a clip), of
                which those at the answer's times are shown. None: masks alone.
            title: A heading, such as the question.

        Returns:
            An [`AnswerView`](videoglamm_hf.player.AnswerView); its `save` writes the page as one HTML file.

        Raises:
            InputError: If the video has other frames than the answer, or the package itself is not installed.
            MediaError: If the video cannot be read.
        """
        try:
            # The page does not travel with a model.
            player = import_module("videoglamm_hf.player")
        except ImportError as error:
            raise InputError("Showing an answer needs the package: pip install videoglamm-hf.") from error
        return player.answer_view(self, video, title=title)

    def abstain(self, below: float) -> GroundedAnswer:
        """The answer without the objects that are less probably right; its words stay, their phrases name no mask.

        Args:
            below: The least probability of an object that stays, 0 to 1.

        Returns:
            A new answer, whose `left_out` says what is missing.

        Raises:
            InputError: If there are no probabilities, or `below` is none.
        """
        check_threshold(below)
        if self.probabilities is None:
            raise InputError(
                "This answer has no probabilities: its model is not calibrated. Calibrate it on held-out data with "
                "`videoglamm calibrate DATA --model MODEL`, and load it again."
            )
        sure = self.probabilities.tolist()
        kept = [i for i, own in enumerate(sure) if own >= below]
        places = {old: new for new, old in enumerate(kept)}
        labels = self.labels
        gone = [LeftOut(labels[i], own) for i, own in enumerate(sure) if i not in places]
        phrases = [replace(phrase, object_index=places.get(phrase.object_index)) for phrase in self.phrases]
        per_object = ("object_scores", "iou_scores", "probabilities")
        fields = {name: own[kept] for name in per_object if (own := getattr(self, name)) is not None}
        masks = self.masks.of_objects(kept) if hasattr(self.masks, "of_objects") else self.masks[kept]
        return replace(self, phrases=phrases, masks=masks, left_out=[*(self.left_out or ()), *gone], **fields)


def check_threshold(below: Any) -> None:
    """Raises InputError for what is no probability."""
    if isinstance(below, bool) or not isinstance(below, (int, float)) or not 0 <= below <= 1:
        raise InputError(f"The least probability is {below!r:.40}; it must be a number from 0 to 1.")


def grounded_answers(output: Any, decode: Callable[[torch.Tensor], str]) -> list[GroundedAnswer]:
    """One answer per sequence of a [`VideoGlammGenerateOutput`]; `decode` makes text of token ids.

    Raises:
        InputError: If the output is another, which has no masks.
    """
    if getattr(output, "masks", None) is None or getattr(output, "prompt_length", None) is None:
        raise InputError(
            f"A {type(output).__name__} without masks has no grounded answers; pass the whole output of "
            "generate(..., return_masks=True), or decode its words with batch_decode."
        )
    answers = []
    reasons = getattr(output, "finish_reasons", None) or [None] * len(output.sequences)
    probabilities = [getattr(output, f"{name}_probabilities", None) for name in ("object", "presence")]
    for row, sequence in enumerate(output.sequences):
        raw, masks = decode(sequence[output.prompt_length :]).strip(), output.masks[row]
        text, phrases = parse_grounded_text(raw, len(masks))
        scores, times = output.object_scores[row], list(output.frame_timestamps[row])
        ious = None if output.iou_scores is None else output.iou_scores[row]
        sure, presence = (None if own is None else own[row] for own in probabilities)
        answers.append(GroundedAnswer(text, raw, phrases, masks, scores, times, ious, reasons[row], sure, presence))
    return answers


_MARKUP = re.compile(r"<p>(.*?)</p>|" + re.escape(SEG_TOKEN) + r"|</?p>", re.DOTALL)


def parse_grounded_text(text: str, num_objects: int) -> tuple[str, list[Phrase]]:
    """Takes the markup out of an answer.

    The n-th `<p>...</p>` names the n-th mask, as in the original; phrases beyond the last mask name none.

    Args:
        text: e.g. `A <p> man </p> [SEG] rides a <p> horse </p> [SEG].`
        num_objects: Number of masks of this answer.

    Returns:
        The clean text, single-spaced, and its phrases.

    >>> parse_grounded_text("A <p> man </p> [SEG] rides.", 1)
    ('A man rides.', [Phrase(text='man', start=2, end=5, object_index=0)])
    """
    clean, phrases, position = "", [], 0
    for match in _MARKUP.finditer(text):
        clean = _append(clean, text[position : match.start()])
        position = match.end()
        words = " ".join(match[1].replace(SEG_TOKEN, " ").split()) if match[1] else ""
        if not words:
            continue
        clean = _append(clean, f" {words}" if match[1][0].isspace() else words)
        index = len(phrases)
        end = len(clean)
        phrases.append(Phrase(words, end - len(words), end, index if index < num_objects else None))
    return _append(clean, text[position:]).rstrip(), phrases


def _append(clean: str, text: str) -> str:
    """Adds text, runs of white space made one space, none at the start or before punctuation."""
    text = re.sub(r"\s+", " ", text)
    bare = text.lstrip()
    if bare and bare[0] in ".,;:!?":
        return clean.rstrip() + bare
    return clean + (bare if clean == "" or clean.endswith(" ") else text)
