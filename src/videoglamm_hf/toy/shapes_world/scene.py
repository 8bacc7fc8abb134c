"""A scene: what is in it and where, and the pictures that follow."""

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from .backgrounds import Background
from .config import KINDS, SPLITS, Pair, ShapesWorldConfig
from .outlines import OUTLINES
from .randomness import Stream
from .render import Layer, draw_labels, draw_layer, draw_video


@dataclass(frozen=True, eq=False)
class SceneObject:
    """A shape and its way through the clip.

    Attributes:
        colour, shape: Words.
        rgb: The colour it is drawn in.
        size: Diameter of a circle of this size, in frame sides.
        centres: float64 `[T, 2]`, x to the right and y down, in frame sides; outside [0, 1] out of the frame.
        rotations: float64 `[T, 2]`, cosine and sine of its lean.
    """

    colour: str
    shape: str
    rgb: tuple[int, int, int]
    size: float
    centres: np.ndarray
    rotations: np.ndarray

    @property
    def pair(self) -> Pair:
        return self.colour, self.shape

    @property
    def area(self) -> float:
        """Area when nothing hides it, in square frame sides."""
        return OUTLINES[self.shape].area * self.size**2


@dataclass(frozen=True, eq=False)
class Scene:
    """Objects before a background, each of another colour-shape pair; pictures are drawn when first asked for.

    Attributes:
        config, split, seed, index: What determines the scene, together with `kind`.
        kind: The kind of question it was made for.
        target: The objects that question is about; empty for an absent one.
        absent_pair: The pair that is not there, where `kind` is "present" or "absent".
        objects: Farthest first: an object hides those before it.
        background: What is behind them.
    """

    config: ShapesWorldConfig
    split: str
    seed: int
    index: int
    kind: str
    target: tuple[int, ...]
    absent_pair: Pair | None
    objects: tuple[SceneObject, ...]
    background: Background

    def stream(self, purpose: int) -> Stream:
        """Draws that belong to this scene: 0 made it, 1 is for its question, 2 for noise, 3 for more questions."""
        return scene_stream(self.split, self.kind, self.seed, self.index, purpose)

    @cached_property
    def layers(self) -> tuple[Layer, ...]:
        size = self.config.frame_size
        return tuple(draw_layer(o.shape, o.size * size, o.centres * size, o.rotations, size) for o in self.objects)

    @cached_property
    def labels(self) -> np.ndarray:
        """uint8 `[T, H, W]`: 0 where the background is seen, else 1 + the index of the object that is."""
        return draw_labels(self.layers, self.config.num_frames, self.config.frame_size)

    @cached_property
    def visible_pixels(self) -> np.ndarray:
        """int64 `[objects, T]`: how many pixels of each object are seen."""
        numbers = range(1, len(self.objects) + 1)
        return np.array([[np.count_nonzero(frame == number) for frame in self.labels] for number in numbers])

    @cached_property
    def video(self) -> np.ndarray:
        """uint8 `[T, H, W, 3]`."""
        return draw_video(
            self.layers,
            [o.rgb for o in self.objects],
            self.background,
            self.config.num_frames,
            self.config.frame_size,
            self.config.noise_level,
            self.stream(2),
        )

    def mask(self, objects: tuple[int, ...]) -> np.ndarray:
        """Where any of these objects is seen, bool `[T, H, W]`."""
        if len(objects) == 1:
            return self.labels == objects[0] + 1
        chosen = np.zeros(len(self.objects) + 1, bool)
        chosen[[i + 1 for i in objects]] = True
        return chosen[self.labels]


def scene_stream(split: str, kind: str | None, seed: int, index: int, purpose: int) -> Stream:
    """Draws of one scene; no two splits, kinds, seeds or indices share any, but "present" and "absent" do.

    `kind` None is the draw of a kind.
    """
    number = len(KINDS) if kind is None else KINDS.index("absent" if kind == "present" else kind)
    return Stream(seed, SPLITS.index(split), index, number, purpose)
