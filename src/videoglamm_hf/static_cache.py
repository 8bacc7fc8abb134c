"""Keys and values in memory of a fixed size, so that one compiled decoding step fits every token; and when to take it.

Shapes: B sequences, W tokens of an attention window.
"""

import copy
import threading
import weakref
from collections.abc import Mapping
from typing import Any

import torch
from torch import nn
from torch.utils._triton import has_triton
from transformers import Cache, DynamicCache, StaticCache
from transformers.cache_utils import StaticSlidingWindowLayer

from .errors import InputError
from .transformers_versions import CACHE, CACHE_NAMES

# Lengths of static caches are multiples of this: another question of about the same length needs no compiling.
LENGTH_BUCKET = 256
# Answers of fewer words are over before a compiled step has paid.
LEAST_NEW_TOKENS = 32
# Where a compiled decoding step is several times as fast: elsewhere launching kernels is not what takes the time.
COMPILING_DEVICES = ("cuda",)
# Options of `generate` by which a prompt becomes several sequences, and by which it keeps another cache.
SEQUENCES_PER_PROMPT = ("num_beams", "num_return_sequences")
_OTHER_CACHES = ("cache_implementation", "assistant_model", "prompt_lookup_num_tokens", "prefill_chunk_size")

# Models that have answered before: who asks once does not wait for a compiler.
_ANSWERED: "weakref.WeakSet[nn.Module]" = weakref.WeakSet()


class RingWindowLayer(StaticSlidingWindowLayer):
    """A static layer of a sliding window that overwrites its oldest token.

    transformers' layer moves the whole window by one token at every step, 3 GB a word at the published size. Keys hold
    their positions, and in a full window every token may be seen, so their order does not matter. It would to a mask
    of padding.
    """

    def lazy_initialization(self, *args: Any, **kwargs: Any) -> None:
        super().lazy_initialization(*args, **kwargs)
        self.oldest = torch.zeros(1, dtype=torch.long, device=self.device)
        if not torch.compiler.is_compiling():
            torch._dynamo.mark_static_address(self.oldest)

    def update(
        self, key_states: torch.Tensor, value_states: torch.Tensor, *args: Any, **kwargs: Any
    ) -> tuple[torch.Tensor, torch.Tensor]:
        """Like `StaticSlidingWindowLayer.update`: keys and values `[B, heads, tokens, channels]` to attend to."""
        full = self.is_initialized and self.cumulative_length_int >= self.max_cache_len
        if not full or key_states.shape[-2] != 1:
            if full:
                self.put_in_order()
            return super().update(key_states, value_states, *args, **kwargs)
        self.cumulative_length_int += 1
        self.keys.index_copy_(2, self.oldest, key_states)
        self.values.index_copy_(2, self.oldest, value_states)
        self.oldest.add_(1).remainder_(self.max_cache_len)
        return self.keys, self.values

    def put_in_order(self) -> None:
        """Moves the oldest token of a full window to its front."""
        shift = -int(self.oldest)
        self.keys.copy_(self.keys.roll(shift, dims=-2))
        self.values.copy_(self.values.roll(shift, dims=-2))
        self.oldest.zero_()

    def reset(self) -> None:
        super().reset()
        if self.is_initialized:
            self.oldest.zero_()


def rounded_length(length: int) -> int:
    """A length of a static cache that is at least `length`."""
    return -(-length // LENGTH_BUCKET) * LENGTH_BUCKET


def with_rings(cache: Cache, config: Any) -> Cache:
    """An empty static cache whose full windows are overwritten in place; for sequences without padding."""
    window = getattr(config, "sliding_window", None)
    cache.layers = [
        RingWindowLayer(max_cache_len=layer.max_cache_len, sliding_window=window)
        if type(layer) is StaticSlidingWindowLayer
        else layer
        for layer in cache.layers
    ]
    return cache


def static_copy(kept: DynamicCache, config: Any, length: int) -> StaticCache:
    """A static cache for `length` tokens that begins with those of another cache, of one sequence."""
    cache = with_rings(StaticCache(config=config, max_cache_len=rounded_length(length)), config)
    for own, layer in zip(cache.layers, kept.layers, strict=True):
        own.update(layer.keys, layer.values)
        if own.is_sliding and layer.cumulative_length >= own.max_cache_len:
            # A full window that grows keeps one token less: the next one goes into the place that is left.
            own.oldest.fill_(own.max_cache_len - 1)
            own.cumulative_length_int = layer.cumulative_length
    return cache


def dynamic_view(kept: StaticCache, config: Any) -> DynamicCache:
    """The tokens of a static cache, as a cache that grows; without padding, and without copying whole windows."""
    cache, length = DynamicCache(config=config), int(kept.get_seq_length())
    for own, layer in zip(cache.layers, kept.layers, strict=True):
        first = 0
        if layer.is_sliding and length >= layer.max_cache_len:
            if hasattr(layer, "oldest"):
                layer.put_in_order()
            first = 1
        own.lazy_initialization(layer.keys, layer.values)
        own.keys, own.values = (tensor[:, :, first:length] for tensor in (layer.keys, layer.values))
        if own.is_sliding:
            own.cumulative_length = length
    return cache


class StaticCacheMixin:
    """Which cache `generate` takes, where its caller leaves that to it."""

    def _own_cache(
        self, input_ids: torch.Tensor | None, options: Mapping[str, Any], kept: DynamicCache | None
    ) -> dict[str, Cache]:
        """The cache to go on from or to fill, by the name of the argument; nothing if transformers is to choose.

        From the second answer of a model on it is a static one where that pays: transformers then compiles the
        decoding step. `disable_compile=True` (an option of `generate` and of a generation configuration) switches
        that off.

        Args:
            options: Options of the call.
            kept: Of an encoded video: what the prompt begins with.
        """
        asked_before = self in _ANSWERED
        _ANSWERED.add(self)
        given = next((options[name] for name in CACHE_NAMES if options.get(name) is not None), None)
        handed_on = getattr(given, "handed_on", False)
        if handed_on and self._option(options, "cache_implementation") is not None:
            raise InputError(
                "What next_turn returned goes on from its own cache, which cache_implementation would replace; leave "
                "it out, or leave the cache out and give the video again."
            )
        start = given if handed_on else kept
        # Others hold padding, or keep their tokens elsewhere or in another form.
        can_be_copied = start is None or (type(start) is DynamicCache and not start.offloading)
        if (given is not None and not handed_on) or not can_be_copied:
            return {}
        length = 0 if input_ids is None else input_ids.shape[1]
        total = length + self._new_tokens(options, length)
        if length == 0 or not asked_before or not self._compiling_pays(options, length, total):
            return {} if kept is None or handed_on else {CACHE: copy.deepcopy(kept)}
        config = self.config.get_text_config(decoder=True)
        if start is not None:
            return {CACHE: static_copy(start, config, total)}
        cache = StaticCache(config=config, max_cache_len=rounded_length(total))
        return {CACHE: cache if _is_padded(options) else with_rings(cache, config)}

    def _option(self, options: Mapping[str, Any], name: str) -> Any:
        """An option of `generate` as transformers reads it: of the call, of a configuration given, of the model."""
        for value in (
            options.get(name),
            getattr(options.get("generation_config"), name, None),
            getattr(self.generation_config, name, None),
        ):
            if value is not None:
                return value
        return None

    def _new_tokens(self, options: Mapping[str, Any], prompt_length: int) -> int:
        """How many tokens may be generated, at most."""
        new, whole = self._option(options, "max_new_tokens"), self._option(options, "max_length")
        if new is None:
            # transformers' default length, of the whole sequence.
            return 20 if whole is None else whole - prompt_length
        return new

    def _compiling_pays(self, options: Mapping[str, Any], length: int, total: int) -> bool:
        """Whether a static cache is the better one: on one GPU, where nothing is asked for that needs another.

        Args:
            length: Tokens of the prompt.
            total: Tokens that there are to be in the end, at most.
        """
        if self.device.type not in COMPILING_DEVICES or not _can_compile(self):
            return False
        if self._option(options, "disable_compile") or self._option(options, "use_cache") is False:
            return False
        other = any(self._option(options, name) is not None for name in _OTHER_CACHES)
        other = other or any((self._option(options, name) or 1) > 1 for name in SEQUENCES_PER_PROMPT)
        # Room for more than a context holds would be memory for nothing.
        context = getattr(self.config.get_text_config(decoder=True), "max_position_embeddings", None) or total
        return not other and total - length >= LEAST_NEW_TOKENS and total <= context

    def _with_growing_cache(self, output: Any, own: Mapping[str, Cache]) -> Any:
        """An output with a cache that can be gone on from, where [`_own_cache`] chose one that is full."""
        if isinstance(own.get(CACHE), StaticCache) and isinstance(output, dict):
            output[CACHE] = dynamic_view(own[CACHE], self.config.get_text_config(decoder=True))
        return output

    def _prepare_static_cache(
        self, cache_implementation: str, batch_size: int, max_cache_len: int, *args: Any, **kwargs: Any
    ) -> Cache:
        """Of a length that other questions share, and without moving full windows, also where a caller asks for it."""
        length = rounded_length(max_cache_len)
        cache = super()._prepare_static_cache(cache_implementation, batch_size, length, *args, **kwargs)
        if "offloaded" in cache_implementation or _is_padded(kwargs.get("model_kwargs", {})):
            return cache
        return with_rings(cache, self.config.get_text_config(decoder=True))


def _is_padded(options: Mapping[str, Any]) -> bool:
    mask = options.get("attention_mask")
    return mask is not None and not bool((mask == 1).all())


def _can_compile(model: nn.Module) -> bool:
    """Whether the whole model is on one device, its kernels can be compiled and its attention takes static caches."""
    quantizer = getattr(model, "hf_quantizer", None)
    places = set(map(str, getattr(model, "hf_device_map", {}).values()))
    several = torch.distributed.is_available() and torch.distributed.is_initialized()
    return (
        has_triton()
        # CUDA graphs fail in any other thread (pytorch issue 123177).
        and threading.current_thread() is threading.main_thread()
        and not model.training
        and (quantizer is None or quantizer.is_compileable)
        and len(places) <= 1
        and not (several and torch.distributed.get_world_size() > 1)
        and model.config.get_text_config()._attn_implementation in ("sdpa", "eager", None)
    )
