"""A small VideoGLaMM to try, test and learn with: its world of shapes, its recipe, and the trained model.

`model/` is what `make demo` and `videoglamm segment` without `--model` run: every part of VideoGLaMM, five million
parameters, at home among coloured shapes; `examples/train_tiny.py` trains it by the recipe here. What it can do, and
what it cannot, is in `MODEL_CARD.md` beside its weights.
"""

from pathlib import Path

# A folder as `save_pretrained` writes it.
TINY_MODEL = Path(__file__).parent / "model"
