"""How much memory a model needs, worked out on the meta device: nothing is loaded, nothing is computed.

Weights are counted exactly, quantised ones with what bitsandbytes keeps beside them. For an answer, the stages of
`generate` run on tensors without data, and the bytes of those alive at once are added up. Attention is taken as fused
(its scores are never held), as PyTorch's own kernels do it. What a device's allocator and libraries keep for
themselves (on CUDA about half a gigabyte) comes on top.
"""

import copy
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn
from torch.multiprocessing.reductions import StorageWeakRef
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_leaves, tree_map
from tqdm.auto import tqdm
from transformers import DynamicCache
from transformers.quantizers.auto import AutoHfQuantizer

from ..configuration_videoglamm import VideoGlammConfig
from ..errors import InputError
from ..modeling_videoglamm import VideoGlammForGroundedGeneration
from ..pixel_decoder import decode_first_frame, encode_frames, remember, resize_mask_logits
from ..tracking import Tracker, TrackingOptions
from ..transformers_versions import CACHE

# Tokens of a prompt that are words: the system turn and a question.
PROMPT_WORDS = 72
# Elements that share one scale in bitsandbytes' 4-bit format, and scales that share one in its double quantisation.
_BLOCK, _SCALE_BLOCK = 64, 256
_PARTS = {
    "model.spatial_tower": "spatial tower",
    "model.temporal_tower": "temporal tower",
    "model.spatial_projector": "projectors",
    "model.temporal_projector": "projectors",
    "model.language_model": "language model",
    "lm_head": "language model's head",
    "seg_projection": "[SEG] projection",
    "pixel_decoder": "pixel decoder",
}


@dataclass(frozen=True)
class MemoryEstimate:
    """Bytes that a model and one answer need.

    Attributes:
        parameters: Number of parameters by part.
        weights: Bytes of weights and buffers by part.
        stages: Most bytes that each stage of an answer holds at once beside the weights, what earlier stages leave
            behind included.
        workspace: Bytes of the largest quantised layer while it is multiplied; 0 without quantisation.
        key_value_cache, memory_bank: Bytes of them, when full; part of the stages.
    """

    parameters: dict[str, int]
    weights: dict[str, int]
    stages: dict[str, int]
    workspace: int
    key_value_cache: int
    memory_bank: int

    @property
    def peak(self) -> int:
        """Bytes of the weights and of the stage that needs most."""
        return sum(self.weights.values()) + max(self.stages.values()) + self.workspace


def estimate_memory(
    config: VideoGlammConfig,
    dtype: torch.dtype = torch.bfloat16,
    quantization_config: Any = None,
    *,
    frames: int = 16,
    objects: int = 2,
    tokens: int = 64,
    progress: bool = False,
) -> MemoryEstimate:
    """What a model and one answer about one video need.

    Args:
        config: The model's. If it says that the checkpoint is quantised, that is what is counted.
        dtype: Of the weights that are not quantised, and of the arithmetic.
        quantization_config: A `BitsAndBytesConfig`; None for a model that is loaded as it is.
        frames: Frames of the video that are segmented; the towers see as many as they always do.
        objects: Objects in the answer.
        tokens: Tokens of the answer.
        progress: Show a progress bar.

    Raises:
        InputError: If a number is too small, or the checkpoint is quantised by something else than bitsandbytes.
    """
    for name, value, least in (("frames", frames, 1), ("objects", objects, 0), ("tokens", tokens, 1)):
        if value < least:
            raise InputError(f"{name} is {value}; it must be at least {least}.")
    model = meta_model(config, dtype)
    live = _LiveBytes(model)
    stages: dict[str, int] = {}
    with tqdm(total=3, desc="estimating", unit="stage", leave=False, disable=None if progress else True) as bar:

        def stage(name: str, function: Callable[[], Any]) -> Any:
            result, stages[name] = live.during(function)
            bar.update()
            return result

        # Named, so that they stay alive as they do in `generate`.
        inputs = live.during(lambda: _pixels(config, frames))[0]
        features = stage(
            "towers", lambda: model.model.project(model._patches(**{name: inputs[name] for name in _STREAMS}))[1]
        )
        cache = stage("prompt and words", lambda: _read_and_answer(model, features, tokens))
        bank_bytes = stage("masks", lambda: _segment(model, inputs["grounding_frames"], objects)) if objects else 0
    kept = sum(tensor.nbytes for layer in cache.layers for tensor in (layer.keys, layer.values))
    parameters = _by_part(model, lambda module: sum(p.numel() for p in module.parameters(recurse=False)))
    quantized = quantize_meta_model(model, quantization_config)
    return MemoryEstimate(
        parameters=parameters,
        weights=_by_part(model, _own_bytes),
        stages=stages,
        workspace=_workspace(quantized, dtype, features.shape[1] + PROMPT_WORDS),
        key_value_cache=kept,
        memory_bank=bank_bytes,
    )


def weight_bytes(
    config: VideoGlammConfig, dtype: torch.dtype = torch.bfloat16, quantization_config: Any = None
) -> dict[str, int]:
    """Bytes of weights and buffers by part; arguments and errors as in [`estimate_memory`]."""
    model = meta_model(config, dtype)
    quantize_meta_model(model, quantization_config)
    return _by_part(model, _own_bytes)


def meta_model(config: VideoGlammConfig, dtype: torch.dtype) -> VideoGlammForGroundedGeneration:
    """The model on the meta device, its weights in the dtypes that loading gives them."""
    with torch.device("meta"):
        # The dtype is written into the configuration, which is the caller's.
        model = VideoGlammForGroundedGeneration._from_config(copy.deepcopy(config), dtype=dtype).eval()
    for name, module in model.named_modules():
        if name.endswith(tuple(model._keep_in_fp32_modules_strict)):
            module.float()
    return model


def quantize_meta_model(model: VideoGlammForGroundedGeneration, quantization_config: Any = None) -> list[nn.Module]:
    """Replaces the layers of a meta model that loading would quantise, and returns them.

    Raises:
        InputError: If the checkpoint is quantised by something else than bitsandbytes, or quantised already and
            asked to be quantised.
    """
    stored = getattr(model.config, "quantization_config", None)
    if stored is not None and quantization_config is not None:
        raise InputError("The checkpoint is quantised already; its weights cannot be quantised again.")
    if stored is None and quantization_config is None:
        return []
    # In a config that was read it is a dict still.
    method = stored["quant_method"] if isinstance(stored, dict) else (stored or quantization_config).quant_method
    if method != "bitsandbytes":
        raise InputError(f"The checkpoint is quantised by {method}; only sizes of bitsandbytes are known here.")
    dtype = model.dtype
    quantizer = AutoHfQuantizer.from_config(stored or quantization_config, pre_quantized=stored is not None)
    quantizer.preprocess_model(model=model, device_map={"": "cpu"})
    quantized = [module for module in model.modules() if _is_quantized(module)]
    for module in quantized:
        if module.bias is not None:
            module.bias.data = module.bias.data.to(dtype)
    return quantized


def _is_quantized(module: nn.Module) -> bool:
    return type(module).__name__ in ("Linear4bit", "Linear8bitLt")


def _own_bytes(module: nn.Module) -> int:
    """Bytes of the weights and buffers that a module holds itself."""
    tensors = [*module.parameters(recurse=False), *module.buffers(recurse=False)]
    if not _is_quantized(module):
        return sum(tensor.nbytes for tensor in tensors)
    count = module.in_features * module.out_features
    bias = 0 if module.bias is None else module.bias.nbytes
    if type(module).__name__ == "Linear8bitLt":
        # One byte each, one float32 scale per row.
        return count + 4 * module.out_features + bias
    scales = math.ceil(count / _BLOCK)
    if module.weight.compress_statistics:
        # Scales in one byte, their own float32 scales, a table of 256 for these, and an offset.
        scale_bytes = scales + 4 * (math.ceil(scales / _SCALE_BLOCK) + 256 + 1)
    else:
        scale_bytes = 4 * scales
    # Two to a byte, and the table of 16 values.
    return math.ceil(count / 2) + scale_bytes + 4 * 16 + bias


def _workspace(quantized: list[nn.Module], dtype: torch.dtype, rows: int) -> int:
    """Bytes beside a multiplication by the largest quantised layer: the weight unpacked (4 bits), or the integer
    product (8 bits)."""

    def one(layer: nn.Module) -> int:
        if type(layer).__name__ == "Linear8bitLt":
            return 4 * rows * layer.out_features
        return dtype.itemsize * layer.in_features * layer.out_features

    return max(map(one, quantized), default=0)


def _by_part(model: nn.Module, count: Callable[[nn.Module], int]) -> dict[str, int]:
    """A sum over the modules of every part."""
    totals = dict.fromkeys(_PARTS.values(), 0)
    for path, part in _PARTS.items():
        totals[part] += sum(map(count, model.get_submodule(path).modules()))
    return totals


_STREAMS = ("pixel_values_videos", "temporal_pixel_values_videos")


def _pixels(config: VideoGlammConfig, frames: int) -> dict[str, torch.Tensor]:
    """What the processor makes of one video, without data."""
    sides = (config.spatial_config.image_size, config.temporal_config.image_size)
    streams = [torch.empty(1, config.num_tower_frames, 3, side, side, device="meta") for side in sides]
    side = config.grounding_config.image_size
    inputs = dict(zip(_STREAMS, streams, strict=True))
    return inputs | {"grounding_frames": torch.empty(frames, 3, side, side, dtype=torch.uint8, device="meta")}


def _read_and_answer(model: VideoGlammForGroundedGeneration, features: torch.Tensor, tokens: int) -> DynamicCache:
    """The prompt, then the last of the answer's tokens; returns the cache as it then is."""
    cache = DynamicCache(config=model.config.text_config)

    def read(embeds: torch.Tensor) -> None:
        model(inputs_embeds=embeds, use_cache=True, logits_to_keep=1, **{CACHE: cache})

    words = features.new_empty(1, PROMPT_WORDS, features.shape[-1])
    read(torch.cat([features, words], dim=1))
    if tokens > 2:
        # All tokens but the first (of the prompt's step) and the last, at once: the cache is what counts.
        read(words.new_empty(1, tokens - 2, features.shape[-1]))
    if tokens > 1:
        read(words[:, :1])
    return cache


def _segment(model: VideoGlammForGroundedGeneration, frames: torch.Tensor, objects: int) -> int:
    """Masks of all objects in all frames; returns the bytes of a full memory bank."""
    decoder = model.pixel_decoder
    side, dtype = decoder.image_size, model.dtype
    prompts = torch.empty(objects, model.seg_projection.linear_2.out_features, dtype=dtype, device="meta")
    options = TrackingOptions(frames_per_batch=model.config.grounding_batch_size)
    # The bank is full after so many frames (but for some pointers, which are small): more need no more memory.
    bound = decoder.num_maskmem + options.frames_per_batch
    for decided in Tracker(decoder, [prompts], [frames[:bound]], options).decided():
        resize_mask_logits(decided.joined("logits"), (side, side))
    features = encode_frames(decoder, torch.empty(1, 3, side, side, dtype=dtype, device="meta"))
    features = features.select(torch.zeros(objects, dtype=torch.long, device="meta"))
    memory = remember(decoder, features, decode_first_frame(decoder, features, prompts), prompted=True)
    slots = min(len(frames), decoder.num_maskmem)
    pointers = min(len(frames), decoder.config.max_object_pointers_in_encoder)
    # Keys of memory attention are kept for every layer, as wide as a frame's features.
    keys = decoder.config.memory_attention_num_layers * features.embedding.nbytes
    slot = memory.features.nbytes + memory.position.nbytes + keys
    return slots * slot + pointers * memory.object_pointers.nbytes


class _FusedAttention(TorchFunctionMode):
    """Attention that holds its output only."""

    def __torch_function__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        if function is F.scaled_dot_product_attention:
            query, _, value = args[:3]
            return query.new_empty(*query.shape[:-1], value.shape[-1])
        return function(*args, **(kwargs or {}))


@dataclass(frozen=True)
class _Kind:
    """All that there is to know of a meta tensor."""

    shape: torch.Size
    stride: tuple[int, ...]
    dtype: torch.dtype

    @classmethod
    def of(cls, value: Any) -> "_Kind | None":
        """None of anything else."""
        if not (isinstance(value, torch.Tensor) and value.device.type == "meta"):
            return None
        return cls(value.shape, value.stride(), value.dtype)

    def made(self) -> torch.Tensor:
        return torch.empty_strided(self.shape, self.stride, dtype=self.dtype, device="meta")


class _LiveBytes(TorchDispatchMode):
    """Adds up the bytes of the meta tensors that are alive, those of a model left out."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.alive = self.peak = 0
        # A weak reference keeps an address from being used again.
        self.known: dict[int, tuple[StorageWeakRef, int]] = {}
        # What operations returned: layers and frames repeat them, and the meta device takes long over each.
        self.returned: dict[Any, Any] = {}
        for tensor in (*model.parameters(), *model.buffers()):
            self._add(tensor, weight=True)

    def during(self, function: Callable[[], Any]) -> tuple[Any, int]:
        """What a function returns, and the most bytes that were alive at once."""
        self._forget_dead()
        self.peak = self.alive
        with torch.no_grad(), _FusedAttention(), self:
            result = function()
        return result, self.peak

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        output = self._run(function, args, kwargs or {})
        for leaf in tree_leaves(output):
            if isinstance(leaf, torch.Tensor) and leaf.device.type == "meta":
                self._add(leaf)
        return output

    def _run(self, function: Any, args: Any, kwargs: Any) -> Any:
        """What an operation returns; made anew if it ran before on tensors of the same kind and returns new ones."""
        if any(value.alias_info for value in (*function._schema.arguments, *function._schema.returns)):
            return function(*args, **kwargs)
        leaves, structure = tree_flatten((args, kwargs))
        if any(isinstance(leaf, torch.Tensor) and leaf.device.type != "meta" for leaf in leaves):
            return function(*args, **kwargs)
        key = (function, structure, tuple((type(leaf), _Kind.of(leaf) or leaf) for leaf in leaves))
        if key in self.returned:
            return tree_map(_Kind.made, self.returned[key])
        output = function(*args, **kwargs)
        kinds = tree_map(_Kind.of, output)
        if all(tree_leaves(kinds)):
            self.returned[key] = kinds
        return output

    def _add(self, tensor: torch.Tensor, weight: bool = False) -> None:
        storage = tensor.untyped_storage()
        if storage._cdata in self.known:
            return
        size = 0 if weight else storage.nbytes()
        self.known[storage._cdata] = (StorageWeakRef(storage), size)
        self.alive += size
        if self.alive > self.peak:
            self._forget_dead()
            self.peak = max(self.peak, self.alive)

    def _forget_dead(self) -> None:
        for key in [key for key, (reference, _) in self.known.items() if reference.expired()]:
            self.alive -= self.known.pop(key)[1]
