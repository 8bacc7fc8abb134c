"""Answers and masks judged as the field does: the figures, and scores of what is predicted for a benchmark."""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .captions import caption_scores, clean_caption
    from .grounded_captions import score_grounded_caption
    from .merging import merge_expressions
    from .moments import score_moment
    from .video_masks import boundary_accuracy, region_similarity, sequence_statistics

__getattr__, __dir__, __all__ = lazy_exports(__name__)
