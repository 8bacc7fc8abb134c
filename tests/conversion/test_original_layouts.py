"""Every layout that the original's checkpoints come in: alone, one over the other, and assembled into a new model."""

import json
from pathlib import Path

import pytest
import torch
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file
from torch import nn
from transformers import AutoModel, CLIPVisionModel, Sam2VideoModel

from tests.original_layouts import (
    ALPHA,
    GROUNDING,
    RANK,
    TEMPORAL,
    language_tensors,
    lora_tensors,
    training_state,
    write_clip,
    write_deepspeed,
    write_internvideo2,
    write_language_model,
    write_sam2,
    write_videogpt_plus,
)
from tests.tiny_checkpoint import TINY_CONFIG, shapes, state_dict
from videoglamm_hf import CheckpointError, InternVideo2Model, VideoGlammConfig, cli
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.conversion.checkpoint_reader import TensorReader
from videoglamm_hf.conversion.original_adapters import merged, read_adapter
from videoglamm_hf.conversion.original_config import part_config, sizes_from_shapes
from videoglamm_hf.conversion.original_parts import resampled_in_time

QKV = "model.language_model.layers.{}.self_attn.qkv_proj.weight"
LORA_QKV = "base_model.model.model.layers.{}.self_attn.qkv_proj.lora_{}{}.weight"


@pytest.fixture(scope="module")
def inputs(tmp_path_factory) -> dict[str, Path]:
    """One file or folder of each kind."""
    folder = tmp_path_factory.mktemp("layouts")
    write_language_model(folder / "phi3")
    write_videogpt_plus(folder / "videogpt")
    write_sam2(folder / "sam2.pt")
    write_sam2(folder / "sam2.1.pt", "B:", later=True)
    write_internvideo2(folder / "internvideo2.pt")
    write_clip(folder / "clip")
    torch.save(training_state(), folder / "state.bin")
    names = ("phi3", "videogpt", "sam2.pt", "sam2.1.pt", "internvideo2.pt", "clip", "state.bin")
    return {name: folder / name for name in names}


def parts(inputs: dict[str, Path], **changes) -> dict:
    """Options that put every part around a language model."""
    files = {"clip": inputs["clip"], "internvideo2": inputs["internvideo2.pt"], "sam2": inputs["sam2.pt"]}
    return {**files, "config": TINY_CONFIG, "progress": False, **changes}


def convert(checkpoint: Path, output: Path, **options) -> dict[str, torch.Tensor]:
    convert_videoglamm(checkpoint, output, **options)
    return load_file(output / "model.safetensors")


def low_rank(tensors: dict[str, torch.Tensor], layer: int, alpha: float, name: str = "") -> torch.Tensor:
    a, b = (tensors[LORA_QKV.format(layer, side, name)] for side in "AB")
    return alpha / RANK * (b @ a)


# VideoGPT+ and training states


@pytest.mark.parametrize("container", ["bin", "safetensors"])
def test_videogpt_plus_is_merged_into_its_base(inputs, tmp_path, container, capsys):
    own = write_videogpt_plus(tmp_path / "videogpt", container=container)
    options = parts(inputs, adapters=[tmp_path / "videogpt"], untrained_parts=True, progress=True)
    tensors = convert(inputs["phi3"], tmp_path / "out", **options)
    for layer in (0, 1):
        weight = language_tensors()[f"model.layers.{layer}.self_attn.qkv_proj.weight"]
        assert torch.equal(tensors[QKV.format(layer)], weight + low_rank(own, layer, ALPHA))
    projector = own["base_model.model.model.mm_projector.0.weight"]
    assert torch.equal(tensors["model.temporal_projector.linear_1.weight"], projector)
    said = capsys.readouterr().out
    assert "LoRA merged into 2 weights, 8 whole tensors" in said
    assert "Untrained, train before use: seg_projection." in said
    assert not tensors["seg_projection.linear_2.bias"].any()
    assert tensors["seg_projection.linear_1.weight"].std() == pytest.approx(0.02, rel=0.05)


def test_the_merge_is_that_of_peft(inputs):
    weight = language_tensors()["model.layers.0.self_attn.qkv_proj.weight"]
    update = read_adapter(inputs["videogpt"]).updates["model.layers.0.self_attn.qkv_proj.weight"]
    reader = TensorReader()
    module = nn.Sequential(nn.Linear(weight.shape[1], weight.shape[0], bias=False))
    module[0].weight.data.copy_(weight)
    tuned = get_peft_model(module, LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"]))
    for side, stored in (("A", update.a), ("B", update.b)):
        getattr(tuned.base_model.model[0], f"lora_{side}")["default"].weight.data.copy_(reader.read(stored))
    expected = tuned.merge_and_unload()[0].weight
    assert torch.allclose(merged(weight, [update], reader), expected, atol=1e-6, rtol=0)


def test_alpha_can_be_given_where_no_file_says_it(inputs):
    for adapter, alpha, scale in (("state.bin", None, 2), ("state.bin", 4, 0.5), ("videogpt", 4, ALPHA / RANK)):
        updates = read_adapter(inputs[adapter], alpha).updates
        assert {update.scale for update in updates.values()} == {scale}


def test_half_precision_is_rounded_once(inputs, tmp_path):
    own = write_videogpt_plus(tmp_path / "videogpt", use_rslora=True)
    options = parts(inputs, adapters=[tmp_path / "videogpt"], untrained_parts=True, dtype="bfloat16")
    tensors = convert(inputs["phi3"], tmp_path / "out", **options)
    weight = language_tensors()["model.layers.0.self_attn.qkv_proj.weight"]
    a, b = (own[LORA_QKV.format(0, side, "")] for side in "AB")
    assert torch.equal(tensors[QKV.format(0)], (weight + ALPHA / RANK**0.5 * (b @ a)).bfloat16())


@pytest.mark.parametrize("layout", ["file", "folder with index", "DeepSpeed", "one step of DeepSpeed"])
def test_a_training_state_over_what_it_started_from(inputs, tmp_path, layout, capsys):
    state, place = training_state(), tmp_path / "state"
    if layout == "file":
        place = inputs["state.bin"]
    elif layout == "folder with index":
        place.mkdir()
        names = list(state)
        files = {f"pytorch_model-0000{i + 1}-of-00002.bin": names[i::2] for i in range(2)}
        for file, keys in files.items():
            torch.save({key: state[key] for key in keys}, place / file)
        weight_map = {key: file for file, keys in files.items() for key in keys}
        (place / "pytorch_model.bin.index.json").write_text(json.dumps({"weight_map": weight_map}))
    else:
        write_deepspeed(place, {f"module.{key}": tensor for key, tensor in state.items()})
        place = place / "global_step20" if layout.startswith("one") else place
    options = parts(inputs, adapters=[inputs["videogpt"], place], progress=True)
    tensors = convert(inputs["phi3"], tmp_path / "out", **options)
    first = lora_tensors("V:", language_tensors())
    weight = language_tensors()["model.layers.1.self_attn.qkv_proj.weight"]
    expected = (weight + low_rank(first, 1, ALPHA)) + low_rank(state, 1, 16, ".default")
    assert torch.equal(tensors[QKV.format(1)], expected)
    trained = state_dict("T:")
    for name, key in (
        ("lm_head.weight", "lm_head.weight"),
        ("seg_projection.linear_1.weight", "model.text_hidden_fcs.0.0.weight"),
        ("pixel_decoder.mask_decoder.iou_token.weight", f"{GROUNDING}sam_mask_decoder.iou_token.weight"),
    ):
        assert torch.equal(tensors[name], trained[key]), name
    assert torch.equal(tensors["pixel_decoder.no_object_pointer"], state_dict()[f"{GROUNDING}no_obj_ptr"])
    assert "do not say alpha; 16 was taken, correct with --lora-alpha" in capsys.readouterr().out


def test_a_whole_training_state_leaves_nothing_of_the_base(inputs, tmp_path):
    torch.save(training_state(everything=True), tmp_path / "state.bin")
    adapters = [inputs["videogpt"], tmp_path / "state.bin"]
    tensors = convert(inputs["phi3"], tmp_path / "out", adapters=adapters, config=TINY_CONFIG, progress=False)
    state, trained = training_state(), state_dict("T:")
    weight = trained["model.layers.0.self_attn.qkv_proj.weight"]
    assert torch.equal(tensors[QKV.format(0)], weight + low_rank(state, 0, 16, ".default"))
    assert torch.equal(tensors["model.temporal_tower.cls_token"], trained[f"{TEMPORAL}vision_encoder.cls_token"])
    assert torch.equal(tensors["model.spatial_projector.linear_1.bias"], trained["model.image_mm_projector.0.bias"])


# A new model of a language model and parts


def test_parts_assemble_into_a_new_model_that_answers(inputs, tmp_path, capsys):
    command = ["convert", "--checkpoint", inputs["phi3"], "--output", tmp_path / "out", "--untrained-parts"]
    command += ["--sam2", inputs["sam2.pt"], "--internvideo2", inputs["internvideo2.pt"], "--clip", inputs["clip"]]
    assert cli.main([str(word) for word in [*command, "--config", TINY_CONFIG]]) == 0
    said = capsys.readouterr().out
    assert "model.spatial_projector, model.temporal_projector, seg_projection" in said
    assert cli.main(["verify", str(tmp_path / "out")]) == 0
    assert "one frame, one [SEG], one mask" in capsys.readouterr().out


def test_a_vocabulary_without_a_row_for_seg_gets_one(inputs, tmp_path, capsys):
    short = write_language_model(tmp_path / "short", rows=319)
    with pytest.raises(CheckpointError, match=r"319 rows for the 320 tokens .*--untrained-parts"):
        convert(short, tmp_path / "out", **parts(inputs))
    tensors = convert(short, tmp_path / "out", **parts(inputs, untrained_parts=True, progress=True))
    old = language_tensors()["model.embed_tokens.weight"][:319]
    rows = tensors["model.language_model.embed_tokens.weight"]
    assert torch.equal(rows[:319], old) and torch.allclose(rows[319], old.mean(dim=0), atol=1e-6)
    assert "1 new row of the embeddings" in capsys.readouterr().out


def test_untrained_parts_are_never_made_unasked(inputs, tmp_path):
    with pytest.raises(CheckpointError, match=r"--adapter.*--untrained-parts"):
        convert(inputs["phi3"], tmp_path / "out", **parts(inputs))
    assert not (tmp_path / "out").exists()


# Parts alone


def test_internvideo2_alone(inputs, tmp_path):
    line = ["convert", "--internvideo2", inputs["internvideo2.pt"], "--output", tmp_path / "out"]
    assert cli.main([str(word) for word in [*line, "--config", TINY_CONFIG]]) == 0
    model, info = InternVideo2Model.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert not info["missing_keys"] and not info["unexpected_keys"]
    assert torch.equal(model.cls_token, state_dict()[f"{TEMPORAL}vision_encoder.cls_token"])
    assert model.config.num_attention_heads == 4


@pytest.mark.parametrize("version", ["sam2", "sam2.1"])
def test_sam2_alone(inputs, tmp_path, version):
    line = ["convert", "--sam2", inputs[f"{version}.pt"], "--output", tmp_path / "out", "--config", TINY_CONFIG]
    assert cli.main([str(word) for word in line]) == 0
    model, info = AutoModel.from_pretrained(tmp_path / "out", output_loading_info=True)
    assert type(model) is Sam2VideoModel and not info["missing_keys"] and not info["unexpected_keys"]
    assert model.config.enable_occlusion_spatial_embedding is (version == "sam2.1")
    scale = state_dict("" if version == "sam2" else "B:")[f"{GROUNDING}memory_encoder.fuser.layers.1.weight"]
    assert torch.equal(model.memory_encoder.memory_fuser.layers[1].scale, scale)


def test_clip_alone(inputs, tmp_path):
    assert cli.main(["convert", "--clip", str(inputs["clip"]), "--output", str(tmp_path / "out")]) == 0
    model, expected = (CLIPVisionModel.from_pretrained(folder) for folder in (tmp_path / "out", inputs["clip"]))
    assert all(torch.equal(tensor, expected.state_dict()[name]) for name, tensor in model.state_dict().items())


@pytest.mark.parametrize(
    "line", [[], ["--clip", "a", "--sam2", "b"], ["--adapter", "a", "--clip", "b"], ["--untrained-parts"]]
)
def test_without_a_checkpoint_exactly_one_part(tmp_path, capsys, line):
    assert cli.main(["convert", "--output", str(tmp_path / "out"), *line]) == 1
    assert "--checkpoint" in capsys.readouterr().err


# SAM 2.1


def test_sam2_1_brings_its_two_additions(original_tiny, inputs, tmp_path):
    own = write_sam2(tmp_path / "later.pt", "B:", later=True)
    options = {"sam2": tmp_path / "later.pt", "config": TINY_CONFIG, "progress": False}
    tensors = convert(original_tiny, tmp_path / "out", **options)
    decoder = "pixel_decoder."
    projection = decoder + "temporal_positional_encoding_projection_layer."
    assert torch.equal(tensors[decoder + "occlusion_spatial_embedding_parameter"], own["no_obj_embed_spatial"])
    assert torch.equal(tensors[projection + "weight"], own["obj_ptr_tpos_proj.weight"])
    assert torch.equal(tensors[projection + "bias"], own["obj_ptr_tpos_proj.bias"])
    config = VideoGlammConfig.from_pretrained(tmp_path / "out").grounding_config
    assert config.enable_temporal_pos_encoding_for_object_pointers and config.enable_occlusion_spatial_embedding


@pytest.mark.parametrize(
    ("width", "blocks", "heads", "windows", "everywhere"),
    [
        (96, [1, 2, 7, 2], [1, 2, 4, 8], [8, 4, 14, 7], [5, 7, 9]),
        (96, [1, 2, 11, 2], [1, 2, 4, 8], [8, 4, 14, 7], [7, 10, 13]),
        (112, [2, 3, 16, 3], [2, 4, 8, 16], [8, 4, 14, 7], [12, 16, 20]),
    ],
)
def test_the_published_image_encoders_are_known(width, blocks, heads, windows, everywhere):
    """tiny, small and base+; `large` is the published default."""
    sizes = {k: s for k, s in shapes().items() if k.startswith(GROUNDING) and "trunk." not in k}
    trunk, number = f"{GROUNDING}image_encoder.trunk.", 0
    sizes[f"{trunk}patch_embed.proj.weight"] = (width, 3, 7, 7)
    sizes[f"{trunk}pos_embed"], sizes[f"{trunk}pos_embed_window"] = (1, width, 7, 7), (1, width, 8, 8)
    for stage, count in enumerate(blocks):
        for i in range(count):
            block, narrow = f"{trunk}blocks.{number}.", width * 2 ** (stage - (i == 0 and stage > 0))
            sizes[f"{block}norm1.weight"] = (narrow,)
            sizes[f"{block}mlp.layers.0.weight"] = (4 * width * 2**stage, width * 2**stage)
            if i == 0 and stage > 0:
                sizes[f"{block}proj.weight"] = (2 * narrow, narrow)
            number += 1
    for level in range(4):
        neck = f"{GROUNDING}image_encoder.neck.convs.{level}.conv.weight"
        assert neck in sizes
        sizes[neck] = (sizes[neck][0], width * 2 ** (3 - level), 1, 1)
    config = part_config("grounding_config", sizes, given={}).vision_config.backbone_config
    assert config.embed_dim_per_stage == [width * 2**i for i in range(4)] and config.blocks_per_stage == blocks
    assert (config.num_attention_heads_per_stage, config.num_attention_heads) == (heads, heads[0])
    assert (config.window_size_per_stage, config.global_attention_blocks) == (windows, everywhere)


# InternVideo2 of another number of frames


@pytest.mark.parametrize(("frames", "key"), [(8, "model"), (2, "module"), (1, None)])
def test_positions_are_interpolated_in_time(original_tiny, tmp_path, frames, key):
    own = write_internvideo2(tmp_path / "other.pt", key=key, frames=frames)
    options = {"internvideo2": tmp_path / "other.pt", "config": TINY_CONFIG, "progress": False}
    tensors = convert(original_tiny, tmp_path / "out", **options)
    found, old = tensors["model.temporal_tower.position_embedding"], own["pos_embed"]
    assert found.shape == (1, 1 + 4 * 256, 96) and torch.equal(found[:, :1], old[:, :1])
    # Independently: every patch and channel is a signal in time, sampled at the centres of the new frames.
    centres = ((torch.arange(4) + 0.5) * frames / 4 - 0.5).clamp(0, frames - 1)
    low = centres.floor().long()
    high, share = (low + 1).clamp(max=frames - 1), (centres - centres.floor())[:, None, None]
    grid = old[0, 1:].unflatten(0, (frames, 256))
    expected = grid[low] * (1 - share) + grid[high] * share
    assert torch.allclose(found[0, 1:], expected.flatten(0, 1), atol=1e-6)
    assert VideoGlammConfig.from_pretrained(tmp_path / "out").temporal_config.num_frames == 4


def test_the_wanted_number_of_frames_comes_from_the_configuration(inputs, tmp_path):
    config = json.loads(TINY_CONFIG.read_text())
    config["temporal_config"]["num_frames"] = 2
    (tmp_path / "config.json").write_text(json.dumps(config))
    line = ["--internvideo2", str(inputs["internvideo2.pt"]), "--config", str(tmp_path / "config.json")]
    assert cli.main(["convert", "--output", str(tmp_path / "out"), *line]) == 0
    model = InternVideo2Model.from_pretrained(tmp_path / "out")
    assert model.config.num_frames == 2 and model.position_embedding.shape == (1, 1 + 2 * 256, 96)


def test_resampling_to_the_same_number_changes_nothing():
    table = torch.randn(1, 1 + 4 * 9, 6, generator=torch.Generator().manual_seed(0))
    assert torch.allclose(resampled_in_time(table, 4, 4), table, atol=1e-7)


def test_a_language_model_of_fused_or_separate_projections_is_told_by_its_keys():
    assert sizes_from_shapes(shapes())["text_config.model_type"][0] == "phi3"
