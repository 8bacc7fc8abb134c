"""What sees and reads: two towers, their projectors, and the language model without its head.

Every part is a module of transformers (or our InternVideo2), used unchanged.

Shapes: B samples, V videos, I pictures, F tower frames, L tokens, D width of the language model.
"""

from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from transformers import AutoModel, PreTrainedModel
from transformers.activations import ACT2FN
from transformers.modeling_outputs import BaseModelOutputWithPast, BaseModelOutputWithPooling
from transformers.utils import can_return_tuple, torch_compilable_check
from transformers.utils.import_utils import is_tracing

from .configuration_videoglamm import VideoGlammConfig
from .encoded_video import PATCH_NAMES, PIXEL_NAMES
from .errors import InputError
from .explained_loading import ExplainedLoadingMixin, explained
from .forward_checks import check_model_inputs, check_tower_frames, count_samples, refuse_inner_states
from .gradient_checkpointing import NonReentrantCheckpointingMixin
from .modeling_internvideo2 import InternVideo2Model
from .placement import computing_device
from .short_repr import short_repr
from .transformers_versions import CACHE
from .weight_checks import check_weights


@dataclass(repr=False)
class VideoGlammModelOutput(BaseModelOutputWithPast):
    """
    Attributes:
        last_hidden_state: `[B, L, D]`, after the final norm.
        cache (past_key_values before transformers 5.24), hidden_states, attentions: Of the language model.
        image_hidden_states: Visual tokens of the pictures `[I, image_seq_length, D]`.
        video_hidden_states: Visual tokens of the videos `[V, video_seq_length, D]`.
    """

    image_hidden_states: torch.Tensor | None = None
    video_hidden_states: torch.Tensor | None = None

    __repr__ = short_repr


class VideoGlammMLP(nn.Module):
    """Linear, activation, linear: both V->L projectors (`mlp2x_gelu`) and the L->V [SEG] projection."""

    def __init__(self, in_size: int, hidden_size: int, out_size: int, activation: str) -> None:
        super().__init__()
        self.linear_1 = nn.Linear(in_size, hidden_size)
        self.activation = ACT2FN[activation]
        self.linear_2 = nn.Linear(hidden_size, out_size)

    def forward(self, hidden_states: torch.Tensor) -> torch.Tensor:
        return self.linear_2(self.activation(self.linear_1(hidden_states)))


class VideoGlammPreTrainedModel(ExplainedLoadingMixin, NonReentrantCheckpointingMixin, PreTrainedModel):
    _called = "weights"
    config_class = VideoGlammConfig
    config: VideoGlammConfig
    base_model_prefix = "model"
    input_modalities = ("image", "video", "text")
    supports_gradient_checkpointing = True
    _no_split_modules = [
        "InternVideo2Layer",
        "CLIPEncoderLayer",
        # As a whole: SAM 2 keeps parameters of its own beside its blocks, and uses some blocks in parts.
        "VideoGlammPixelDecoder",
    ]
    _skip_keys_device_placement = [CACHE]
    _supports_sdpa = True
    _supports_flash_attn = True
    _supports_attention_backend = True
    _can_compile_fullgraph = True
    # The loss is a mean of its micro-batch: Trainer divides it by the accumulation steps.
    accepts_loss_kwargs = False

    @staticmethod
    def _load_pretrained_model(
        model: nn.Module, state_dict: Any, checkpoint_files: Any, load_config: Any, **adapter: Any
    ) -> Any:
        # Where transformers has found the files and not yet filled the model; an adapter fills little of it.
        if not adapter:
            check_weights(model, checkpoint_files or (), load_config.ignore_mismatched_sizes)
        return PreTrainedModel._load_pretrained_model(model, state_dict, checkpoint_files, load_config, **adapter)

    def post_init(self) -> None:
        super().post_init()
        # Every part adds its own; accelerate's FSDP refuses a name that no module has (CLIP's text embeddings).
        self._no_split_modules = {type(module).__name__ for module in self.modules()} & set(self._no_split_modules)

    @property
    def device(self) -> torch.device:
        """Where inputs go: the device of the weights, or the one that offloaded weights are brought to."""
        device = super().device
        return (computing_device(self) or device) if device.type == "meta" else device


class VideoGlammModel(VideoGlammPreTrainedModel):
    """Spatial and temporal tower, their projectors, and the language model without its head."""

    def __init__(self, config: VideoGlammConfig) -> None:
        super().__init__(config)
        width = config.text_config.hidden_size
        with explained("spatial_config"):
            self.spatial_tower = AutoModel.from_config(config.spatial_config)
        with explained("temporal_config"):
            self.temporal_tower = InternVideo2Model._from_config(config.temporal_config)
        with explained("projector_hidden_act"):
            self.spatial_projector = VideoGlammMLP(
                config.spatial_config.hidden_size, width, width, config.projector_hidden_act
            )
            self.temporal_projector = VideoGlammMLP(
                config.temporal_config.hidden_size, width, width, config.projector_hidden_act
            )
        with explained("text_config"):
            self.language_model = AutoModel.from_config(config.text_config)
        self.post_init()

    def get_input_embeddings(self) -> nn.Module:
        return self.language_model.get_input_embeddings()

    def set_input_embeddings(self, value: nn.Module) -> None:
        self.language_model.set_input_embeddings(value)

    @can_return_tuple
    def get_image_features(
        self, pixel_values: torch.Tensor, output_hidden_states: bool = False, output_attentions: bool = False
    ) -> BaseModelOutputWithPooling:
        r"""
        Visual tokens of pictures: every patch of the spatial tower, projected, not pooled.

        Args:
            pixel_values: `[I, 3, image_size, image_size]`.

        Returns:
            `last_hidden_state` (the tower's patches `[I, P, C]`) and `pooler_output`
            `[I, image_seq_length, D]`; a tuple with `return_dict=False`.

        Raises:
            InputError: If hidden states or attentions are asked for, which the towers themselves give.
        """
        refuse_inner_states(output_hidden_states, output_attentions)
        patches = self._spatial_patches(pixel_values)
        return BaseModelOutputWithPooling(last_hidden_state=patches, pooler_output=self.spatial_projector(patches))

    @can_return_tuple
    def get_video_features(
        self,
        pixel_values_videos: torch.Tensor,
        temporal_pixel_values_videos: torch.Tensor,
        output_hidden_states: bool = False,
        output_attentions: bool = False,
    ) -> BaseModelOutputWithPooling:
        r"""
        Visual tokens of videos: the pooled spatial tokens of every frame, then the pooled temporal tokens.
        Projection comes before pooling, as in the original.

        Args:
            pixel_values_videos: Spatial stream `[V, F, 3, image_size, image_size]`.
            temporal_pixel_values_videos: Temporal stream `[V, F, 3, image_size, image_size]`; `F` is cut into
                chunks of the temporal tower's `num_frames`.

        Returns:
            `pooler_output` `[V, video_seq_length, D]`; a tuple with `return_dict=False`.

        Raises:
            InputError: If the number of frames is not the configured one, or hidden states or attentions are asked
                for, which the towers themselves give.
        """
        refuse_inner_states(output_hidden_states, output_attentions)
        patches = self.encode_towers(None, pixel_values_videos, temporal_pixel_values_videos)
        return BaseModelOutputWithPooling(pooler_output=self.project(patches)[1])

    def encode_towers(
        self,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        one_pass: bool = False,
    ) -> dict[str, torch.Tensor]:
        r"""
        What the towers see, before any projector: what `forward` takes in place of pixels where towers are frozen.

        Args:
            pixel_values, pixel_values_videos, temporal_pixel_values_videos: See [`VideoGlammProcessor`].
            one_pass: Give all videos to a tower at once; otherwise a CPU takes them one by one.

        Returns:
            `image_patches` `[I, P, C]` if there are pictures; `video_patches` `[V, F, P, C]` and
            `temporal_video_patches` `[V, F, P', C']` if there are videos.

        Raises:
            InputError: If the number of frames is not the configured one.
        """
        patches = {}
        if pixel_values is not None:
            patches["image_patches"] = self._spatial_patches(pixel_values)
        if pixel_values_videos is not None:
            check_tower_frames(self.config.num_tower_frames, pixel_values_videos, temporal_pixel_values_videos)
            # One video fills a CPU; more at a time only cost its allocator. A graph is to fit any number of them.
            one_by_one = pixel_values_videos.device.type == "cpu" and not one_pass and not is_tracing()
            at_once = 1 if one_by_one else pixel_values_videos.shape[0]
            for name, tower, pixels in (
                ("video_patches", self._spatial_patches, pixel_values_videos),
                ("temporal_video_patches", self._temporal_patches, temporal_pixel_values_videos),
            ):
                found = torch.cat([tower(some.flatten(0, 1)) for some in pixels.split(at_once)])
                patches[name] = found.unflatten(0, pixels.shape[:2])
        return patches

    def project(self, patches: dict[str, torch.Tensor]) -> tuple[torch.Tensor | None, torch.Tensor | None]:
        """Visual tokens `[I, image_seq_length, D]` of the pictures and `[V, video_seq_length, D]` of the videos of
        what [`encode_towers`] returned; None where there are none."""
        images = videos = None
        if "image_patches" in patches:
            images = self.spatial_projector(patches["image_patches"])
        if "video_patches" in patches:
            videos = self._video_tokens(patches["video_patches"], patches["temporal_video_patches"])
        return images, videos

    def _video_tokens(self, spatial: torch.Tensor, temporal: torch.Tensor) -> torch.Tensor:
        """Visual tokens `[V, video_seq_length, D]` of both towers' patches `[V, F, P, C]`."""
        pooled = [
            _pool_tokens(projector(patches.flatten(0, 1)), size).unflatten(0, patches.shape[:2]).flatten(1, 2)
            for projector, patches, size in (
                (self.spatial_projector, spatial, self.config.spatial_pool_size),
                (self.temporal_projector, temporal, self.config.temporal_pool_size),
            )
        ]
        # The towers may be on different devices.
        return torch.cat([part.to(pooled[0].device) for part in pooled], dim=1)

    def _blanks(self, kind: str, encoded: bool) -> dict[str, torch.Tensor]:
        """One black picture (or video) as pixels, or as what the towers could have made of it; by argument name."""
        config, weight = self.config, self.spatial_projector.linear_1.weight
        shape = (1,) if kind == "image" else (1, config.num_tower_frames)
        towers = (config.spatial_config, config.temporal_config)[: len(shape)]
        names = PATCH_NAMES[kind] if encoded else PIXEL_NAMES[kind]
        sizes = [
            ((tower.image_size // tower.patch_size) ** 2, tower.hidden_size)
            if encoded
            else (3, tower.image_size, tower.image_size)
            for tower in towers
        ]
        return {
            name: torch.zeros(*shape, *size, device=weight.device, dtype=weight.dtype)
            for name, size in zip(names, sizes, strict=True)
        }

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
        words = input_ids.masked_fill(image_mask | video_mask, 0)
        rows = self.get_input_embeddings().num_embeddings
        torch_compilable_check(
            ((words >= 0) & (words < rows)).all(),
            lambda: f"A token id is not from 0 to {rows - 1}; the tokenizer is not this model's.",
            InputError,
        )
        embeds = self.get_input_embeddings()(words)
        for kind, mask, features in (("image", image_mask, image_features), ("video", video_mask, video_features)):
            count = 0 if features is None else features.shape[0] * features.shape[1]
            torch_compilable_check(
                mask.sum() == count,
                lambda kind=kind, mask=mask, count=count: (
                    f"The prompt holds {int(mask.sum())} {kind} placeholders but the {kind} features have {count} "
                    "tokens; make both with one processor call."
                ),
                InputError,
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
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        image_patches: torch.Tensor | None = None,
        video_patches: torch.Tensor | None = None,
        temporal_video_patches: torch.Tensor | None = None,
        sample_index: torch.Tensor | None = None,
        use_cache: bool | None = None,
        blank_passes: bool = False,
        **kwargs: Any,
    ) -> VideoGlammModelOutput:
        r"""
        Args:
            input_ids: int64 `[B, L]` with one placeholder per visual token.
            attention_mask: `[B, L]`, 1 on real tokens.
            inputs_embeds: `[B, L, D]` instead of `input_ids`; visual tokens already in place.
            pixel_values, pixel_values_videos, temporal_pixel_values_videos: See [`VideoGlammProcessor`].
            image_patches, video_patches, temporal_video_patches: What [`~VideoGlammModel.encode_towers`] made of
                them, in their place; empty where a batch has none.
            sample_index: int64 `[B]`, not decreasing, if several prompts are about one video or picture: the
                sample of every prompt.
            blank_passes: Whether the towers run once for pictures and once for videos even where there are none, on
                black pixels and without effect: sharded weights are gathered by all processes or by none.
            use_cache, kwargs: Passed to the language model.

        Raises:
            InputError: If not exactly one of `input_ids` and `inputs_embeds` is given, placeholders and pixels do
                not match, or a tower that trains is given its output.
        """
        if (input_ids is None) == (inputs_embeds is None):
            raise InputError("Give exactly one of input_ids and inputs_embeds.")
        pixels = {
            "pixel_values": pixel_values,
            "pixel_values_videos": pixel_values_videos,
            "temporal_pixel_values_videos": temporal_pixel_values_videos,
        }
        patches = {
            "image_patches": image_patches,
            "video_patches": video_patches,
            "temporal_video_patches": temporal_video_patches,
        }
        tokens = {"input_ids": input_ids, "inputs_embeds": inputs_embeds, "attention_mask": attention_mask}
        tokens |= {"position_ids": position_ids, "sample_index": sample_index}
        check_model_inputs(self.config, self.spatial_projector.linear_1.weight.is_meta, **tokens, **pixels, **patches)
        image_features = video_features = None
        if inputs_embeds is None:
            image_features, video_features, blank = self._visual_tokens(pixels, patches, blank_passes)
            inputs_embeds = self.embed_inputs(
                input_ids, *self.one_per_prompt(image_features, video_features, input_ids, sample_index)
            )
            if blank is not None:
                inputs_embeds = inputs_embeds + blank.to(inputs_embeds)
        outputs = self.language_model(
            inputs_embeds=inputs_embeds,
            attention_mask=attention_mask,
            position_ids=position_ids,
            use_cache=use_cache,
            **kwargs,
        )
        return VideoGlammModelOutput(
            last_hidden_state=outputs.last_hidden_state,
            **{CACHE: getattr(outputs, CACHE, None)},
            hidden_states=outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=image_features,
            video_hidden_states=video_features,
        )

    def _visual_tokens(
        self, pixels: dict[str, torch.Tensor | None], patches: dict[str, torch.Tensor | None], blank_passes: bool
    ) -> tuple[torch.Tensor | None, torch.Tensor | None, torch.Tensor | None]:
        """Visual tokens of pictures and of videos, and with blank passes for either a zero that hangs on them."""
        encoded = any(own is not None for own in patches.values())
        if encoded:
            self._check_frozen()
        given = patches if encoded else pixels
        # Not by `len`, which would tie a graph to this number of them.
        source = {name: own for name, own in given.items() if own is not None and own.shape[0] > 0}
        names = PATCH_NAMES if encoded else PIXEL_NAMES
        missing = [kind for kind in names if blank_passes and names[kind][0] not in source]
        for kind in missing:
            source |= self._blanks(kind, encoded)
        # Pictures before videos, always: sharded weights are gathered in the same order everywhere.
        found = source if encoded else self.encode_towers(**source, one_pass=blank_passes)
        tokens = dict(zip(("image", "video"), self.project(found), strict=True))
        blanks = [0 * tokens.pop(kind).float().mean() for kind in missing]
        return tokens.get("image"), tokens.get("video"), sum(blanks) if blanks else None

    def _check_frozen(self) -> None:
        if not self.training:
            return
        for name in ("spatial_tower", "temporal_tower"):
            if any(parameter.requires_grad for parameter in getattr(self, name).parameters()):
                raise InputError(
                    f"The {name} trains, so its output cannot be given: freeze it "
                    "(fine_tuning.trainable_modules, or LoRA), or train from pixels."
                )

    def one_per_prompt(
        self,
        image_features: torch.Tensor | None,
        video_features: torch.Tensor | None,
        input_ids: torch.Tensor,
        sample_index: torch.Tensor | None,
    ) -> list[torch.Tensor | None]:
        """Visual tokens `[I, n, D]` and `[V, n, D]`, repeated for every prompt about the same picture or video."""
        config, repeated = self.config, []
        for kind, features, token_id in (
            ("image", image_features, config.image_token_id),
            ("video", video_features, config.video_token_id),
        ):
            if features is not None and sample_index is not None:
                having = (input_ids == token_id).any(dim=1)
                count_samples(sample_index, having, features, kind)
                samples = sample_index[having]
                features = features[torch.unique_consecutive(samples, return_inverse=True)[1]]
            repeated.append(features)
        return repeated

    def _spatial_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The chosen hidden state of the spatial tower without its class token, `[N, P, C]`; later layers are
        not run."""
        tower = self.spatial_tower
        num_layers = range(len(tower.encoder.layers) + 1)[self.config.spatial_feature_layer]
        hidden_states = tower.pre_layrnorm(tower.embeddings(pixel_values))
        for layer in tower.encoder.layers[:num_layers]:
            hidden_states = layer(hidden_states, attention_mask=None)
        return hidden_states[:, 1:]

    def _temporal_patches(self, pixel_values: torch.Tensor) -> torch.Tensor:
        """The temporal tower's features of frames `[N, 3, S, S]`, one grid of patches per frame `[N, P, C]`; N is a
        multiple of its `num_frames`."""
        num_frames = self.config.temporal_config.num_frames
        states = self.temporal_tower(
            pixel_values.unflatten(0, (-1, num_frames)), feature_layer=self.config.temporal_feature_layer
        ).last_hidden_state
        # The class token, one per chunk of frames, is dropped.
        return states[:, 1:].unflatten(1, (num_frames, -1)).flatten(0, 1)


def _pool_tokens(tokens: torch.Tensor, size: int) -> torch.Tensor:
    """Averages a square grid of tokens `[N, g * g, D]` down to `[N, size * size, D]`."""
    side = int(tokens.shape[1] ** 0.5)
    grid = tokens.transpose(1, 2).unflatten(2, (side, side))
    return F.adaptive_avg_pool2d(grid, size).flatten(2).transpose(1, 2)


__all__ = ["VideoGlammModel", "VideoGlammPreTrainedModel"]
