"""What a first trainer must know of their data, before they train on it."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .check import DataCheck, check_data
    from .finding import Finding

__getattr__, __dir__, __all__ = lazy_exports(__name__)
