"""A tiny VideoGLaMM around Llama-3 in the original's layout, and its byte-level tokenizer."""

import json
from pathlib import Path

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import PreTrainedTokenizerFast

from tests.tiny_checkpoint import FIXTURES, state_dict, weight, write_weights

BEGIN, END, TURN_END = "<|begin_of_text|>", "<|end_of_text|>", "<|eot_id|>"
HEADS, KV_HEADS, WIDTH = 4, 2, 64
ROPE = {
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 8192,
    "rope_type": "llama3",
}
_TEXTS = [
    "A chat between a curious user and an artificial intelligence assistant. The assistant gives helpful, detailed, "
    "and polite answers to the user's questions. USER: ASSISTANT: Can you segment the red disc in this video? "
    "It is <p> the red disc </p>."
]


def build_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level BPE with Llama-3's special tokens behind its vocabulary, and its begin of text in front."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(_TEXTS, trainers.BpeTrainer(vocab_size=330, initial_alphabet=alphabet))
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token=BEGIN, eos_token=TURN_END, model_max_length=4096
    )
    tokenizer.add_tokens([END], special_tokens=True)
    template = processors.TemplateProcessing(
        single=f"{BEGIN} $A", special_tokens=[(BEGIN, tokenizer.convert_tokens_to_ids(BEGIN))]
    )
    tokenizer.backend_tokenizer.post_processor = processors.Sequence([processors.ByteLevel(), template])
    return tokenizer


def write_llama(folder: Path) -> Path:
    """The checkpoint, CLIP's folder beside it; the row of [SEG] is the last, the tokenizer does not have it yet."""
    folder.mkdir(parents=True)
    tokenizer = build_tokenizer()
    tokenizer.save_pretrained(folder)
    settings = json.loads((folder / "tokenizer_config.json").read_text())
    # As transformers 4 saves it.
    (folder / "tokenizer_config.json").write_text(
        json.dumps({**settings, "tokenizer_class": "PreTrainedTokenizerFast"})
    )
    rows, shapes = len(tokenizer) + 1, {}
    for i in range(2):
        layer = f"model.layers.{i}."
        for name, count in (("q", HEADS), ("k", KV_HEADS), ("v", KV_HEADS)):
            shapes[f"{layer}self_attn.{name}_proj.weight"] = (count * WIDTH // HEADS, WIDTH)
        shapes[f"{layer}self_attn.o_proj.weight"] = (WIDTH, WIDTH)
        shapes[f"{layer}mlp.gate_proj.weight"] = shapes[f"{layer}mlp.up_proj.weight"] = (112, WIDTH)
        shapes[f"{layer}mlp.down_proj.weight"] = (WIDTH, 112)
        for name in ("input_layernorm", "post_attention_layernorm"):
            shapes[f"{layer}{name}.weight"] = (WIDTH,)
    shapes |= {"model.embed_tokens.weight": (rows, WIDTH), "lm_head.weight": (rows, WIDTH)}
    tensors = {key: torch.from_numpy(weight(key, shape)) for key, shape in shapes.items()}
    others = {k: t for k, t in state_dict().items() if not k.startswith(("model.layers.", "model.embed", "lm_head"))}
    write_weights(folder, {**others, **tensors}, shards=2)
    original = json.loads((FIXTURES / "original_config.json").read_text())
    for name in ("sliding_window", "embd_pdrop", "resid_pdrop", "original_max_position_embeddings", "seg_token_idx"):
        original.pop(name)
    changes = {"num_key_value_heads": KV_HEADS, "rope_scaling": ROPE, "rope_theta": 500000.0, "intermediate_size": 112}
    changes["max_position_embeddings"] = 131072
    (folder / "config.json").write_text(
        json.dumps({**original, **changes, "vocab_size": rows, "eos_token_id": None, "pad_token_id": None})
    )
    return folder
