"""The temporal tower: InternVideo2's vision encoder, alone.

Shapes: B clips, T frames, L = 1 + T * (H / patch) * (W / patch) tokens (class token first), C channels.
Only what the encoder itself needs is here; the CLIP-alignment heads of the original checkpoint are not part
of VideoGLaMM. Source of the rules: the original `videogpt_plus/model/internvideo/internvideo2.py`.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from transformers import PreTrainedModel
from transformers import initialization as init
from transformers.activations import ACT2FN
from transformers.modeling_layers import GradientCheckpointingLayer
from transformers.modeling_outputs import BaseModelOutput
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.utils.output_capturing import capture_outputs

from .configuration_internvideo2 import InternVideo2Config
from .errors import InputError


class InternVideo2RMSNorm(nn.Module):
    """Root-mean-square norm, its statistics in float32 whatever the dtype of the input."""

    def __init__(self, hidden_size: int, eps: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(hidden_size))
        self.eps = eps

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        dtype = hidden_states.dtype
        hidden_states = hidden_states.float()
        hidden_states = hidden_states * torch.rsqrt(hidden_states.pow(2).mean(-1, keepdim=True) + self.eps)
        return self.weight * hidden_states.to(dtype)


class InternVideo2LayerScale(nn.Module):
    """Per-channel scale of a residual branch, multiplied in float32 as the original forces it."""

    def __init__(self, config: InternVideo2Config) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.full((config.hidden_size,), config.layer_scale_init_value))

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return (hidden_states.float() * self.weight.float()).to(hidden_states.dtype)


def eager_attention_forward(
    module: nn.Module,
    query: torch.Tensor,
    key: torch.Tensor,
    value: torch.Tensor,
    attention_mask: torch.Tensor | None,
    scaling: float,
    dropout: float = 0.0,
    **kwargs,
) -> tuple[torch.Tensor, torch.Tensor]:
    weights = torch.matmul(query * scaling, key.transpose(-2, -1)).softmax(dim=-1)
    weights = nn.functional.dropout(weights, p=dropout, training=module.training)
    return torch.matmul(weights, value).transpose(1, 2).contiguous(), weights


class InternVideo2Attention(nn.Module):
    """Self-attention whose queries and keys are normalised over the full width before heads are split."""

    def __init__(self, config: InternVideo2Config) -> None:
        super().__init__()
        self.config = config
        self.num_heads = config.num_attention_heads
        self.head_dim = config.hidden_size // config.num_attention_heads
        self.scaling = self.head_dim**-0.5
        self.is_causal = False
        self.qkv = nn.Linear(config.hidden_size, 3 * config.hidden_size, bias=False)
        self.q_norm = InternVideo2RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.k_norm = InternVideo2RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.proj = nn.Linear(config.hidden_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> tuple[torch.Tensor, torch.Tensor | None]:
        batch, length, width = hidden_states.shape
        query, key, value = self.qkv(hidden_states).chunk(3, dim=-1)
        query, key = self.q_norm(query), self.k_norm(key)
        query, key, value = (
            x.view(batch, length, self.num_heads, self.head_dim).transpose(1, 2) for x in (query, key, value)
        )
        attend: Callable = ALL_ATTENTION_FUNCTIONS.get_interface(
            self.config._attn_implementation, eager_attention_forward
        )
        output, weights = attend(
            self,
            query,
            key,
            value,
            attention_mask=None,
            dropout=self.config.attention_dropout if self.training else 0.0,
            scaling=self.scaling,
            is_causal=False,
            **kwargs,
        )
        return self.proj(output.reshape(batch, length, width)), weights


class InternVideo2MLP(nn.Module):
    def __init__(self, config: InternVideo2Config) -> None:
        super().__init__()
        self.fc1 = nn.Linear(config.hidden_size, config.intermediate_size)
        self.activation = ACT2FN[config.hidden_act]
        self.fc2 = nn.Linear(config.intermediate_size, config.hidden_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.fc2(self.activation(self.fc1(hidden_states)))


class InternVideo2Layer(GradientCheckpointingLayer):
    """Pre-norm transformer block with LayerScale on both branches."""

    def __init__(self, config: InternVideo2Config) -> None:
        super().__init__()
        self.norm1 = InternVideo2RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.self_attn = InternVideo2Attention(config)
        self.layer_scale1 = InternVideo2LayerScale(config)
        self.norm2 = InternVideo2RMSNorm(config.hidden_size, config.rms_norm_eps)
        self.mlp = InternVideo2MLP(config)
        self.layer_scale2 = InternVideo2LayerScale(config)

    def forward(self, hidden_states: torch.Tensor, **kwargs) -> torch.Tensor:
        attended, _ = self.self_attn(self.norm1(hidden_states), **kwargs)
        hidden_states = hidden_states + self.layer_scale1(attended)
        return hidden_states + self.layer_scale2(self.mlp(self.norm2(hidden_states)))


class InternVideo2PreTrainedModel(PreTrainedModel):
    config_class = InternVideo2Config
    config: InternVideo2Config
    base_model_prefix = "internvideo2"
    main_input_name = "pixel_values"
    input_modalities = ("video",)
    supports_gradient_checkpointing = True
    _can_compile_fullgraph = True
    _no_split_modules = ["InternVideo2Layer"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    # What `output_hidden_states` and `output_attentions` gather.
    _can_record_outputs = {"hidden_states": InternVideo2Layer, "attentions": InternVideo2Attention}

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        super()._init_weights(module)
        name = module.__class__.__name__
        if name == "InternVideo2Model":
            init.normal_(module.cls_token, std=self.config.initializer_range)
            init.normal_(module.position_embedding, std=self.config.initializer_range)
        elif name == "InternVideo2LayerScale":
            init.constant_(module.weight, self.config.layer_scale_init_value)
        elif name == "InternVideo2RMSNorm":
            init.ones_(module.weight)


class InternVideo2Model(InternVideo2PreTrainedModel):
    """InternVideo2's encoder: clips of `config.num_frames` frames to token features."""

    def __init__(self, config: InternVideo2Config) -> None:
        super().__init__(config)
        tokens = config.num_frames * (config.image_size // config.patch_size) ** 2
        # Patches span one frame each, so the original's 3-D convolution is a 2-D one over frames.
        self.patch_embedding = nn.Conv2d(
            config.num_channels, config.hidden_size, kernel_size=config.patch_size, stride=config.patch_size
        )
        self.cls_token = nn.Parameter(torch.zeros(1, 1, config.hidden_size))
        self.position_embedding = nn.Parameter(torch.zeros(1, 1 + tokens, config.hidden_size))
        self.layers = nn.ModuleList(InternVideo2Layer(config) for _ in range(config.num_hidden_layers))
        self.gradient_checkpointing = False
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.patch_embedding

    @capture_outputs
    def forward(self, pixel_values: torch.Tensor, feature_layer: int = -1, **kwargs: Any) -> BaseModelOutput:
        r"""
        Args:
            pixel_values (`torch.Tensor` of shape `(B, T, 3, image_size, image_size)`): Normalised frames, `T`
                equal to `config.num_frames`.
            feature_layer (`int`, defaults to -1): Which hidden state to return, counted as in
                `hidden_states`: -1 is after the last block, -2 before it. Later blocks are not run.
            output_hidden_states (`bool`, *optional*): Also return the hidden states up to `feature_layer`, the
                embeddings first.
            output_attentions (`bool`, *optional*): Also return the attention weights of the blocks that ran,
                `(B, heads, L, L)` each; only the `eager` implementation has them.
            return_dict (`bool`, *optional*): False gives a tuple.

        Returns:
            `BaseModelOutput` with `last_hidden_state` of shape `(B, L, C)`, class token first; no final norm,
            as in the original.

        Raises:
            InputError: If the frames do not have the configured number or size.
        """
        config = self.config
        expected = (config.num_frames, config.num_channels, config.image_size, config.image_size)
        if pixel_values.ndim != 5 or tuple(pixel_values.shape[1:]) != expected:
            raise InputError(
                f"The temporal tower takes frames of shape (clips, {', '.join(map(str, expected))}), "
                f"got {tuple(pixel_values.shape)}."
            )
        num_layers = range(config.num_hidden_layers + 1)[feature_layer]
        patches = self.patch_embedding(pixel_values.flatten(0, 1).to(self.patch_embedding.weight.dtype))
        patches = patches.flatten(2).transpose(1, 2).reshape(pixel_values.shape[0], -1, config.hidden_size)
        # A device map that splits the tower may put these two elsewhere.
        cls_token, position = self.cls_token.to(patches.device), self.position_embedding.to(patches.device)
        hidden_states = torch.cat([cls_token.expand(patches.shape[0], -1, -1), patches], dim=1) + position

        for layer in self.layers[:num_layers]:
            hidden_states = layer(hidden_states, **kwargs)
        return BaseModelOutput(last_hidden_state=hidden_states)


__all__ = ["InternVideo2Model", "InternVideo2PreTrainedModel"]
