"""Memory attention with kept keys: the numbers of transformers' own module, without its repeated work."""

from collections.abc import Sequence
from typing import Any

import pytest
import torch

from tests.tiny_checkpoint import frames
from videoglamm_hf import memory_attention, tracking
from videoglamm_hf.image_streams import grounding_stream
from videoglamm_hf.mask_overlap import mask_iou
from videoglamm_hf.memory_attention import attend
from videoglamm_hf.pixel_decoder import VideoGlammPixelDecoder
from videoglamm_hf.tracking import DecidedFrame, Tracker, TrackingOptions

NUM_FRAMES = 8


@pytest.fixture(scope="module")
def resized() -> torch.Tensor:
    return grounding_stream(frames(NUM_FRAMES, 48, 64), 256)


@pytest.fixture(scope="module")
def prompts() -> Sequence[torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    return [torch.randn(count, 256, generator=generator) for count in (2, 0, 1)]


@torch.no_grad()
def track(model: Any, prompts: Sequence[torch.Tensor], resized: torch.Tensor, **options: Any) -> list[DecidedFrame]:
    # Two samples that share no frames, of unequal length.
    own = [resized, resized, resized.flip(0)[: NUM_FRAMES - 3]]
    return list(Tracker(model.pixel_decoder, prompts, own, TrackingOptions(**options)).decided())


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"prompt_frame": 4},
        {"mask_mode": "anchored", "num_anchors": 3},
    ],
    ids=str,
)
def test_kept_keys_give_the_numbers_of_the_module(model, prompts, resized, monkeypatch, options):
    decode, compared = tracking.decode_tracked_frame, []

    def both(decoder, features, bank, *rest):
        kept = decode(decoder, features, bank, *rest)
        # Whoever wants gradients gets them from transformers' module.
        with torch.enable_grad():
            theirs = decode(decoder, features, bank, *rest)
        assert theirs.candidates.requires_grad
        assert not kept.candidates.requires_grad
        for name in ("candidates", "object_scores", "iou_scores", "tokens"):
            assert torch.allclose(getattr(kept, name), getattr(theirs, name), atol=2e-4, rtol=1e-5), name
        compared.append(len(bank.memories(rest[0])))
        return kept

    monkeypatch.setattr(tracking, "decode_tracked_frame", both)
    track(model, prompts, resized, **options)
    assert len(compared) >= NUM_FRAMES - 3
    assert max(compared) >= 4


def test_a_memory_is_projected_and_rotated_once(model, resized):
    """And the first self-attention is done once for all objects of a frame."""
    layers = model.pixel_decoder.memory_attention.layers
    rows = {"keys": 0, "self": 0}
    hooks = [
        layers[1].cross_attn_image.k_proj.register_forward_hook(
            lambda module, given, output: rows.__setitem__("keys", rows["keys"] + output[..., 0].numel())
        ),
        layers[0].self_attn.q_proj.register_forward_hook(
            lambda module, given, output: rows.__setitem__("self", rows["self"] + output[..., 0].numel())
        ),
    ]
    # All in one group; a CPU takes fewer at once.
    with torch.no_grad():
        list(Tracker(model.pixel_decoder, [torch.zeros(3, 256)], [resized], TrackingOptions()).masks([(48, 64)]))
    for hook in hooks:
        hook.remove()
    positions = 256
    memories = 3 * positions * (NUM_FRAMES - 1)
    pointers = sum(3 * 4 * t for t in range(1, NUM_FRAMES))
    tables = 2 * model.pixel_decoder.num_maskmem
    assert rows == {"keys": memories + pointers + tables, "self": positions * (NUM_FRAMES - 1)}


def test_training_takes_the_module_with_its_dropout(fresh_model, resized):
    model = fresh_model().train()
    called = []
    module = model.pixel_decoder.memory_attention
    module.register_forward_hook(lambda *_: called.append(1))
    with torch.no_grad():
        list(Tracker(model.pixel_decoder, [torch.zeros(1, 256)], [resized[:3]], TrackingOptions()).decided())
    assert len(called) == 2


def test_bfloat16_masks_are_those_of_the_module(fresh_model, resized):
    model = fresh_model().to(torch.bfloat16)
    prompts = [torch.randn(1, 256, generator=torch.Generator().manual_seed(1)).bfloat16()]
    run = Tracker(model.pixel_decoder, prompts, [resized[:5]], TrackingOptions())
    with torch.no_grad():
        kept = [frame.joined("candidates") > 0 for frame in run.decided()]
    theirs = [frame.joined("candidates") > 0 for frame in run.decided()]
    overlap = torch.stack([mask_iou(a, b) for a, b in zip(kept, theirs, strict=True)])
    # Both round; untrained masks are all edges.
    assert overlap.median() > 0.97


@pytest.mark.parametrize("at_once", [1, 100, 10**9])
def test_attention_in_pieces_is_attention(at_once, monkeypatch):
    monkeypatch.setattr(memory_attention, "CPU_SCORES", at_once)
    query, key, value = torch.randn(2, 5, 8), torch.randn(2, 7, 8), torch.randn(2, 7, 3)
    expected = torch.nn.functional.scaled_dot_product_attention(query.double(), key.double(), value.double())
    assert torch.allclose(attend(query, key, value).double(), expected, atol=1e-6)


def test_several_heads_take_the_module(model, resized):
    """The published models have one; values of several are not one matrix product."""
    config = model.pixel_decoder.config.from_dict(
        model.pixel_decoder.config.to_dict() | {"memory_attention_num_attention_heads": 2}
    )
    decoder = VideoGlammPixelDecoder(config).eval()
    with torch.no_grad():
        found = list(Tracker(decoder, [torch.zeros(1, 256)], [resized[:3]], TrackingOptions()).masks([(48, 64)]))
    assert len(found) == 3


def test_positions_of_an_image_are_computed_once_for_all_tracked_frames(model, resized, monkeypatch):
    decoder, calls = model.pixel_decoder, []
    compute = type(decoder).get_image_wide_positional_embeddings

    def counted(self):
        calls.append(self)
        return compute(self)

    monkeypatch.setattr(type(decoder), "get_image_wide_positional_embeddings", counted)
    with torch.no_grad():
        decided = list(Tracker(decoder, [torch.randn(1, 256)], [resized], TrackingOptions()).decided())
    # Of the prompted frame, and once of the others.
    assert len(decided) == NUM_FRAMES and len(calls) == 2


def test_a_track_goes_on_inside_and_outside_of_inference_mode(model, resized, prompts):
    """What is written in place was made in either."""
    with torch.no_grad():
        expected = list(Tracker(model.pixel_decoder, prompts[:1], [resized], TrackingOptions()).masks([(48, 64)]))
    stream = Tracker(model.pixel_decoder, prompts[:1], [resized], TrackingOptions()).masks([(48, 64)])
    found = []
    for t in range(NUM_FRAMES):
        with torch.inference_mode() if t // 2 % 2 else torch.no_grad():
            found.append(next(stream))
    for one, other in zip(found, expected, strict=True):
        assert torch.allclose(one.logits, other.logits, atol=2e-4, rtol=1e-5)
