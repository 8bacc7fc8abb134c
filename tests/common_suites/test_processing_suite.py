"""`ProcessorTesterMixin` on VideoGlammProcessor."""

import unittest
from typing import Any
from unittest.mock import patch

import numpy as np
from transformers import PreTrainedTokenizerBase

from tests.common_suites import small_models
from tests.common_suites.exclusions import excluding
from tests.common_suites.source import suite, suite_version
from videoglamm_hf import VideoGlammImageProcessor, VideoGlammProcessor, VideoGlammVideoProcessor
from videoglamm_hf.toy.recipe.building import CHAT_TEMPLATE, build_tokenizer

common = suite("test_processing_common")

ONE_VISUAL = "asks about a picture and a video (and a sound) in one prompt, and a prompt has one at most"
NO_RESCALING = "asks for do_rescale: pixels are made as the original makes them, and nothing of that is an option"
UNKNOWN_OPTION = "gives the image processor an option it does not have, which is an error here and not an attribute"
EXCLUDED = {
    "test_args_overlap_kwargs": UNKNOWN_OPTION,
    "test_save_load_pretrained_additional_features": UNKNOWN_OPTION,
    "test_model_input_names": ONE_VISUAL,
    "test_flat_kwarg_applied_when_modality_dict_lacks_it": ONE_VISUAL,
    "test_processor_with_multiple_inputs": ONE_VISUAL,
    "test_processor_text_has_no_visual": ONE_VISUAL,
    "test_kwargs_overrides_default_subprocessor_kwargs_*": NO_RESCALING,
    "test_structured_kwargs_nested_from_dict_*": NO_RESCALING,
    "test_subprocessor_defaults_preserved_by_kwargs_*": NO_RESCALING,
    "test_unstructured_kwargs_*": NO_RESCALING,
    "test_subprocessor_defaults_0_text": "a text without a chat template's markup becomes a user turn",
    "test_apply_chat_template_video_frame_sampling": (
        "counts sampled frames in the towers' pixels, which are always config.num_tower_frames; see test_frame_times"
    ),
}

if suite_version() == "5.17.0":
    # Later suites ask the processor's skip_tensor_conversion.
    EXCLUDED |= {
        f"test_apply_chat_template_{kind}_*": "asks for tensors of everything, and frames differ in number by sample"
        for kind in ("image", "video", "decoded_video")
    }


@excluding(EXCLUDED)
class VideoGlammProcessorTest(common.ProcessorTesterMixin, unittest.TestCase):
    processor_class = VideoGlammProcessor

    @classmethod
    def _setup_tokenizer(cls) -> PreTrainedTokenizerBase:
        return build_tokenizer()

    @classmethod
    def _setup_image_processor(cls) -> VideoGlammImageProcessor:
        return VideoGlammImageProcessor(spatial_image_size=small_models.SPATIAL_SIZE, grounding_image_size=32)

    @classmethod
    def _setup_video_processor(cls) -> VideoGlammVideoProcessor:
        return VideoGlammVideoProcessor(
            num_tower_frames=small_models.TOWER_FRAMES,
            spatial_image_size=small_models.SPATIAL_SIZE,
            temporal_image_size=small_models.TEMPORAL_SIZE,
            grounding_image_size=32,
        )

    @staticmethod
    def prepare_processor_dict() -> dict[str, Any]:
        config = small_models.model_config()
        return {
            "chat_template": CHAT_TEMPLATE,
            "image_seq_length": config.image_seq_length,
            "video_seq_length": config.video_seq_length,
        }

    def prepare_videos_inputs(self, batch_size: int | None = None) -> Any:
        # Frames as they are shown, channels last.
        video = np.random.randint(255, size=(8, 30, 40, 3), dtype=np.uint8)
        return video if batch_size is None else [video] * batch_size

    def _test_apply_chat_template(self, *args: Any, **kwargs: Any) -> None:
        # The suite takes token ids alone for the default of tokenize=True; ours is everything.
        ours = VideoGlammProcessor.apply_chat_template

        def ids_by_default(
            processor: VideoGlammProcessor, *args: Any, return_dict: bool = False, **options: Any
        ) -> Any:
            return ours(processor, *args, return_dict=return_dict, **options)

        with patch.object(VideoGlammProcessor, "apply_chat_template", ids_by_default):
            super()._test_apply_chat_template(*args, **kwargs)
