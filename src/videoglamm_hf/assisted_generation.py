"""Speculative decoding of a model that sees: what the draft model gets, and the states of what it proposed."""

import functools
from typing import Any

import torch
from transformers import GenerationMixin
from transformers.generation import PromptLookupCandidateGenerator

from .encoded_video import PIXEL_NAMES
from .errors import InputError
from .transformers_versions import CACHE

_PIXELS = tuple(name for names in PIXEL_NAMES.values() for name in names)


class AssistedGenerationMixin:
    """What [`GroundedGenerationMixin`] adds to transformers' assisted generation."""

    def _draft_inputs(self, assistant: Any, pixels: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
        """What a draft model needs to see for itself.

        Raises:
            InputError: If it cannot see, or the pixels are gone.
        """
        if assistant is None:
            return {}
        if not hasattr(assistant, "encode_videos"):
            raise InputError(
                f"assistant_model is a {type(assistant).__name__}, which cannot see; draft with a "
                "VideoGlammForGroundedGeneration, or ask without a video or picture."
            )
        if not pixels:
            raise InputError(
                "assistant_model needs the pixels of the video or picture: pass everything the processor returned, "
                "and no encoded_videos."
            )
        return pixels

    @functools.wraps(GenerationMixin.prepare_inputs_for_generation)
    def prepare_inputs_for_generation(self, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> dict[str, Any]:
        embeds, cache = kwargs.get("inputs_embeds"), kwargs.get(CACHE)
        if embeds is not None and (cache is None or int(cache.get_seq_length()) == 0):
            length = embeds.shape[1]
            if input_ids.shape[1] == length:
                # A draft model's first pass is not announced as one: it would read the prompt without what it sees.
                kwargs["is_first_iteration"] = True
            elif input_ids.shape[1] > length and kwargs.get("is_first_iteration"):
                # What was drafted before the first pass follows the prompt.
                drafted = self.get_input_embeddings()(input_ids[:, length:])
                kwargs["inputs_embeds"] = torch.cat([embeds, drafted.to(embeds)], dim=1)
        return super().prepare_inputs_for_generation(input_ids, *args, **kwargs)

    def _get_candidate_generator(self, **kwargs: Any) -> Any:
        """Gives the draft model pixels for its own towers in place of this model's embeddings, and prompt lookup a
        prompt of words only.

        Raises:
            InputError: For `assistant_early_exit`.
        """
        if kwargs["generation_config"].assistant_early_exit is not None:
            raise InputError(
                "assistant_early_exit is for models trained to answer from their first layers, which VideoGLaMM's "
                "language models are not; draft with an assistant_model or prompt_lookup_num_tokens."
            )
        model_kwargs = kwargs["model_kwargs"]
        pixels = {name: model_kwargs.pop(name) for name in _PIXELS if name in model_kwargs}
        if pixels:
            for_draft = {name: value for name, value in model_kwargs.items() if name != "inputs_embeds"}
            kwargs["model_kwargs"] = for_draft | pixels
        generator = super()._get_candidate_generator(**kwargs)
        if isinstance(generator, PromptLookupCandidateGenerator):
            generator.get_candidates = functools.partial(
                _candidates_of_words, generator.get_candidates, self.config.text_config.vocab_size
            )
        return generator

    def _assisted_decoding(self, input_ids: torch.Tensor, *args: Any, **kwargs: Any) -> Any:
        output = super()._assisted_decoding(input_ids, *args, **kwargs)
        if torch.is_tensor(output) or not output.hidden_states:
            return output
        # transformers files the states of the first round's tokens under those of the prompt, so they are read again.
        states = self._final_states(output, input_ids.shape[1], kwargs.get("attention_mask"))
        steps = zip(output.hidden_states, states.split(1, dim=1), strict=True)
        output.hidden_states = tuple((*step[:-1], state) for step, state in steps)
        return output

    def _final_states(self, output: Any, prompt_length: int, mask: torch.Tensor | None) -> torch.Tensor:
        """Final states `[1, n, D]` of the positions that predict the n new tokens; the prompt is not read again."""
        cache, sequences = output[CACHE], output.sequences
        cache.crop(prompt_length - 1 - cache.get_seq_length())
        total = sequences.shape[1] - 1
        mask = sequences.new_ones((1, prompt_length)) if mask is None else mask[:, :prompt_length]
        mask = torch.cat([mask, mask.new_ones((1, total - prompt_length))], dim=1) if total > prompt_length else mask
        return self.model.language_model(
            input_ids=sequences[:, prompt_length - 1 : total],
            attention_mask=mask[:, :total],
            position_ids=(mask.cumsum(dim=1) - 1).clamp(min=0)[:, prompt_length - 1 : total],
            use_cache=True,
            **{CACHE: cache},
        ).last_hidden_state


def _candidates_of_words(
    get_candidates: Any, vocab_size: int, input_ids: torch.Tensor, **kwargs: Any
) -> tuple[torch.Tensor, torch.Tensor | None]:
    """`get_candidates` of a prompt lookup, to which placeholders, beyond the vocabulary, are shown as word 0."""
    words, logits = get_candidates(input_ids.masked_fill(input_ids >= vocab_size, 0), **kwargs)
    return torch.cat([input_ids, words[:, input_ids.shape[1] :]], dim=1), logits
