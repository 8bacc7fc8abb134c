"""The smallest models the suites run on, and inputs for them."""

from collections.abc import Collection
from typing import Any

import torch

from videoglamm_hf import InternVideo2Config, VideoGlammConfig, VideoGlammForGroundedGeneration

# As many as the attention suite takes, which fills fewer up with random rows.
BATCH = 7
VOCABULARY = 60
SEG, IMAGE, VIDEO = VOCABULARY - 1, VOCABULARY, VOCABULARY + 1
TOWER_FRAMES = 2
# 4 x 4 patches of 8 pixels.
SPATIAL_SIZE = 32
TEMPORAL_SIZE = 16
WORDS = 5


def temporal_config() -> InternVideo2Config:
    return InternVideo2Config(
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        image_size=TEMPORAL_SIZE,
        patch_size=8,
        num_frames=TOWER_FRAMES,
        layer_scale_init_value=1.0,
    )


def model_config() -> VideoGlammConfig:
    text = {
        "model_type": "phi3",
        "vocab_size": VOCABULARY,
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "max_position_embeddings": 256,
        "original_max_position_embeddings": 256,
        "sliding_window": None,
        "bos_token_id": 1,
        "eos_token_id": 2,
        "pad_token_id": 0,
    }
    spatial = {
        "hidden_size": 32,
        "intermediate_size": 48,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "image_size": SPATIAL_SIZE,
        "patch_size": 8,
        "projection_dim": 16,
    }
    return VideoGlammConfig(
        text_config=text,
        spatial_config=spatial,
        temporal_config=temporal_config().to_dict(),
        grounding_config=_grounding_config(),
        num_tower_frames=TOWER_FRAMES,
        spatial_pool_size=2,
        temporal_pool_size=1,
        spatial_feature_layer=-1,
        temporal_feature_layer=-1,
        seg_token_id=SEG,
        image_token_id=IMAGE,
        video_token_id=VIDEO,
    )


def _grounding_config() -> dict[str, Any]:
    """A SAM 2 video model for 32-pixel frames."""
    # Memories are 64 wide in SAM 2 whatever the config says, and the widths of stages must grow.
    width, trunk = 64, [8, 16, 24, 32]
    return {
        "image_size": 32,
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 1,
        "memory_attention_num_attention_heads": 1,
        "memory_attention_feed_forward_hidden_size": 16,
        "memory_attention_rope_feat_sizes": [2, 2],
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_num_layers": 1,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 16,
        "vision_config": {
            "fpn_hidden_size": width,
            "backbone_channel_list": trunk[::-1],
            "backbone_feature_sizes": [[8, 8], [4, 4], [2, 2]],
            "backbone_config": {
                "hidden_size": trunk[0],
                "num_attention_heads": 1,
                "image_size": [32, 32],
                "blocks_per_stage": [1, 1, 1, 1],
                "embed_dim_per_stage": trunk,
                "num_attention_heads_per_stage": [1, 1, 1, 1],
                "window_size_per_stage": [8, 4, 2, 1],
                "global_attention_blocks": [],
                "window_positional_embedding_background_size": [2, 2],
                "mlp_ratio": 2.0,
            },
        },
        "prompt_encoder_config": {"hidden_size": width, "image_size": 32},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": 16,
            "num_hidden_layers": 1,
            "num_attention_heads": 1,
            "iou_head_hidden_dim": 16,
            "iou_head_depth": 2,
        },
    }


def clips(batch: int = BATCH) -> torch.Tensor:
    """Input of the temporal tower."""
    return torch.randn(batch, TOWER_FRAMES, 3, TEMPORAL_SIZE, TEMPORAL_SIZE)


def model_inputs(
    config: VideoGlammConfig, batch: int = BATCH, kinds: Collection[str] = ("image", "video")
) -> dict[str, torch.Tensor]:
    """Prompts that each ask about a picture and a video, or about what else `kinds` says."""
    visual = ([config.image_token_id] * config.image_seq_length) * ("image" in kinds)
    visual += ([config.video_token_id] * config.video_seq_length) * ("video" in kinds)
    words = torch.randint(3, VOCABULARY - 1, (batch, WORDS))
    placeholders = torch.tensor([visual] * batch, dtype=torch.long)
    input_ids = torch.cat([words[:, :1], placeholders, words[:, 1:]], dim=1)
    inputs = {"input_ids": input_ids, "attention_mask": torch.ones_like(input_ids)}
    if "image" in kinds:
        inputs["pixel_values"] = torch.randn(batch, 3, SPATIAL_SIZE, SPATIAL_SIZE)
    if "video" in kinds:
        inputs["pixel_values_videos"] = torch.randn(batch, TOWER_FRAMES, 3, SPATIAL_SIZE, SPATIAL_SIZE)
        inputs["temporal_pixel_values_videos"] = clips(batch)
    return inputs


def grounding_inputs(batch: int, num_frames: int = 3, size: tuple[int, int] = (20, 24)) -> dict[str, Any]:
    """What `generate` takes besides, to answer with masks: frames of the pixel decoder, and the masks' size."""
    # As the processor makes them: 32 pixels on the longest side.
    frames = [torch.randint(0, 256, (num_frames, 3, 27, 32), dtype=torch.uint8) for _ in range(batch)]
    return {"grounding_frames": frames, "original_sizes": torch.tensor([size] * batch)}


def outspoken_model(seed: int = 0, **options: Any) -> VideoGlammForGroundedGeneration:
    """An untrained model whose answers depend on all it sees and reads, and never end; untrained ones repeat a word.

    Args:
        seed: Of its weights.
        options: As in `_from_config`.
    """
    torch.manual_seed(seed)
    model = VideoGlammForGroundedGeneration._from_config(model_config(), **options).eval()
    for weight in model.parameters():
        if weight.ndim > 1:
            torch.nn.init.normal_(weight, std=(weight[0].numel() ** -0.5) * 1.5)
    # Objects are in the frame, so that masks are not all empty.
    torch.nn.init.constant_(model.pixel_decoder.mask_decoder.pred_obj_score_head.proj_out.bias, 3.0)
    return model
