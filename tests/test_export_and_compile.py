"""`torch.export` and `torch.compile(fullgraph=True)`: every network, and `forward` with all it can be given.

What exports no graph, and why:

- Mask losses: how many objects there are follows from the tokens, so Python loops over as many as were named. Compiled
  without `fullgraph`, they are several graphs.
- `generate`, a loop in Python around `forward`; the networks that it and the tracker call export, one by one.
- One step of the tracker with a `MemoryBank` handed in, which is no tensor. A track of fixed length, its bank inside,
  exports as a whole.
- Inner states of a tower: at the first call that asks for them transformers installs, under a lock, what records them.
"""

from collections.abc import Callable, Collection
from typing import Any

import pytest
import torch
from torch import nn
from torch.export import Dim
from torch.utils._pytree import tree_leaves
from transformers import DynamicCache
from transformers.integrations.executorch import register_dynamic_cache_export_support

from tests.common_suites import small_models
from tests.common_suites.small_models import SEG
from videoglamm_hf import InputError, VideoGlammForGroundedGeneration, memory_attention
from videoglamm_hf.pixel_decoder import (
    FrameFeatures,
    decode_first_frame,
    decode_framewise,
    decode_tracked_frame,
    encode_frames,
    new_memory_bank,
    remember,
)
from videoglamm_hf.tracking import Tracker, TrackingOptions
from videoglamm_hf.transformers_versions import CACHE

ANY = Dim.DYNAMIC


@pytest.fixture(scope="module")
def model() -> VideoGlammForGroundedGeneration:
    return small_models.outspoken_model()


@pytest.fixture(autouse=True)
def without_earlier_graphs():
    torch.compiler.reset()
    with torch.no_grad():
        yield


def questions(model: nn.Module, batch: int = 2, kinds: Collection[str] = ("image", "video")) -> dict[str, Any]:
    """A batch of questions about what `kinds` says; see `small_models`."""
    torch.manual_seed(batch)
    return small_models.model_inputs(model.config, batch, kinds)


def tensors(output: Any) -> list[torch.Tensor]:
    return [leaf for leaf in tree_leaves(output) if torch.is_tensor(leaf)]


def assert_close(found: Any, expected: Any) -> None:
    pairs = list(zip(tensors(found), tensors(expected), strict=True))
    assert pairs
    for a, b in pairs:
        assert torch.allclose(a.float(), b.float(), atol=1e-4)


def assert_exports(
    module: nn.Module,
    inputs: dict[str, Any],
    shapes: dict[str, Any] | None = None,
    others: dict[str, Any] | None = None,
    strict: bool = False,
) -> None:
    """Exports, and compares with the module on the inputs, and on others that the dynamic shapes let through."""
    program = torch.export.export(module, (), inputs, dynamic_shapes=shapes, strict=strict).module()
    for some in (inputs, others):
        if some is not None:
            assert_close(program(**some), module(**some))


def assert_compiles(module: nn.Module, inputs: dict[str, Any], backend: str = "eager") -> None:
    expected = module(**inputs)
    assert_close(torch.compile(module, fullgraph=True, backend=backend)(**inputs), expected)


class Step(nn.Module):
    """One step of the pixel decoder, of tensors only, inside the decoder's own forward."""

    def __init__(self, decoder: nn.Module, step: Callable) -> None:
        super().__init__()
        self.decoder, self.step = decoder, step

    def forward(self, **inputs: torch.Tensor) -> tuple[torch.Tensor, ...]:
        return self.decoder(**inputs, step=self.step)


def encode(decoder, pixels):
    features = encode_frames(decoder, pixels)
    return features.embedding, *features.high_resolution, features.position


def framewise(decoder, embedding, fine, middle, position, prompts):
    masks = decode_framewise(decoder, FrameFeatures(embedding, (fine, middle), position), prompts)
    return masks.logits, masks.iou_scores, masks.object_scores


def first_frame(decoder, embedding, fine, middle, position, prompts):
    """What starts a track, and what is remembered of it."""
    features = FrameFeatures(embedding, (fine, middle), position)
    masks = decode_first_frame(decoder, features, prompts)
    memory = remember(decoder, features, masks, prompted=True)
    return masks.logits, masks.iou_scores, memory.features, memory.object_pointers


def track(decoder, embedding, fine, middle, position, prompts):
    """Three frames, which look the same."""
    features = FrameFeatures(embedding, (fine, middle), position)
    bank = new_memory_bank(decoder)
    bank.condition(0, remember(decoder, features, decode_first_frame(decoder, features, prompts), prompted=True))
    for t in (1, 2):
        masks = decode_tracked_frame(decoder, features, bank, t)
        bank.append(t, remember(decoder, features, masks, prompted=False))
    return masks.logits, masks.object_scores


STEPS = {"framewise": framewise, "first frame": first_frame, "track": track}


def network(model: nn.Module, name: str) -> tuple[nn.Module, dict[str, Any]]:
    """A network of the model, and inputs for it."""
    torch.manual_seed(0)
    seeing, frames = model.model, torch.randn(2, 3, 32, 32)
    spatial, temporal = torch.randn(2, 16, 32), torch.randn(2, 4, 32)
    if name in STEPS:
        features = encode(model.pixel_decoder, frames)
        inputs = dict(zip(("embedding", "fine", "middle", "position"), features, strict=True))
        return Step(model.pixel_decoder, STEPS[name]), inputs | {"prompts": torch.randn(2, 64)}
    return {
        "spatial tower": (seeing.spatial_tower, {"pixel_values": frames}),
        "temporal tower": (seeing.temporal_tower, {"pixel_values": small_models.clips(2)}),
        "spatial projector": (seeing.spatial_projector, {"hidden_states": spatial}),
        "temporal projector": (seeing.temporal_projector, {"hidden_states": temporal}),
        "[SEG] projection": (model.seg_projection, {"hidden_states": torch.randn(3, 32)}),
        "image encoder": (model.pixel_decoder.vision_encoder, {"pixel_values": frames}),
        "frames": (Step(model.pixel_decoder, encode), {"pixels": frames}),
    }[name]


NETWORKS = (
    "spatial tower",
    "temporal tower",
    "spatial projector",
    "temporal projector",
    "[SEG] projection",
    "image encoder",
    "frames",
    *STEPS,
)
ANY_NUMBER = {"spatial tower", "temporal tower", "spatial projector", "temporal projector", "[SEG] projection"}


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_exports(model, name):
    module, inputs = network(model, name)
    if name in ANY_NUMBER:
        more = {key: torch.cat([value, value.flip(0)]) for key, value in inputs.items()}
        assert_exports(module, inputs, {key: {0: ANY} for key in inputs}, more)
    else:
        assert_exports(module, inputs)


@pytest.mark.parametrize("name", NETWORKS)
def test_every_network_compiles_as_one_graph(model, name):
    assert_compiles(*network(model, name))


class Counter:
    """A backend that runs graphs as they are, and counts them."""

    def __init__(self) -> None:
        self.graphs = 0

    def __call__(self, module: nn.Module, inputs: list[Any]) -> Callable:
        self.graphs += 1
        return module.forward


def moving(num_frames: int) -> torch.Tensor:
    return torch.randint(
        0, 255, (num_frames, 3, 32, 32), dtype=torch.uint8, generator=torch.Generator().manual_seed(1)
    )


def masks_of(model: nn.Module, num_objects: int, num_frames: int) -> torch.Tensor:
    prompts = torch.randn(num_objects, 64, generator=torch.Generator().manual_seed(2))
    found = Tracker(model.pixel_decoder, [prompts], [moving(num_frames)], TrackingOptions()).masks([(32, 32)])
    return torch.stack([frame.masks for frame in found])


def test_memory_attention_is_one_graph_while_memory_grows(model, monkeypatch):
    expected, counter = masks_of(model, 2, 30), Counter()
    step = torch.compile(memory_attention.look_at_memories, fullgraph=True, dynamic=True, backend=counter)
    monkeypatch.setattr(memory_attention, "look_at_memories", step)
    # A graph takes the fused kernel, which rounds differently.
    assert (masks_of(model, 2, 30) != expected).float().mean() < 0.01
    # The first layer's states come from features that are shared, so their strides differ from those of the others.
    assert counter.graphs <= 2


def test_what_sees_compiles_in_place_and_not_again_at_every_frame():
    model, counter = small_models.outspoken_model(), Counter()
    inputs = questions(model)
    eager = model(**inputs).logits, masks_of(model, 2, 12)
    model.compile_vision(fullgraph=True, backend=counter)
    assert torch.allclose(model(**inputs).logits, eager[0], atol=1e-5)
    assert torch.equal(masks_of(model, 2, 12), eager[1])
    seen = counter.graphs
    assert seen >= 5
    assert torch.equal(masks_of(model, 2, 12), eager[1])
    assert counter.graphs == seen


# The model


@pytest.mark.parametrize("strict", [False, True])
def test_the_language_path_exports_for_any_batch_and_length(model, strict):
    inputs = questions(model, kinds=())
    longer = {name: value.repeat(2, 3) for name, value in inputs.items()}
    shapes = {name: {0: ANY, 1: ANY} for name in inputs} | {"use_cache": None}
    off = {"use_cache": False}
    assert_exports(model, inputs | off, shapes, longer | off, strict)


def test_the_language_path_exports_from_embeddings(model):
    embeds = torch.randn(2, 6, model.config.text_config.hidden_size)
    inputs = {"inputs_embeds": embeds, "attention_mask": torch.ones(2, 6, dtype=torch.long), "use_cache": False}
    shapes = {"inputs_embeds": {0: ANY, 1: ANY}, "attention_mask": {0: ANY, 1: ANY}, "use_cache": None}
    others = {"inputs_embeds": embeds.repeat(2, 2, 1), "attention_mask": torch.ones(4, 12, dtype=torch.long)}
    assert_exports(model, inputs, shapes, others | {"use_cache": False})


def test_pictures_and_videos_export_for_any_number_of_questions(model):
    inputs, more = questions(model), questions(model, batch=3)
    words = torch.randint(3, 50, (3, 4))
    more["input_ids"] = torch.cat([more["input_ids"], words], dim=1)
    more["attention_mask"] = torch.ones_like(more["input_ids"])
    shapes = {name: {0: ANY} for name in inputs} | {"use_cache": None}
    shapes |= {name: {0: ANY, 1: ANY} for name in ("input_ids", "attention_mask")}
    assert_exports(model, inputs | {"use_cache": False}, shapes, more | {"use_cache": False})


def test_what_the_towers_saw_exports_in_place_of_pixels(model):
    inputs = questions(model)
    pixels = {name: inputs.pop(name) for name in list(inputs) if "pixel" in name}
    assert_exports(model, inputs | model.model.encode_towers(**pixels) | {"use_cache": False})


def test_an_exported_program_checks_placeholders_too(model):
    """Eager calls say what is wrong in our words; a graph keeps the check, not the words."""
    inputs = questions(model, kinds=("image",)) | {"use_cache": False}
    program = torch.export.export(model, (), inputs).module()
    wrong = inputs | {"input_ids": inputs["input_ids"].clone()}
    wrong["input_ids"][0, 1] = 5
    with pytest.raises(InputError, match="31 image placeholders but the image features have 32"):
        model(**wrong)
    with pytest.raises(RuntimeError):
        program(**wrong)


def test_a_cache_exports_once_transformers_has_told_pytorch_of_it(model):
    register_dynamic_cache_export_support()
    inputs = questions(model, kinds=())
    cache = DynamicCache(config=model.config.text_config)
    read = model(**inputs, use_cache=True, **{CACHE: cache})
    step = {
        "input_ids": read.logits[:, -1:].argmax(-1),
        "attention_mask": torch.ones(2, inputs["input_ids"].shape[1] + 1, dtype=torch.long),
    }
    program = torch.export.export(model, (), inputs | {"use_cache": True}).module()
    found = program(**inputs, use_cache=True)
    assert_close(found.logits, read.logits)
    again = model(**step, use_cache=True, **{CACHE: found[CACHE]})
    assert_close(again.logits, model(**step, use_cache=True, **{CACHE: read[CACHE]}).logits)


KINDS = {"text": (), "picture": ("image",), "video": ("video",), "both": ("image", "video")}


@pytest.mark.parametrize(("kind", "backend"), [*((kind, "eager") for kind in KINDS), ("both", "aot_eager")])
def test_forward_compiles_as_one_graph(model, kind, backend):
    """What `_can_compile_fullgraph` claims."""
    assert model._can_compile_fullgraph and model.model.temporal_tower._can_compile_fullgraph
    assert_compiles(model, questions(model, kinds=KINDS[kind]), backend)


def test_one_graph_fits_any_number_of_questions(model):
    compiled = torch.compile(model, fullgraph=True, backend="eager", dynamic=True)
    # No number that is also a size of something fixed, which a graph takes for the same size.
    first, others = questions(model, batch=5), questions(model, batch=7)
    assert_close(compiled(**first).logits, model(**first).logits)
    with torch.compiler.set_stance("fail_on_recompile"):
        found = compiled(**others)
    assert_close(found.logits, model(**others).logits)


def test_several_questions_about_one_visual_compile(model):
    inputs = questions(model)
    inputs = {name: value[:1] if "pixel" in name else value for name, value in inputs.items()}
    assert_compiles(model, inputs | {"sample_index": torch.tensor([0, 0])})


def test_training_on_words_compiles_as_one_graph_with_the_same_gradients(model):
    inputs = questions(model)
    inputs["labels"] = inputs["input_ids"].clone()
    weight, gradients = model.model.temporal_projector.linear_2.weight, []
    with torch.enable_grad():
        for call in (model, torch.compile(model, fullgraph=True, backend="aot_eager")):
            gradients.append(torch.autograd.grad(call(**inputs).loss, weight)[0])
    assert gradients[0].abs().max() > 0 and torch.allclose(*gradients, atol=1e-5)


# What does not, as the docstring says


def masks_to_learn() -> dict[str, Any]:
    ids = torch.tensor([[5, 6, SEG, 4]])
    frames = [torch.zeros(2, 3, 27, 32, dtype=torch.uint8)]
    return {"input_ids": ids, "labels": ids, "mask_labels": [torch.ones(1, 2, 20, 24)], "grounding_frames": frames}


def test_the_towers_inner_states_compile_after_a_call_that_gave_them():
    tower = small_models.outspoken_model(seed=2).model.temporal_tower
    inputs = {"pixel_values": small_models.clips(1), "output_hidden_states": True}
    with pytest.raises(torch._dynamo.exc.Unsupported, match="lock"):
        torch.compile(tower, fullgraph=True, backend="eager")(**inputs)
    torch.compiler.reset()
    assert_compiles(tower, inputs)  # which calls it as it is before


def test_mask_losses_are_no_graph(model):
    inputs = masks_to_learn()
    assert torch.isfinite(model(**inputs).loss)
    with pytest.raises(Exception, match="data-dependent"):
        torch.export.export(model, (), inputs)


def test_mask_losses_compile_with_breaks(model):
    inputs = masks_to_learn()
    expected = model(**inputs)
    assert_close(torch.compile(model, backend="eager")(**inputs).loss, expected.loss)
