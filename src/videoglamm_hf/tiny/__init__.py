"""A small trained model: every part of VideoGLaMM, five million parameters, at home among coloured shapes.

It is what `make demo` and `videoglamm segment` without `--model` run; `examples/train_tiny.py` trains it. What it can
do, and what it cannot, is in `MODEL_CARD.md` beside this file.
"""

from pathlib import Path

# A folder as `save_pretrained` writes it.
TINY_MODEL = Path(__file__).parent
