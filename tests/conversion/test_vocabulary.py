"""Rows of the embeddings, tokenizer, end tokens and processor."""

import json
import shutil

import pytest
import torch
from sentencepiece import SentencePieceProcessor
from transformers import AutoTokenizer, GenerationConfig

from tests.conversion.checkpoints import edit_json, quiet, same
from tests.tiny_checkpoint import FIXTURES, state_dict, write_weights
from videoglamm_hf.conversion.original_tokenizer import add_placeholders, load_original_tokenizer


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
