"""Configuration of VideoGLaMM: it composes the four parts and names what joins them."""

from typing import Any

from transformers import AutoConfig, CLIPVisionConfig, PreTrainedConfig, Sam2VideoConfig
from transformers.models.sam2.configuration_sam2 import Sam2HieraDetConfig, Sam2VisionConfig
from transformers.models.sam2_video.configuration_sam2_video import (
    Sam2VideoMaskDecoderConfig,
    Sam2VideoPromptEncoderConfig,
)

from .configuration_checks import check_configuration
from .configuration_internvideo2 import InternVideo2Config
from .errors import InputError
from .explained_loading import ExplainedLoadingMixin, explained
from .transformers_versions import CACHE_NAMES

# Which class of which file the Auto classes take where this package is not installed (`trust_remote_code=True`).
AUTO_MAP = {
    "AutoConfig": "configuration_videoglamm.VideoGlammConfig",
    "AutoModel": "modeling_videoglamm.VideoGlammForGroundedGeneration",
    "AutoModelForImageTextToText": "modeling_videoglamm.VideoGlammForGroundedGeneration",
    "AutoModelForMultimodalLM": "modeling_videoglamm.VideoGlammForGroundedGeneration",
    "AutoImageProcessor": "image_processing_videoglamm.VideoGlammImageProcessor",
    "AutoVideoProcessor": "video_processing_videoglamm.VideoGlammVideoProcessor",
    "AutoProcessor": "processing_videoglamm.VideoGlammProcessor",
}

# Losses that a training output names, as they add up to its `loss`.
LOSS_PARTS = ("ce_loss", "mask_bce_loss", "mask_dice_loss", "mask_iou_loss", "object_score_loss")

# Phi-3-mini-4k-instruct with the vocabulary of the released checkpoint: 32011 tokens + [SEG].
PUBLISHED_TEXT_CONFIG: dict[str, Any] = {
    "model_type": "phi3",
    "vocab_size": 32012,
    "hidden_size": 3072,
    "intermediate_size": 8192,
    "num_hidden_layers": 32,
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "max_position_embeddings": 4096,
    "original_max_position_embeddings": 4096,
    "rms_norm_eps": 1e-5,
    # The original's window W lets position i see W + 1 keys; transformers counts the keys themselves.
    "sliding_window": 2048,
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "pad_token_id": 0,
}

# openai/clip-vit-large-patch14-336
PUBLISHED_SPATIAL_CONFIG: dict[str, Any] = {
    "model_type": "clip_vision_model",
    "hidden_size": 1024,
    "intermediate_size": 4096,
    "num_hidden_layers": 24,
    "num_attention_heads": 16,
    "image_size": 336,
    "patch_size": 14,
    "projection_dim": 768,
}


def published_grounding_config(image_size: int = 1024) -> dict[str, Any]:
    """The SAM 2.0 hiera-large video model as a nested dict, with every size that follows from the image size.

    Args:
        image_size: Height and width in pixels of the pixel decoder's square input; a multiple of 32.
    """
    low, middle, high = image_size // 16, image_size // 8, image_size // 4
    return {
        "model_type": "sam2_video",
        "image_size": image_size,
        # These two exist only from SAM 2.1 on.
        "enable_occlusion_spatial_embedding": False,
        "enable_temporal_pos_encoding_for_object_pointers": False,
        "memory_attention_rope_feat_sizes": [low, low],
        "vision_config": {
            "model_type": "sam2_vision_model",
            "backbone_channel_list": [1152, 576, 288, 144],
            "backbone_feature_sizes": [[high, high], [middle, middle], [low, low]],
            "backbone_config": {
                "model_type": "sam2_hiera_det_model",
                "hidden_size": 144,
                "num_attention_heads": 2,
                "image_size": [image_size, image_size],
                "blocks_per_stage": [2, 6, 36, 4],
                "embed_dim_per_stage": [144, 288, 576, 1152],
                "num_attention_heads_per_stage": [2, 4, 8, 16],
                "window_size_per_stage": [8, 4, 16, 8],
                "global_attention_blocks": [23, 33, 43],
                "window_positional_embedding_background_size": [7, 7],
            },
        },
        "prompt_encoder_config": {"image_size": image_size},
        "mask_decoder_config": {},
    }


def fill_in(given: dict[str, Any], defaults: dict[str, Any]) -> dict[str, Any]:
    """`given` with every key it lacks taken from `defaults`, nested dicts alike."""
    merged = dict(defaults)
    for key, value in given.items():
        nested = isinstance(value, dict) and isinstance(defaults.get(key), dict)
        merged[key] = fill_in(value, defaults[key]) if nested else value
    return merged


def _text_config(given: dict[str, Any]) -> PreTrainedConfig:
    """Any causal language model; a Phi-3 that leaves something out gets the published sizes."""
    if given.get("model_type", "phi3") == "phi3":
        given = fill_in(given, PUBLISHED_TEXT_CONFIG)
    given = dict(given)
    return AutoConfig.for_model(given.pop("model_type"), **given)


def _spatial_config(given: dict[str, Any]) -> CLIPVisionConfig:
    return CLIPVisionConfig(**_without_type(fill_in(given, PUBLISHED_SPATIAL_CONFIG)))


def _temporal_config(given: dict[str, Any]) -> InternVideo2Config:
    return InternVideo2Config(**_without_type(given))


def _grounding_config(given: dict[str, Any]) -> Sam2VideoConfig:
    side = given.get("image_size", 1024)
    if isinstance(side, bool) or not isinstance(side, int):
        raise InputError(f"grounding_config.image_size is {side!r:.80}, and must be a whole number of pixels.")
    given = fill_in(given, published_grounding_config(side))
    # Built part by part: transformers 5.17 reads a mask decoder's dict as a prompt encoder's.
    vision = dict(given.pop("vision_config"))
    vision["backbone_config"] = Sam2HieraDetConfig(**_without_type(vision["backbone_config"]))
    return Sam2VideoConfig(
        vision_config=Sam2VisionConfig(**_without_type(vision)),
        prompt_encoder_config=Sam2VideoPromptEncoderConfig(**_without_type(given.pop("prompt_encoder_config"))),
        mask_decoder_config=Sam2VideoMaskDecoderConfig(**_without_type(given.pop("mask_decoder_config"))),
        **_without_type(given),
    )


def _without_type(config: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in config.items() if key != "model_type"}


def _without_source(config: dict[str, Any]) -> dict[str, Any]:
    """Without the path or repository it was loaded from, which is nobody's business; nested dicts alike."""
    return {
        key: _without_source(value) if isinstance(value, dict) else value
        for key, value in config.items()
        if key != "_name_or_path"
    }


class VideoGlammConfig(ExplainedLoadingMixin, PreTrainedConfig):
    r"""
    Configuration of [`VideoGlammForGroundedGeneration`]. Without arguments it describes the published
    full-size model; a sub-configuration given as a dict is completed with the published values, so a partial
    one (`grounding_config={"image_size": 512}`) is enough.

    Args:
        text_config (`dict` or `PreTrainedConfig`): The language model: any causal LM of transformers
            (Phi-3-mini-4k by default). Its `vocab_size` counts generatable tokens only; the placeholders below
            lie beyond it.
        spatial_config (`dict` or `CLIPVisionConfig`): The spatial tower.
        temporal_config (`dict` or [`InternVideo2Config`]): The temporal tower.
        grounding_config (`dict` or `Sam2VideoConfig`): The pixel decoder.
        num_tower_frames (`int`, defaults to 16): Frames of a video that the towers see; a multiple of the
            temporal tower's `num_frames` (the chunk length).
        spatial_pool_size (`int`, defaults to 12): Side of the grid that a video frame's spatial tokens are
            average-pooled to; pictures keep the full grid.
        temporal_pool_size (`int`, defaults to 8): Side of the grid of a frame's temporal tokens after pooling.
        spatial_feature_layer (`int`, defaults to -2): Hidden state of the spatial tower that is used.
        temporal_feature_layer (`int`, defaults to -2): Hidden state of the temporal tower that is used.
        projector_hidden_act (`str`, defaults to `"gelu"`): Activation between the two linear layers of the
            V->L projectors (`mlp2x_gelu`).
        seg_token_id (`int`, defaults to 32011): Id of `[SEG]`.
        image_token_id (`int`, defaults to 32012): Id that holds the place of a picture's visual tokens. Not
            below the vocabulary size, so it can never be generated.
        video_token_id (`int`, defaults to 32013): The same for a video.
        mask_mode (`str`, defaults to `"video"`): How `generate` decodes masks unless told otherwise:
            `"video"` (first frame prompted, then propagated through memory) or `"framewise"`.
        grounding_batch_size (`int`, defaults to 4): Frames the pixel decoder's image encoder takes at once.
        ce_loss_weight, mask_bce_loss_weight, mask_dice_loss_weight (`float`, default 1.0, 2.0, 0.5): Weights
            of the training loss.
        mask_training_mode (`str`, defaults to `"framewise"`): What the mask losses see: masks of every frame on
            its own, as the original trained, or (`"video"`) masks that went through the tracker and its memory.
        mask_padding_slots (`int`, defaults to 0): Mask slots a training sample has at least; ground truth beyond
            its [SEG] tokens is scored against empty slots. The original used 4. 0 pairs the n-th [SEG] with the
            n-th mask and refuses other counts.
        memory_gradient_frames (`int`, *optional*): In `"video"` training, how many of the newest tracked frames
            keep their gradients in memory; None keeps all that are remembered.
        iou_loss_weight, object_score_loss_weight (`float`, default 0.0): Weights of SAM 2's losses of the
            predicted IoU and of the object score, which the original did not train. With the latter, frames
            without the object teach the score only.
        initializer_range (`float`, defaults to 0.02): Standard deviation of new weights.
    """

    model_type = "videoglamm"
    _called = "configuration"
    # Saving copies the code along, so that the folder loads without this package.
    _auto_class = "AutoConfig"
    keys_to_ignore_at_inference = [
        *CACHE_NAMES,
        "image_hidden_states",
        "video_hidden_states",
        *LOSS_PARTS,
    ]
    sub_configs = {
        "text_config": AutoConfig,
        "spatial_config": CLIPVisionConfig,
        "temporal_config": InternVideo2Config,
        "grounding_config": Sam2VideoConfig,
    }

    text_config: dict | PreTrainedConfig | None = None
    spatial_config: dict | PreTrainedConfig | None = None
    temporal_config: dict | PreTrainedConfig | None = None
    grounding_config: dict | PreTrainedConfig | None = None
    num_tower_frames: int = 16
    spatial_pool_size: int = 12
    temporal_pool_size: int = 8
    spatial_feature_layer: int = -2
    temporal_feature_layer: int = -2
    projector_hidden_act: str = "gelu"
    seg_token_id: int = 32011
    image_token_id: int = 32012
    video_token_id: int = 32013
    mask_mode: str = "video"
    grounding_batch_size: int = 4
    ce_loss_weight: float = 1.0
    mask_bce_loss_weight: float = 2.0
    mask_dice_loss_weight: float = 0.5
    mask_training_mode: str = "framewise"
    mask_padding_slots: int = 0
    memory_gradient_frames: int | None = None
    iou_loss_weight: float = 0.0
    object_score_loss_weight: float = 0.0
    initializer_range: float = 0.02
    tie_word_embeddings: bool = False

    def __post_init__(self, **kwargs: Any) -> None:
        for name, build in (
            ("text_config", _text_config),
            ("spatial_config", _spatial_config),
            ("temporal_config", _temporal_config),
            ("grounding_config", _grounding_config),
        ):
            given = getattr(self, name)
            if given is not None and not isinstance(given, (dict, PreTrainedConfig)):
                raise InputError(f"{name} is {given!r:.80}; it must be an object with the fields of that part.")
            if given is None or isinstance(given, dict):
                with explained(name):
                    setattr(self, name, build(given or {}))
        with explained("The configuration"):
            super().__post_init__(**kwargs)
        check_configuration(self)

    def __setattr__(self, name: str, value: Any) -> None:
        # The base class checks types of its own fields as they are set.
        with explained(f"{name} of the configuration"):
            super().__setattr__(name, value)

    @property
    def image_seq_length(self) -> int:
        """Visual tokens of a picture: every patch of the spatial tower."""
        return (self.spatial_config.image_size // self.spatial_config.patch_size) ** 2

    @property
    def video_seq_length(self) -> int:
        """Visual tokens of a video: pooled spatial tokens of every frame, then pooled temporal ones."""
        return self.num_tower_frames * (self.spatial_pool_size**2 + self.temporal_pool_size**2)

    def to_dict(self) -> dict[str, Any]:
        # Always our own: a loaded configuration may name somebody's repository.
        return {**super().to_dict(), "auto_map": dict(AUTO_MAP)}

    def to_diff_dict(self) -> dict[str, Any]:
        # Written in full: a missing value would be read back as the published one, not the library's default.
        return _without_source(self.to_dict())


__all__ = ["VideoGlammConfig"]
