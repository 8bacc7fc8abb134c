"""NaN and infinite numbers, in weights or inputs: named, for the answer would look like any other."""

import pytest
import torch

from tests.conftest import ForceTokens, force_seg
from tests.tiny_checkpoint import frames
from videoglamm_hf import CheckpointError, InputError

CLIP = frames(2, 48, 64)


def generate(model, inputs, **options):
    length = inputs["input_ids"].shape[1]
    return model.generate(
        **inputs, logits_processor=force_seg([1], length), max_new_tokens=3, do_sample=False, **options
    )


@pytest.fixture
def changed(model):
    """Fills a weight of the shared model for a test."""
    kept = {}

    def fill(name, number):
        weight = model.get_parameter(name)
        kept[name] = weight.detach().clone()
        with torch.no_grad():
            weight.fill_(number)

    yield fill
    with torch.no_grad():
        for name, values in kept.items():
            model.get_parameter(name).copy_(values)


@pytest.mark.parametrize(
    ("weight", "number"),
    [
        ("model.spatial_tower.encoder.layers.0.mlp.fc1.weight", "nan"),
        ("model.temporal_projector.linear_1.weight", "inf"),
        ("model.language_model.layers.0.mlp.down_proj.weight", "nan"),
        ("lm_head.weight", "-inf"),
        ("seg_projection.linear_2.bias", "nan"),
        ("pixel_decoder.mask_decoder.upscale_conv1.weight", "nan"),
        ("pixel_decoder.mask_decoder.pred_obj_score_head.proj_out.weight", "nan"),
        ("pixel_decoder.vision_encoder.neck.convs.0.weight", "nan"),
        ("pixel_decoder.memory_encoder.projection.weight", "nan"),
    ],
)
def test_a_weight_is_named(model, changed, ask, weight, number):
    changed(weight, float(number))
    with pytest.raises(CheckpointError, match=f"weight {weight} holds NaN or infinite"):
        generate(model, ask(video=CLIP))


@pytest.mark.parametrize("options", [{}, {"return_masks": False}, {"num_beams": 2}, {"do_sample": True}])
def test_a_word_that_spoils_later_steps_is_noticed(model, changed, ask, options):
    """The embedding of a word the model says itself: the first step knows nothing of it."""
    inputs = ask(video=CLIP)
    first = generate(model, inputs, return_masks=False)[0, inputs["input_ids"].shape[1]]
    forced = ForceTokens({0: int(first)}, inputs["input_ids"].shape[1])
    name = next(n for n, _ in model.named_parameters() if n.endswith("embed_tokens.weight"))
    rows = model.get_parameter(name).detach().clone()
    rows[first] = float("nan")
    changed(name, 0.0)
    with torch.no_grad():
        model.get_parameter(name).copy_(rows)
    with pytest.raises(CheckpointError, match=f"weight {name} holds NaN"):
        model.generate(**inputs, logits_processor=[forced], max_new_tokens=4, **{"do_sample": False, **options})


@pytest.mark.parametrize("return_masks", [True, False])
def test_an_input_is_named(model, ask, return_masks):
    inputs = ask(video=CLIP)
    inputs["temporal_pixel_values_videos"][0, 0, 0, 0, 0] = float("nan")
    with pytest.raises(InputError, match="input temporal_pixel_values_videos holds NaN or infinite"):
        generate(model, inputs, return_masks=return_masks)


def test_a_prompt_embedding_is_named(model, ask):
    inputs = ask(video=CLIP)
    embeddings = generate(model, inputs).prompt_embeddings
    embeddings[0][0, 0] = float("nan")
    with pytest.raises(InputError, match=r"input prompts\[0\] holds NaN"):
        list(model.iter_masks(embeddings, inputs["grounding_frames"], [(48, 64)]))


def test_numbers_that_grow_too_large_are_told_apart(model, changed, ask):
    changed("lm_head.weight", torch.finfo(torch.float32).max)
    with pytest.raises(InputError, match=r"Inputs and weights are finite.*bfloat16"):
        generate(model, ask(video=CLIP))
