"""Original checkpoint to converted folder: names, sizes, values, vocabulary, files."""

import functools
import json
import os
import shutil
import subprocess
import sys
import weakref
from pathlib import Path

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from sentencepiece import SentencePieceProcessor
from transformers import AutoModelForImageTextToText, AutoTokenizer, GenerationConfig

from tests.tiny_checkpoint import (
    FIXTURES,
    TINY_CONFIG,
    shapes,
    state_dict,
    write_original,
    write_weights,
)
from videoglamm_hf import OutputError, VideoGlammConfig, cli
from videoglamm_hf.cli import convert as convert_command
from videoglamm_hf.conversion import checkpoint_reader, convert, convert_videoglamm, original_parts
from videoglamm_hf.conversion.checkpoint_reader import StoredTensor, find_weights
from videoglamm_hf.conversion.checkpoint_writer import write_safetensors
from videoglamm_hf.conversion.original_config import build_config
from videoglamm_hf.conversion.original_keys import DROPPED, assign, drop_reason, source_key, target_keys
from videoglamm_hf.conversion.original_tokenizer import add_placeholders, load_original_tokenizer
from videoglamm_hf.conversion.original_weights import check_assignment
from videoglamm_hf.output_files import replacing_folder

FULL_LISTING = FIXTURES.parent / "state_dict_full.txt"
SCRIPT = FIXTURES.parents[2] / "conversion" / "convert_videoglamm_to_hf.py"
GAUSSIANS = (
    "pixel_decoder.shared_image_embedding.positional_embedding",
    "pixel_decoder.prompt_encoder.shared_embedding.positional_embedding",
)
# What the release adds to Phi-3's config.json does not matter here; this is what its shapes cannot tell.
PUBLISHED_ORIGINAL = {
    "model_type": "VideoGPT+",
    "num_attention_heads": 32,
    "num_key_value_heads": 32,
    "rms_norm_eps": 1e-5,
    "rope_theta": 10000.0,
    "rope_scaling": None,
    "sliding_window": 2047,
    "bos_token_id": 1,
    "eos_token_id": 32000,
    "pad_token_id": 0,
}
VOCABULARY = {
    "text_config.vocab_size": 32012,
    "seg_token_id": 32011,
    "image_token_id": 32012,
    "video_token_id": 32013,
}


@pytest.fixture(scope="module")
def reference(converted_tiny: Path) -> dict[str, torch.Tensor]:
    return load_file(converted_tiny / "model.safetensors")


@pytest.fixture(scope="module")
def published_targets() -> dict[str, tuple[int, ...]]:
    return convert.target_shapes(VideoGlammConfig())


@pytest.fixture
def original(original_tiny: Path, tmp_path: Path) -> Path:
    """A copy of the tiny checkpoint to change; weight files are links, so replace them, do not write to them."""
    copy = tmp_path / "original"
    shutil.copytree(original_tiny, copy, copy_function=_link_weights)
    return copy


def _link_weights(source: str, target: str) -> None:
    if source.endswith((".bin", ".safetensors")):
        os.link(source, target)
    else:
        shutil.copy(source, target)


def tiny_config(**changes) -> dict:
    return {**json.loads(TINY_CONFIG.read_text()), **changes}


def quiet(checkpoint: Path, output: Path, **options) -> dict[str, torch.Tensor]:
    """Converts and returns the tensors written."""
    convert_videoglamm(checkpoint, output, **{"config": TINY_CONFIG, "progress": False, **options})
    return load_file(output / "model.safetensors")


def edit_json(path: Path, **changes) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


def same(first: dict[str, torch.Tensor], second: dict[str, torch.Tensor]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[key], second[key]) for key in first)


# Names


def test_every_key_of_the_published_model_has_its_place(published_targets):
    plan = assign(shapes(FULL_LISTING), published_targets)
    assert (plan.missing, plan.unexpected, plan.ambiguous) == ([], [], [])
    used = {key for keys in plan.sources.values() for key in keys}
    assert used | set(plan.dropped) == set(shapes(FULL_LISTING)) and not used & set(plan.dropped)
    stored = {k: StoredTensor(Path("a.bin"), k, shape, torch.bfloat16) for k, shape in shapes(FULL_LISTING).items()}
    check_assignment(plan, stored, published_targets)


def test_the_published_defaults_have_exactly_the_original_number_of_weights(published_targets):
    """The checksum of every default size: what is left of the listing is the model, number for number."""
    listing = shapes(FULL_LISTING)
    kept = sum(torch.Size(shape).numel() for key, shape in listing.items() if drop_reason(key) is None)
    rows, width = listing["model.embed_tokens.weight"]
    assert (rows, width) == (32065, 3072)
    kept -= 2 * (rows - 32012) * width
    stored_twice = torch.Size(published_targets[GAUSSIANS[1]]).numel()
    assert kept == sum(torch.Size(shape).numel() for shape in published_targets.values()) - stored_twice


def test_every_drop_rule_is_needed():
    keys = [
        *shapes(FULL_LISTING),
        "model.image_vision_tower.vision_tower.vision_model.embeddings.position_ids",
        "model.image_vision_tower.vision_tower.logit_scale",
        "model.layers.0.self_attn.rotary_emb.inv_freq",
    ]
    assert {drop_reason(key) for key in keys} - {None} == {reason for _, reason in DROPPED}


def test_missing_targets_can_be_named_as_the_original_names_them(published_targets):
    listing = shapes(FULL_LISTING)
    for target in published_targets:
        key = source_key(target)
        assert key in listing or key == "model.visual_model.sam_prompt_encoder.point_embeddings.*.weight", target
    assert source_key("model.unheard_of.weight") is None


@pytest.mark.parametrize(
    ("key", "targets"),
    [
        ("model.layers.31.mlp.gate_up_proj.weight", ["model.language_model.layers.31.mlp.gate_up_proj.weight"]),
        ("model.text_hidden_fcs.0.2.bias", ["seg_projection.linear_2.bias"]),
        ("model.image_mm_projector.0.weight", ["model.spatial_projector.linear_1.weight"]),
        ("model.mm_projector.2.weight", ["model.temporal_projector.linear_2.weight"]),
        (
            "model.visual_model.memory_encoder.fuser.layers.1.gamma",
            ["pixel_decoder.memory_encoder.memory_fuser.layers.1.scale"],
        ),
        ("model.visual_model.memory_encoder.fuser.layers.1.gammas", []),
        ("model.visual_model.sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix", list(GAUSSIANS)),
        ("model.visual_model.no_obj_embed_spatial", ["pixel_decoder.occlusion_spatial_embedding_parameter"]),
        ("model.visual_model.no_obj_embed", []),
        ("model.layers.٣.input_layernorm.weight", []),
        ("base_model.model.lm_head.weight", []),
    ],
)
def test_names(key, targets):
    assert target_keys(key) == targets


# Values


def test_values_arrive_in_their_places(reference):
    """Every kind of change that is more than a new name, and one of each part."""
    original = state_dict()
    grounding, encoder = "model.visual_model.", "model.vision_tower.vision_encoder."
    points = [original[f"{grounding}sam_prompt_encoder.point_embeddings.{i}.weight"] for i in range(4)]
    gaussian = original[f"{grounding}sam_prompt_encoder.pe_layer.positional_encoding_gaussian_matrix"]
    mlp = "output_hypernetworks_mlps.2"
    clip = "model.image_vision_tower.vision_tower.vision_model."
    expected = {
        "pixel_decoder.prompt_encoder.point_embed.weight": torch.cat(points),
        **dict.fromkeys(GAUSSIANS, gaussian),
        "model.temporal_tower.patch_embedding.weight": original[f"{encoder}patch_embed.proj.weight"][:, :, 0],
        "model.temporal_tower.position_embedding": original[f"{encoder}pos_embed"],
        "model.temporal_tower.layers.3.layer_scale2.weight": original[f"{encoder}blocks.3.ls2.gamma"],
        "pixel_decoder.memory_encoder.memory_fuser.layers.1.scale": original[
            f"{grounding}memory_encoder.fuser.layers.1.weight"
        ],
        "pixel_decoder.memory_encoder.mask_downsampler.layers.2.layer_norm.bias": original[
            f"{grounding}memory_encoder.mask_downsampler.encoder.7.bias"
        ],
        f"pixel_decoder.mask_decoder.{mlp}.layers.0.weight": original[
            f"{grounding}sam_mask_decoder.{mlp}.layers.1.weight"
        ],
        f"pixel_decoder.mask_decoder.{mlp}.proj_out.weight": original[
            f"{grounding}sam_mask_decoder.{mlp}.layers.2.weight"
        ],
        "model.spatial_tower.embeddings.class_embedding": original[f"{clip}embeddings.class_embedding"],
        "model.spatial_projector.linear_2.weight": original["model.image_mm_projector.2.weight"],
        "seg_projection.linear_1.weight": original["model.text_hidden_fcs.0.0.weight"],
        "model.language_model.embed_tokens.weight": original["model.embed_tokens.weight"],
        "lm_head.weight": original["lm_head.weight"],
    }
    for name, tensor in expected.items():
        assert torch.equal(reference[name], tensor), name


def test_nothing_is_lost_or_used_twice(reference):
    """Sums of squares are a fingerprint of the whole, whatever the names."""
    kept = {key: tensor for key, tensor in state_dict().items() if drop_reason(key) is None}
    energy = sorted(float(tensor.double().square().sum()) for tensor in kept.values())
    found = {name: tensor for name, tensor in reference.items() if name != GAUSSIANS[1]}
    point_rows = found.pop("pixel_decoder.prompt_encoder.point_embed.weight")
    got = [float(tensor.double().square().sum()) for tensor in [*found.values(), *point_rows]]
    assert sorted(got) == pytest.approx(energy, rel=1e-12)


def test_transformers_loads_the_result(converted_tiny, reference):
    model, info = AutoModelForImageTextToText.from_pretrained(converted_tiny, output_loading_info=True)
    assert not any(info[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys"))
    assert same(model.state_dict(), reference)


@pytest.mark.parametrize(
    ("layout", "shards", "container"),
    [("complete", 1, "bin"), ("complete", 3, "safetensors"), ("released", 1, "safetensors")],
)
def test_every_layout_gives_the_same(tmp_path, reference, layout, shards, container):
    original = write_original(tmp_path / "in", layout=layout, shards=shards, container=container)
    assert same(quiet(original, tmp_path / "out"), reference)


def test_shards_without_an_index_and_tensors_held_twice(original, tmp_path, reference):
    (original / "pytorch_model.bin.index.json").unlink()
    first, second = (original / f"pytorch_model-0000{i}-of-00002.bin" for i in (1, 2))
    tensors = torch.load(second)
    tensors["model.norm.weight"] = torch.load(first)["model.norm.weight"]
    second.unlink()
    torch.save(tensors, second)
    assert same(quiet(original, tmp_path / "out"), reference)


def test_dtype(original_tiny, tmp_path, reference):
    halved = quiet(original_tiny, tmp_path / "out", dtype="bfloat16")
    assert same(halved, {name: tensor.to(torch.bfloat16) for name, tensor in reference.items()})
    assert json.loads((tmp_path / "out" / "config.json").read_text())["dtype"] == "bfloat16"
    model = AutoModelForImageTextToText.from_pretrained(tmp_path / "out", dtype="auto")
    assert model.dtype == torch.bfloat16


def test_the_default_dtype_is_that_of_the_embeddings(original, tmp_path):
    for file in original.glob("pytorch_model-*.bin"):
        tensors = {key: tensor.bfloat16() for key, tensor in torch.load(file).items()}
        file.unlink()
        torch.save(tensors, file)
    assert {tensor.dtype for tensor in quiet(original, tmp_path / "out").values()} == {torch.bfloat16}


# Parts from files of their own


def grounding_file(path: Path, salt: str) -> dict[str, torch.Tensor]:
    """SAM 2's own file, `.gamma` as it has it; returns the tensors."""
    own = {k.removeprefix("model.visual_model."): v for k, v in state_dict(salt).items() if "visual_model" in k}
    renamed = {k.replace("weight", "gamma") if k.count(".") == 4 and "fuser" in k else k: v for k, v in own.items()}
    assert "memory_encoder.fuser.layers.0.gamma" in renamed
    torch.save({"model": renamed}, path)
    return own


def temporal_file(path: Path, salt: str, key: str | None, prefix: str) -> dict[str, torch.Tensor]:
    """InternVideo2's own file, text side included, in the format of before torch 1.6; returns the tensors."""
    start = "model.vision_tower.vision_encoder."
    own = {k.removeprefix(start): v for k, v in state_dict(salt).items() if k.startswith(start)}
    tensors = {prefix + k: v for k, v in own.items()}
    if prefix:
        tensors |= {"text_encoder.bert.weight": torch.ones(2), "temp": torch.ones(()), "itm_head.bias": torch.ones(2)}
    torch.save({key: tensors} if key else tensors, path, _use_new_zipfile_serialization=False)
    return own


@pytest.mark.parametrize(("key", "prefix"), [("module", "vision_encoder."), (None, "")])
def test_parts_replace_the_checkpoints_own(original_tiny, tmp_path, reference, capsys, key, prefix):
    grounding = grounding_file(tmp_path / "sam2.pt", "B:")
    temporal = temporal_file(tmp_path / "iv2.pt", "C:", key, prefix)
    options = {"sam2": tmp_path / "sam2.pt", "internvideo2": tmp_path / "iv2.pt", "progress": True}
    tensors = quiet(original_tiny, tmp_path / "out", **options)
    scale = "memory_encoder.memory_fuser.layers.1.scale"
    assert torch.equal(tensors[f"pixel_decoder.{scale}"], grounding["memory_encoder.fuser.layers.1.weight"])
    assert torch.equal(tensors["pixel_decoder.no_object_pointer"], grounding["no_obj_ptr"])
    assert torch.equal(tensors["model.temporal_tower.cls_token"], temporal["cls_token"])
    others = [name for name in reference if not name.startswith(("pixel_decoder.", "model.temporal_tower."))]
    assert same({name: tensors[name] for name in others}, {name: reference[name] for name in others})
    said = capsys.readouterr().out
    assert f"{sum('visual_model' in k for k in shapes())} tensors left out: replaced by --sam2" in said


def test_parts_supply_what_the_checkpoint_lacks(original, tmp_path):
    grounding_file(tmp_path / "sam2.pt", "")
    temporal_file(tmp_path / "iv2.pt", "", "model", "vision_encoder.")
    for file in original.glob("pytorch_model*"):
        file.unlink()
    bare = {k: v for k, v in state_dict().items() if "visual_model" not in k and "vision_tower" not in k}
    write_weights(original, bare)
    tensors = quiet(original, tmp_path / "out", sam2=tmp_path / "sam2.pt", internvideo2=tmp_path / "iv2.pt")
    assert torch.equal(tensors["pixel_decoder.no_object_pointer"], state_dict()["model.visual_model.no_obj_ptr"])


@pytest.mark.parametrize("prefix", ["", "vision_model."])
def test_clip_from_a_folder_of_a_full_clip(original, tmp_path, reference, prefix):
    clip, full = original / "clip", tmp_path / "full_clip"
    full.mkdir()
    tensors = torch.load(clip / "pytorch_model.bin")
    tensors = {prefix + key.removeprefix("vision_model."): tensor for key, tensor in tensors.items()}
    tensors |= {"text_model.final_layer_norm.weight": torch.ones(3), "logit_scale": torch.ones(())}
    tensors |= {"visual_projection.weight": torch.ones(3, 3), f"{prefix}embeddings.position_ids": torch.arange(577)}
    save_file(tensors, full / "model.safetensors")
    vision = json.loads((clip / "config.json").read_text())
    (full / "config.json").write_text(json.dumps({"model_type": "clip", "vision_config": vision}))
    shutil.rmtree(clip)
    assert same(quiet(original, tmp_path / "out", clip=full), reference)


def test_clip_from_the_hub(original, tmp_path, reference, monkeypatch):
    clip = (original / "clip").rename(tmp_path / "cached")
    asked = []
    monkeypatch.setattr(original_parts, "snapshot_download", lambda name, **_: asked.append(name) or str(clip))
    assert same(quiet(original, tmp_path / "out"), reference)
    assert asked == ["openai/clip-vit-large-patch14-336"]


def test_the_checkpoints_own_clip_is_preferred(tmp_path, original_tiny, reference):
    original = write_original(tmp_path / "in", layout="complete")
    other = write_original(tmp_path / "other", salt="B:") / "clip"
    assert same(quiet(original, tmp_path / "out", clip=other), reference)


# Configuration


def test_the_full_listing_gives_the_published_configuration():
    config, assumed = build_config(
        shapes(FULL_LISTING), original=PUBLISHED_ORIGINAL, clip=None, given={}, vocabulary=VOCABULARY
    )
    assert assumed == []
    assert config.to_dict() == VideoGlammConfig().to_dict()


def test_the_tiny_configuration(converted_tiny):
    config = VideoGlammConfig.from_pretrained(converted_tiny)
    expected = VideoGlammConfig.from_dict(tiny_config())
    found, wanted = config.to_dict(), expected.to_dict()
    for part in ("temporal_config", "grounding_config"):
        assert found[part] == wanted[part], part
    assert config.architectures == ["VideoGlammForGroundedGeneration"]
    assert (config.text_config.vocab_size, config.seg_token_id) == (320, 319)
    assert (config.image_token_id, config.video_token_id) == (320, 321)
    assert config.text_config.sliding_window == 2048
    assert (config.text_config.bos_token_id, config.text_config.eos_token_id) == (1, 2)
    assert config.text_config.pad_token_id == 0
    assert (config.spatial_config.num_attention_heads, config.spatial_config.projection_dim) == (4, 32)
    assert config.spatial_config.hidden_act == "quick_gelu"


def build_tiny(original: dict | None = None, given: dict | None = None, clip: dict | None = None):
    base = json.loads((FIXTURES / "original_config.json").read_text())
    config, assumed = build_config(
        shapes(),
        original={**base, **(original or {})},
        clip=clip,
        given=tiny_config() if given is None else given,
        vocabulary={"text_config.vocab_size": 320},
    )
    return config, assumed


def test_what_shapes_cannot_tell_comes_from_the_original_config():
    config, _ = build_tiny(
        {
            "rms_norm_eps": 1e-3,
            "rope_theta": 500.0,
            "sliding_window": 30,
            "resid_pdrop": 0.25,
            "mm_vision_select_layer": -3,
        },
        given={key: value for key, value in tiny_config().items() if key != "text_config"},
    )
    text = config.text_config
    assert (text.rms_norm_eps, text.sliding_window, text.resid_pdrop) == (1e-3, 31, 0.25)
    assert text.rope_parameters["rope_theta"] == 500.0
    assert config.spatial_feature_layer == -3


def test_no_sliding_window_and_longrope():
    given = {key: value for key, value in tiny_config().items() if key != "text_config"}
    factors = {"short_factor": [1.0] * 8, "long_factor": [2.0] * 8}
    config, _ = build_tiny({"sliding_window": None, "rope_scaling": {"type": "su", **factors}}, given=given)
    assert config.text_config.sliding_window is None
    rope = config.text_config.rope_parameters
    assert (rope["rope_type"], rope["rope_theta"], rope["long_factor"]) == ("longrope", 10000.0, [2.0] * 8)


def test_the_users_config_comes_first():
    text = {"sliding_window": 77, "rope_theta": 123.0, "num_attention_heads": 8, "num_key_value_heads": 8}
    config, _ = build_tiny(given=tiny_config(text_config=text, num_tower_frames=12, spatial_feature_layer=-1))
    assert config.text_config.sliding_window == 77  # already in transformers' sense
    assert config.text_config.rope_parameters["rope_theta"] == 123.0
    assert config.text_config.num_attention_heads == 8
    assert (config.num_tower_frames, config.spatial_feature_layer) == (12, -1)


def test_clip_config_leaves_out_what_is_the_librarys_default():
    config, _ = build_tiny(clip={"num_attention_heads": 2}, given=tiny_config(spatial_config={}))
    assert (config.spatial_config.num_attention_heads, config.spatial_config.projection_dim) == (2, 512)


def test_the_image_size_of_the_pixel_decoder_moves_what_follows_from_it():
    complete = VideoGlammConfig.from_dict(tiny_config()).to_dict()
    complete["grounding_config"]["image_size"] = 512
    partial = tiny_config()
    partial["grounding_config"] = {**partial["grounding_config"], "image_size": 512}
    for given in (partial, complete):
        grounding = build_tiny(given=given)[0].grounding_config
        assert grounding.memory_attention_rope_feat_sizes == [32, 32]
        assert grounding.vision_config.backbone_feature_sizes == [[128, 128], [64, 64], [32, 32]]
        assert grounding.prompt_encoder_config.image_size == 512
        assert list(grounding.vision_config.backbone_config.image_size) == [512, 512]


def test_sizes_follow_the_shapes():
    """Other sizes than both the published and the tiny ones, part by part."""
    sizes = shapes()
    prefix = "model.vision_tower.vision_encoder."
    sizes[prefix + "pos_embed"] = (1, 1 + 8 * 256, 96)
    sizes["model.visual_model.maskmem_tpos_enc"] = (5, 1, 1, 64)
    clip = "model.image_vision_tower.vision_tower.vision_model.embeddings.position_embedding.weight"
    sizes[clip] = (1 + 16 * 16, 64)
    config, _ = build_config(
        sizes,
        original=json.loads((FIXTURES / "original_config.json").read_text()),
        clip=None,
        given=tiny_config(),
        vocabulary={"text_config.vocab_size": 320},
    )
    assert config.temporal_config.num_frames == 8
    assert config.grounding_config.num_maskmem == 5
    assert config.spatial_config.image_size == 224


def test_guesses_are_confessed(original_tiny, tmp_path, capsys):
    given = tiny_config()
    del given["temporal_config"]["num_attention_heads"]
    quiet(original_tiny, tmp_path / "out", config=given, progress=True)
    assert "temporal_config.num_attention_heads = 16" in capsys.readouterr().out


# Vocabulary, tokenizer, processor


def test_rows_without_a_token_are_cut(original, tmp_path, reference, capsys):
    for file in original.glob("pytorch_model-*.bin"):
        tensors = torch.load(file)
        for key in {"model.embed_tokens.weight", "lm_head.weight"} & tensors.keys():
            tensors[key] = torch.cat([tensors[key], torch.full((53, 64), torch.nan)])
        file.unlink()
        torch.save(tensors, file)
    assert same(quiet(original, tmp_path / "out", progress=True), reference)
    assert "53 rows of the embeddings cut" in capsys.readouterr().out


def test_tied_embeddings(original, tmp_path):
    edit_json(original / "config.json", tie_word_embeddings=True)
    for file in original.glob("pytorch_model*"):
        file.unlink()
    write_weights(
        original, {k: v for k, v in state_dict().items() if "image_vision" not in k and k != "lm_head.weight"}
    )
    tensors = quiet(original, tmp_path / "out")
    assert torch.equal(tensors["lm_head.weight"], tensors["model.language_model.embed_tokens.weight"])


def test_added_tokens_keep_ids_and_flags():
    tokenizer, _ = load_original_tokenizer(FIXTURES / "tokenizer", image_start_end=False)
    expected = json.loads((FIXTURES / "tokenizer" / "tokenizer_config.json").read_text())["added_tokens_decoder"]
    for index, flags in expected.items():
        token = tokenizer.added_tokens_decoder[int(index)]
        assert {name: getattr(token, name) for name in flags} == flags
    pieces = SentencePieceProcessor(model_file=str(FIXTURES / "tokenizer" / "tokenizer.model"))
    vocabulary = tokenizer.get_vocab()
    assert [vocabulary[pieces.id_to_piece(i)] for i in range(len(pieces))] == list(range(len(pieces)))
    assert tokenizer.pad_token == "<unk>"


def test_tokens_that_absorb_the_dummy_space(tmp_path):
    """Expected lists: `all_special_tokens` of transformers 4.41's slow tokenizer after the original's additions."""
    special = ["<s>", "</s>", "<unk>", "<|endoftext|>", "<|assistant|>", "<|system|>", "<|end|>", "<|user|>"]
    folder = FIXTURES / "tokenizer"
    assert load_original_tokenizer(folder, image_start_end=False)[1] == special
    assert load_original_tokenizer(folder, image_start_end=True)[1] == [*special, "<im_start>", "<im_end>"]
    # As Phi-3's tokenizer: its end of sequence is an added token, and there are no additional special tokens.
    shutil.copytree(folder, tmp_path / "phi3")
    settings = {"additional_special_tokens": [], "eos_token": "<|endoftext|>", "pad_token": "<|endoftext|>"}
    edit_json(tmp_path / "phi3" / "tokenizer_config.json", **settings)
    assert load_original_tokenizer(tmp_path / "phi3", image_start_end=False)[1] == ["<s>", "<|endoftext|>", "<unk>"]


def test_tokens_are_added_in_the_originals_order(tmp_path):
    folder = tmp_path / "tokenizer"
    shutil.copytree(FIXTURES / "tokenizer", folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    added = {key: value for key, value in settings["added_tokens_decoder"].items() if value["content"] != "[SEG]"}
    edit_json(folder / "tokenizer_config.json", added_tokens_decoder=added)
    (folder / "added_tokens.json").unlink()
    tokenizer, _ = load_original_tokenizer(folder, image_start_end=True)
    assert tokenizer.convert_tokens_to_ids(["<im_start>", "<im_end>", "[SEG]"]) == [319, 320, 321]
    assert not tokenizer.added_tokens_decoder[321].special
    assert tokenizer.added_tokens_decoder[319].special
    assert add_placeholders(tokenizer) == (322, 323)


@pytest.mark.parametrize("add_bos_token", [True, False])
def test_the_saved_tokenizer_is_the_loaded_one(original, tmp_path, add_bos_token):
    edit_json(original / "tokenizer_config.json", add_bos_token=add_bos_token)
    quiet(original, tmp_path / "out")
    assert not (tmp_path / "out" / "tokenizer.model").exists()
    loaded, _ = load_original_tokenizer(original, image_start_end=False)
    add_placeholders(loaded)
    saved = AutoTokenizer.from_pretrained(tmp_path / "out")
    text = "<|user|>\nIs <image> a <p> disc </p> [SEG]? ünïcode 漢 <|end|>\n<video>"
    assert saved(text).input_ids == loaded(text).input_ids
    assert (saved(text).input_ids[0] == saved.bos_token_id) is add_bos_token
    assert saved.added_tokens_decoder == loaded.added_tokens_decoder
    assert (saved.pad_token_id, len(saved)) == (0, 322)


def test_generation_config(original, converted_tiny, tmp_path):
    config = GenerationConfig.from_pretrained(converted_tiny)
    assert config.eos_token_id == [2, 317, 314]
    assert (config.bos_token_id, config.pad_token_id, config.do_sample) == (1, 0, False)
    (original / "generation_config.json").write_text(json.dumps({"eos_token_id": [7, 317], "do_sample": True}))
    quiet(original, tmp_path / "out")
    config = GenerationConfig.from_pretrained(tmp_path / "out")
    assert (config.eos_token_id, config.do_sample) == ([7, 317, 2, 314], False)


def test_processor(original, processor, tmp_path):
    assert processor.video_processor.num_tower_frames == 8
    assert (processor.video_seq_length, processor.image_seq_length) == (1664, 576)
    assert (processor.image_processor.spatial_image_size, processor.video_processor.temporal_image_size) == (336, 224)
    assert processor.video_processor.grounding_image_size == 256
    assert "<|end|>" in processor.absorbing_tokens and not processor.image_start_end
    edit_json(original / "config.json", mm_use_im_start_end=True)
    with pytest.raises(ValueError, match="320 rows for the 322 tokens"):
        quiet(original, tmp_path / "out")


# Files


def test_output_shards_load_like_one_file(original_tiny, tmp_path, reference, monkeypatch):
    small = functools.partial(write_safetensors, max_shard_bytes=15 * 10**6)
    monkeypatch.setattr(convert, "write_safetensors", small)
    output = convert_videoglamm(original_tiny, tmp_path / "out", config=TINY_CONFIG, progress=False)
    index = json.loads((output / "model.safetensors.index.json").read_text())
    files = sorted(set(index["weight_map"].values()))
    assert files == [f"model-0000{i}-of-0000{len(files)}.safetensors" for i in range(1, len(files) + 1)]
    assert len(files) > 2 and not (output / "model.safetensors").exists()
    assert all((output / file).stat().st_size < 16 * 10**6 for file in files)
    assert index["metadata"]["total_size"] == sum(tensor.nbytes for tensor in reference.values())
    for name, file in index["weight_map"].items():
        with safe_open(output / file, "pt") as opened:
            assert torch.equal(opened.get_tensor(name), reference[name])
    assert same(AutoModelForImageTextToText.from_pretrained(output).state_dict(), reference)


def test_one_tensor_at_a_time_is_in_memory(tmp_path):
    shapes_, alive = {f"t{i}": (64, 64) for i in range(20)}, []

    def tensors():
        for name, shape in shapes_.items():
            assert sum(reference() is not None for reference in alive) <= 1
            tensor = torch.rand(shape)
            alive.append(weakref.ref(tensor))
            yield name, tensor

    files = write_safetensors(tmp_path, shapes_, torch.float32, tensors(), max_shard_bytes=5 * 64 * 64 * 4)
    assert len(files) == 4 and len(find_weights(tmp_path)) == 20


@pytest.mark.parametrize("container", ["bin", "safetensors"])
def test_a_mapped_file_is_opened_anew_after_a_while(tmp_path, monkeypatch, container):
    tensors = {f"t{i}": torch.full((1000,), float(i)) for i in range(10)}
    write_weights(tmp_path, tensors, container=container)
    stored, opened = find_weights(tmp_path), []
    monkeypatch.setattr(checkpoint_reader, "_BYTES_PER_OPENING", 3 * 4000)
    open_, reader = checkpoint_reader._open, checkpoint_reader.TensorReader()
    monkeypatch.setattr(checkpoint_reader, "_open", lambda path: opened.append(path) or open_(path))
    assert same({name: reader.read(place).clone() for name, place in stored.items()}, tensors)
    assert len(opened) == 4


@pytest.mark.parametrize(
    ("sizes", "expected"),
    [
        ({"a": 3, "b": 2, "c": 4, "d": 1}, [["a", "b"], ["c", "d"]]),
        ({"a": 3, "b": 2, "c": 9, "d": 1}, [["a", "b"], ["c"], ["d"]]),
        ({"a": 1}, [["a"]]),
    ],
)
def test_shards_keep_order_and_limits(tmp_path, sizes, expected):
    shapes_ = {name: (size,) for name, size in sizes.items()}
    tensors = {name: torch.rand(shape) for name, shape in shapes_.items()}
    files = write_safetensors(tmp_path, shapes_, torch.float32, iter(tensors.items()), max_shard_bytes=5 * 4)
    found = [load_file(file) for file in files]
    assert [list(shard) for shard in found] == expected
    assert same({name: tensor for shard in found for name, tensor in shard.items()}, tensors)


def test_overwrite_replaces_only_when_complete(original, tmp_path, reference, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "precious.txt").write_text("old")
    with pytest.raises(OutputError, match="--overwrite"):
        quiet(original, output)
    # Interrupted while writing: the old folder is untouched and nothing else is left.
    before = sorted(path.name for path in tmp_path.iterdir())
    for failure in (KeyboardInterrupt(), OSError(28, "No space left on device")):
        with monkeypatch.context() as patch:
            patch.setattr("videoglamm_hf.conversion.checkpoint_writer.os.fsync", _raiser(failure))
            with pytest.raises((KeyboardInterrupt, OutputError)):
                quiet(original, output, overwrite=True)
        assert sorted(path.name for path in tmp_path.iterdir()) == before
        assert (output / "precious.txt").read_text() == "old"
    assert same(quiet(original, output, overwrite=True), reference)
    assert not (output / "precious.txt").exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == before


def _raiser(error: BaseException):
    def fail(*_):
        raise error

    return fail


def test_a_failing_swap_puts_the_old_folder_back(tmp_path, monkeypatch):
    output = tmp_path / "out"
    output.mkdir()
    (output / "old").touch()
    rename = Path.rename
    monkeypatch.setattr(
        Path,
        "rename",
        lambda self, to: _raiser(OSError(5, "I/O"))() if "incomplete" in self.name else rename(self, to),
    )
    with pytest.raises(OutputError, match="I/O"), replacing_folder(output) as folder:
        (folder / "new").touch()
    assert [path.name for path in tmp_path.iterdir()] == ["out"] and (output / "old").exists()


KILLED = """
import os, signal, sys
from pathlib import Path
from videoglamm_hf.conversion import convert
from videoglamm_hf import output_files, VideoGlammProcessor

def kill(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

def dying(tensors):
    for number, pair in enumerate(tensors):
        if number == 100:
            kill()
        yield pair

def killed(moment, output):
    if moment == "weights":
        convert.tqdm = lambda tensors, **_: dying(tensors)
    elif moment == "config":
        VideoGlammProcessor.save_pretrained = kill
    else:  # the old folder is moved away, the new one not yet in its place
        rename = Path.rename
        Path.rename = lambda self, to: kill() if "incomplete" in self.name else rename(self, to)
    convert.convert_videoglamm(sys.argv[1], output, config=sys.argv[3], overwrite=True)

for moment in ("weights", "config", "swap"):
    child = os.fork()
    if child == 0:
        killed(moment, Path(sys.argv[2]) / moment / "out")
        os._exit(1)
    assert os.WTERMSIG(os.waitpid(child, 0)[1]) == signal.SIGKILL
"""


def test_killed_runs_leave_no_output_and_do_not_hinder_the_next(original_tiny, tmp_path, reference, capsys):
    (tmp_path / "swap" / "out").mkdir(parents=True)
    (tmp_path / "swap" / "out" / "old").touch()
    command = [sys.executable, "-c", KILLED, original_tiny, tmp_path, TINY_CONFIG]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for moment in ("weights", "config", "swap"):
        place = tmp_path / moment
        assert not (place / "out").exists() and list(place.glob(".out.*"))
        # Only what is whole has a configuration.
        assert bool(list(place.glob(".out.*/config.json"))) is (moment == "swap")
    assert list((tmp_path / "swap").glob(".out.*.replaced/old"))
    for moment in ("weights", "swap"):
        assert same(quiet(original_tiny, tmp_path / moment / "out", progress=True), reference)
        assert "interrupted conversions, delete them" in capsys.readouterr().out


def test_the_command_line_script(original_tiny, tmp_path, reference):
    command = [sys.executable, SCRIPT, "--checkpoint", original_tiny, "--output", tmp_path / "out"]
    done = subprocess.run([*command, "--config", TINY_CONFIG], capture_output=True, text=True, cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert same(load_file(tmp_path / "out" / "model.safetensors"), reference)
    assert "532 tensors made of 534" in done.stdout and "26 tensors left out" in done.stdout
    assert "532/532" in done.stderr


def test_options_reach_the_converter(monkeypatch, capsys):
    seen = {}
    monkeypatch.setattr(
        convert_command, "convert_videoglamm", lambda *paths, **options: seen.update(options, paths=paths)
    )
    line = "--checkpoint a --output b --clip c --internvideo2 d --sam2 e --config f --dtype float16 --overwrite"
    line += " --adapter g --adapter h --lora-alpha 32 --untrained-parts"
    assert cli.main(["convert", *line.split()]) == 0
    assert seen == {
        "paths": ("a", "b"),
        "adapters": ["g", "h"],
        "lora_alpha": 32.0,
        "untrained_parts": True,
        "clip": "c",
        "internvideo2": "d",
        "sam2": "e",
        "config": "f",
        "dtype": "float16",
        "overwrite": True,
    }
    monkeypatch.undo()
    assert cli.main(["convert", "--checkpoint", "/no/where", "--output", "/no/where/else"]) == 1
    assert capsys.readouterr().err.startswith("error: /no/where does not exist")
