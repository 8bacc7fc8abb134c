"""Clips with questions, answers and masks, as training and evaluation take them."""

import operator
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from ...errors import InputError
from .config import ShapesWorldConfig
from .facts import direction, extreme
from .questions import Question, ask, is_hard_negative, main_question, sample_scene_questions, subjects
from .recipes import check_request, sample_scene
from .scene import Scene, scene_stream


class ShapesWorldDataset:
    """A map-style dataset; every sample is drawn when asked for, and the same one every time.

    Training and held-out clips differ in all random draws, in the families of their backgrounds, and in that the
    configuration's held-out pairs are neither drawn nor named in training. In the held-out split they are the
    targets of kind "unseen_pairs" and appear in no other kind, so that kind alone measures them.

    Args:
        split: "train" or "held_out".
        kind: One of `KINDS`; None mixes them by the configuration's weights.
        length: Number of samples.
        config: The world.
        seed: Another seed gives another dataset.
        questions_per_clip: None for one question as a plain conversation; a number for lists of that many.

    Raises:
        InputError: Any of these cannot be used; the message says what can.

    Example:
        >>> sample = ShapesWorldDataset(kind="referring")[0]
        >>> sample["messages"][0]["content"][1]["text"], sample["video"].shape, sample["masks"].shape
        ('Please segment the navy triangle.', (8, 96, 96, 3), (1, 8, 96, 96))
    """

    def __init__(
        self,
        split: str = "train",
        kind: str | None = None,
        *,
        length: int = 10_000,
        config: ShapesWorldConfig | None = None,
        seed: int = 0,
        questions_per_clip: int | None = None,
    ) -> None:
        self.config = config or ShapesWorldConfig()
        check_request(self.config, split, kind, seed)
        for name, value in (("length", length), ("questions_per_clip", questions_per_clip)):
            if value is not None and (not isinstance(value, int) or value < 1):
                raise InputError(f"{name} is {value!r}: use a whole number, 1 or more.")
        self.split, self.kind, self.length, self.seed = split, kind, length, seed
        self.questions_per_clip = questions_per_clip

    def __len__(self) -> int:
        return self.length

    def scene(self, index: int) -> Scene:
        """The scene of a sample, for what a sample does not hold.

        Raises:
            IndexError: There is no such sample.
        """
        index = operator.index(index)
        if not -self.length <= index < self.length:
            raise IndexError(f"index {index} is out of range: there are {self.length} samples.")
        index %= self.length
        kind = self.kind
        if kind is None:
            # A stream of its own, so that a kind by name gives the scene the mixture gives.
            stream = scene_stream(self.split, None, self.seed, index, 0)
            kind = stream.weighted(self.config.kind_weights)
        return sample_scene(self.config, split=self.split, kind=kind, seed=self.seed, index=index)

    def __getitem__(self, index: int) -> dict[str, Any]:
        """One clip with one question or several.

        Returns:
            A dictionary of

            - `video`: uint8 `[T, H, W, 3]`.
            - `mask_frames`: `list(range(T))`, the frames masks belong to.
            - `objects`: colour and shape of every object of the scene, farthest first.
            - `split`, `index`.

            and, with `questions_per_clip` each a list of as many,

            - `messages`: user and assistant turn.
            - `masks`: bool `[objects, T, H, W]`, one per [SEG] in its order, visible pixels; all False in a frame
              where an object is out of the frame or hidden.
            - `fully_hidden`: bool `[objects, T]`, where that is so.
            - `kind`: one of `KINDS`.
            - `phrases`: the words of each [SEG].
            - `target`: `words` as asked, `objects` (for each [SEG], indices into the scene's objects), `colour` and
              `shape` (also of an absent one; None where several are asked for) and `hard`: whether an absent one's
              colour and shape are both there, apart.
        """
        scene = self.scene(index)
        if self.questions_per_clip is None:
            return _clip(scene) | _conversation(scene, main_question(scene))
        return _with_questions(scene, sample_scene_questions(scene, self.questions_per_clip))


@dataclass(frozen=True, eq=False)
class SceneTargets:
    """Everything there is to see in a scene, for training a pixel decoder without words.

    Attributes:
        colours, shapes: Words, one per object, farthest first.
        directions: "left", "right", "up", "down", "still", or None where none of these is clear.
        largest, smallest: Which object is that by far, None if none is.
        masks: bool `[objects, T, H, W]`, visible pixels.
        visibility: float32 `[objects, T]`, visible share of each object's full area, 0 to 1.
        background: bool `[T, H, W]`, pixels of no object.
    """

    colours: list[str]
    shapes: list[str]
    directions: list[str | None]
    largest: int | None
    smallest: int | None
    masks: np.ndarray
    visibility: np.ndarray
    background: np.ndarray


def scene_targets(scene: Scene) -> SceneTargets:
    """Words, masks and visibility of every object."""
    numbers = np.arange(1, len(scene.objects) + 1, dtype=np.uint8)
    full = np.array([o.area for o in scene.objects]) * scene.config.frame_size**2
    return SceneTargets(
        colours=[o.colour for o in scene.objects],
        shapes=[o.shape for o in scene.objects],
        directions=[direction(scene, i) for i in range(len(scene.objects))],
        largest=extreme(scene, True),
        smallest=extreme(scene, False),
        masks=scene.labels == numbers[:, None, None, None],
        visibility=np.minimum(scene.visible_pixels / full[:, None], 1).astype(np.float32),
        background=scene.labels == 0,
    )


def demo_clip(seed: int = 28, *, frame_size: int = 192, num_frames: int = 16) -> dict[str, Any]:
    """A larger held-out clip of three moving shapes, laid out as a sample with lists.

    It asks one question of each kind that a viewer would try first, as far as the scene suits them: by name, by
    motion, of all of a sort, of something that is not there, and what happens.
    """
    config = ShapesWorldConfig(
        frame_size=frame_size, num_frames=num_frames, min_objects=3, max_objects=3, still_rate=0.0
    )
    scene = sample_scene(config, split="held_out", kind="motion", seed=seed)
    stream = scene.stream(3)
    questions = []
    for kind in ("referring", "motion", "all_of", "absent", "caption"):
        found = subjects(scene, kind)
        if kind == "absent":
            found = [s for s in found if is_hard_negative(scene, s.pair)] or found
        if found:
            questions.append(ask(scene, kind, stream.choice(found), stream))
    return _with_questions(scene, questions)


def _clip(scene: Scene) -> dict[str, Any]:
    return {
        "video": scene.video,
        "mask_frames": list(range(scene.config.num_frames)),
        "objects": [{"colour": o.colour, "shape": o.shape} for o in scene.objects],
        "split": scene.split,
        "index": scene.index,
    }


def _with_questions(scene: Scene, questions: Sequence[Question]) -> dict[str, Any]:
    asked = [_conversation(scene, question) for question in questions]
    return _clip(scene) | {key: [conversation[key] for conversation in asked] for key in asked[0]}


def _conversation(scene: Scene, question: Question) -> dict[str, Any]:
    masks = question.masks(scene)
    subject = question.subject
    colour, shape = subject.pair or (None, None)
    return {
        "messages": question.messages(),
        "masks": masks,
        "fully_hidden": ~masks.any((2, 3)),
        "kind": question.kind,
        "phrases": list(question.phrases),
        "target": {
            "words": subject.words,
            "objects": [list(group) for group in subject.objects],
            "colour": colour,
            "shape": shape,
            "hard": not subject.objects and is_hard_negative(scene, subject.pair),
        },
    }
