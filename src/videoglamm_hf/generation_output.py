"""What `generate` returns with masks.

Shapes: R returned sequences, T frames of one sample, H x W its size, s side of low-resolution masks.
"""

from dataclasses import dataclass

import torch
from transformers.generation import GenerateDecoderOnlyOutput

from .short_repr import short_repr


@dataclass(repr=False)
class VideoGlammGenerateOutput(GenerateDecoderOnlyOutput):
    """
    What [`VideoGlammForGroundedGeneration.generate`] returns with masks.

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
        finish_reasons: Per sequence, `"stop"` if the answer is complete (an end token, a stopping criterion) or
            `"length"` if it was cut at the limit on its length; None where a decoding method of its own does not say.
        frame_timestamps: Per sequence, seconds of each frame, if the inputs carried them.
        word_log_probs: Per sequence, float32 `[n]`: log probability that the language model itself gives to each
            generated token, the one that ended the answer being the last; None where a decoding method of its own
            does not say.
        object_probabilities: Per sequence, float32 `[num_objects]`: that the mask is right, of a model with a
            calibration (docs/own_data.md); else None.
        presence_probabilities: Per sequence, that what was asked about is there at all; None as above.
        cache (past_key_values before transformers 5.24): The language model's keys and values.
        sequences_scores, scores, logits, attentions, hidden_states, beam_indices: As in transformers, when asked for.
    """

    prompt_length: int | None = None
    masks: list[torch.Tensor] | None = None
    object_scores: list[torch.Tensor] | None = None
    iou_scores: list[torch.Tensor] | None = None
    mask_logits: list[torch.Tensor] | None = None
    prompt_embeddings: list[torch.Tensor] | None = None
    finish_reasons: list[str | None] | None = None
    frame_timestamps: list[list[float]] | None = None
    word_log_probs: list[torch.Tensor] | None = None
    object_probabilities: list[torch.Tensor | None] | None = None
    presence_probabilities: list[float | None] | None = None
    sequences_scores: torch.Tensor | None = None
    beam_indices: torch.Tensor | None = None

    __repr__ = short_repr
