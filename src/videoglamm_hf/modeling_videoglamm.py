"""VideoGLaMM: what sees and reads, and heads that answer in words and show what they mean.

`VideoGlammForGroundedGeneration` adds the language model's head, the [SEG] projection and the pixel decoder to
[`VideoGlammModel`].

Shapes: B samples, L tokens, D width of the language model.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn
from transformers import GenerationMixin
from transformers.modeling_outputs import BaseModelOutputWithPooling, CausalLMOutputWithPast
from transformers.utils import can_return_tuple

from .backbone_videoglamm import VideoGlammMLP, VideoGlammModel, VideoGlammPreTrainedModel
from .configuration_checks import check_seg_token
from .configuration_videoglamm import VideoGlammConfig
from .errors import InputError
from .explained_loading import explained
from .forward_checks import check_labels, check_mask_labels
from .generation_checks import check_generation_config
from .generation_videoglamm import GroundedGenerationMixin
from .mask_collection import collect_masks
from .mask_training import MaskLosses, mask_losses
from .pixel_decoder import VideoGlammPixelDecoder
from .placement import several_processes
from .short_repr import short_repr
from .tracking import Tracker
from .transformers_versions import CACHE


@dataclass(repr=False)
class VideoGlammCausalLMOutput(CausalLMOutputWithPast):
    """
    Attributes:
        loss: With `labels`: the sum of the losses below, each with its weight in the config already.
        logits: `[B, L, vocab_size]`.
        ce_loss: Cross-entropy of the words, mean over tokens.
        mask_bce_loss, mask_dice_loss: With `mask_labels`: means over all (object, frame) pairs.
        mask_iou_loss, object_score_loss: The same, if their weights are not zero.
        masks: With `output_masks`: per sample, bool `[num_objects, T, H, W]` on the CPU, of its ground truth's size.
        cache (past_key_values before transformers 5.24), hidden_states, attentions, image_hidden_states,
            video_hidden_states: As in [`VideoGlammModelOutput`].
    """

    ce_loss: torch.Tensor | None = None
    mask_bce_loss: torch.Tensor | None = None
    mask_dice_loss: torch.Tensor | None = None
    mask_iou_loss: torch.Tensor | None = None
    object_score_loss: torch.Tensor | None = None
    masks: list[torch.Tensor] | None = None
    image_hidden_states: torch.Tensor | None = None
    video_hidden_states: torch.Tensor | None = None

    __repr__ = short_repr


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

    # Saving copies the code along; see the configuration.
    _auto_class = "AutoModel"
    _tied_weights_keys = {"lm_head.weight": "model.language_model.embed_tokens.weight"}
    _tp_plan = {"lm_head": "colwise_gather_output"}
    # What no quantiser touches: SAM 2 breaks in 8 bits, and recipes train the projections in full.
    _keep_in_fp32_modules = [
        "lm_head",
        "pixel_decoder",
        "seg_projection",
        "model.spatial_projector",
        "model.temporal_projector",
    ]
    # Random Fourier features of pixel positions: in bfloat16 their angles lose the position itself.
    _keep_in_fp32_modules_strict = ["shared_image_embedding", "shared_embedding"]

    def __init__(self, config: VideoGlammConfig) -> None:
        check_seg_token(config)
        super().__init__(config)
        width = config.text_config.hidden_size
        # What transformers would otherwise look for in the name of the class, and warn of not finding.
        self.loss_type = "ForCausalLM"
        self.model = VideoGlammModel(config)
        self.lm_head = nn.Linear(width, config.text_config.vocab_size, bias=False)
        prompt_size = config.grounding_config.prompt_encoder_config.hidden_size
        self.seg_projection = VideoGlammMLP(width, width, prompt_size, "relu")
        with explained("grounding_config"):
            self.pixel_decoder = VideoGlammPixelDecoder._from_config(config.grounding_config)
        self.post_init()
        self._keep_in_fp32_modules |= self._unquantized()

    @classmethod
    @functools.wraps(VideoGlammPreTrainedModel.from_pretrained)
    def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
        source = args[0] if args else kwargs.get("pretrained_model_name_or_path")
        # Of an adapter the Auto classes hand on the model that it belongs to, and where the adapter is.
        source = (kwargs.get("adapter_kwargs") or {}).get("_adapter_model_path") or source
        loaded = super().from_pretrained(*args, **kwargs)
        model = loaded[0] if isinstance(loaded, tuple) else loaded
        for layer in model.modules():
            if hasattr(layer, "support_avx512bf16_for_cpu"):
                # bitsandbytes would rearrange 4-bit weights for the CPU in place: no gradients, and not wholly undone.
                layer.support_avx512bf16_for_cpu = False
        if source is not None:
            model.load_calibration(source, **kwargs)
        return loaded

    def _unquantized(self) -> set[str]:
        """Names of the modules that no quantiser touches."""
        return {*type(self)._keep_in_fp32_modules, *_unpackable_layers(self)}

    def _get_dtype_plan(self, dtype: torch.dtype) -> dict[str, torch.dtype]:
        # They load in the dtype asked for, as without a quantiser, and not in float32.
        plan = super()._get_dtype_plan(dtype)
        return {name: kept for name, kept in plan.items() if name not in self._unquantized()}

    def adjust_generation_fn(self, *args: Any, **kwargs: Any) -> None:
        # Which reads generation_config.json.
        super().adjust_generation_fn(*args, **kwargs)
        check_generation_config(self.generation_config)

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
        inputs_embeds: torch.Tensor | None = None,
        pixel_values: torch.Tensor | None = None,
        pixel_values_videos: torch.Tensor | None = None,
        temporal_pixel_values_videos: torch.Tensor | None = None,
        image_patches: torch.Tensor | None = None,
        video_patches: torch.Tensor | None = None,
        temporal_video_patches: torch.Tensor | None = None,
        labels: torch.Tensor | None = None,
        grounding_frames: Sequence[torch.Tensor] | None = None,
        sample_index: torch.Tensor | None = None,
        original_sizes: torch.Tensor | None = None,
        frame_timestamps: Sequence[Sequence[float]] | None = None,
        sample_names: Sequence[str] | None = None,
        use_cache: bool | None = None,
        logits_to_keep: int | torch.Tensor = 0,
        output_hidden_states: bool | int | list[int] | None = None,
        output_masks: bool = False,
        **kwargs: Any,
    ) -> VideoGlammCausalLMOutput:
        r"""
        Args:
            labels: int64 `[B, L]`, -100 where no loss is taken; gives `loss`.
            mask_labels: Per sample, ground truth `[num_objects, T, H, W]` of the [SEG] tokens of its prompts in
                order: 1 object, 0 background, -1 ignored. Needs `labels`, `input_ids` and `grounding_frames`.
            grounding_frames: Per sample, uint8 frames `[T, 3, h, w]` that the masks belong to, or their
                [`FrameFeatures`].
            sample_index: int64 `[B]`, not decreasing: the sample of every prompt, if there are several prompts about
                one video or picture. One prompt per sample by default.
            original_sizes, frame_timestamps, sample_names: What else processor and collator return; not used here.
            logits_to_keep: Compute logits of the last so many positions only (0: all), or of these positions.
            output_hidden_states: As in transformers; -1 gives only the final states of the positions whose logits are
                kept, which are all that mask generation needs of a step.
            output_masks: With `mask_labels`, also return the masks that the losses are about, decided as
                `config.mask_training_mode` says, without gradients.

        The other arguments are those of [`VideoGlammModel`].

        Raises:
            InputError: If masks, frames and [SEG] tokens do not fit together.
        """
        # Not in the signature: Trainer would gather and glue together any label it finds there.
        mask_labels: Sequence[torch.Tensor] | None = kwargs.pop("mask_labels", None)
        if use_cache is None and labels is not None:
            use_cache = False
        # Known by us and not handed on: versions before 5.23 and language models of others take no index.
        last_state_only = output_hidden_states is not True and output_hidden_states == -1
        if output_hidden_states is not None and not last_state_only:
            kwargs["output_hidden_states"] = output_hidden_states
        if labels is not None:
            check_labels(labels, input_ids, inputs_embeds, self.lm_head.weight.is_meta)
        # A loss is computed by all processes together.
        blank_passes = labels is not None and several_processes()
        outputs = self.model(
            input_ids=input_ids,
            attention_mask=attention_mask,
            position_ids=position_ids,
            inputs_embeds=inputs_embeds,
            pixel_values=pixel_values,
            pixel_values_videos=pixel_values_videos,
            temporal_pixel_values_videos=temporal_pixel_values_videos,
            image_patches=image_patches,
            video_patches=video_patches,
            temporal_video_patches=temporal_video_patches,
            sample_index=sample_index,
            use_cache=use_cache,
            blank_passes=blank_passes,
            return_dict=True,
            **kwargs,
        )
        states = outputs.last_hidden_state
        kept = slice(-logits_to_keep, None) if isinstance(logits_to_keep, int) else logits_to_keep
        logits = self.lm_head(states[:, kept])
        losses, masks = {}, None
        if labels is not None:
            vocab_size = self.config.text_config.vocab_size
            # Placeholders lie beyond the vocabulary and are nothing to learn.
            words = labels.masked_fill(labels >= vocab_size, -100)
            ce_loss = self.loss_function(logits=logits, labels=words, vocab_size=vocab_size)
            losses["ce_loss"] = self.config.ce_loss_weight * ce_loss
        if mask_labels is not None:
            prompts = self._mask_prompts(states, input_ids, labels, mask_labels, grounding_frames, sample_index)
            of_masks = self._mask_losses(prompts, mask_labels, grounding_frames, blank_passes)
            # The pixel decoder may be on another device.
            losses |= {name: loss.to(states.device) for name, loss in of_masks.items()}
            if output_masks:
                masks = self._binary_masks(prompts, mask_labels, grounding_frames)
        loss = sum(losses.values()) if losses else None
        if loss is not None and self.training and torch.is_grad_enabled() and not loss.requires_grad:
            # Nothing that trains took part (text only, with the language model frozen): a step of zeros.
            loss = loss + 0 * sum(p.sum() for p in self.parameters() if p.requires_grad)
        return VideoGlammCausalLMOutput(
            loss=loss,
            **losses,
            logits=logits,
            masks=masks,
            **{CACHE: getattr(outputs, CACHE, None)},
            hidden_states=(states[:, kept],) if last_state_only else outputs.hidden_states,
            attentions=outputs.attentions,
            image_hidden_states=outputs.image_hidden_states,
            video_hidden_states=outputs.video_hidden_states,
        )

    def _mask_prompts(
        self,
        states: torch.Tensor,
        input_ids: torch.Tensor | None,
        labels: torch.Tensor | None,
        mask_labels: Sequence[torch.Tensor],
        frames: Sequence[torch.Tensor] | None,
        sample_index: torch.Tensor | None,
    ) -> list[torch.Tensor]:
        """Per sample, what prompts the masks of a batch."""
        if labels is None and input_ids is not None:
            raise InputError(
                "mask_labels came without labels. Trainer keeps labels to itself for label_smoothing_factor and "
                "compute_loss_func; train with VideoGlammTrainer, where both work."
            )
        if input_ids is None or frames is None:
            raise InputError("mask_labels need input_ids, labels and grounding_frames.")
        check_mask_labels(mask_labels, frames, sample_index, len(input_ids))
        return self._prompt_embeddings(states, input_ids, sample_index, len(mask_labels))

    @torch.no_grad()
    def _binary_masks(
        self, prompts: Sequence[torch.Tensor], mask_labels: Sequence[torch.Tensor], frames: Sequence[torch.Tensor]
    ) -> list[torch.Tensor]:
        """Per sample, bool `[N, T, H, W]` on the CPU."""
        sizes = [tuple(truth.shape[2:]) for truth in mask_labels]
        options = self._tracking_options(self.config.mask_training_mode, 0, 1, None)

        def decide(decoder: Any, *args: Any) -> list[torch.Tensor]:
            return collect_masks(Tracker(decoder, *args, options).masks(sizes), *args, sizes)["masks"]

        return self.pixel_decoder(list(prompts), list(frames), step=decide)

    def _mask_losses(
        self,
        prompts: Sequence[torch.Tensor],
        mask_labels: Sequence[torch.Tensor],
        frames: Sequence[torch.Tensor],
        blank_passes: bool,
    ) -> dict[str, torch.Tensor]:
        """The losses of the masks that the [SEG] tokens of a batch prompt, by their names in the output."""
        config = self.config
        # The decoder's forward as a whole: sharded weights are gathered once, however many frames there are.
        parts: MaskLosses = self.pixel_decoder(
            prompts,
            frames,
            mask_labels,
            step=mask_losses,
            mode=config.mask_training_mode,
            frames_per_batch=config.grounding_batch_size,
            padding_slots=config.mask_padding_slots,
            gradient_frames=config.memory_gradient_frames,
            scores_decide=config.object_score_loss_weight > 0,
            blank_passes=blank_passes,
        )
        weighted = {
            "mask_bce_loss": config.mask_bce_loss_weight * parts.bce,
            "mask_dice_loss": config.mask_dice_loss_weight * parts.dice,
        }
        if config.iou_loss_weight:
            weighted["mask_iou_loss"] = config.iou_loss_weight * parts.iou
        if config.object_score_loss_weight:
            weighted["object_score_loss"] = config.object_score_loss_weight * parts.object_score
        return weighted

    def _prompt_embeddings(
        self, states: torch.Tensor, input_ids: torch.Tensor, sample_index: torch.Tensor | None, num_samples: int
    ) -> list[torch.Tensor]:
        """Per sample, prompt embeddings `[N, C]` of the [SEG] tokens of its prompts: the projected states of the
        positions that predict them."""
        predicting = input_ids[:, 1:] == self.config.seg_token_id
        embeddings = self.seg_projection(states[:, :-1][predicting].to(self.seg_projection.linear_1.weight.dtype))
        counts = predicting.sum(dim=1)
        if sample_index is not None:
            counts = counts.new_zeros(num_samples).index_add(0, sample_index, counts)
        return list(embeddings.split(counts.tolist()))


def _unpackable_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers that bitsandbytes cannot pack in 4 bits for a CPU: it takes whole blocks of 64 inputs
    and 32 outputs. The published sizes have none in the towers and the language model."""
    return [
        name
        for name, layer in model.named_modules()
        if isinstance(layer, nn.Linear) and (layer.in_features % 64 or layer.out_features % 32)
    ]


__all__ = ["VideoGlammForGroundedGeneration", "VideoGlammModel", "VideoGlammPreTrainedModel"]
