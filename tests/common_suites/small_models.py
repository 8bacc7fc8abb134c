"""The smallest models the suites run on, and inputs for them."""

from typing import Any

import torch

from videoglamm_hf import InternVideo2Config, VideoGlammConfig

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
    width, trunk = 16, [8, 16, 16, 16]
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


def model_inputs(config: VideoGlammConfig, batch: int = BATCH) -> dict[str, torch.Tensor]:
    """Prompts that each ask about a picture and a video."""
    visual = [config.image_token_id] * config.image_seq_length + [config.video_token_id] * config.video_seq_length
    words = torch.randint(3, VOCABULARY - 1, (batch, WORDS))
    input_ids = torch.cat([words[:, :1], torch.tensor([visual] * batch), words[:, 1:]], dim=1)
    return {
        "input_ids": input_ids,
        "attention_mask": torch.ones_like(input_ids),
        "pixel_values": torch.randn(batch, 3, SPATIAL_SIZE, SPATIAL_SIZE),
        "pixel_values_videos": torch.randn(batch, TOWER_FRAMES, 3, SPATIAL_SIZE, SPATIAL_SIZE),
        "temporal_pixel_values_videos": clips(batch),
    }
