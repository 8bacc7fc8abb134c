"""Checkpoints of the original VideoGLaMM, there and back; nothing outside this package knows their key names."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .convert import convert_videoglamm
    from .export import export_videoglamm
    from .part_conversion import convert_part
    from .verification import verify_folder

__getattr__, __dir__, __all__ = lazy_exports(__name__)
