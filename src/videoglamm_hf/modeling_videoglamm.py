"""VideoGLaMM: two towers and a language model that answer, and a pixel decoder that shows what they mean.

`VideoGlammModel` joins the towers and the language model; `VideoGlammForGroundedGeneration` adds the language
model's head, the [SEG] projection and the pixel decoder. Every part is a module of transformers (or our
InternVideo2), used unchanged.

Shapes: B samples, V videos, I pictures, F tower frames, L tokens, D width of the language model.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, Cache, GenerationMixin, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPooling
from transformers.utils import ModelOutput, can_return_tuple

from .configuration_videoglamm import VideoGlammConfig
from .errors import InputError
from .generation_videoglamm import GroundedGenerationMixin
from .modeling_internvideo2 import InternVideo2Model


@dataclass
class VideoGlammModelOutput(ModelOutput):
    """
    Attributes:
        last_hidden_state: `[B, L, D]`, after the final norm.
        past_key_values: The language model's cache.
        hidden_states, attentions: Of the language model, on request.
        image_hidden_states: Visual tokens of the pictures `[I, image_seq_length, D]`.
        video_hidden_states: Visual tokens of the videos `[V, video_seq_length, D]`.
    """

    last_hidden_state: torch.Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    image_hidden_states: torch.Tensor | None = None
    video_hidden_states: torch.Tensor | None = None


@dataclass
class VideoGlammCausalLMOutput(ModelOutput):
    """
    Attributes:
        loss: Weighted training loss, with `labels`.
        logits: `[B, L, vocab_size]`.
        past_key_values, hidden_states, attentions, image_hidden_states, video_hidden_states: As in
            [`VideoGlammModelOutput`].
    """

    loss: torch.Tensor | None = None
    logits: torch.Tensor | None = None
    past_key_values: Cache | None = None
    hidden_states: tuple[torch.Tensor, ...] | None = None
    attentions: tuple[torch.Tensor, ...] | None = None
    image_hidden_states: torch.Tensor | None = None
    video_hidden_states: torch.Tensor | None = None


class VideoGlammMLP(nn.Module):
    """Linear, activation, linear: both V->L projectors (`mlp2x_gelu`) and the L->V [SEG] projection."""

    def __init__(self, in_size: int, hidden_size: int, out_size: int, activation: str) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_size, hidden_size)
        self.activation = ACT2FN[activation]
        self.linear_2 = nn.Linear(hidden_size, out_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.linear_2(self.activation(self.linear_1(hidden_states)))


class VideoGlammPreTrainedModel(PreTrainedModel):
    config_class = VideoGlammConfig
    config: VideoGlammConfig
    base_model_prefix = "model"
    input_modalities = ("image", "video", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = [
        "InternVideo2Layer",
        "CLIPEncoderLayer",
        "Sam2MultiScaleBlock",
        "Sam2VideoMaskDecoder",
        "Sam2VideoMemoryAttentionLayer",
        "Sam2VideoMemoryEncoder",
    ]
    _skip_keys_device_placement = ["past_key_values"]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    # Random Fourier features of pixel positions: in bfloat16 their angles lose the position itself.
    _keep_in_fp32_modules_strict = ["shared_image_embedding"]


class VideoGlammModel(VideoGlammPreTrainedModel):
    """Spatial and temporal tower, their projectors, and the language model without its head."""

    def __init__(self, config: VideoGlammConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        self.spatial_tower = AutoModel.from_config(config.spatial_config)
        self.temporal_tower = InternVideo2Model._from_config(config.temporal_config)
        self.spatial_projector = VideoGlammMLP(
            config.spatial_config.hidden_size, width, width, config.projector_hidden_act
        )
        self.temporal_projector = VideoGlammMLP(
            config.temporal_config.hidden_size, width, width, config.projector_hidden_act
        )
        self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        r"""
        Visual tokens of pictures: every patch of the spatial tower, projected, not pooled.

        Args:
            pixel_values: `[I, 3, image_size, image_size]`.

        Returns:
            `last_hidden_state` (the tower's patches `[I, P, C]`) and `pooler_output`
            `[I, image_seq_length, D]`.
        """
        patches = self._spatial_patches(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=patches, pooler_output=self.spatial_projector(patches))

    def get_video_features(
        self, pixel_values_videos: torch.Tensor, temporal_pixel_values_videos: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        r"""
        Visual tokens of videos: the pooled spatial tokens of every frame, then the pooled temporal tokens.
        Projection comes before pooling, as in the original.

        Args:
            pixel_values_videos: Spatial stream `[V, F, 3, image_size, image_size]`.
            temporal_pixel_values_videos: Temporal stream `[V, F, 3, image_size, image_size]`; `F` is cut into
                chunks of the temporal tower's `num_frames`.

        Returns:
            `pooler_output` `[V, video_seq_length, D]`.

        Raises:
            InputError: If the number of frames is not the configured one.
        """
        config = self.config
        num_videos, num_frames = pixel_values_videos.shape[:2]
        if num_frames != config.num_tower_frames or temporal_pixel_values_videos.shape[1] != num_frames:
            raise InputError(
                f"The towers take {config.num_tower_frames} frames of a video, got {num_frames} in the spatial "
                f"and {temporal_pixel_values_videos.shape[1]} in the temporal stream."
            )
        if num_videos > 1 and pixel_values_videos.device.type == "cpu":
            # One video fills a CPU; more at a time only cost its allocator.
            pairs = zip(pixel_values_videos.split(1), temporal_pixel_values_videos.split(1), strict=True)
            tokens = torch.cat([self.get_video_features(*pair).pooler_output for pair in pairs])
            return BaseModelOutputWithPooling(pooler_output=tokens)
        spatial = self.spatial_projector(self._spatial_patches(pixel_values_videos.flatten(0, 1)))
        spatial = _pool_tokens(spatial, config.spatial_pool_size)

        chunks = temporal_pixel_values_videos.flatten(0, 1).unflatten(0, (-1, config.temporal_config.num_frames))
        temporal = self.temporal_tower(chunks, feature_layer=config.temporal_feature_layer).last_hidden_state
        # The class token is dropped; what is left is one grid of patches per frame.
        temporal = self.temporal_projector(temporal[:, 1:]).unflatten(1, (config.temporal_config.num_frames, -1))
        temporal = _pool_tokens(temporal.flatten(0, 1), config.temporal_pool_size)

        tokens = torch.cat(
            [spatial.reshape(num_videos, -1, spatial.shape[-1]), temporal.reshape(num_videos, -1, temporal.shape[-1])],
            dim=1,
        )
        return BaseModelOutputWithPooling(pooler_output=tokens)

    def embed_inputs(
        self,
        input_ids: torch.Tensor,
        image_features: torch.Tensor | None = None,
        video_features: torch.Tensor | None = None,
    ) -> torch.Tensor:
        r"""
        Token embeddings with the visual tokens in their places.

        Args:
            input_ids: int64 `[B, L]`.
            image_features: `[I, image_seq_length, D]` or None.
            video_features: `[V, video_seq_length, D]` or None.

        Returns:
            `[B, L, D]`.

        Raises:
            InputError: If placeholders and features differ in number.
        """
        if input_ids.shape[1] == 1:
            # A decoding step: counting placeholders would wait for the device at every token.
            return self.get_input_embeddings()(input_ids)
        config = self.config
        image_mask, video_mask = input_ids == config.image_token_id, input_ids == config.video_token_id
        # Placeholders lie beyond the embedding table; any row will do, it is overwritten.
        embeds = self.get_input_embeddings()(input_ids.masked_fill(image_mask | video_mask, 0))
        for kind, mask, features in (("image", image_mask, image_features), ("video", video_mask, video_features)):
            count = 0 if features is None else features.shape[0] * features.shape[1]
            if int(mask.sum()) != count:
                raise InputError(
                    f"The prompt holds {int(mask.sum())} {kind} placeholders but the {kind} features have {count} "
                    "tokens; make both with one processor call."
                )
            if features is not None:
                embeds = embeds.masked_scatter(mask[..., None], features.to(embeds))
        return embeds

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        use_cache: bool | None = None,
        **kwargs: Any,
    ) -> VideoGlammModelOutput:
        r"""
        Args:
            input_ids: int64 `[B, L]` with one placeholder per visual token.
            attention_mask: `[B, L]`, 1 on real tokens.
            inputs_embeds: `[B, L, D]` instead of `input_ids`; visual tokens already in place.
            pixel_values, pixel_values_videos, temporal_pixel_values_videos: See [`VideoGlammProcessor`].
            use_cache, kwargs: Passed to the language model.

        Raises:
            InputError: If not exactly one of `input_ids` and `inputs_embeds` is given, or placeholders and
                pixels do not match.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("Give exactly one of input_ids and inputs_embeds.")
        image_features = video_features = None
        if inputs_embeds is None:
            if pixel_values is not None:
                image_features = self.get_image_features(pixel_values).pooler_output
            if pixel_values_videos is not None:
                video_features = self.get_video_features(
                    pixel_values_videos, temporal_pixel_values_videos
                ).pooler_output
            inputs_embeds = self.embed_inputs(input_ids, image_features, video_features)
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            use_cache=use_cache,
            **kwargs,
        )
        return VideoGlammModelOutput(
            last_hidden_state=outputs.last_hidden_state,
            past_key_values=outputs.past_key_values,
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
            video_hidden_states=video_features,
        )

    def _spatial_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The chosen hidden state of the spatial tower without its class token, `[N, P, C]`; later layers are
        not run."""
        tower = self.spatial_tower
        num_layers = range(len(tower.encoder.layers) + 1)[self.config.spatial_feature_layer]
        hidden_states = tower.pre_layrnorm(tower.embeddings(pixel_values))
        for layer in tower.encoder.layers[:num_layers]:
            hidden_states = layer(hidden_states, attention_mask=None)
        return hidden_states[:, 1:]


class VideoGlammForGroundedGeneration(GroundedGenerationMixin, VideoGlammPreTrainedModel, GenerationMixin):
    """VideoGLaMM: `generate` answers in words and in masks.

    Example:

    ```python
    >>> inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
    >>> output = model.generate(**inputs, max_new_tokens=64)
    >>> answer = processor.post_process_grounded_generation(output)[0]
    >>> answer.text, answer.masks.shape
    ```
    """

    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}

    def __init__(self, config: VideoGlammConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        self.model = VideoGlammModel(config)
        self.lm_head = nn.Linear(width, config.text_config.vocab_size, bias=False)
        prompt_size = config.grounding_config.prompt_encoder_config.hidden_size
        self.seg_projection = VideoGlammMLP(width, width, prompt_size, "relu")
        self.pixel_decoder = AutoModel.from_config(config.grounding_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.model.set_input_embeddings(value)

    def get_output_embeddings(self) -> nn.Module:
        return self.lm_head

    def get_image_features(self, pixel_values: torch.Tensor, **kwargs: Any) -> BaseModelOutputWithPooling:
        """See [`VideoGlammModel.get_image_features`]."""
        return self.model.get_image_features(pixel_values, **kwargs)

    def get_video_features(
        self, pixel_values_videos: torch.Tensor, temporal_pixel_values_videos: torch.Tensor, **kwargs: Any
    ) -> BaseModelOutputWithPooling:
        """See [`VideoGlammModel.get_video_features`]."""
        return self.model.get_video_features(pixel_values_videos, temporal_pixel_values_videos, **kwargs)

    @can_return_tuple
    def forward(
        self,
        input_ids: torch.Tensor | None = None,
        attention_mask: torch.Tensor | None = None,
        position_ids: torch.Tensor | None = None,
        past_key_values: Cache | None = None,
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        last_state_only: bool = False,
        **kwargs: Any,
    ) -> VideoGlammCausalLMOutput:
        r"""
        Args:
            labels: int64 `[B, L]`, -100 where no loss is taken; gives `loss`.
            logits_to_keep: Compute logits of the last so many positions only (0: all), or of these positions.
            last_state_only: Return as `hidden_states` only the last position's final state `([B, 1, D],)`,
                which is all that mask generation needs of a step.

        The other arguments are those of [`VideoGlammModel`].
        """
        if last_state_only:
            kwargs.pop("output_hidden_states", None)
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            past_key_values=past_key_values,
            inputs_embeds=inputs_embeds,
            pixel_values=pixel_values,
            pixel_values_videos=pixel_values_videos,
            temporal_pixel_values_videos=temporal_pixel_values_videos,
            use_cache=use_cache,
            **kwargs,
        )
        states = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states[:, kept])
        loss = None
        if labels is not None:
            loss = self.loss_function(logits=logits, labels=labels, vocab_size=self.config.text_config.vocab_size)
        return VideoGlammCausalLMOutput(
            loss=loss,
            logits=logits,
            past_key_values=outputs.past_key_values,
            hidden_states=(states[:, -1:],) if last_state_only else outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            video_hidden_states=outputs.video_hidden_states,
        )


def _pool_tokens(tokens: torch.Tensor, size: int) -> torch.Tensor:
    """Averages a square grid of tokens `[N, g * g, D]` down to `[N, size * size, D]`."""
    side = int(tokens.shape[1] ** 0.5)
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    return F.adaptive_avg_pool2d(grid, size).flatten(2).transpose(1, 2)


__all__ = ["VideoGlammForGroundedGeneration", "VideoGlammModel", "VideoGlammPreTrainedModel"]
