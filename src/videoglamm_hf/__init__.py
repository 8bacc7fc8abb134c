"""VideoGLaMM for transformers: answers about a video in words and in pixel masks, over time.

Importing this package makes its classes known to the Auto* classes of transformers. Everything else, torch and
transformers among it, is imported when it is first used.
"""

from typing import TYPE_CHECKING

from .startup.lazy_exports import lazy_exports
from .startup.registration import register_when_needed

if TYPE_CHECKING:
    from .clip import Clip
    from .clip_sources import open_clip, read_clip
    from .configuration_internvideo2 import InternVideo2Config
    from .configuration_videoglamm import VideoGlammConfig
    from .encoded_video import EncodedVideo
    from .errors import CheckpointError, HubError, InputError, MediaError, OutputError, ResourceError, VideoGlammError
    from .frame_sampling import FrameSampling
    from .generation_output import VideoGlammGenerateOutput
    from .grounded_answer import GroundedAnswer, Phrase
    from .image_processing_videoglamm import VideoGlammImageProcessor
    from .modeling_internvideo2 import InternVideo2Model
    from .modeling_videoglamm import VideoGlammForGroundedGeneration, VideoGlammModel
    from .packed_masks import PackedMasks
    from .processing_videoglamm import VideoGlammProcessor
    from .tracking import FrameMasks
    from .video_processing_videoglamm import VideoGlammVideoProcessor

__version__ = "0.1.0"
__getattr__, __dir__, __all__ = lazy_exports(__name__)

register_when_needed()
