"""Conversion of original VideoGLaMM checkpoints; nothing outside this package knows their key names."""

from .convert import convert_videoglamm

__all__ = ["convert_videoglamm"]
