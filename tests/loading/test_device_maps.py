"""Weights on several devices, or on disk until they are needed: the answer stays the same."""

import warnings
from pathlib import Path

import pytest
import torch
from accelerate import infer_auto_device_map, init_empty_weights

from tests.conftest import force_seg, load_model
from tests.tiny_checkpoint import frames
from videoglamm_hf import VideoGlammForGroundedGeneration
from videoglamm_hf.fingerprints import fingerprints

PARTS = ("model.spatial_tower", "model.temporal_tower", "model.spatial_projector", "model.temporal_projector")
PARTS += ("model.language_model", "lm_head", "seg_projection", "pixel_decoder")
# The rest stays in memory.
ON_DISK = ("model.spatial_projector", "model.temporal_tower", "lm_head", "seg_projection")


@pytest.fixture(scope="module")
def question(processor):
    content = [
        {"type": "video", "video": frames(2, 48, 64)},
        {"type": "text", "text": "Can you segment the red disc?"},
    ]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )


def answer(model, question, **options):
    forced = force_seg([0], question["input_ids"].shape[1])
    return model.generate(**question, max_new_tokens=2, logits_processor=forced, output_mask_logits=True, **options)


@pytest.fixture(scope="module")
def expected(model, question):
    return answer(model, question)


def assert_same(output, expected):
    """Bit by bit: the same CPU computes the same numbers, wherever they waited."""
    assert torch.equal(output.sequences, expected.sequences)
    for name in ("masks", "mask_logits", "object_scores", "prompt_embeddings"):
        for one, other in zip(output[name], expected[name], strict=True):
            assert torch.equal(one, other) and one.device.type == "cpu", name


def on_disk(device_map, folder: Path, tmp_path, **options):
    return load_model(folder, device_map=device_map, offload_folder=str(tmp_path / "offload"), **options)


def test_parts_on_disk(light_tiny, question, expected, tmp_path):
    device_map = {part: "disk" if part in ON_DISK else "cpu" for part in PARTS}
    model = on_disk(device_map, light_tiny, tmp_path)
    kept = {name for name in PARTS if not any(p.is_meta for p in model.get_submodule(name).parameters())}
    assert kept == set(PARTS) - set(ON_DISK)
    assert_same(answer(model, question), expected)


def test_everything_on_disk(light_tiny, model, question, expected, tmp_path):
    offloaded = on_disk({"": "disk"}, light_tiny, tmp_path, offload_buffers=True)
    assert all(p.is_meta for p in offloaded.parameters())
    assert offloaded.device.type == "cpu"
    assert_same(answer(offloaded, question.to(offloaded.device)), expected)
    # The other ways to masks.
    one_frame = [question["grounding_frames"][0][:1]], question["original_sizes"]
    given = torch.zeros(1, 48, 64)
    given[:, 10:30, 10:30] = 1
    for prompts, mode in ((expected.prompt_embeddings, "framewise"), ([given], "video")):
        (one,), (other,) = (list(m.iter_masks(prompts, *one_frame, mask_mode=mode)) for m in (offloaded, model))
        assert torch.equal(one.logits, other.logits)
    assert fingerprints(offloaded) == fingerprints(model)


def test_one_device(light_tiny, question, expected):
    assert_same(answer(load_model(light_tiny, device_map={"": "cpu"}), question), expected)


def test_auto(light_tiny, model, question, expected, tmp_path):
    """Where memory ends, the rest goes to disk."""
    sizes = {part: sum(p.numel() * 4 for p in model.get_submodule(part).parameters()) for part in PARTS}
    # accelerate leaves room for the largest block, which is the pixel decoder.
    memory = (sum(sizes.values()) + sizes["pixel_decoder"]) // 2
    split = on_disk("auto", light_tiny, tmp_path, max_memory={"cpu": memory})
    assert {"cpu", "disk"} == set(split.hf_device_map.values())
    assert_same(answer(split, question), expected)


def test_blocks_are_never_split(model):
    with init_empty_weights(), warnings.catch_warnings():
        warnings.simplefilter("ignore")
        empty = VideoGlammForGroundedGeneration(model.config)
    blocks = {name: m for name, m in empty.named_modules() if type(m).__name__ in empty._no_split_modules}
    assert {type(m).__name__ for m in blocks.values()} == empty._no_split_modules
    expected = {"CLIPEncoderLayer", "CLIPVisionEmbeddings", "InternVideo2Layer", "Phi3DecoderLayer"}
    assert empty._no_split_modules == expected | {"VideoGlammPixelDecoder"}
    total = sum(p.numel() * 4 for p in empty.parameters())
    for share in (0.2, 0.4, 0.6, 0.8):
        device_map = infer_auto_device_map(
            empty, {"cpu": int(share * total)}, no_split_module_classes=empty._no_split_modules
        )
        for name in blocks:
            assert not any(entry.startswith(f"{name}.") for entry in device_map), name
