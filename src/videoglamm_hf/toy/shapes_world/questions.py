"""Questions about a scene, and their grounded answers.

A question that describes an object ("the largest shape", "the shape moving left", "the red shape") is answered
with its full name, `It is <p> the red circle </p> [SEG].`: the answer says in words what it found. "All squares"
are answered with one [SEG] whose mask joins them.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np

from ...messages import SEG_TOKEN
from . import facts
from .config import COLOURS, DIRECTIONS, SHAPES, Pair
from .randomness import Stream
from .scene import Scene

_FIND = ("Please segment {}.", "Show me {}.", "Where is {}?", "Can you segment {}?")
_FIND_ALL = ("Please segment {}.", "Show me {}.", "Where are {}?", "Can you segment {}?")
_IS_THERE = "Is there {}?"
_DESCRIBE = ("Describe the video.", "What happens in the video?")

_IT_IS = "It is {}."
_YES, _NO = "Yes, it is {}.", "No, there is no {}."
_NONE = "There is no {}."
_THEY_ARE = "They are {}."
_LIST = "There is {}."


@dataclass(frozen=True)
class Subject:
    """What a question can be about.

    Attributes:
        words: As in the question, e.g. "the red circle"; empty for a caption.
        objects: For each [SEG] of the answer, the objects of the scene its mask joins.
        pair: Colour and shape of the one object, also of an absent one; else None.
    """

    words: str
    objects: tuple[tuple[int, ...], ...]
    pair: Pair | None = None


@dataclass(frozen=True)
class Question:
    """A question and its answer.

    Attributes:
        kind: One of `KINDS`.
        question, answer: Text; the answer with `<p>`, `</p>` and `[SEG]`.
        subject: What it is about.
    """

    kind: str
    question: str
    answer: str
    subject: Subject

    @property
    def phrases(self) -> tuple[str, ...]:
        """The words between `<p>` and `</p>`, one per [SEG]."""
        return tuple(re.findall("<p> (.*?) </p>", self.answer))

    def messages(self) -> list[dict]:
        """The conversation, as the processor takes it."""
        return [
            {"role": "user", "content": [{"type": "video"}, {"type": "text", "text": self.question}]},
            {"role": "assistant", "content": [{"type": "text", "text": self.answer}]},
        ]

    def masks(self, scene: Scene) -> np.ndarray:
        """One mask track per [SEG], bool `[objects, T, H, W]`."""
        size = scene.config.frame_size
        masks = np.empty((len(self.subject.objects), scene.config.num_frames, size, size), bool)
        for mask, objects in zip(masks, self.subject.objects, strict=True):
            mask[:] = scene.mask(objects)
        return masks


def subjects(scene: Scene, kind: str) -> list[Subject]:
    """Everything a question of this kind can truthfully be about; empty if the scene does not suit it."""
    if kind == "absent":
        return [Subject(_name(pair), (), pair) for pair in _absent_pairs(scene)]
    if kind == "caption":
        order = facts.telling_order(scene)
        return [Subject("", tuple((i,) for i in order))] if order and _tells_motion(scene) else []
    if kind == "size":
        found = [
            ("the largest shape", facts.extreme(scene, True)),
            ("the smallest shape", facts.extreme(scene, False)),
        ]
        return [_one(scene, i, words) for words, i in found if i is not None]
    if kind == "motion":
        found = [(f"the shape moving {name}", facts.mover(scene, name)) for name in DIRECTIONS]
        return [_one(scene, i, words) for words, i in found if i is not None]
    if kind == "all_of":
        return [Subject(words, (tuple(group),)) for words, _, group in _groups(scene) if len(group) > 1]
    if kind == "attribute":
        return [_one(scene, group[0], words) for _, words, group in _groups(scene) if len(group) == 1]
    return [_one(scene, i) for i in range(len(scene.objects)) if _suits(scene, i, kind)]


def ask(scene: Scene, kind: str, subject: Subject, stream: Stream) -> Question:
    """Puts a question into words."""
    if kind == "caption":
        return Question(kind, stream.choice(_DESCRIBE), _caption(scene, subject), subject)
    if kind == "all_of":
        answer = _THEY_ARE.format(_grounded(subject.words))
        return Question(kind, stream.choice(_FIND_ALL).format(subject.words), answer, subject)
    name = _name(subject.pair)
    if kind in ("present", "absent"):
        template = stream.choice((*_FIND, _IS_THERE))
        whether = template == _IS_THERE
        question = template.format(f"a {name}" if whether else f"the {name}")
        if kind == "absent":
            return Question(kind, question, (_NO if whether else _NONE).format(name), subject)
        return Question(kind, question, (_YES if whether else _IT_IS).format(_grounded(f"the {name}")), subject)
    words = subject.words
    return Question(kind, stream.choice(_FIND).format(words), _IT_IS.format(_grounded(f"the {name}")), subject)


def main_question(scene: Scene) -> Question:
    """The question the scene was made for."""
    stream = scene.stream(1)
    found = [s for s in subjects(scene, scene.kind) if is_main(scene, s)]
    return ask(scene, scene.kind, stream.choice(found), stream)


def is_main(scene: Scene, subject: Subject) -> bool:
    """Whether a subject is what the scene was made for."""
    if scene.kind == "absent":
        return subject.pair == scene.absent_pair
    return scene.kind == "caption" or subject.objects == (scene.target,)


def sample_scene_questions(scene: Scene, count: int) -> list[Question]:
    """Questions about one scene, drawn by the configuration's weights from the kinds the scene suits.

    The first is the one the scene was made for. One is repeated only where the scene gives hardly any others.

    Args:
        count: How many, at least 1.
    """
    questions = [main_question(scene)]
    stream = scene.stream(3)
    found = [(kind, subjects(scene, kind), weight) for kind, weight in scene.config.kind_weights if weight > 0]
    weights = [((kind, choices), weight) for kind, choices, weight in found if choices]
    while weights and len(questions) < count:
        for _ in range(8):
            kind, choices = stream.weighted(weights)
            if kind == "absent" and stream.chance(scene.config.hard_negative_rate):
                choices = [s for s in choices if is_hard_negative(scene, s.pair)] or choices
            question = ask(scene, kind, stream.choice(choices), stream)
            if all(question.question != asked.question for asked in questions):
                break
        questions.append(question)
    while len(questions) < count:
        questions.append(questions[0])
    return questions


def is_hard_negative(scene: Scene, pair: Pair) -> bool:
    """Whether an absent pair's colour and shape are both in the scene."""
    return pair[0] in {o.colour for o in scene.objects} and pair[1] in {o.shape for o in scene.objects}


def vocabulary() -> list[str]:
    """All words and marks of all texts of the world, sorted; text is words joined by spaces, marks attached.

    `<p>`, `</p>` and `[SEG]` are one piece each, as are the stop, the comma and the question mark.
    """
    return sorted({piece for text in _all_texts() for piece in split_words(text.replace("{}", ""))})


def split_words(text: str) -> list[str]:
    """A text as pieces of the vocabulary."""
    return re.findall(r"</?p>|" + re.escape(SEG_TOKEN) + r"|\w+|[^\w\s]", text)


def _all_texts() -> Iterator[str]:
    """Every template, every word that fills one."""
    filled = " ".join((*COLOURS, *SHAPES, *(f"{shape}s" for shape in SHAPES), *DIRECTIONS))
    yield from (filled, _grounded("the shape"), "all shapes", "the largest smallest shape moving", _IS_THERE)
    yield from (*_FIND, *_FIND_ALL, *_DESCRIBE, _IT_IS, _YES, _NO, _NONE, _THEY_ARE, _LIST)
    yield "A a, passes stands still moves and"


def _name(pair: Pair) -> str:
    return " ".join(pair)


def _grounded(words: str) -> str:
    return f"<p> {words} </p> {SEG_TOKEN}"


def _one(scene: Scene, index: int, words: str | None = None) -> Subject:
    pair = scene.objects[index].pair
    return Subject(words or f"the {_name(pair)}", ((index,),), pair)


def _suits(scene: Scene, index: int, kind: str) -> bool:
    """Whether an object can be the target of a kind that asks by colour and shape."""
    this = scene.objects[index]
    if (this.pair in scene.config.held_out_pairs) != (kind == "unseen_pairs"):
        return False
    if kind == "same_colour":
        return sum(o.colour == this.colour for o in scene.objects) > 1
    if kind == "same_shape":
        return sum(o.shape == this.shape for o in scene.objects) > 1
    return True


def _absent_pairs(scene: Scene) -> list[Pair]:
    there = {o.pair for o in scene.objects}
    return [pair for pair in scene.config.seen_pairs() if pair not in there]


def _groups(scene: Scene) -> Iterator[tuple[str, str, list[int]]]:
    """Name of many, name of one, and who they are, for every colour and every shape."""
    for colour in scene.config.colours:
        members = [i for i, o in enumerate(scene.objects) if o.colour == colour]
        yield f"all {colour} shapes", f"the {colour} shape", members
    for shape in scene.config.shapes:
        yield f"all {shape}s", f"the {shape}", [i for i, o in enumerate(scene.objects) if o.shape == shape]


def _tells_motion(scene: Scene) -> bool:
    """Whether of every object it can be said how it moves; more than two are only listed."""
    several = range(len(scene.objects))
    return len(several) > 2 or all(facts.direction(scene, i) or facts.moves(scene, i) for i in several)


def _caption(scene: Scene, subject: Subject) -> str:
    """Says who is there; of one or two also how they move."""
    order = [group[0] for group in subject.objects]
    named = {i: f"a {_grounded(_name(scene.objects[i].pair))}" for i in order}
    if len(order) > 2:
        return _LIST.format(", ".join(named[i] for i in order[:-1]) + f" and {named[order[-1]]}")
    if len(order) == 2 and facts.passes(scene, *order):
        text = f"{named[order[0]]} passes {named[order[1]]}."
    else:
        text = " and ".join(f"{named[i]} {_deed(scene, i)}" for i in order) + "."
    return text[0].upper() + text[1:]


def _deed(scene: Scene, index: int) -> str:
    direction = facts.direction(scene, index)
    if direction is None:
        return "moves"
    return "stands still" if direction == "still" else f"moves {direction}"
