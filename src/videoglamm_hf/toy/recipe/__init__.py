"""The parts of `train_tiny.py`: a small VideoGLaMM, what it learns from, and the stages it learns in."""
