"""Training data: what a sample is, and readers of the layouts it comes in. Does not travel with a model to the Hub.

Every reader is a map-style dataset of samples as [`sample`] describes them, and pickles, so that torch's
`DataLoader` takes it as it is. Annotations are parsed once; no video is decoded and no mask becomes pixels before
[`decode_masks`] is called.
"""

from typing import TYPE_CHECKING

from ..startup.lazy_exports import lazy_exports

if TYPE_CHECKING:
    from .anet_entities import AnetEntitiesDataset
    from .collator import VideoGlammDataCollator
    from .feature_cache import FeatureCache, cache_features
    from .gcg import GcgDataset
    from .grandf import GrandFDataset
    from .hc_stvg import HcStvgDataset
    from .jsonl import JsonlDataset, write_jsonl
    from .jsonl_validation import validate_jsonl
    from .masks import decode_masks
    from .mevis import MevisDataset
    from .reason_vos import ReasonVOSDataset
    from .ref_davis import RefDavisDataset
    from .ref_youtube_vos import RefYoutubeVosDataset
    from .refcoco import RefCocoDataset
    from .revos import ReVOSDataset
    from .sample import check_sample
    from .vidstg import VidStgDataset

__getattr__, __dir__, __all__ = lazy_exports(__name__)
