"""VideoGLaMM for transformers: answers about a video in words and in pixel masks, over time.

Importing this package registers its classes with the Auto* classes of transformers.
"""

from transformers import (
    AutoConfig,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)

from .configuration_internvideo2 import InternVideo2Config
from .configuration_videoglamm import VideoGlammConfig
from .errors import CheckpointError, HubError, InputError, MediaError, OutputError, ResourceError, VideoGlammError
from .generation_videoglamm import VideoGlammGenerateOutput
from .modeling_internvideo2 import InternVideo2Model
from .modeling_videoglamm import VideoGlammForGroundedGeneration, VideoGlammModel
from .packed_masks import PackedMasks
from .processing_videoglamm import GroundedAnswer, VideoGlammProcessor
from .prompting import Phrase
from .tracking import FrameMasks
from .video_features import VideoFeatures

__version__ = "0.1.0"

AutoConfig.register("internvideo2", InternVideo2Config)
AutoModel.register(InternVideo2Config, InternVideo2Model)
AutoConfig.register("videoglamm", VideoGlammConfig)
AutoProcessor.register(VideoGlammConfig, VideoGlammProcessor)
# AutoModel gives the class that generates: there is no use for VideoGLaMM without its heads.
AutoModel.register(VideoGlammConfig, VideoGlammForGroundedGeneration)
AutoModelForImageTextToText.register(VideoGlammConfig, VideoGlammForGroundedGeneration)
AutoModelForMultimodalLM.register(VideoGlammConfig, VideoGlammForGroundedGeneration)

__all__ = [
    "CheckpointError",
    "FrameMasks",
    "GroundedAnswer",
    "HubError",
    "InputError",
    "InternVideo2Config",
    "InternVideo2Model",
    "MediaError",
    "OutputError",
    "PackedMasks",
    "Phrase",
    "ResourceError",
    "VideoFeatures",
    "VideoGlammConfig",
    "VideoGlammError",
    "VideoGlammForGroundedGeneration",
    "VideoGlammGenerateOutput",
    "VideoGlammModel",
    "VideoGlammProcessor",
]
