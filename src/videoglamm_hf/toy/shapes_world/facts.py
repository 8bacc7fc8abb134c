"""What is true of a scene as it is seen; questions ask for nothing else."""

import itertools

import numpy as np

from .config import SIZE_MARGIN
from .scene import Scene

# In frame sides, over the frames in which an object is seen.
_MOVES, _STRAIGHT, _OTHERWISE = 0.15, 0.35, 0.08
_AXES = {"left": (0, -1), "right": (0, 1), "up": (1, -1), "down": (1, 1)}


def is_in_clear_view(scene: Scene) -> bool:
    """Whether of every object at least half is seen in more than half of the frames."""
    full = np.array([o.area for o in scene.objects]) * scene.config.frame_size**2
    frames = (2 * scene.visible_pixels >= full[:, None]).sum(1)
    return bool((2 * frames > scene.config.num_frames).all())


def travel(scene: Scene, index: int) -> np.ndarray:
    """How far an object goes between the first and the last frame it is seen in, float64 `[2]`, frame sides."""
    seen = np.flatnonzero(scene.visible_pixels[index])
    centres = scene.objects[index].centres
    return centres[seen[-1]] - centres[seen[0]] if seen.size else np.zeros(2)


def direction(scene: Scene, index: int) -> str | None:
    """The direction an object clearly moves in, "still", or None where neither can be said."""
    way = travel(scene, index)
    # An object that is hardly ever seen has no travel, yet may move.
    if not np.ptp(scene.objects[index].centres, axis=0).any():
        return "still"
    for name, (axis, sign) in _AXES.items():
        along, across = sign * way[axis], abs(way[1 - axis])
        if along >= _MOVES and across <= _STRAIGHT * along:
            return name
    return None


def moves(scene: Scene, index: int) -> bool:
    """Whether an object is clearly seen to move, slantwise or not."""
    return bool(np.abs(travel(scene, index)).max() >= _MOVES)


def mover(scene: Scene, name: str) -> int | None:
    """The only object that moves in a direction, if no other one moves that way even a little."""
    axis, sign = _AXES[name]
    others = [i for i in range(len(scene.objects)) if direction(scene, i) != name]
    if len(others) != len(scene.objects) - 1:
        return None
    if any(sign * travel(scene, i)[axis] > _OTHERWISE for i in others):
        return None
    return next(i for i in range(len(scene.objects)) if i not in others)


def extreme(scene: Scene, largest: bool) -> int | None:
    """The largest (smallest) object, if it is by far: in area, in width, and in pixels ever seen at once."""
    if len(scene.objects) < 2:
        return None
    measures = (
        ([o.area for o in scene.objects], SIZE_MARGIN),
        (scene.visible_pixels.max(1).tolist(), SIZE_MARGIN),
        ([o.size for o in scene.objects], 1.1),
    )
    order = sorted(range(len(scene.objects)), key=lambda i: scene.objects[i].area, reverse=largest)
    first, rest = order[0], order[1:]
    for values, margin in measures:
        for i in rest:
            more, less = (values[first], values[i]) if largest else (values[i], values[first])
            if more < margin * less:
                return None
    return first


def telling_order(scene: Scene) -> tuple[int, ...] | None:
    """All objects in the order a caption names them, if that is clear.

    One that passes the other comes first; else they go from left to right in the middle frame.
    """
    order = sorted(range(len(scene.objects)), key=lambda i: _middle(scene, i))
    if len(order) == 2:
        for first, second in (order, order[::-1]):
            if passes(scene, first, second):
                return first, second
    gaps = [_middle(scene, b) - _middle(scene, a) for a, b in itertools.pairwise(order)]
    return tuple(order) if all(gap >= 0.05 for gap in gaps) else None


def passes(scene: Scene, first: int, second: int) -> bool:
    """Whether the first object, clearly the faster, comes from behind the second and gets past it."""
    both = np.flatnonzero((scene.visible_pixels[[first, second]] > 0).all(0))
    if both.size < 2:
        return False
    a, b = (scene.objects[i].centres[both[[0, -1]]] for i in (first, second))
    way, other_way = a[1] - a[0], b[1] - b[0]
    axis = int(np.abs(way).argmax())
    if abs(way[axis]) < _MOVES or abs(way[axis]) < 1.5 * np.abs(other_way).max():
        return False
    sign = 1 if way[axis] > 0 else -1
    before, after = sign * (a - b)[:, axis]
    return bool(before <= -0.08 and after >= 0.08)


def _middle(scene: Scene, index: int) -> float:
    return float(scene.objects[index].centres[scene.config.num_frames // 2][0])
