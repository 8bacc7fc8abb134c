"""Worlds and measures the tests share; none of it comes from the code under test but the types."""

import numpy as np
from hypothesis import strategies as st

from videoglamm_hf.toy.shapes_world import COLOURS, KINDS, SHAPES, ShapesWorldConfig

# (split, kind) of every kind there is.
EVERY_KIND = [
    *(("train", kind) for kind in KINDS if kind != "unseen_pairs"),
    *(("held_out", kind) for kind in KINDS),
]


@st.composite
def configs(draw: st.DrawFn) -> ShapesWorldConfig:
    """Worlds of many sizes, casts and mixtures, all of which can be drawn."""
    colours = tuple(draw(st.permutations(COLOURS))[: draw(st.integers(3, len(COLOURS)))])
    shapes = tuple(draw(st.permutations(SHAPES))[: draw(st.integers(3, len(SHAPES)))])
    # One pair per colour and per shape at most leaves each two others.
    held_out = tuple(zip(colours, shapes, strict=False))[: draw(st.integers(1, 3))]
    max_objects = draw(st.integers(2, 4))
    min_size = draw(st.floats(0.15, 0.3))
    rates = st.floats(0, 1)
    return ShapesWorldConfig(
        frame_size=draw(st.integers(48, 100)),
        num_frames=draw(st.integers(4, 10)),
        colours=colours,
        shapes=shapes,
        held_out_pairs=held_out,
        min_objects=draw(st.integers(1, max_objects)),
        max_objects=max_objects,
        min_size=min_size,
        max_size=min_size * draw(st.floats(1.5, 1.75)),
        max_rotation=draw(st.floats(0, 45)),
        still_rate=draw(rates),
        enter_leave_rate=draw(st.floats(0, 0.5)),
        same_colour_rate=draw(rates),
        same_shape_rate=draw(rates),
        hard_negative_rate=draw(rates),
        noise_level=draw(st.integers(0, 20)),
        colour_jitter=draw(st.integers(0, 20)),
    )


def shrink(mask: np.ndarray, pixels: int) -> np.ndarray:
    """A mask `[T, H, W]` without the pixels near its edge or the frame's."""
    inner = mask.copy()
    for axis in (1, 2):
        padded = np.pad(inner, [(pixels, pixels) if i == axis else (0, 0) for i in range(3)])
        for shift in range(2 * pixels + 1):
            inner &= padded.take(range(shift, shift + mask.shape[axis]), axis)
    return inner
