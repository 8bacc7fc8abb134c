"""Reading padded prompts of a batch one by one: without padding there is no mask, and attention takes fast kernels.

One prompt with a video fills a device by itself, so nothing is lost; a mask costs attention three times the time. The
words that follow are decoded as one batch.

Shapes: B prompts, L tokens of the longest, W tokens of an attention window.
"""

from typing import Any

import torch
from torch import nn
from transformers import DynamicCache
from transformers.cache_utils import (
    CacheLayerMixin,
    DynamicLayer,
    DynamicSlidingWindowLayer,
    StaticLayer,
    StaticSlidingWindowLayer,
)
from transformers.utils import ModelOutput

from .transformers_versions import CACHE, CACHE_NAMES

# Shorter prompts do not fill a device one by one.
LEAST_PROMPT = 256
# What a single prompt can be read with; anything else belongs to the batch.
_KNOWN = {"attention_mask", "inputs_embeds", "logits_to_keep", "output_attentions", "output_hidden_states"}
_KNOWN |= {"position_ids", "use_cache", *CACHE_NAMES}
_LAYERS = (DynamicLayer, DynamicSlidingWindowLayer, StaticLayer, StaticSlidingWindowLayer)


class RowPrefillMixin:
    """The first step of `generate` for padded batches of long prompts."""

    def _prefill(
        self,
        input_ids: torch.Tensor,
        generation_config: Any,
        model_kwargs: dict[str, Any],
        *args: Any,
        **kwargs: Any,
    ) -> ModelOutput:
        if not _reads_row_by_row(generation_config, model_kwargs) or _has_an_adapter_per_row(self):
            return super()._prefill(input_ids, generation_config, model_kwargs, *args, **kwargs)
        embeds, cache = model_kwargs["inputs_embeds"], model_kwargs[CACHE]
        lengths = model_kwargs["attention_mask"].long().sum(dim=1).tolist()
        rows: list[ModelOutput] = []
        for row, length in enumerate(lengths):
            own = DynamicCache(config=self.config.get_text_config(decoder=True))
            output = self(
                inputs_embeds=embeds[row : row + 1, -length:],
                use_cache=True,
                logits_to_keep=1,
                output_hidden_states=model_kwargs.get("output_hidden_states"),
                return_dict=True,
                **{CACHE: own},
            )
            for layer, read in zip(cache.layers, own.layers, strict=True):
                _put(layer, read, row, embeds.shape[:2])
            # Prompts are as long as their caches are large: one at a time.
            output[CACHE] = cache
            rows.append(output)
        return _joined(rows)


def _reads_row_by_row(generation_config: Any, options: dict[str, Any]) -> bool:
    mask, embeds, cache = options.get("attention_mask"), options.get("inputs_embeds"), options.get(CACHE)
    if embeds is None or cache is None or mask is None or mask.ndim != 2 or mask.shape != embeds.shape[:2]:
        return False
    if any(value is not None and name not in _KNOWN for name, value in options.items()):
        return False
    layers = getattr(cache, "layers", ())
    plain = bool(layers) and all(_can_be_put(layer) for layer in layers) and not cache.offloading
    # Other states than the last are as long as their prompts. (-1 is the last of the last position.)
    states = options.get("output_hidden_states")
    plain = plain and not options.get("output_attentions") and (states is None or states is False or states == -1)
    if not plain or embeds.shape[1] < LEAST_PROMPT or (generation_config.num_beams or 1) > 1:
        return False
    mask = mask.long()
    lengths, places = mask.sum(dim=1, keepdim=True), torch.arange(mask.shape[1], device=mask.device)
    # Every row is padded in front, and holds something; its positions begin behind the padding.
    usual = (mask == (places >= mask.shape[1] - lengths)).all() & (lengths > 0).all()
    positions = options.get("position_ids")
    if positions is not None:
        usual &= (positions == mask.cumsum(dim=1) - 1)[mask.bool()].all() if positions.shape == mask.shape else False
    return bool(usual & (lengths < mask.shape[1]).any())


def _has_an_adapter_per_row(model: nn.Module) -> bool:
    """Whether peft runs with `adapter_names`, one for each row: by hooks, of which no argument tells."""
    hooks = (hook for module in model.modules() for hook in module._forward_pre_hooks.values())
    return any(
        getattr(getattr(hook, "func", hook), "__name__", "") == "_adapter_names_pre_forward_hook" for hook in hooks
    )


def _can_be_put(layer: CacheLayerMixin) -> bool:
    # A window of one token keeps nothing.
    window = getattr(layer, "sliding_window", None) or getattr(layer, "max_cache_len", 2)
    return type(layer) in _LAYERS and not layer.is_initialized and window > 1


def _put(layer: CacheLayerMixin, read: DynamicLayer, row: int, shape: tuple[int, int]) -> None:
    """Writes what was read of one prompt `[1, heads, tokens, channels]` into its row of a batch's cache."""
    batch, longest = shape
    sliding, static = layer.is_sliding, hasattr(layer, "max_cache_len")
    # A full window keeps what a layer of its kind would: all of it, or all but the token that is to come.
    held = min(longest, layer.max_cache_len if static else layer.sliding_window - 1) if sliding else longest
    if not layer.is_initialized:
        keys, values = (tensor.expand(batch, -1, -1, -1) for tensor in (read.keys, read.values))
        layer.lazy_initialization(keys, values)
        if static:
            layer.cumulative_length.add_(held)
        else:
            layer.keys, layer.values = (
                tensor.new_zeros(batch, tensor.shape[1], held, tensor.shape[3]) for tensor in (keys, values)
            )
        if sliding:
            setattr(layer, "cumulative_length_int" if static else "cumulative_length", longest)
    count = min(held, read.keys.shape[-2])
    layer.keys[row, :, held - count : held] = read.keys[0, :, -count:]
    layer.values[row, :, held - count : held] = read.values[0, :, -count:]


def _joined(rows: list[ModelOutput]) -> ModelOutput:
    """The outputs of single prompts, each of its last position, as those of a batch."""
    joined = rows[0]
    joined["logits"] = torch.cat([row["logits"] for row in rows])
    if joined.get("hidden_states"):
        joined["hidden_states"] = tuple(map(torch.cat, zip(*(row["hidden_states"] for row in rows), strict=True)))
    return joined
