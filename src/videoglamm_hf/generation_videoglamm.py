"""`generate` with masks: words from transformers' own loop, masks from the states that predicted [SEG].

The towers run once, before the loop, which then only sees embeddings. Of every step one vector is kept. Masks
leave as booleans at the video's own size, frame by frame, as soon as they are decided.

Shapes: B samples, R returned sequences, N objects (of all sequences), T frames of one sample, H x W its size,
s side of low-resolution masks.
"""

import copy
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, fields
from typing import Any

import torch
from transformers import LogitsProcessorList
from transformers.utils import ModelOutput

from .encoded_video import EncodedVideo, join_visual_tokens
from .encoding_videoglamm import VideoEncodingMixin
from .errors import InputError
from .fingerprints import fingerprints
from .packed_masks import PackedMasks
from .tracking import FrameMasks, Tracker, TrackingOptions

# Per sample, its encoded video or picture; None for text only.
Encoded = Sequence[EncodedVideo | None]
# Generation options by which a prompt becomes several sequences.
_SEQUENCES_PER_PROMPT = ("num_beams", "num_return_sequences")


@dataclass
class VideoGlammGenerateOutput(ModelOutput):
    """
    What [`VideoGlammForGroundedGeneration.generate`] returns.

    Attributes:
        sequences: int64 `[R, L]`: the prompt (one placeholder per visual token) and what was generated.
        prompt_length: Tokens of the prompt.
        masks: Per sequence, bool `[num_objects, T, H, W]` on the CPU; the n-th is that of the n-th [SEG]. No
            objects if no [SEG] was generated, no frames for a text-only question.
        object_scores: Per sequence, float32 `[num_objects, T]`: logits of the object being in the frame.
        iou_scores: Per sequence, float32 `[num_objects, T]`: predicted IoU of the chosen mask.
        mask_logits: Per sequence, float32 low-resolution logits `[num_objects, T, s, s]`, with
            `output_mask_logits=True`.
        prompt_embeddings: Per sequence, `[num_objects, C]`: what prompted the pixel decoder.
        frame_timestamps: Per sequence, seconds of each frame, if the inputs carried them.
        sequences_scores, scores, logits, attentions, hidden_states, past_key_values, beam_indices: As in
            transformers, when asked for.
    """

    sequences: torch.Tensor | None = None
    prompt_length: int | None = None
    masks: list[torch.Tensor] | None = None
    object_scores: list[torch.Tensor] | None = None
    iou_scores: list[torch.Tensor] | None = None
    mask_logits: list[torch.Tensor] | None = None
    prompt_embeddings: list[torch.Tensor] | None = None
    frame_timestamps: list[list[float]] | None = None
    sequences_scores: torch.Tensor | None = None
    scores: tuple[torch.Tensor, ...] | None = None
    logits: tuple[torch.Tensor, ...] | None = None
    attentions: tuple | None = None
    hidden_states: tuple | None = None
    past_key_values: Any = None
    beam_indices: torch.Tensor | None = None


class GroundedGenerationMixin(VideoEncodingMixin):
    """`generate` and `iter_masks` of [`VideoGlammForGroundedGeneration`]."""

    @torch.no_grad()
    def generate(
        self,
        inputs: torch.Tensor | None = None,
        generation_config: Any = None,
        logits_processor: Any = None,
        *args: Any,
        grounding_frames: Sequence[torch.Tensor] | None = None,
        original_sizes: torch.Tensor | None = None,
        frame_timestamps: Sequence[Sequence[float]] | None = None,
        encoded_videos: Encoded | None = None,
        return_masks: bool = True,
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

        Args:
            inputs, generation_config, logits_processor, args, kwargs: As in `GenerationMixin.generate`:
                sampling, beams, `stopping_criteria`, streamers, caches all work. The multimodal inputs come
                from [`VideoGlammProcessor`].
            grounding_frames: Per sample, uint8 frames `[T, 3, h, w]` for the pixel decoder.
            original_sizes: int64 `[B, 2]`, height and width the masks are returned at.
            frame_timestamps: Per sample, seconds of each frame; handed through to the output.
            encoded_videos: What [`encode_videos`] returned for these samples: the towers do not run again, nor
                does the image encoder if its features were kept.
            return_masks: False gives the stock `generate` of transformers.
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
            InputError: If the mask mode is unknown, frames are missing, or the prompt leaves no room.
        """
        options = self._tracking_options(mask_mode, prompt_frame, num_anchors, max_objects_per_batch)
        input_ids = inputs if inputs is not None else kwargs.pop("input_ids", None)
        stock = {"generation_config": generation_config, "logits_processor": logits_processor}
        if encoded_videos is not None:
            self._check_encoded(encoded_videos, input_ids)
            kwargs |= self._kept_prefix(encoded_videos, input_ids, generation_config, kwargs)
        kwargs = self._embed_visuals(input_ids, encoded_videos, kwargs)
        if not return_masks:
            return super().generate(input_ids, *args, **stock, **kwargs)
        if input_ids is None:
            raise InputError("Masks need input_ids; pass return_masks=False to generate from embeddings alone.")
        frames, sizes, timestamps = self._frames_to_segment(
            input_ids, encoded_videos, grounding_frames, original_sizes, frame_timestamps
        )
        wants_states = kwargs.pop("output_hidden_states", None)
        kwargs.pop("return_dict_in_generate", None)
        output = super().generate(
            input_ids,
            *args,
            **stock,
            return_dict_in_generate=True,
            output_hidden_states=True,
            last_state_only=not wants_states,
            **kwargs,
        )
        prompts = self._seg_embeddings(output, input_ids.shape[1])
        # Several sequences may be returned for one sample.
        expansion = len(output.sequences) // len(input_ids)
        frames, sizes, timestamps = (
            [item for item in items for _ in range(expansion)] for items in (frames, sizes, timestamps)
        )
        stream = Tracker(self.pixel_decoder, prompts, frames, options).masks(sizes)
        result = _collect_masks(stream, prompts, frames, sizes, output_mask_logits, pack_masks, mask_callback)
        known = {field.name for field in fields(VideoGlammGenerateOutput)}
        stock_fields = {key: value for key, value in output.items() if key in known}
        if not wants_states:
            stock_fields.pop("hidden_states", None)
        return VideoGlammGenerateOutput(
            **stock_fields,
            **result,
            prompt_length=input_ids.shape[1],
            prompt_embeddings=prompts,
            frame_timestamps=[list(times) for times in timestamps],
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
        """
        options = self._tracking_options(mask_mode, prompt_frame, num_anchors, max_objects_per_batch)
        sizes = [(int(height), int(width)) for height, width in original_sizes]
        yield from Tracker(self.pixel_decoder, prompts, grounding_frames, options).masks(sizes)

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
        """Runs the towers once and replaces their pixels by embeddings with the visual tokens in place."""
        kwargs = dict(kwargs)
        names = ("pixel_values", "pixel_values_videos", "temporal_pixel_values_videos")
        pixels = [kwargs.pop(name, None) for name in names]
        if input_ids is None or kwargs.get("inputs_embeds") is not None:
            return kwargs
        limit = getattr(self.config.text_config, "max_position_embeddings", None)
        if limit is not None and input_ids.shape[1] > limit:
            raise InputError(
                f"The prompt has {input_ids.shape[1]} tokens, more than the language model's context of {limit}."
            )
        if not _has_visuals(input_ids, self.config):
            return kwargs
        if encoded is None:
            tokens = self.model.project(self._patches(*pixels))
        else:
            tokens = (join_visual_tokens(encoded, kind, input_ids.device) for kind in ("image", "video"))
        kwargs["inputs_embeds"] = self.model.embed_inputs(input_ids, *tokens)
        return kwargs

    def _check_encoded(self, encoded: Encoded, input_ids: torch.Tensor | None) -> None:
        if input_ids is None or len(encoded) != len(input_ids):
            count = "no" if input_ids is None else len(input_ids)
            raise InputError(f"encoded_videos hold {len(encoded)} samples, but there are {count} prompts.")
        known = fingerprints(self)
        for video in encoded:
            if video is not None:
                video.check_made_by(known)

    def _kept_prefix(
        self,
        encoded: Encoded,
        input_ids: torch.Tensor,
        generation_config: Any,
        kwargs: dict[str, Any],
    ) -> dict[str, Any]:
        """The cache to go on from, if one was kept that this single, plainly decoded prompt begins with."""
        prefix = encoded[0].prefix if len(encoded) == 1 and encoded[0] is not None else None
        if prefix is None or not prefix.starts(input_ids[0]):
            return {}
        config = generation_config or self.generation_config
        several = any((kwargs.get(name) or getattr(config, name) or 1) > 1 for name in _SEQUENCES_PER_PROMPT)
        own_cache = kwargs.get("past_key_values") or kwargs.get("cache_implementation") or config.cache_implementation
        if several or own_cache or kwargs.get("use_cache") is False:
            return {}
        return {"past_key_values": copy.deepcopy(prefix.cache)}

    def _frames_to_segment(
        self,
        input_ids: torch.Tensor,
        encoded: Encoded | None,
        grounding_frames: Sequence[Any] | None,
        original_sizes: torch.Tensor | None,
        frame_timestamps: Sequence[Sequence[float]] | None,
    ) -> tuple[list[Any], list[tuple[int, int]], list[Sequence[float]]]:
        """Per sample: frames (pixels or features), size of the masks, times."""
        side, count = self.config.grounding_config.image_size, len(input_ids)
        frames: list[Any] = list(grounding_frames or [None] * count)
        sizes = [(0, 0)] * count if original_sizes is None else original_sizes.tolist()
        times = list(frame_timestamps or [()] * count)
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
        return frames, [(int(height), int(width)) for height, width in sizes], times

    def _get_logits_processor(self, *args: Any, **kwargs: Any) -> LogitsProcessorList:
        """Hides the placeholders, which lie beyond the vocabulary, from processors that look up token ids."""
        processors = super()._get_logits_processor(*args, **kwargs)
        return _WithoutPlaceholders(processors, self.config.text_config.vocab_size) if processors else processors

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
            embeddings.append(self.seg_projection(stacked.to(self.seg_projection.linear_1.weight.dtype)))
        return embeddings


class _WithoutPlaceholders(LogitsProcessorList):
    def __init__(self, processors: LogitsProcessorList, vocab_size: int) -> None:
        super().__init__(processors)
        self.vocab_size = vocab_size

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor, **kwargs: Any) -> torch.Tensor:
        return super().__call__(input_ids.masked_fill(input_ids >= self.vocab_size, 0), scores, **kwargs)


def _is_visual(input_ids: torch.Tensor, config: Any) -> torch.Tensor:
    return (input_ids == config.image_token_id) | (input_ids == config.video_token_id)


def _has_visuals(input_ids: torch.Tensor, config: Any) -> bool:
    return bool(_is_visual(input_ids, config).any())


def _collect_masks(
    stream: Iterator[FrameMasks],
    prompts: Sequence[torch.Tensor],
    frames: Sequence[Any],
    sizes: Sequence[tuple[int, int]],
    with_logits: bool,
    packed: bool,
    callback: Callable[[FrameMasks], None] | None,
) -> dict[str, list | None]:
    """Gathers a stream of frames into one tensor per sequence."""
    counts = [(len(p), len(f)) for p, f in zip(prompts, frames, strict=True)]
    shapes = [(*count, *size) for count, size in zip(counts, sizes, strict=True)]
    masks = [PackedMasks.zeros(s) if packed else torch.zeros(s, dtype=torch.bool) for s in shapes]
    scores, ious = [torch.zeros(c) for c in counts], [torch.zeros(c) for c in counts]
    logits: list[torch.Tensor | None] = [None] * len(counts)
    for frame in stream:
        if callback is not None:
            callback(frame)
        i, t = frame.sequence_index, frame.frame_index
        masks[i][:, t] = frame.masks
        scores[i][:, t] = frame.object_scores
        ious[i][:, t] = frame.iou_scores
        if with_logits:
            if logits[i] is None:
                logits[i] = torch.zeros((*counts[i], *frame.logits.shape[1:]))
            logits[i][:, t] = frame.logits.float().cpu()
    return {
        "masks": masks,
        "object_scores": scores,
        "iou_scores": ious,
        "mask_logits": [torch.zeros((*c, 0, 0)) if ls is None else ls for ls, c in zip(logits, counts, strict=True)]
        if with_logits
        else None,
    }
