"""Language models other than Phi-3: the original's Llama, converted and prompted as it does; any other family."""

import json

import pytest
import torch
from peft import get_peft_model
from transformers import AutoModel, AutoProcessor, LlamaForCausalLM

from tests.conftest import TINY_CONFIG, ForceTokens
from tests.llama_checkpoint import BEGIN, END, ROPE, TURN_END, build_tokenizer, write_llama
from tests.tiny_checkpoint import frames
from videoglamm_hf import CheckpointError, VideoGlammConfig, VideoGlammForGroundedGeneration
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.conversion.verification import verify_folder
from videoglamm_hf.training.fine_tuning import lora_config, trainable_modules

SYSTEM = (
    "A chat between a curious user and an artificial intelligence assistant. "
    "The assistant gives helpful, detailed, and polite answers to the user's questions."
)
QUESTION, ANSWER = "Can you segment the red disc?", "It is <p> the red disc </p> [SEG]."


@pytest.fixture(scope="module")
def llama_folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("llama")
    config = json.loads(TINY_CONFIG.read_text())
    for name in ("text_config", "seg_token_id", "image_token_id", "video_token_id"):
        del config[name]
    convert_videoglamm(write_llama(folder / "original"), folder / "model", config=config, progress=False)
    return folder / "model"


@pytest.fixture(scope="module")
def llama(llama_folder):
    return AutoModel.from_pretrained(llama_folder).eval(), AutoProcessor.from_pretrained(llama_folder)


def conversation(*texts: str) -> list[dict]:
    messages = [
        {"role": ("user", "assistant")[i % 2], "content": [{"type": "text", "text": text}]}
        for i, text in enumerate(texts)
    ]
    messages[0]["content"].insert(0, {"type": "video", "video": frames(2, 48, 64)})
    return messages


def chunkwise(text: str) -> list[int]:
    """The original's `tokenizer_image_token`: every chunk around the visual tokens on its own, one begin of text."""
    tokenizer = build_tokenizer()
    tokenizer.add_tokens(["[SEG]"])
    chunks = [tokenizer(chunk).input_ids[1:] for chunk in text.split("<image>")]
    ids = [tokenizer.convert_tokens_to_ids(BEGIN), *chunks[0]]
    for chunk in chunks[1:]:
        ids += [-1, *chunk]
    return ids


def without_repeats(ids: list[int], placeholder: int) -> list[int]:
    plain = [-1 if i == placeholder else i for i in ids]
    return [i for n, i in enumerate(plain) if i != -1 or plain[n - 1] != -1]


# Llama


def test_llama_is_converted_with_its_own_sizes(llama_folder, llama):
    model, processor = llama
    text = model.config.text_config
    assert (text.model_type, text.num_attention_heads, text.num_key_value_heads) == ("llama", 4, 2)
    assert (text.intermediate_size, text.vocab_size, len(processor.tokenizer)) == (112, 334, 336)
    assert (text.rope_parameters["rope_theta"], text.rope_parameters["factor"]) == (500000.0, ROPE["factor"])
    assert processor.tokenizer.pad_token == TURN_END
    ends = model.generation_config.eos_token_id
    assert processor.tokenizer.convert_ids_to_tokens(ends) == [TURN_END, END]
    assert all(check.passed for check in verify_folder(llama_folder, generate=False, progress=False))


def test_llama_is_prompted_as_the_original_does(llama):
    _, processor = llama
    messages = conversation(QUESTION, ANSWER, "Where?")
    prompt = f"{SYSTEM} USER: <image>\n{QUESTION} ASSISTANT: {ANSWER}{END}USER: Where? ASSISTANT:"
    assert processor.apply_chat_template(messages, add_generation_prompt=True) == prompt.replace("image", "video")
    inputs = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)
    ids = without_repeats(inputs["input_ids"][0].tolist(), processor.tokenizer.convert_tokens_to_ids("<video>"))
    assert ids == chunkwise(prompt)


def test_llama_learns_its_answers_and_nothing_else(llama):
    _, processor = llama
    inputs = processor.apply_chat_template(
        conversation(QUESTION, ANSWER, "Where?", "There."), tokenize=True, return_assistant_tokens_mask=True
    )
    ids, mask = inputs["input_ids"][0], inputs["assistant_masks"][0].bool()
    assert processor.tokenizer.decode(ids[mask]) == f" {ANSWER}{END} There.{END}"


@torch.no_grad()
def test_llama_computes_what_transformers_llama_does(llama):
    model, processor = llama
    alone = LlamaForCausalLM(model.config.text_config).eval()
    alone.model.load_state_dict(model.model.language_model.state_dict())
    alone.lm_head.load_state_dict(model.lm_head.state_dict())
    messages = [{"role": "user", "content": [{"type": "text", "text": QUESTION}]}]
    ids = processor.apply_chat_template(messages, tokenize=True, add_generation_prompt=True)["input_ids"]
    assert torch.allclose(model(input_ids=ids).logits, alone(input_ids=ids).logits, atol=1e-5)


def test_llama_answers_in_words_and_masks(llama):
    model, processor = llama
    inputs = processor.apply_chat_template(conversation(QUESTION), tokenize=True, add_generation_prompt=True)
    length = inputs["input_ids"].shape[1]
    words = processor.tokenizer(" It is <p> the red disc </p>", add_special_tokens=False).input_ids
    forced = [*words, model.config.seg_token_id, processor.tokenizer.convert_tokens_to_ids(END)]
    force = ForceTokens(dict(enumerate(forced)), length)
    output = model.generate(**inputs, max_new_tokens=40, logits_processor=[force])
    assert output.sequences[0, length:].tolist() == forced
    answer = processor.post_process_grounded_generation(output)[0]
    assert (answer.text, answer.phrases[0].text) == ("It is the red disc", "the red disc")
    assert answer.masks.shape == (1, 2, 48, 64)
    following = processor.next_turn(output, "Where?")["input_ids"][0, length + len(forced) :]
    assert processor.tokenizer.decode(following) == "USER: Where? ASSISTANT:"


def test_another_family_is_not_converted(tmp_path):
    folder = write_llama(tmp_path / "original")
    settings = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps({**settings, "model_type": "qwen2"}))
    with pytest.raises(CheckpointError, match="qwen2; the original's language models are Phi-3 and Llama"):
        convert_videoglamm(folder, tmp_path / "out", config=TINY_CONFIG, progress=False)


# Any other family, from a configuration


@pytest.fixture(scope="module", params=["qwen2", "qwen3"])
def other(request, llama):
    """A new model around another family, with the Llama test's tokenizer."""
    _, processor = llama
    settings = json.loads(TINY_CONFIG.read_text())
    tokenizer = processor.tokenizer
    text = {
        "model_type": request.param,
        "vocab_size": 334,
        "hidden_size": 64,
        "intermediate_size": 96,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 2,
        "head_dim": 16,
        "eos_token_id": tokenizer.convert_tokens_to_ids(END),
        "pad_token_id": tokenizer.pad_token_id,
    }
    ids = tokenizer.convert_tokens_to_ids(["[SEG]", "<image>", "<video>"])
    settings |= dict(zip(("seg_token_id", "image_token_id", "video_token_id"), ids, strict=True))
    torch.manual_seed(0)
    model = VideoGlammForGroundedGeneration(VideoGlammConfig.from_dict({**settings, "text_config": text}))
    return model.eval(), processor


def test_other_families_answer_in_words_and_masks(other, tmp_path):
    model, processor = other
    inputs = processor.apply_chat_template(conversation(QUESTION), tokenize=True, add_generation_prompt=True)
    force = ForceTokens({0: model.config.seg_token_id}, inputs["input_ids"].shape[1])
    output = model.generate(**inputs, max_new_tokens=2, min_new_tokens=2, do_sample=False, logits_processor=[force])
    assert processor.post_process_grounded_generation(output)[0].masks.shape == (1, 2, 48, 64)


@torch.no_grad()
def test_other_families_are_saved_and_loaded(other, tmp_path):
    model, processor = other
    model.save_pretrained(tmp_path / "model")
    again = AutoModel.from_pretrained(tmp_path / "model").eval()
    assert again.config.text_config.model_type == model.config.text_config.model_type
    ids = processor.tokenizer(QUESTION, return_tensors="pt").input_ids
    assert torch.equal(again(input_ids=ids).logits, model(input_ids=ids).logits)


def test_other_families_are_tuned_on_their_separate_projections(other):
    model, processor = other
    trained = trainable_modules(model)
    assert "model.language_model.embed_tokens" in trained and model.seg_projection.linear_1.weight.requires_grad
    tuned = get_peft_model(model, lora_config(model))
    adapted = {
        name.rpartition(".lora_A")[0].rpartition(".")[2] for name, _ in tuned.named_parameters() if "lora_A" in name
    }
    assert adapted == {"q_proj", "v_proj"}
    inputs = processor.apply_chat_template(
        conversation(QUESTION, ANSWER), tokenize=True, return_assistant_tokens_mask=True
    )
    labels = inputs["input_ids"].masked_fill(inputs.pop("assistant_masks") == 0, -100)
    tuned.train()
    loss = tuned(**inputs, labels=labels, mask_labels=[torch.ones(1, 2, 48, 64)]).loss
    loss.backward()
    gradients = {name: p.grad for name, p in tuned.named_parameters() if "lora_B" in name}
    assert gradients and all(g is not None and g.abs().sum() > 0 for g in gradients.values())
