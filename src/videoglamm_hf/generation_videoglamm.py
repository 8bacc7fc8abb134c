"""`generate` with masks: words from transformers' own loop, masks from the states that predicted [SEG].

The towers run once, before the loop, which then only sees embeddings. Of every step one vector is kept. Masks
leave as booleans at the video's own size, frame by frame, as soon as they are decided.

Shapes: B samples, R returned sequences, N objects (of all sequences), T frames of one sample, H x W its size,
s side of low-resolution masks.
"""

import copy
import inspect
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import torch
from transformers import DynamicCache, GenerationMixin, LogitsProcessorList, StoppingCriteriaList
from transformers.utils import ModelOutput

from .assisted_generation import AssistedGenerationMixin
from .calibration_videoglamm import CalibrationMixin
from .editing_videoglamm import EditingMixin
from .encoded_video import PATCH_NAMES, PIXEL_NAMES, EncodedVideo, join_visual_tokens
from .encoding_videoglamm import VideoEncodingMixin
from .errors import InputError
from .fingerprints import fingerprints
from .finish_reasons import FinishReasons
from .finite import FiniteWords, check_finite, explained_by
from .generation_output import VideoGlammGenerateOutput
from .mask_collection import collect_masks
from .prompt_padding import padded_on_the_left
from .row_prefill import RowPrefillMixin
from .static_cache import SEQUENCES_PER_PROMPT, StaticCacheMixin
from .tracking import FrameMasks, Tracker, TrackingOptions
from .tracking_inputs import check_frames, mask_size
from .transformers_versions import CACHE_NAMES
from .vision_compilation import VisionCompilationMixin

# Per sample, its encoded video or picture; None for text only.
Encoded = Sequence[EncodedVideo | None]
# What else a batch for training carries, which trainers hand on to `generate`.
_TRAINING_NAMES = ("labels", "mask_labels", "sample_names")


class GroundedGenerationMixin(
    VideoEncodingMixin,
    EditingMixin,
    AssistedGenerationMixin,
    StaticCacheMixin,
    RowPrefillMixin,
    VisionCompilationMixin,
    CalibrationMixin,
):
    """`generate` and `iter_masks` of [`VideoGlammForGroundedGeneration`]."""

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        *args: Any,
        grounding_frames: Sequence[torch.Tensor] | None = None,
        original_sizes: torch.Tensor | Sequence[Sequence[int]] | None = None,
        frame_timestamps: Sequence[Sequence[float]] | None = None,
        encoded_videos: Encoded | None = None,
        return_masks: bool | None = None,
        mask_mode: str | None = None,
        prompt_frame: int = 0,
        num_anchors: int = 5,
        max_objects_per_batch: int | None = None,
        output_mask_logits: bool = False,
        pack_masks: bool = False,
        mask_callback: Callable[[FrameMasks], None] | None = None,
        **kwargs: Any,
    ) -> VideoGlammGenerateOutput | ModelOutput | torch.Tensor:
        r"""
        Generates an answer and, for every `[SEG]` in it, a mask in every frame.

        With `grounding_frames` or `encoded_videos` this returns a [`VideoGlammGenerateOutput`]; without them, with
        `return_dict_in_generate=False` or with `labels` it is the stock `generate` of transformers: a tensor of token
        ids, or its output if asked for. `return_masks` decides otherwise.

        Args:
            inputs, args, kwargs: As in `GenerationMixin.generate`: sampling, beams, `stopping_criteria`, streamers,
                caches, `assistant_model` (a smaller model of this class) all work. The multimodal inputs come from
                [`VideoGlammProcessor`]. Prompts padded on the right, as for training, are padded on the left instead;
                so are the returned sequences.
            grounding_frames: Per sample, uint8 frames `[T, 3, h, w]` for the pixel decoder.
            original_sizes: int64 `[B, 2]`, height and width the masks are returned at.
            frame_timestamps: Per sample, seconds of each frame; handed through to the output.
            encoded_videos: What [`encode_videos`] returned for these samples (for a single one, also without a list):
                the towers do not run again, nor does the image encoder if its features were kept.
            return_masks: False gives the stock `generate` of transformers, True insists on masks.
            mask_mode: `"video"` (the first frame is prompted, memory carries the object on), `"framewise"` (every
                frame is prompted on its own, as in training) or `"anchored"` (some frames are decided as in
                training, memory fills in the others from both sides); None takes `config.mask_mode`.
            prompt_frame: Frame that `"video"` prompts; it tracks forward from there, then backward.
            num_anchors: Frames that `"anchored"` decides without memory, spread over the video.
            max_objects_per_batch: Objects the pixel decoder takes at once; lower it against memory peaks.
            output_mask_logits: Also return the low-resolution mask logits.
            pack_masks: Return masks as [`PackedMasks`], an eighth of the size; for long videos.
            mask_callback: Called with every frame's masks as soon as they are decided, what a streamer is for
                tokens.

        Raises:
            InputError: If the mask mode is unknown, frames or their sizes are missing, the prompt leaves no room,
                options contradict each other, or inputs hold NaN or infinite numbers.
            CheckpointError: If weights do.
        """
        options = self._tracking_options(mask_mode, prompt_frame, num_anchors, max_objects_per_batch)
        if mask_callback is not None and not callable(mask_callback):
            raise InputError(
                f"mask_callback is a {type(mask_callback).__name__}; give a function of one FrameMasks, or None."
            )
        input_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        kwargs |= _by_name(self, *args)
        for_training = kwargs.get("labels") is not None
        kwargs = {name: value for name, value in kwargs.items() if name not in _TRAINING_NAMES}
        if input_ids is not None:
            pad, ends = (self._option(kwargs, name) for name in ("pad_token_id", "eos_token_id"))
            input_ids, kwargs = padded_on_the_left(input_ids, kwargs, pad, ends)
        as_dict = kwargs.get("return_dict_in_generate")
        if return_masks and as_dict is False:
            raise InputError(
                "return_masks=True and return_dict_in_generate=False contradict each other; leave one out."
            )
        if return_masks is None:
            shown = grounding_frames is not None or encoded_videos is not None
            return_masks = shown and as_dict is not False and not for_training
        kept = None
        if encoded_videos is not None:
            encoded_videos = [encoded_videos] if hasattr(encoded_videos, "check_made_by") else encoded_videos
            self._check_encoded(encoded_videos, input_ids)
            kept = self._kept_prefix(encoded_videos, input_ids, kwargs)
        given = kwargs
        own_cache = self._own_cache(input_ids, kwargs, kept)
        kwargs = kwargs | own_cache
        kwargs = self._embed_visuals(input_ids, encoded_videos, kwargs)
        if not return_masks:
            with explained_by(given, self):
                output = super().generate(input_ids, **kwargs)
            return self._with_growing_cache(output, own_cache)
        if input_ids is None:
            raise InputError("Masks need input_ids; pass return_masks=False to generate from embeddings alone.")
        frames, sizes, timestamps = self._frames_to_segment(
            input_ids, encoded_videos, grounding_frames, original_sizes, frame_timestamps
        )
        wanted_states = self._option(kwargs, "output_hidden_states")
        ending = FinishReasons()
        kwargs["stopping_criteria"] = StoppingCriteriaList([*(kwargs.get("stopping_criteria") or ()), ending])
        with explained_by(given, self):
            output = super().generate(input_ids, **_with_states(kwargs, _with_the_last(wanted_states)))
            prompts = self._seg_embeddings(output, input_ids.shape[1])
            word_log_probs = self._word_log_probs(output, input_ids.shape[1], ending.ends)
        reasons = ending.of(output.sequences, input_ids.shape[1], self._option(kwargs, "pad_token_id"))
        # Several sequences may be returned for one sample.
        expansion = len(output.sequences) // len(input_ids)
        frames, sizes, timestamps = (
            [item for item in items for _ in range(expansion)] for items in (frames, sizes, timestamps)
        )
        stream = Tracker(self.pixel_decoder, prompts, frames, options).masks(sizes)
        with explained_by(given, self):
            result = collect_masks(
                stream,
                prompts,
                frames,
                sizes,
                with_logits=output_mask_logits,
                packed=pack_masks,
                callback=mask_callback,
            )
        probabilities = self._probabilities(output.sequences[:, input_ids.shape[1] :], word_log_probs, result, options)
        output = self._with_growing_cache(output, own_cache)
        stock = {name: value for name, value in output.items() if wanted_states or name != "hidden_states"}
        return VideoGlammGenerateOutput(
            **stock,
            **result,
            prompt_length=input_ids.shape[1],
            prompt_embeddings=prompts,
            finish_reasons=reasons,
            frame_timestamps=[list(times) for times in timestamps],
            word_log_probs=word_log_probs,
            **probabilities,
        )

    @torch.no_grad()
    def iter_masks(
        self,
        prompts: Sequence[torch.Tensor],
        grounding_frames: Sequence[Any],
        original_sizes: torch.Tensor | Sequence[tuple[int, int]],
        mask_mode: str | None = None,
        prompt_frame: int = 0,
        num_anchors: int = 5,
        max_objects_per_batch: int | None = None,
    ) -> Iterator[FrameMasks]:
        r"""
        Masks frame by frame, while the video is still being worked through; the same path as `generate`'s.

        Args:
            prompts: Per sample, prompt embeddings `[num_objects, C]`, e.g. `output.prompt_embeddings`; or, to track
                objects given by hand, their masks in the prompted frame, `[num_objects, height, width]`.
            grounding_frames: Per sample, uint8 frames `[T, 3, h, w]`.
            original_sizes: Per sample, `(height, width)` of the masks.
            mask_mode, prompt_frame, num_anchors, max_objects_per_batch: As in [`generate`].

        Yields:
            [`FrameMasks`].

        Raises:
            InputError: When the first one is asked for, if there is not one of each per sample, or frames or sizes
                cannot be used.
        """
        options = self._tracking_options(mask_mode, prompt_frame, num_anchors, max_objects_per_batch)
        with explained_by({"prompts": prompts}, self.pixel_decoder):
            yield from Tracker(self.pixel_decoder, prompts, grounding_frames, options).masks(original_sizes)

    def _probabilities(
        self,
        generated: torch.Tensor,
        word_log_probs: list[torch.Tensor] | None,
        result: dict[str, Any],
        options: TrackingOptions,
    ) -> dict[str, list]:
        """How sure the answers are, of a model that is calibrated."""
        if self.calibration is None or word_log_probs is None:
            return {}
        found = [
            self.answer_probabilities(tokens[: len(own)].cpu(), own, scores, ious, options.mask_mode)
            for tokens, own, scores, ious in zip(
                generated, word_log_probs, result["object_scores"], result["iou_scores"], strict=True
            )
        ]
        if all(objects is None for objects, _ in found):
            return {}
        objects, presence = (list(own) for own in zip(*found, strict=True))
        return {"object_probabilities": objects, "presence_probabilities": presence}

    def _tracking_options(
        self, mask_mode: str | None, prompt_frame: int, num_anchors: int, max_objects_per_batch: int | None
    ) -> TrackingOptions:
        return TrackingOptions(
            mask_mode=mask_mode or self.config.mask_mode,
            prompt_frame=prompt_frame,
            num_anchors=num_anchors,
            frames_per_batch=self.config.grounding_batch_size,
            objects_per_batch=max_objects_per_batch,
        )

    def _embed_visuals(
        self, input_ids: torch.Tensor | None, encoded: Encoded | None, kwargs: dict[str, Any]
    ) -> dict[str, Any]:
        """Runs the towers once and replaces what they see by embeddings with the visual tokens in place."""
        kwargs = dict(kwargs)
        pixels, patches = (
            {name: kwargs.pop(name, None) for kind in names for name in names[kind]}
            for names in (PIXEL_NAMES, PATCH_NAMES)
        )
        sample_index = kwargs.pop("sample_index", None)
        if kwargs.get("inputs_embeds") is not None and kwargs.get("assistant_model") is not None:
            raise InputError("assistant_model reads input_ids, and cannot draft from inputs_embeds; leave one out.")
        if input_ids is None or kwargs.get("inputs_embeds") is not None:
            return kwargs
        limit = getattr(self.config.text_config, "max_position_embeddings", None)
        if limit is not None and input_ids.shape[1] > limit:
            raise InputError(
                f"The prompt has {input_ids.shape[1]} tokens, more than the language model's context of {limit}."
            )
        pixels = {name: own for name, own in pixels.items() if own is not None}
        patches = {name: own for name, own in patches.items() if own is not None and len(own)}
        # transformers' assisted generation reads the whole prompt, whatever of it is in the cache.
        read = _fit_cache(input_ids, kwargs, keep=not self._is_assisted(kwargs))
        if not _has_visuals(input_ids[:, read:], self.config) and (read or not (pixels or patches)):
            return kwargs
        if self._option(kwargs, "prefill_chunk_size"):
            raise InputError("prefill_chunk_size cannot be used with a video or picture; leave it out.")
        kwargs |= self._draft_inputs(kwargs.get("assistant_model"), pixels)
        if encoded is None:
            tokens = self.model.project(patches or self._patches(**pixels))
            tokens = self.model.one_per_prompt(*tokens, input_ids, sample_index)
        else:
            tokens = (join_visual_tokens(encoded, kind, input_ids.device) for kind in ("image", "video"))
        kwargs["inputs_embeds"] = self.model.embed_inputs(input_ids, *tokens)
        return kwargs

    def _is_assisted(self, kwargs: dict[str, Any]) -> bool:
        return any(self._option(kwargs, name) is not None for name in ("assistant_model", "prompt_lookup_num_tokens"))

    def _check_encoded(self, encoded: Encoded, input_ids: torch.Tensor | None) -> None:
        if input_ids is None or len(encoded) != len(input_ids):
            count = "no" if input_ids is None else len(input_ids)
            raise InputError(f"encoded_videos hold {len(encoded)} samples, but there are {count} prompts.")
        known = fingerprints(self)
        for i, video in enumerate(encoded):
            if video is None:
                continue
            if not hasattr(video, "check_made_by"):
                raise InputError(
                    f"encoded_videos of sample {i} is a {type(video).__name__}; give what encode_videos returned."
                )
            video.check_made_by(known)

    def _kept_prefix(self, encoded: Encoded, input_ids: torch.Tensor, kwargs: dict[str, Any]) -> DynamicCache | None:
        """The cache to go on from, if one was kept that this single, plainly decoded prompt begins with."""
        prefix = encoded[0].prefix if len(encoded) == 1 and encoded[0] is not None else None
        if prefix is None or not prefix.starts(input_ids[0]):
            return None
        several = any((self._option(kwargs, name) or 1) > 1 for name in SEQUENCES_PER_PROMPT)
        own_cache = any(kwargs.get(name) is not None for name in CACHE_NAMES)
        own_cache = own_cache or self._option(kwargs, "cache_implementation") or kwargs.get("use_cache") is False
        return None if several or own_cache or self._is_assisted(kwargs) else prefix.cache

    def _frames_to_segment(
        self,
        input_ids: torch.Tensor,
        encoded: Encoded | None,
        grounding_frames: Sequence[Any] | None,
        original_sizes: torch.Tensor | Sequence[Sequence[int]] | None,
        frame_timestamps: Sequence[Sequence[float]] | None,
    ) -> tuple[list[Any], list[tuple[int, int]], list[Sequence[float]]]:
        """Per sample: frames (pixels or features), size of the masks, times."""
        side, count = self.config.grounding_config.image_size, len(input_ids)
        frames: list[Any] = [None] * count if grounding_frames is None else list(grounding_frames)
        sizes: list[Any] = [None] * count if original_sizes is None else list(original_sizes)
        times = [()] * count if frame_timestamps is None else list(frame_timestamps)
        for name, given in (
            ("grounding_frames", frames),
            ("original_sizes", sizes),
            ("frame_timestamps", times),
        ):
            if len(given) != count:
                raise InputError(f"There are {len(given)} {name} for {count} prompts; give one per prompt.")
        for i, video in enumerate(encoded or ()):
            if video is not None:
                frames[i] = frames[i] if video.frame_features is None else video.frame_features
                sizes[i], times[i] = video.original_size, video.frame_timestamps
        for i, row in enumerate(input_ids):
            if frames[i] is None and _has_visuals(row, self.config):
                raise InputError(
                    f"grounding_frames of sample {i} are missing: pass everything the processor returned (or encoded "
                    "videos with keep_frames=True), or return_masks=False."
                )
        no_frames = torch.zeros((0, 3, side, side), dtype=torch.uint8)
        frames = [no_frames if f is None else f for f in frames]
        for i, size in enumerate(sizes):
            if not len(frames[i]):
                sizes[i] = (0, 0)
                continue
            check_frames(frames[i], side, f"grounding_frames of sample {i}")
            if size is None:
                raise InputError(
                    f"original_sizes of sample {i} are missing: give the (height, width) its masks are wanted at."
                )
            sizes[i] = mask_size(size, f"original_sizes of sample {i}")
        return frames, sizes, times

    def _get_logits_processor(self, *args: Any, **kwargs: Any) -> LogitsProcessorList:
        """Hides the placeholders, which lie beyond the vocabulary, from processors that look up token ids."""
        processors = [FiniteWords(), *super()._get_logits_processor(*args, **kwargs)]
        return _WithoutPlaceholders(processors, self.config.text_config.vocab_size)

    def _update_model_kwargs_for_generation(self, outputs: ModelOutput, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Copies what is kept of a step: a compiled step writes the next step's into the same memory."""
        for name in ("hidden_states", "attentions"):
            if outputs.get(name):
                outputs[name] = tuple(kept if kept is None else kept.clone() for kept in outputs[name])
        return super()._update_model_kwargs_for_generation(outputs, *args, **kwargs)

    def _get_stopping_criteria(self, *args: Any, **kwargs: Any) -> StoppingCriteriaList:
        try:
            criteria = super()._get_stopping_criteria(*args, **kwargs)
        except ValueError as error:
            # transformers spells out each token after a word of its own, which such a tokenizer makes <unk>.
            if str(error) != "substring not found":
                raise
            raise InputError(
                "stop_strings need a tokenizer that can spell any word, and this one knows whole words only; stop at "
                "tokens (eos_token_id=[...]) or by stopping_criteria."
            ) from error
        for criterion in criteria:
            if hasattr(criterion, "learn"):
                criterion.learn(criteria)
        return criteria

    def _seg_embeddings(self, output: ModelOutput, prompt_length: int) -> list[torch.Tensor]:
        """Per sequence, prompt embeddings `[num_objects, C]` of its generated [SEG] tokens.

        The state used is the one that predicts [SEG], the position before it (reference section 5).
        """
        generated = output.sequences[:, prompt_length:]
        beam_indices = output.get("beam_indices")
        embeddings = []
        for row, tokens in enumerate(generated):
            steps = (tokens == self.config.seg_token_id).nonzero()[:, 0].tolist()
            states = []
            for step in steps:
                source = row if beam_indices is None else int(beam_indices[row, step])
                states.append(output.hidden_states[step][-1][source, -1])
            width = self.config.text_config.hidden_size
            stacked = torch.stack(states) if states else tokens.new_zeros((0, width))
            projected = self.seg_projection(stacked.to(self.seg_projection.linear_1.weight.dtype))
            check_finite(projected, "the prompt embeddings")
            embeddings.append(projected)
        return embeddings


class _WithoutPlaceholders(LogitsProcessorList):
    def __init__(self, processors: LogitsProcessorList, vocab_size: int) -> None:
        super().__init__(processors)
        self.vocab_size = vocab_size

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return super().__call__(input_ids.masked_fill(input_ids >= self.vocab_size, 0), scores, **kwargs)


def _by_name(model: Any, *args: Any) -> dict[str, Any]:
    """Positional arguments of the stock `generate` after its first, by their names there."""
    bound = inspect.signature(GenerationMixin.generate).bind(model, None, *args).arguments
    return {name: value for name, value in list(bound.items())[2:] if value is not None}


def _with_states(kwargs: dict[str, Any], states: bool | int | Sequence[int]) -> dict[str, Any]:
    """Options of `generate` that also return states: in a copy of a configuration that is given, beside which
    transformers takes no others."""
    wanted = {"return_dict_in_generate": True, "output_hidden_states": states}
    if kwargs.get("generation_config") is None:
        return kwargs | wanted
    config = copy.deepcopy(kwargs["generation_config"])
    for name, value in wanted.items():
        setattr(config, name, value)
    return {name: value for name, value in kwargs.items() if name not in wanted} | {"generation_config": config}


def _with_the_last(wanted: bool | int | Sequence[int] | None) -> bool | int | list[int]:
    """`output_hidden_states` that holds the final states, from which masks are prompted."""
    if wanted is True:
        return True
    return [*(wanted if isinstance(wanted, Sequence) else [wanted]), -1] if wanted else -1


def _fit_cache(input_ids: torch.Tensor, kwargs: dict[str, Any], keep: bool) -> int:
    """Cuts a given cache that was used before back to the prompt, or (without `keep`) to nothing; how many tokens of
    the prompt it holds."""
    cache = next((kwargs[name] for name in CACHE_NAMES if kwargs.get(name) is not None), None)
    mask = kwargs.get("attention_mask")
    if cache is None or (mask is not None and mask.shape[1] != input_ids.shape[1]):
        return 0  # no cache, or only the new tokens are given
    extra = int(cache.get_seq_length()) - (input_ids.shape[1] - 1 if keep else 0)
    if extra > 0:
        cache.crop(-extra)
    return int(cache.get_seq_length())


def _is_visual(input_ids: torch.Tensor, config: Any) -> torch.Tensor:
    return (input_ids == config.image_token_id) | (input_ids == config.video_token_id)


def _has_visuals(input_ids: torch.Tensor, config: Any) -> bool:
    return bool(_is_visual(input_ids, config).any())
