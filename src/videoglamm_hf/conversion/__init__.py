"""Checkpoints of the original VideoGLaMM, there and back; nothing outside this package knows their key names."""

from .convert import convert_videoglamm
from .convert_part import convert_part
from .export import export_videoglamm
from .verification import verify_folder

__all__ = ["convert_part", "convert_videoglamm", "export_videoglamm", "verify_folder"]
