"""What the world is made of, and the parameters of its scenes."""

from dataclasses import dataclass

from ...errors import InputError

# Easily told apart, and none of them "an": every phrase takes the article "a".
PALETTE: dict[str, tuple[int, int, int]] = {
    "red": (220, 40, 45),
    "green": (40, 165, 65),
    "blue": (45, 85, 220),
    "yellow": (240, 215, 45),
    "purple": (150, 55, 190),
    "cyan": (60, 205, 215),
    "pink": (245, 150, 190),
    "brown": (125, 70, 25),
    "lime": (160, 240, 50),
    "navy": (20, 25, 110),
}
COLOURS = tuple(PALETTE)
SHAPES = ("circle", "square", "triangle", "star", "diamond", "heart")
DIRECTIONS = ("left", "right", "up", "down")
SPLITS = ("train", "held_out")

# Kinds whose question names a colour and a shape.
PAIR_KINDS = ("referring", "same_colour", "same_shape", "unseen_pairs", "present", "absent")
KINDS = (*PAIR_KINDS, "caption", "size", "motion", "all_of", "attribute")

# The largest (smallest) shape's area is to that of any other as this to one (as one to this).
SIZE_MARGIN = 1.8

Pair = tuple[str, str]


@dataclass(frozen=True)
class ShapesWorldConfig:
    """Parameters of the scenes and of the mixture of questions.

    Lengths are in frame sides, so the same scene can be drawn at any frame size.

    Args:
        frame_size: Height and width of a frame, in pixels.
        num_frames: Frames of a clip.
        shapes, colours: Some of `SHAPES` and of `COLOURS`.
        held_out_pairs: `(colour, shape)` pairs that are neither drawn nor named in training. Every colour and
            every shape keeps two other pairs at least, so that each kind of question stays possible.
        min_objects, max_objects: Objects in a scene. A kind of question may need more than `min_objects`; a scene
            holds fewer where shapes and colours leave no pair that keeps its question unambiguous.
        min_size, max_size: Diameter of a circle; other shapes are about as wide.
        max_rotation: Degrees an object leans to either side at most; beyond 45 a square is not told from a square.
        min_travel, max_travel: How far a moving object goes during the clip, along its main direction.
        still_rate: Share of objects that do not move.
        enter_leave_rate: Share of objects that come into the frame or go out of it.
        same_colour_rate: Share of scenes with another shape of the target's colour.
        same_shape_rate: Share of scenes with the target's shape in another colour.
        hard_negative_rate: Share of yes/no scenes in which the absent colour and the absent shape are both there,
            on different objects.
        noise_level: Largest change noise makes to a pixel, of 255.
        colour_jitter: Largest difference of an object's colour from the palette, per channel, of 255.
        kind_weights: `(kind, weight)` of the questions of a mixture. By default absent objects are half of all
            questions that name a colour and a shape: a model trained on fewer never says no.

    Raises:
        InputError: A value is out of range; the message says which values can be used.
    """

    frame_size: int = 96
    num_frames: int = 8
    shapes: tuple[str, ...] = SHAPES
    colours: tuple[str, ...] = COLOURS
    held_out_pairs: tuple[Pair, ...] = (
        ("cyan", "circle"),
        ("yellow", "square"),
        ("purple", "triangle"),
        ("green", "star"),
        ("pink", "diamond"),
        ("blue", "heart"),
    )
    min_objects: int = 1
    max_objects: int = 4
    min_size: float = 0.28
    max_size: float = 0.45
    max_rotation: float = 10.0
    min_travel: float = 0.2
    max_travel: float = 0.5
    still_rate: float = 0.2
    enter_leave_rate: float = 0.15
    same_colour_rate: float = 0.5
    same_shape_rate: float = 0.5
    hard_negative_rate: float = 0.75
    noise_level: int = 4
    colour_jitter: int = 12
    kind_weights: tuple[tuple[str, float], ...] = (
        ("referring", 0.11),
        ("same_colour", 0.09),
        ("same_shape", 0.06),
        ("present", 0.08),
        ("absent", 0.34),
        ("caption", 0.10),
        ("size", 0.06),
        ("motion", 0.06),
        ("all_of", 0.05),
        ("attribute", 0.05),
    )

    def __post_init__(self) -> None:
        self._check_numbers()
        self._check_pairs()
        self._check_weights()

    def seen_pairs(self) -> tuple[Pair, ...]:
        """All `(colour, shape)` pairs that are not held out, in a fixed order."""
        held_out = set(self.held_out_pairs)
        return tuple((c, s) for c in self.colours for s in self.shapes if (c, s) not in held_out)

    def _check_numbers(self) -> None:
        for name, low, high in (
            ("frame_size", 32, 4096),
            ("num_frames", 4, 4096),
            ("min_objects", 1, 8),
            ("max_objects", 2, 8),
            ("noise_level", 0, 40),
            ("colour_jitter", 0, 40),
        ):
            value = getattr(self, name)
            if not isinstance(value, int) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}: use a whole number from {low} to {high}.")
        for name, low, high in (
            ("min_size", 0.05, 0.6),
            ("max_size", 0.05, 0.6),
            ("max_rotation", 0, 45),
            ("min_travel", 0.2, 0.6),
            ("max_travel", 0.2, 0.6),
            ("still_rate", 0, 1),
            ("enter_leave_rate", 0, 1),
            ("same_colour_rate", 0, 1),
            ("same_shape_rate", 0, 1),
            ("hard_negative_rate", 0, 1),
        ):
            value = getattr(self, name)
            if not isinstance(value, (int, float)) or isinstance(value, bool) or not low <= value <= high:
                raise InputError(f"{name} is {value!r}: use a number from {low} to {high}.")
        for low_name, high_name in (
            ("min_objects", "max_objects"),
            ("min_size", "max_size"),
            ("min_travel", "max_travel"),
        ):
            low, high = getattr(self, low_name), getattr(self, high_name)
            if low > high:
                raise InputError(
                    f"{low_name} ({low}) is above {high_name} ({high}): lower {low_name} or raise {high_name}."
                )
        # A largest shape exists in every cast only if equal shapes can differ by the margin.
        if self.max_size < 1.45 * self.min_size:
            raise InputError(
                f"max_size ({self.max_size}) is less than 1.45 min_size ({self.min_size}), so no shape could be "
                "clearly the largest: raise max_size or lower min_size."
            )

    def _check_pairs(self) -> None:
        for name, known in (("shapes", SHAPES), ("colours", COLOURS)):
            values = getattr(self, name)
            if not isinstance(values, tuple) or sorted(values, key=str) != sorted(v for v in known if v in values):
                raise InputError(f"{name} is {values!r}: use a tuple of different ones of {', '.join(known)}.")
        every = [(c, s) for c in self.colours for s in self.shapes]
        if not isinstance(self.held_out_pairs, tuple) or not all(pair in every for pair in self.held_out_pairs):
            raise InputError(
                f"held_out_pairs is {self.held_out_pairs!r}: use a tuple of (colour, shape) pairs made of this "
                "configuration's colours and shapes."
            )
        seen = self.seen_pairs()
        for i, values in enumerate((self.colours, self.shapes)):
            kept = [sum(pair[i] == value for pair in seen) for value in values]
            if len(values) < 2 or min(kept) < 2:
                raise InputError(
                    f"held_out_pairs, colours and shapes leave {', '.join(values) or 'nothing'} with {kept} pairs to "
                    "train on, and each needs two: hold out fewer pairs or add colours and shapes."
                )

    def _check_weights(self) -> None:
        weights = self.kind_weights
        try:
            names = [kind for kind, weight in weights if isinstance(weight, (int, float))]
        except (TypeError, ValueError):
            names = []
        if not names or len(names) != len(weights):
            raise InputError(f"kind_weights is {weights!r}: use a tuple of (kind, weight) pairs.")
        allowed = [kind for kind in KINDS if kind != "unseen_pairs"]
        if len(set(names)) != len(names) or not set(names) <= set(allowed):
            raise InputError(f"kind_weights names {names}: use each of {', '.join(allowed)} once at most.")
        if any(not weight >= 0 for _, weight in weights) or not 0 < sum(weight for _, weight in weights) < 1e9:
            raise InputError(f"kind_weights is {weights!r}: weights are not negative, and one at least is above 0.")
