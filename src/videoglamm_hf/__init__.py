"""VideoGLaMM for transformers: answers about a video in words and in pixel masks, over time.

Importing this package registers its classes with the Auto* classes of transformers.
"""

from transformers import (
    AutoConfig,
    AutoImageProcessor,
    AutoModel,
    AutoModelForImageTextToText,
    AutoModelForMultimodalLM,
    AutoProcessor,
)
from transformers.models.auto.video_processing_auto import AutoVideoProcessor  # the top's needs torchvision

from .clip import Clip
from .clip_sources import open_clip, read_clip
from .configuration_internvideo2 import InternVideo2Config
from .configuration_videoglamm import VideoGlammConfig
from .encoded_video import EncodedVideo
from .errors import CheckpointError, HubError, InputError, MediaError, OutputError, ResourceError, VideoGlammError
from .frame_sampling import FrameSampling
from .generation_videoglamm import VideoGlammGenerateOutput
from .image_processing_videoglamm import VideoGlammImageProcessor
from .modeling_internvideo2 import InternVideo2Model
from .modeling_videoglamm import VideoGlammForGroundedGeneration, VideoGlammModel
from .packed_masks import PackedMasks
from .processing_videoglamm import GroundedAnswer, VideoGlammProcessor
from .prompting import Phrase
from .tracking import FrameMasks
from .video_processing_videoglamm import VideoGlammVideoProcessor

__version__ = "0.1.0"

AutoConfig.register("internvideo2", InternVideo2Config)
AutoModel.register(InternVideo2Config, InternVideo2Model)
AutoConfig.register("videoglamm", VideoGlammConfig)
AutoImageProcessor.register(
    VideoGlammConfig, image_processor_classes=dict.fromkeys(("pil", "torchvision"), VideoGlammImageProcessor)
)
AutoVideoProcessor.register(VideoGlammConfig, VideoGlammVideoProcessor)
AutoProcessor.register(VideoGlammConfig, VideoGlammProcessor)
# AutoModel gives the class that generates: there is no use for VideoGLaMM without its heads.
AutoModel.register(VideoGlammConfig, VideoGlammForGroundedGeneration)
AutoModelForImageTextToText.register(VideoGlammConfig, VideoGlammForGroundedGeneration)
AutoModelForMultimodalLM.register(VideoGlammConfig, VideoGlammForGroundedGeneration)

__all__ = [
    "CheckpointError",
    "Clip",
    "EncodedVideo",
    "FrameMasks",
    "FrameSampling",
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
    "VideoGlammConfig",
    "VideoGlammError",
    "VideoGlammForGroundedGeneration",
    "VideoGlammGenerateOutput",
    "VideoGlammImageProcessor",
    "VideoGlammModel",
    "VideoGlammProcessor",
    "VideoGlammVideoProcessor",
    "open_clip",
    "read_clip",
]
