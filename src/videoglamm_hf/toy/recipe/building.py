"""A VideoGLaMM of five million parameters with every part the published one has, and its processor.

Sizes are chosen for two CPU cores: 96-pixel frames, four tower frames, 100 visual tokens of a video.
"""

import torch
from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from torch import nn
from transformers import PreTrainedTokenizerFast

from videoglamm_hf import VideoGlammConfig, VideoGlammForGroundedGeneration, VideoGlammProcessor
from videoglamm_hf.messages import IMAGE_TOKEN, SEG_TOKEN, VIDEO_TOKEN
from videoglamm_hf.toy.shapes_world import vocabulary

FRAME_SIZE = 96
TEMPORAL_SIZE = 48
TOWER_FRAMES = 4
CONTEXT = 1024
PAD, UNKNOWN, END, USER, ASSISTANT, SYSTEM = "<pad>", "<unk>", "<|end|>", "<|user|>", "<|assistant|>", "<|system|>"

# Phi-3's without a system message of its own.
CHAT_TEMPLATE = (
    "{%- for turn in messages -%}"
    "{%- if turn.role == 'assistant' -%}"
    "{{- '<|assistant|>\\n' -}}"
    "{%- generation -%}"
    "{%- for part in turn.content -%}{{- part.text -}}{%- endfor -%}{{- '<|end|>' -}}"
    "{%- endgeneration -%}"
    "{{- '' if loop.last else '\\n' -}}"
    "{%- else -%}"
    "{{- '<|' + turn.role + '|>\\n' -}}"
    "{%- for part in turn.content if part.type != 'text' -%}{{- '<' + part.type + '>\\n' -}}{%- endfor -%}"
    "{%- for part in turn.content if part.type == 'text' -%}{{- part.text -}}{%- endfor -%}{{- '<|end|>\\n' -}}"
    "{%- endif -%}"
    "{%- endfor -%}"
    "{{- '<|assistant|>\\n' if add_generation_prompt else '' -}}"
)


def build_tokenizer() -> PreTrainedTokenizerFast:
    """One token per word of the shapes world; any other word is `<unk>`."""
    words = [PAD, UNKNOWN, *(word for word in vocabulary() if word != SEG_TOKEN)]
    backend = Tokenizer(models.WordLevel({word: i for i, word in enumerate(words)}, unk_token=UNKNOWN))
    backend.pre_tokenizer = pre_tokenizers.Split(Regex(r"</?p>|\w+|[^\w\s]"), "removed", invert=True)
    # Joins words by spaces, and marks to the word before them.
    backend.decoder = decoders.WordPiece(prefix="##", cleanup=True)
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token=PAD, unk_token=UNKNOWN, eos_token=END, model_max_length=CONTEXT
    )
    tokenizer.add_tokens([END, USER, ASSISTANT, SYSTEM], special_tokens=True)
    tokenizer.add_tokens([SEG_TOKEN])
    # Beyond the rows of the embeddings, so that they cannot be generated.
    tokenizer.add_tokens([IMAGE_TOKEN, VIDEO_TOKEN], special_tokens=True)
    return tokenizer


def build_config(tokenizer: PreTrainedTokenizerFast) -> VideoGlammConfig:
    """The sizes of the small model."""
    seg, image, video = tokenizer.convert_tokens_to_ids([SEG_TOKEN, IMAGE_TOKEN, VIDEO_TOKEN])
    return VideoGlammConfig(
        text_config={
            "model_type": "phi3",
            "vocab_size": seg + 1,
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "num_key_value_heads": 4,
            "max_position_embeddings": CONTEXT,
            "original_max_position_embeddings": CONTEXT,
            "sliding_window": None,
            "bos_token_id": None,
            "eos_token_id": tokenizer.eos_token_id,
            "pad_token_id": tokenizer.pad_token_id,
            "initializer_range": 0.06,
        },
        spatial_config={
            "hidden_size": 128,
            "intermediate_size": 384,
            "num_hidden_layers": 4,
            "num_attention_heads": 4,
            "image_size": FRAME_SIZE,
            "patch_size": 12,
            "projection_dim": 64,
        },
        temporal_config={
            "hidden_size": 96,
            "intermediate_size": 288,
            "num_hidden_layers": 3,
            "num_attention_heads": 4,
            "image_size": TEMPORAL_SIZE,
            "patch_size": 8,
            "num_frames": TOWER_FRAMES,
            "layer_scale_init_value": 1.0,
            "initializer_range": 0.06,
        },
        grounding_config=_grounding_config(width=128),
        num_tower_frames=TOWER_FRAMES,
        spatial_pool_size=4,
        temporal_pool_size=3,
        spatial_feature_layer=-1,
        temporal_feature_layer=-1,
        seg_token_id=seg,
        image_token_id=image,
        video_token_id=video,
        initializer_range=0.06,
    )


def build(seed: int) -> tuple[VideoGlammForGroundedGeneration, VideoGlammProcessor]:
    """An untrained model and its processor."""
    tokenizer = build_tokenizer()
    config = build_config(tokenizer)
    torch.manual_seed(seed)
    model = VideoGlammForGroundedGeneration(config)
    wake(model.pixel_decoder)
    model.generation_config.eos_token_id = tokenizer.eos_token_id
    model.generation_config.pad_token_id = tokenizer.pad_token_id
    processor = VideoGlammProcessor.for_config(config, tokenizer, chat_template=CHAT_TEMPLATE, fps=4.0)
    return model, processor


@torch.no_grad()
def wake(decoder: nn.Module) -> None:
    """Gives small values to what SAM 2 starts at zero (memory's embeddings, the fuser's scale): it is meant to be
    loaded, and from scratch memory would stay silent. Clicks get the pixels' encoding of places, as there."""
    places = decoder.shared_image_embedding.positional_embedding
    decoder.prompt_encoder.shared_embedding.positional_embedding.data.copy_(places)
    for name, parameter in decoder.named_parameters():
        if not parameter.any() and not name.endswith("bias"):
            if name.endswith("scale"):
                parameter.fill_(0.1)
            else:
                parameter.normal_(std=0.02)


def _grounding_config(width: int) -> dict:
    """A SAM 2 video model whose lowest feature map has 6 x 6 positions and whose masks have 24 x 24."""
    high, middle, low = FRAME_SIZE // 4, FRAME_SIZE // 8, FRAME_SIZE // 16
    trunk = [48, 96, 160, 192]
    return {
        "image_size": FRAME_SIZE,
        "memory_attention_hidden_size": width,
        "memory_attention_num_layers": 2,
        "memory_attention_feed_forward_hidden_size": 256,
        "memory_attention_dropout": 0.0,
        "memory_attention_rope_dropout": 0.0,
        "memory_attention_rope_feat_sizes": [low, low],
        "memory_encoder_hidden_size": width,
        "mask_downsampler_embed_dim": width,
        "memory_fuser_embed_dim": width,
        "memory_fuser_intermediate_dim": 256,
        "vision_config": {
            "fpn_hidden_size": width,
            "backbone_channel_list": trunk[::-1],
            "backbone_feature_sizes": [[high, high], [middle, middle], [low, low]],
            # Every level learns what the lowest one knows; SAM 2 itself leaves the two finest without.
            "fpn_top_down_levels": [0, 1, 2, 3],
            "backbone_config": {
                "hidden_size": trunk[0],
                "num_attention_heads": 2,
                "image_size": [FRAME_SIZE, FRAME_SIZE],
                "blocks_per_stage": [1, 2, 4, 1],
                "embed_dim_per_stage": trunk,
                "num_attention_heads_per_stage": [2, 3, 5, 6],
                # From the second stage on a window is the whole map.
                "window_size_per_stage": [8, 12, 6, 3],
                "global_attention_blocks": [],
                "window_positional_embedding_background_size": [6, 6],
                "mlp_ratio": 3.0,
            },
        },
        "prompt_encoder_config": {"hidden_size": width, "image_size": FRAME_SIZE},
        "mask_decoder_config": {
            "hidden_size": width,
            "mlp_dim": 256,
            "num_attention_heads": 4,
            "iou_head_hidden_dim": 128,
            # Framewise masks are those of token 0, in training and after.
            "dynamic_multimask_via_stability": False,
        },
    }
