"""Training data made of data sets without grounded sentences: masks from boxes, and a language model that writes."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .estimate import Estimate
    from .make import MakeReport, make_data
    from .writer import Writer

__getattr__, __dir__, __all__ = lazy_exports(__name__)
