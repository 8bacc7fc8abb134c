"""An answer's masks corrected by hand, frame by frame, without asking the model again.

Neither the towers nor the language model run: what is said of an object in a frame (clicks, a box, a brush mask, that
it is not there) is decided by the pixel decoder, and carried to the other frames of this object through memory. Every
state is whole and never changes, so that a step back is the state before.

Shapes: N objects, T frames, H x W size of the video, s side of low-resolution masks, C channels of a prompt embedding.
"""

import copy
import operator
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import torch
from transformers import Sam2VideoModel

from .edited_objects import EditedObject, ObjectTrack, decide_again
from .errors import InputError
from .finite import explained_by
from .grounded_answer import GroundedAnswer, Phrase
from .messages import SEG_TOKEN
from .options import check_names
from .packed_masks import PackedMasks
from .region_prompts import RegionPrompt, region_prompt
from .tracking import FrameMasks, TrackingOptions

# What a person sees of an object that no phrase names.
UNNAMED = "object {}"
# Steps that can be undone; a step keeps the masks of the objects it changed (64 frames of 1080p: 16 MB).
STEPS_KEPT = 100
_CORRECTION = ("object", "frame", "points", "labels", "box", "mask", "absent")
_STEPS = ("correct", "forget", "propagate", "add", "remove", "merge", "split", "link", "rename")


@dataclass(frozen=True)
class _State:
    objects: tuple[EditedObject, ...]
    phrases: tuple[tuple[Phrase, int | None], ...]
    next_number: int
    log: tuple[dict[str, Any], ...] = ()


class TrackingSession:
    """What [`VideoGlammForGroundedGeneration.edit`] returns: objects to correct.

    Objects are called by number: those of the answer by their place in it, from 0; an object that is added later gets
    the next number, and a number is never given twice. Frames are counted from 0, among those that get masks.

    Every method that changes something is one step for [`undo`]; after an error nothing has changed.

    Attributes:
        size: `(H, W)` of the masks.
        timestamps: Seconds of each frame.
    """

    def __init__(
        self,
        decoder: Sam2VideoModel,
        frames: Any,
        size: tuple[int, int],
        timestamps: Sequence[float],
        objects: Sequence[EditedObject],
        options: TrackingOptions,
        answer: GroundedAnswer | None = None,
        mask_callback: Callable[[FrameMasks], None] | None = None,
    ) -> None:
        self.size, self.timestamps = size, list(timestamps)
        self._decoder, self._frames, self._options = decoder, frames, options
        self._source, self._callback = answer, mask_callback
        phrases = () if answer is None else tuple((phrase, phrase.object_index) for phrase in answer.phrases)
        self._states = [_State(tuple(objects), phrases, len(objects))]
        self._at = 0
        self._given = {one.number: one.track for one in objects}

    def __repr__(self) -> str:
        named = ", ".join(f"{one.number}: {one.label}" for one in self.objects)
        return f"TrackingSession({self.num_frames} frames of {self.size[1]}x{self.size[0]}, objects {{{named}}})"

    # What is there now

    @property
    def num_frames(self) -> int:
        return len(self._frames)

    @property
    def objects(self) -> tuple[EditedObject, ...]:
        """The objects in their order."""
        return self._state.objects

    @property
    def labels(self) -> list[str]:
        return [one.label for one in self.objects]

    @property
    def masks(self) -> torch.Tensor:
        """Masks of all objects in their order, bool `[N, T, H, W]`."""
        found = [one.track.masks.unpack() for one in self.objects]
        return torch.cat(found) if found else torch.zeros((0, self.num_frames, *self.size), dtype=torch.bool)

    def frame(self, frame: int) -> torch.Tensor:
        """Masks of all objects in one frame, bool `[N, H, W]`."""
        frame = self._frame(frame)
        found = [one.track.masks[0, frame] for one in self.objects]
        return torch.stack(found) if found else torch.zeros((0, *self.size), dtype=torch.bool)

    @property
    def object_scores(self) -> torch.Tensor:
        """float32 `[N, T]`, logits of each object being in each frame."""
        return self._joined([one.track.object_scores for one in self.objects])

    @property
    def iou_scores(self) -> torch.Tensor:
        """float32 `[N, T]`, predicted IoU of each mask; 1 where a mask was given."""
        return self._joined([one.track.iou_scores for one in self.objects])

    @property
    def answer(self) -> GroundedAnswer:
        """The answer with the masks as they are now, and with new labels in the place of the phrases they replace.

        Without the words of an answer, its text names the objects. How sure the model is was learned of its own masks:
        once one of them was changed or an object added, the answer has no `probabilities`, and no
        `presence_probability` once they are others than those of the answer.
        """
        state, place = self._state, {one.number: i for i, one in enumerate(self.objects)}
        if self._source is not None:
            text, raw, reason = self._source.text, self._source.raw_text, self._source.finish_reason
            phrases = [replace(phrase, object_index=place.get(number)) for phrase, number in state.phrases]
            text, phrases = _relabelled(text, phrases, self.labels)
        else:
            text, raw, reason, phrases = "", "", None, []
        named = {phrase.object_index for phrase in phrases}
        for i, one in enumerate(self.objects):
            if i not in named and one.label != UNNAMED.format(one.number + 1):
                text = f"{text} {one.label}".strip()
                phrases.append(Phrase(one.label, len(text) - len(one.label), len(text), i))
        return GroundedAnswer(
            text,
            raw,
            phrases,
            self.masks,
            self.object_scores,
            list(self.timestamps),
            self.iou_scores,
            reason,
            *self._how_sure(),
        )

    def _how_sure(self) -> tuple[torch.Tensor | None, float | None]:
        """Probabilities of the answer that is corrected, of objects that nobody touched."""
        known = None if self._source is None else self._source.probabilities
        if known is None or any(one.track is not self._given.get(one.number) for one in self.objects):
            return None, None
        numbers = [one.number for one in self.objects]
        whole = len(numbers) == len(self._given)
        return known[numbers], self._source.presence_probability if whole else None

    @property
    def log(self) -> list[dict[str, Any]]:
        """The steps that led here, as plain JSON (masks as run lengths); [`replay`] takes them again."""
        return copy.deepcopy(list(self._state.log))

    # What a person says of an object

    def click(
        self,
        object: int,
        frame: int,
        points: Any,
        labels: Any = None,
        *,
        propagate: bool = True,
    ) -> None:
        """Clicks on an object (label 1) or beside it (0); further clicks in a frame are added to those before.

        Args:
            object: Its number.
            frame: Where it was clicked.
            points: `(x, y)`, or `[P, 2]`, in pixels of the video.
            labels: One for each point; all 1 if None.
            propagate: Carry it to the other frames at once; otherwise [`propagate`] does.

        Raises:
            InputError: If there is no such object or frame, or a point lies outside.
        """
        self.correct([{"object": object, "frame": frame, "points": points, "labels": labels}], propagate=propagate)

    def box(self, object: int, frame: int, box: Any, *, propagate: bool = True) -> None:
        """Draws a box `(left, top, right, bottom)` around an object; clicks of this frame count as well."""
        self.correct([{"object": object, "frame": frame, "box": box}], propagate=propagate)

    def brush(self, object: int, frame: int, mask: Any, *, propagate: bool = True) -> None:
        """Gives an object's mask in a frame: `[H, W]`, or run lengths as `answer.json` and samples have them."""
        self.correct([{"object": object, "frame": frame, "mask": mask}], propagate=propagate)

    def absent(self, object: int, frame: int, *, propagate: bool = True) -> None:
        """Says that an object is not in a frame."""
        self.correct([{"object": object, "frame": frame, "absent": True}], propagate=propagate)

    def correct(self, corrections: Iterable[Mapping[str, Any]], *, propagate: bool = True) -> None:
        """Several corrections as one step; the same as one after another.

        Args:
            corrections: Each with `object`, `frame`, and `points` (with `labels`), `box`, `mask` or `absent`.
            propagate: As for [`click`].

        Raises:
            InputError: If one of them cannot be used.
        """
        said: dict[int, dict[int, RegionPrompt]] = {}
        told: dict[tuple[int, int], RegionPrompt] = {}
        steps = []
        for one in map(_correction, _listed(corrections, "corrections")):
            number, frame = self._object(one.get("object")).number, self._frame(one.get("frame"))
            own = said.setdefault(number, dict(self._object(number).corrections))
            given = {name: value for name, value in one.items() if name not in ("object", "frame")}
            prompt = region_prompt(self.size, f"frame {frame} of object {number}", **given)
            if (number, frame) in told and told[number, frame].contradicts(prompt):
                raise InputError(
                    f"Of frame {frame} of object {number} several things are said at once that contradict."
                )
            told[number, frame] = prompt
            own[frame] = own[frame].with_more(prompt) if frame in own else prompt
            steps.append({"object": number, "frame": frame, **prompt.plain()})
        changed = [self._object(number).with_corrections(own) for number, own in said.items()]
        log = {"step": "correct", "corrections": steps, "propagate": bool(propagate)}
        self._step(self._decided(changed, propagate), log)

    def forget(self, object: int, frame: int) -> None:
        """Takes back everything that was said of an object in a frame."""
        own, frame = self._object(object), self._frame(frame)
        object = own.number
        if frame not in own.corrections:
            raise InputError(f"Nothing was said of object {object} in frame {frame!r:.20}.")
        left = {t: prompt for t, prompt in own.corrections.items() if t != frame}
        self._step(
            self._decided([own.with_corrections(left)], True), {"step": "forget", "object": object, "frame": frame}
        )

    def propagate(self) -> None:
        """Carries corrections that were not yet carried to the other frames."""
        waiting = [one for one in self.objects if one.behind]
        if waiting:
            self._step(self._decided(waiting, True), {"step": "propagate"})

    # What a person says of objects

    def add(
        self,
        frame: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        label: str | None = None,
        propagate: bool = True,
    ) -> int:
        """Adds an object that the answer does not name, by clicks, a box or a mask in a frame, as SAM 2 does.

        Returns:
            Its number.
        """
        frame = self._frame(frame)
        number = self._state.next_number
        prompt = region_prompt(self.size, f"frame {frame} of the new object", points, labels, box, mask)
        new = self._new(number, label, {frame: prompt})
        named = None if label is None else new.label
        log = {"step": "add", "frame": frame, "label": named, "propagate": bool(propagate), **prompt.plain()}
        self._step(self._decided([new], propagate), log, number + 1)
        return number

    def remove(self, object: int) -> None:
        """Removes an object; phrases that named it name none."""
        object = self._object(object).number
        left = tuple(one for one in self.objects if one.number != object)
        self._push(replace(self._state, objects=left), {"step": "remove", "object": object})

    def merge(self, object: int, other: int) -> None:
        """Two objects become the first of them: in every frame what either of them covers."""
        first, second = self._object(object), self._object(other)
        object, other = first.number, second.number
        if object == other:
            raise InputError(f"Object {object} cannot be merged with itself.")
        both = PackedMasks(first.track.masks.bits | second.track.masks.bits, self.size)
        merged = first.with_masks(both, second)
        objects = tuple(merged if one.number == object else one for one in self.objects if one.number != other)
        phrases = tuple((phrase, object if number == other else number) for phrase, number in self._state.phrases)
        state = replace(self._state, objects=objects, phrases=phrases)
        self._push(state, {"step": "merge", "object": object, "other": other})

    def split(
        self,
        object: int,
        frame: int,
        points: Any = None,
        labels: Any = None,
        box: Any = None,
        mask: Any = None,
        *,
        label: str | None = None,
    ) -> int:
        """Makes a part of an object one of its own: what is pointed at in a frame, and where it is in the others.

        Returns:
            The number of the part; the object keeps the rest.
        """
        whole = self._object(object)
        object = whole.number
        frame = self._frame(frame)
        number = self._state.next_number
        prompt = region_prompt(self.size, f"frame {frame} of the part", points, labels, box, mask)
        (part,) = self._decided([self._new(number, label, {frame: prompt})], True).values()
        left = PackedMasks(whole.track.masks.bits & ~part.track.masks.bits, self.size)
        rest = whole.with_masks(left)
        named = None if label is None else part.label
        log = {"step": "split", "object": object, "frame": frame, "label": named, **prompt.plain()}
        self._step({object: rest, number: part}, log, number + 1)
        return number

    def link(self, phrase: int, object: int | None) -> None:
        """Lets a phrase of the answer (its place among them, from 0) name another object, or none."""
        phrases = list(self._state.phrases)
        place = _whole(phrase)
        if place is None or not 0 <= place < len(phrases):
            raise InputError(f"There is no phrase {phrase!r:.40}; the answer has {len(phrases)}, counted from 0.")
        objects = self.objects
        if object is not None:
            object = self._object(object).number
            named = replace(self._object(object), label=phrases[place][0].text)
            objects = tuple(named if one.number == object else one for one in objects)
        phrases[place] = (phrases[place][0], object)
        state = replace(self._state, objects=objects, phrases=tuple(phrases))
        self._push(state, {"step": "link", "phrase": place, "object": object})

    def rename(self, object: int, label: str) -> None:
        """Gives an object another label."""
        object = self._object(object).number
        named = replace(self._object(object), label=_checked_label(label, f"object {object}"))
        self._step({object: named}, {"step": "rename", "object": object, "label": named.label})

    # Back and forth

    def undo(self) -> bool:
        """Goes one step back; False if there is none."""
        self._at = max(0, (before := self._at) - 1)
        return self._at != before

    def redo(self) -> bool:
        """Goes forward again, after [`undo`]; False if there is nowhere to go."""
        self._at = min(len(self._states) - 1, (before := self._at) + 1)
        return self._at != before

    def replay(self, log: Iterable[Mapping[str, Any]]) -> None:
        """Takes the steps of a [`log`]."""
        for step in _listed(log, "the steps of a log"):
            if not isinstance(step, Mapping):
                raise InputError(f"A step is a dict, not a {type(step).__name__}; give what `log` returned.")
            own = dict(step)
            name = own.pop("step", None)
            if name not in _STEPS:
                raise InputError(f"There is no step {name!r:.40}; the steps are {', '.join(_STEPS)}.")
            try:
                getattr(self, name)(**own)
            except TypeError as error:
                raise InputError(f"The step {name!r} cannot be taken: {error}.") from error

    @property
    def _state(self) -> _State:
        return self._states[self._at]

    def _step(self, changed: Mapping[int, EditedObject], log: dict[str, Any], next_number: int | None = None) -> None:
        """A step that changes or adds some objects."""
        there = {one.number: one for one in self.objects}
        state = replace(self._state, objects=tuple({**there, **changed}.values()))
        self._push(state if next_number is None else replace(state, next_number=next_number), log)

    def _push(self, state: _State, log: dict[str, Any]) -> None:
        state = replace(state, log=(*state.log, log))
        self._states[self._at + 1 :] = [state]
        del self._states[: max(0, len(self._states) - STEPS_KEPT - 1)]
        self._at = len(self._states) - 1

    def _object(self, number: Any) -> EditedObject:
        wanted = _whole(number)
        for one in self.objects:
            if one.number == wanted:
                return one
        there = ", ".join(f"{one.number} ({one.label})" for one in self.objects) or "none"
        raise InputError(f"There is no object {number!r:.40}; there are: {there}.")

    def _frame(self, frame: Any) -> int:
        """A frame's number, from 0."""
        found = _whole(frame)
        if found is None or not 0 <= found < self.num_frames:
            raise InputError(f"There is no frame {frame!r:.40}; the video has {self.num_frames}, counted from 0.")
        return found

    def _joined(self, scores: Sequence[torch.Tensor]) -> torch.Tensor:
        return torch.stack(list(scores)) if scores else torch.zeros((0, self.num_frames))

    def _new(self, number: int, label: str | None, corrections: Mapping[int, RegionPrompt]) -> EditedObject:
        """An object of which nothing was known."""
        name = UNNAMED.format(number + 1) if label is None else _checked_label(label, "the new object")
        nowhere = ObjectTrack.empty(self.num_frames, self.size)
        return EditedObject(number, name, nowhere, corrections=corrections, behind=frozenset(corrections))

    def _decided(self, objects: Iterable[EditedObject], propagate: bool) -> dict[int, EditedObject]:
        with explained_by({}, self._decoder):
            return decide_again(self._decoder, self._frames, objects, self._options, propagate, self._callback)


def _relabelled(text: str, phrases: list[Phrase], labels: Sequence[str]) -> tuple[str, list[Phrase]]:
    """Words and phrases with the labels that none of an object's phrases has, in the place of those."""
    spoken = {(phrase.object_index, phrase.text) for phrase in phrases}
    written, at, moved = "", 0, []
    for phrase in phrases:
        index, words = phrase.object_index, phrase.text
        if index is not None and (index, labels[index]) not in spoken:
            words = labels[index]
        written += text[at : phrase.start]
        moved.append(replace(phrase, text=words, start=len(written), end=len(written) + len(words)))
        written, at = written + words, phrase.end
    return written + text[at:], moved


def _correction(given: Any) -> dict[str, Any]:
    """A correction as a dict of its own."""
    if not isinstance(given, Mapping):
        raise InputError(f"A correction is a dict with {', '.join(_CORRECTION)}, not a {type(given).__name__}.")
    check_names(given, _CORRECTION, "of a correction")
    return dict(given)


def _listed(given: Any, what: str) -> list[Any]:
    if isinstance(given, (str, bytes, Mapping)) or not isinstance(given, Iterable):
        raise InputError(f"{what} are a list of dicts, not a {type(given).__name__}.")
    return list(given)


def _whole(value: Any) -> int | None:
    """A whole number, also one of NumPy or PyTorch; None for anything else."""
    try:
        return None if isinstance(value, bool) else operator.index(value)
    except TypeError:
        return None


def _checked_label(label: Any, what: str) -> str:
    """Words for a person, without the marks of an answer."""
    words = " ".join(label.split()) if isinstance(label, str) else ""
    unwritten = any("\ud800" <= letter <= "\udfff" for letter in words)  # half a character, which no file holds
    if not words or unwritten or any(mark in words for mark in ("<p>", "</p>", SEG_TOKEN)):
        raise InputError(f"The label of {what} is {label!r:.80}; give some words, without <p> and {SEG_TOKEN}.")
    return words
