"""Values no world can be made of are refused with what to do."""

import pytest

from videoglamm_hf.errors import InputError
from videoglamm_hf.toy.shapes_world import COLOURS, SHAPES, ShapesWorldConfig, sample_scene


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"frame_size": 16}, "frame_size is 16: use a whole number from 32"),
        ({"frame_size": 96.0}, "frame_size"),
        ({"num_frames": 1}, "num_frames is 1: use"),
        ({"num_frames": True}, "num_frames"),
        ({"max_objects": 1}, "max_objects is 1: use"),
        ({"min_objects": 4, "max_objects": 3}, "lower min_objects"),
        ({"min_size": 0.5}, "raise max_size"),
        ({"min_size": 0.3, "max_size": 0.32}, "clearly the largest"),
        ({"max_size": float("nan")}, "max_size is nan"),
        ({"max_rotation": 90}, "max_rotation is 90: use a number from 0 to 45"),
        ({"min_travel": 0.0}, "min_travel"),
        ({"same_colour_rate": 1.5}, "same_colour_rate is 1.5: use a number from 0 to 1"),
        ({"still_rate": "0.5"}, "still_rate"),
        ({"noise_level": -1}, "noise_level"),
        ({"shapes": ("circle", "hexagon")}, "use a tuple of different ones of circle"),
        ({"shapes": ["circle", "square"]}, "shapes"),
        ({"shapes": ("circle", "circle")}, "shapes"),
        ({"shapes": (["circle"],)}, "shapes"),
        ({"colours": ("red", "orange")}, "colours"),
        ({"colours": (), "held_out_pairs": ()}, "hold out fewer pairs"),
        ({"shapes": ("circle", "square")}, "held_out_pairs"),
        ({"held_out_pairs": (("red", "hexagon"),)}, "made of this configuration's"),
        ({"held_out_pairs": "red circle"}, "held_out_pairs"),
        ({"held_out_pairs": tuple(("red", shape) for shape in SHAPES[1:])}, "hold out fewer pairs"),
        ({"kind_weights": ()}, "pairs"),
        ({"kind_weights": 3}, "pairs"),
        ({"kind_weights": (("referring", "1"),)}, "pairs"),
        ({"kind_weights": (("unseen_pairs", 1.0),)}, "kind_weights names"),
        ({"kind_weights": (("caption", 1.0), ("caption", 1.0))}, "once at most"),
        ({"kind_weights": (("caption", -1.0), ("size", 2.0))}, "not negative"),
        ({"kind_weights": (("caption", float("nan")),)}, "not negative"),
        ({"kind_weights": (("caption", 0.0),)}, "above 0"),
    ],
)
def test_bad_values_are_refused(options, says):
    with pytest.raises(InputError, match=says):
        ShapesWorldConfig(**options)


def test_a_world_too_crowded_says_what_to_do():
    config = ShapesWorldConfig(min_objects=8, max_objects=8, min_size=0.41, max_size=0.6)
    with pytest.raises(InputError, match="lower max_objects"):
        sample_scene(config)


def test_every_pair_is_seen_or_held_out():
    config = ShapesWorldConfig()
    assert len(config.held_out_pairs) == 6
    assert not set(config.seen_pairs()) & set(config.held_out_pairs)
    assert len(config.seen_pairs()) + 6 == len(COLOURS) * len(SHAPES) == 60
