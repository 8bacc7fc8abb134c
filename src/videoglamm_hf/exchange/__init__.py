"""Masks of other tools brought in and taken out: a module for each format, one structure between them.

`read` of a format gives [`AnnotatedVideo`]s, `write` takes them; masks stay run-length encoded all the way.
"""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .annotated_video import AnnotatedObject, AnnotatedVideo
    from .exporting import ExportReport, export_data
    from .importing import ImportReport, import_data

__getattr__, __dir__, __all__ = lazy_exports(__name__)
