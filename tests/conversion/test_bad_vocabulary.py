"""Tokenizers and token ids that do not fit the checkpoint."""

import json

import pytest
import torch

from tests.conversion.checkpoints import FIRST, SECOND, change_tensors, edit_json, refused, replace


def test_seg_token_elsewhere(original):
    edit_json(original / "config.json", seg_token_idx=32011)
    refused(original, "token 32011, its tokenizer says 319")


@pytest.mark.parametrize("key", ["model.embed_tokens.weight", "lm_head.weight"])
def test_fewer_rows_than_tokens(original, key):
    name = json.loads((original / "pytorch_model.bin.index.json").read_text())["weight_map"][key]
    change_tensors(original, lambda tensors: tensors.update({key: tensors[key][:319].clone()}), name)
    assert key in refused(original, "319 rows for the 320 tokens")


@pytest.mark.parametrize("name", ["tokenizer.model", "tokenizer_config.json"])
def test_a_missing_tokenizer(original, name):
    (original / name).unlink()
    refused(original, "lacks its tokenizer")


def test_a_damaged_vocabulary(original):
    replace(original / "tokenizer.model", (original / "tokenizer.model").read_bytes()[:1000])
    refused(original, "tokenizer")


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"legacy": True}, "legacy"),
        ({"tokenizer_class": "GPT2Tokenizer"}, "GPT2Tokenizer"),
        ({"added_tokens_decoder": None}, "added_tokens_decoder"),
        (
            {"added_tokens_decoder": {"319": {"content": "[SEG]"}, "317": {"no": "content"}}},
            "malformed|cannot be loaded",
        ),
    ],
)
def test_a_tokenizer_of_another_kind(original, changes, expected):
    edit_json(original / "tokenizer_config.json", **changes)
    refused(original, expected)


def test_added_tokens_that_contradict_each_other(original):
    edit_json(original / "added_tokens.json", **{"[SEG]": 318})
    assert "added_tokens.json says 318" in refused(original, r"\[SEG\]")


def test_ids_with_gaps(original):
    settings = json.loads((original / "tokenizer_config.json").read_text())
    decoder = settings["added_tokens_decoder"]
    decoder["400"] = decoder.pop("319")
    edit_json(original / "tokenizer_config.json", added_tokens_decoder=decoder)
    edit_json(original / "added_tokens.json", **{"[SEG]": 400})
    refused(original, "should have id 400|without gaps")


def test_placeholders_that_are_there_already(original):
    settings = json.loads((original / "tokenizer_config.json").read_text())
    decoder = settings["added_tokens_decoder"]
    decoder["320"] = {**decoder["314"], "content": "<image>"}
    edit_json(original / "tokenizer_config.json", added_tokens_decoder=decoder)
    for name in (FIRST, SECOND):
        change_tensors(
            original, lambda t: t.update({k: torch.ones(321, 64) for k in t if "embed_t" in k or "lm_h" in k}), name
        )
    refused(original, "<image>")


@pytest.mark.parametrize("ids", ["end", [2, "end"], {"a": 1}])
def test_end_tokens_that_are_no_ids(original, ids):
    (original / "generation_config.json").write_text(json.dumps({"eos_token_id": ids}))
    refused(original, "eos_token_id")


def test_a_seg_token_of_another_checkpoint(original):
    edit_json(original / "config.json", seg_token_idx=32011)
    refused(original, r"\[SEG\] is token 32011, its tokenizer says 319")
