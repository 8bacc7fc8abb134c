"""One answer to look at in a browser: the same page for a notebook, a file, the command line and the app."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .document import player_document
    from .page import player_page
    from .view import AnswerView, answer_view

__getattr__, __dir__, __all__ = lazy_exports(__name__)
