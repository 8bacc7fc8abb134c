"""A small world of moving coloured shapes, with exact masks, questions and grounded answers.

It trains and tests a tiny model from scratch, and gives the demo its video. Made of numpy alone; every clip is
determined by its seed, split and index, on every machine.
"""

from .config import COLOURS, DIRECTIONS, KINDS, PAIR_KINDS, SHAPES, SPLITS, ShapesWorldConfig
from .dataset import SceneTargets, ShapesWorldDataset, demo_clip, scene_targets
from .questions import Question, main_question, sample_scene_questions, split_words, vocabulary
from .recipes import sample_scene
from .scene import Scene, SceneObject

__all__ = [
    "COLOURS",
    "DIRECTIONS",
    "KINDS",
    "PAIR_KINDS",
    "SHAPES",
    "SPLITS",
    "Question",
    "Scene",
    "SceneObject",
    "SceneTargets",
    "ShapesWorldConfig",
    "ShapesWorldDataset",
    "demo_clip",
    "main_question",
    "sample_scene",
    "sample_scene_questions",
    "scene_targets",
    "split_words",
    "vocabulary",
]
