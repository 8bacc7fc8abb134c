"""Which objects a kind of question needs, and scenes with them."""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from ...errors import InputError
from .backgrounds import draw_background
from .config import DIRECTIONS, KINDS, PALETTE, SIZE_MARGIN, SPLITS, Pair, ShapesWorldConfig
from .facts import is_in_clear_view
from .outlines import OUTLINES
from .questions import is_main, subjects
from .randomness import Stream
from .scene import Scene, SceneObject, scene_stream
from .tracks import Motion, draw_centres, draw_motion, draw_rotations, draw_straight_motion

# Of ten thousand scenes of the default world none needed more than ten.
_MAX_ATTEMPTS = 500
# Drawn areas differ a little more than asked for, as pixels are counted later.
_DRAWN_MARGIN = 1.06 * SIZE_MARGIN


@dataclass(frozen=True)
class Cast:
    """Who plays in a scene.

    Attributes:
        pairs: Colour and shape of each object, farthest first.
        target: The objects the question is about, ascending.
        absent_pair: The pair asked for in vain, where the question may be about one.
    """

    pairs: tuple[Pair, ...]
    target: tuple[int, ...]
    absent_pair: Pair | None = None


def sample_scene(
    config: ShapesWorldConfig, *, split: str = "train", kind: str = "referring", seed: int = 0, index: int = 0
) -> Scene:
    """A scene that suits a kind of question; the same one on every machine.

    Scenes of kinds "present" and "absent" are pairs: the same scene at the same index.

    Args:
        split: "train" or "held_out".
        kind: One of `KINDS`; "unseen_pairs" only in the held-out split.
        seed, index: From 0 to 2**32 - 1.

    Raises:
        InputError: An unknown split or kind, a negative number, or a configuration so crowded that no scene shows
            every object clearly.
    """
    check_request(config, split, kind, seed)
    _check_number("index", index)
    stream = scene_stream(split, kind, seed, index, 0)
    cast = _draw_cast(stream, config, kind)
    for _ in range(_MAX_ATTEMPTS):
        scene = Scene(
            config=config,
            split=split,
            seed=seed,
            index=index,
            kind=kind,
            target=cast.target,
            absent_pair=cast.absent_pair,
            objects=_draw_objects(stream, config, cast, kind),
            background=draw_background(stream, split),
        )
        if is_in_clear_view(scene) and any(is_main(scene, subject) for subject in subjects(scene, kind)):
            return scene
    raise InputError(
        f"No scene of kind {kind!r} with {len(cast.pairs)} objects showed each of them clearly in {_MAX_ATTEMPTS} "
        "attempts: lower max_objects, max_size, max_travel or enter_leave_rate, or raise num_frames."
    )


def check_request(config: ShapesWorldConfig, split: str, kind: str | None, seed: int) -> None:
    """Raises InputError if there are no such scenes; `kind` None is the mixture."""
    if split not in SPLITS:
        raise InputError(f"split is {split!r}: use one of {', '.join(SPLITS)}.")
    if kind is not None and kind not in KINDS:
        raise InputError(f"kind is {kind!r}: use one of {', '.join(KINDS)}, or None for a mixture.")
    if kind == "unseen_pairs" and (split != "held_out" or not config.held_out_pairs):
        raise InputError("kind 'unseen_pairs' needs split='held_out' and a configuration with held_out_pairs.")
    _check_number("seed", seed)


def _check_number(name: str, value: int) -> None:
    # Larger ones would take two words of a stream's key, and two keys could be the same words.
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**32:
        raise InputError(f"{name} is {value!r}: use a whole number from 0 to 2**32 - 1.")


def _draw_cast(stream: Stream, config: ShapesWorldConfig, kind: str) -> Cast:
    if kind == "all_of":
        return _draw_group(stream, config)
    if kind in ("present", "absent"):
        return _draw_yes_no(stream, config, kind)
    pairs = config.held_out_pairs if kind == "unseen_pairs" else config.seen_pairs()
    target = stream.choice(pairs)
    same_colour, same_shape = stream.chance(config.same_colour_rate), stream.chance(config.same_shape_rate)
    same_colour, same_shape = same_colour or kind == "same_colour", same_shape or kind == "same_shape"
    if kind == "attribute":
        # The colour (or the shape) is to name one object alone.
        by_colour = stream.chance(0.5)
        same_colour, same_shape = same_colour and not by_colour, same_shape and by_colour
    if kind == "caption" or (config.max_objects == 2 and same_colour and same_shape):
        # Captions have no target; two objects leave room for one distractor, the one the kind is named for.
        same_colour, same_shape = (kind == "same_colour", kind == "same_shape")
    fewest = max(config.min_objects, 2 if kind in ("size", "motion") else 1)
    # A caption names every object: short ones are learnt first.
    most = max(fewest, min(config.max_objects, 3)) if kind == "caption" else config.max_objects
    others = _draw_others(stream, config, target, same_colour, same_shape, fewest, most)
    return _shuffled_cast(stream, [target, *others], (0,))


def _draw_others(
    stream: Stream,
    config: ShapesWorldConfig,
    target: Pair,
    same_colour: bool,
    same_shape: bool,
    fewest: int,
    most: int,
) -> list[Pair]:
    """The objects besides a target, with its colour or its shape only if told so."""
    others: list[Pair] = []
    if same_colour:
        others.append(_draw_pair(stream, config, lambda p: p[0] == target[0] and p != target))
    if same_shape:
        others.append(_draw_pair(stream, config, lambda p: p[1] == target[1] and p != target))
    count = stream.integer(max(1 + len(others), fewest), most)
    pool = [
        pair
        for pair in config.seen_pairs()
        if pair != target
        and pair not in others
        and (same_colour or pair[0] != target[0])
        and (same_shape or pair[1] != target[1])
    ]
    return others + stream.shuffled(pool)[: count - 1 - len(others)]


def _draw_pair(stream: Stream, config: ShapesWorldConfig, suits: Callable[[Pair], bool]) -> Pair:
    return stream.choice([pair for pair in config.seen_pairs() if suits(pair)])


def _draw_group(stream: Stream, config: ShapesWorldConfig) -> Cast:
    """Two objects or more of one shape or one colour, and some others."""
    part = stream.integer(0, 1)
    value = stream.choice((config.colours, config.shapes)[part])
    members = stream.shuffled([pair for pair in config.seen_pairs() if pair[part] == value])
    others = stream.shuffled([pair for pair in config.seen_pairs() if pair[part] != value])
    count = stream.integer(max(config.min_objects, 2), config.max_objects)
    # Others are kept where there is room, so that "all squares" seldom means "everything".
    size = stream.integer(2, max(2, min(count - 1, len(members))))
    return _shuffled_cast(stream, [*members[:size], *others[: count - size]], range(size))


def _draw_yes_no(stream: Stream, config: ShapesWorldConfig, kind: str) -> Cast:
    """A scene without one pair; both kinds draw the same numbers, so the same index gives the same scene."""
    absent = stream.choice(config.seen_pairs())
    if stream.chance(config.hard_negative_rate):
        pairs = [
            _draw_pair(stream, config, lambda p: p[0] == absent[0] and p != absent),
            _draw_pair(stream, config, lambda p: p[1] == absent[1] and p != absent),
        ]
    else:
        pairs = [_draw_pair(stream, config, lambda p: p != absent)]
    count = stream.integer(max(config.min_objects, len(pairs)), config.max_objects)
    pool = [pair for pair in config.seen_pairs() if pair != absent and pair not in pairs]
    pairs += stream.shuffled(pool)[: count - len(pairs)]
    asked = stream.integer(0, len(pairs) - 1)
    cast = _shuffled_cast(stream, pairs, (asked,))
    return Cast(cast.pairs, cast.target if kind == "present" else (), absent)


def _shuffled_cast(stream: Stream, pairs: Sequence[Pair], target: Sequence[int]) -> Cast:
    """The nearest object is not always the one asked for."""
    order = stream.shuffled(range(len(pairs)))
    return Cast(tuple(pairs[i] for i in order), tuple(sorted(order.index(i) for i in target)))


def _draw_objects(stream: Stream, config: ShapesWorldConfig, cast: Cast, kind: str) -> tuple[SceneObject, ...]:
    sizes = _draw_sizes(stream, config, cast, kind)
    motions = _draw_motions(stream, config, cast, kind)
    placed: list[SceneObject] = []
    for (colour, shape), size, motion in zip(cast.pairs, sizes, motions, strict=True):
        jitter = config.colour_jitter
        red, green, blue = (min(255, max(0, c + stream.integer(-jitter, jitter))) for c in PALETTE[colour])
        others = [(o.size, o.centres) for o in placed]
        centres = draw_centres(stream, motion, shape, size, others, config.num_frames)
        rotations = draw_rotations(stream, config.max_rotation, config.num_frames)
        placed.append(SceneObject(colour, shape, (red, green, blue), size, centres, rotations))
    return tuple(placed)


def _draw_sizes(stream: Stream, config: ShapesWorldConfig, cast: Cast, kind: str) -> list[float]:
    """Even between the limits; for kind "size" the target is the largest or the smallest by the margin."""
    if kind != "size":
        return [stream.uniform(config.min_size, config.max_size) for _ in cast.pairs]
    largest = stream.chance(0.5)
    areas = [OUTLINES[shape].area for _, shape in cast.pairs]
    target = cast.target[0]
    low, high = config.min_size, config.max_size
    # For each object, the ratio of its size to the target's beyond which the margin is lost.
    if largest:
        ratios = [min(math.sqrt(areas[target] / area / _DRAWN_MARGIN), 1 / 1.1) for area in areas]
        fits = max(low / ratio for i, ratio in enumerate(ratios) if i != target)
        size = stream.uniform(min(fits, high), high)
        limits = [(low, max(low, min(high, size * ratio))) for ratio in ratios]
    else:
        ratios = [max(math.sqrt(areas[target] / area * _DRAWN_MARGIN), 1.1) for area in areas]
        fits = min(high / ratio for i, ratio in enumerate(ratios) if i != target)
        size = stream.uniform(low, max(fits, low))
        limits = [(min(high, max(low, size * ratio)), high) for ratio in ratios]
    # Where a shape is too slim (too wide) to be the largest (smallest) here, the next attempt may do the opposite.
    return [size if i == target else stream.uniform(*limit) for i, limit in enumerate(limits)]


def _draw_motions(stream: Stream, config: ShapesWorldConfig, cast: Cast, kind: str) -> list[Motion]:
    """Any; for kind "motion" the target alone goes in its direction."""
    if kind != "motion":
        return [draw_motion(stream, config, DIRECTIONS, free=True) for _ in cast.pairs]
    direction = stream.choice(DIRECTIONS)
    others = [name for name in DIRECTIONS if name != direction]
    return [
        draw_straight_motion(stream, config, direction)
        if i == cast.target[0]
        else draw_motion(stream, config, others, free=False)
        for i in range(len(cast.pairs))
    ]
