"""Colours that every eye tells apart."""

import itertools

import numpy as np
import pytest

from videoglamm_hf.errors import InputError
from videoglamm_hf.render.colors import object_colors


def seen_with_missing_cones(color: tuple[int, int, int]) -> list[np.ndarray]:
    """The colour in linear light for a trichromat, a deuteranope and a protanope (Viénot et al. 1999)."""
    linear = (np.array(color) / 255) ** 2.2
    deuteranope = np.array([[0.29275, 0.70725, 0], [0.29275, 0.70725, 0], [-0.02234, 0.02234, 1]])
    protanope = np.array([[0.11238, 0.88762, 0], [0.11238, 0.88762, 0], [0.00401, -0.00401, 1]])
    return [np.clip(matrix @ linear, 0, 1) ** (1 / 2.2) * 255 for matrix in (np.eye(3), deuteranope, protanope)]


def test_the_first_colors_differ_for_every_eye():
    seen = [seen_with_missing_cones(color) for color in object_colors(7)]
    for one, other in itertools.combinations(seen, 2):
        assert min(np.linalg.norm(a - b) for a, b in zip(one, other, strict=True)) > 25


def test_many_colors_are_stable_and_distinct():
    colors = object_colors(40)
    assert len(set(colors)) == 40
    assert all(object_colors(n) == colors[:n] for n in range(40))
    assert all(0 <= channel <= 255 and isinstance(channel, int) for color in colors for channel in color)
    first = np.array(object_colors(16), float)
    distances = np.linalg.norm(first[:, None] - first, axis=-1) + 1e9 * np.eye(16)
    assert distances.min() > 30


def test_a_negative_number_of_colors_is_refused():
    with pytest.raises(InputError, match="-1"):
        object_colors(-1)
