"""A question asked of what is going on: masks frame by frame while frames arrive."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .live_session import LiveAnswer, LiveSession

__getattr__, __dir__, __all__ = lazy_exports(__name__)
