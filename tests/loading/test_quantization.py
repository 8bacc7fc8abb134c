"""8 and 4 bits by nothing but a `quantization_config`: what stays as it is, answers, saving, LoRA on top."""

import pytest
import torch
from peft import PeftModel, get_peft_model, prepare_model_for_kbit_training
from torch import nn
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig, Trainer

from tests.conftest import ForceTokens
from tests.tiny_checkpoint import frames
from tests.training.test_training import Samples, arguments, video_sample
from videoglamm_hf import EncodedVideo, InputError, VideoGlammConfig
from videoglamm_hf.data import VideoGlammDataCollator
from videoglamm_hf.loading import models as loading
from videoglamm_hf.loading.memory_estimate import meta_model, quantize_meta_model
from videoglamm_hf.training.fine_tuning import lora_config

QUANTIZATIONS = ("8bit", "nf4")
UNTOUCHED = ("lm_head", "pixel_decoder", "seg_projection", "model.spatial_projector", "model.temporal_projector")


def quantized_layers(model: nn.Module) -> set[str]:
    return {n for n, m in model.named_modules() if type(m).__name__ in ("Linear4bit", "Linear8bitLt")}


def plain_layers(model: nn.Module) -> set[str]:
    return {n for n, m in model.named_modules() if type(m) is nn.Linear}


@pytest.fixture(scope="module")
def processor(small_folder):
    return AutoProcessor.from_pretrained(small_folder)


@pytest.fixture(scope="module")
def inputs(processor):
    content = [{"type": "video", "video": frames(3, 48, 64)}, {"type": "text", "text": "Please segment the disc."}]
    return processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )


@pytest.fixture(scope="module")
def collate(processor):
    return VideoGlammDataCollator(processor, num_mask_frames=None)


@pytest.fixture
def quantized(small_folder):
    def load(name, **options):
        return AutoModel.from_pretrained(
            small_folder, quantization_config=loading.quantization_config(name), **options
        ).eval()

    return load


def answer(model, inputs, **options):
    """Three words, the second a forced [SEG]."""
    forced = ForceTokens({1: model.config.seg_token_id}, inputs["input_ids"].shape[1])
    return model.generate(
        **inputs, max_new_tokens=3, logits_processor=[forced], output_mask_logits=True, do_sample=False, **options
    )


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_the_class_says_what_stays_as_it_is(small_folder, quantized, name):
    layers = quantized_layers(quantized(name))
    assert any(layer.startswith("model.language_model.") for layer in layers)
    assert any(layer.startswith("model.spatial_tower.") for layer in layers)
    assert not any(layer.startswith(UNTOUCHED) for layer in layers)
    # A list of one's own comes on top of the class's.
    config = loading.quantization_config(name)
    config.llm_int8_skip_modules = ["model.spatial_tower"]
    fewer = quantized_layers(AutoModel.from_pretrained(small_folder, quantization_config=config))
    assert fewer == {layer for layer in layers if not layer.startswith("model.spatial_tower.")}


def test_at_the_published_sizes_all_of_towers_and_language_model_is_quantized():
    model = meta_model(VideoGlammConfig(), torch.bfloat16)
    expected = {n for n in plain_layers(model) if n.startswith("model.") and not n.startswith(UNTOUCHED)}
    quantize_meta_model(model, loading.quantization_config("nf4"))
    assert quantized_layers(model) == expected


@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
def test_loading_without_quantization_is_as_before(small_folder, dtype):
    model = AutoModel.from_pretrained(small_folder, dtype=dtype)
    assert model.dtype == dtype and not quantized_layers(model)
    assert {n for n, p in model.named_parameters() if p.dtype != dtype} == set()


@pytest.mark.parametrize(("name", "least"), [("8bit", 0.999), ("nf4", 0.9)])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_answers_stay_close(small_folder, quantized, inputs, name, least, dtype):
    model, lighter = AutoModel.from_pretrained(small_folder).eval(), quantized(name, dtype=dtype)
    with torch.no_grad():
        states = [m(**inputs, output_hidden_states=True).hidden_states[-1].float() for m in (model, lighter)]
    assert torch.cosine_similarity(*states, dim=-1).mean() > least
    output = answer(lighter, inputs)
    assert output.masks[0].shape == (1, 3, 48, 64) and output.masks[0].dtype == torch.bool
    assert torch.isfinite(output.mask_logits[0]).all()
    if dtype == torch.float32:
        # The same prompt embedding gives the same mask: nothing of the pixel decoder was quantised.
        given = model.iter_masks(output.prompt_embeddings, inputs["grounding_frames"], [(48, 64)])
        assert torch.allclose(torch.stack([f.logits for f in given], 1), output.mask_logits[0], atol=1e-4)


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_saved_and_loaded_it_answers_the_same(quantized, inputs, tmp_path, name):
    model = quantized(name)
    model.save_pretrained(tmp_path / "lighter")
    expected = answer(model, inputs)
    again = AutoModel.from_pretrained(tmp_path / "lighter").eval()
    assert quantized_layers(again) == quantized_layers(model)
    output = answer(again.to("cpu"), inputs)
    assert torch.equal(output.sequences, expected.sequences)
    assert torch.allclose(output.mask_logits[0], expected.mask_logits[0], atol=1e-4)
    with pytest.raises(ValueError, match="dtype"):
        again.to(torch.float16)


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_an_answer_leaves_the_weights_as_they_were(quantized, inputs, collate, tmp_path, name):
    """bitsandbytes rearranges 4-bit weights in place when a CPU with AVX-512 BF16 runs them."""
    model = quantized(name)
    before = {n: t.clone() for n, t in model.state_dict().items() if torch.is_tensor(t)}
    expected = answer(model, inputs)
    after = {n: t for n, t in model.state_dict().items() if torch.is_tensor(t)}
    # 8 bits add what they computed with; nothing else comes or changes.
    assert all(torch.equal(after[n], before[n]) for n in before)
    model.save_pretrained(tmp_path / "lighter")
    again = answer(AutoModel.from_pretrained(tmp_path / "lighter").eval(), inputs)
    assert torch.equal(again.sequences, expected.sequences)
    assert torch.allclose(again.mask_logits[0], expected.mask_logits[0], atol=1e-4)
    # Trained on after an answer as if there had been none.
    batch = collate([video_sample(1, 2)])
    losses = []
    for used in (model, quantized(name)):
        torch.manual_seed(0)
        tuned = get_peft_model(
            prepare_model_for_kbit_training(used, gradient_checkpointing_kwargs={"use_reentrant": False}),
            lora_config(used, recipe="lora"),
        ).train()
        torch.manual_seed(0)
        loss = tuned(**batch).loss
        loss.backward()
        assert all(p.grad is not None and p.grad.isfinite().all() for p in tuned.parameters() if p.requires_grad)
        losses.append(loss.item())
    assert losses[0] == pytest.approx(losses[1], rel=1e-6)


def test_features_of_a_quantized_model_are_kept(quantized, inputs, tmp_path):
    model = quantized("nf4")
    model.encode_videos(**inputs)[0].save(tmp_path / "seen.safetensors")
    tokens = {name: inputs[name] for name in ("input_ids", "attention_mask")}
    seen = EncodedVideo.load(tmp_path / "seen.safetensors")
    first, again = answer(model, inputs), answer(model, tokens, encoded_videos=[seen])
    assert torch.allclose(first.mask_logits[0], again.mask_logits[0], atol=1e-4)


@pytest.mark.parametrize("name", QUANTIZATIONS)
def test_lora_on_top_trains_saves_reloads_and_merges(quantized, inputs, collate, tmp_path, name):
    base = prepare_model_for_kbit_training(quantized(name), gradient_checkpointing_kwargs={"use_reentrant": False})
    tuned = get_peft_model(base, lora_config(base, recipe="lora"))
    before = {n: p.detach().clone() for n, p in tuned.named_parameters() if p.requires_grad}
    Trainer(
        tuned,
        arguments(tmp_path / "run", learning_rate=1e-2),
        data_collator=collate,
        train_dataset=Samples([video_sample(1, 2)] * 2),
    ).train()
    moved = {n for n, p in tuned.named_parameters() if n in before and not torch.equal(p, before[n])}
    assert any("lora_B" in n for n in moved) and any("seg_projection" in n for n in moved)
    tuned.eval().save_pretrained(tmp_path / "adapter")
    expected = answer(tuned, inputs)
    reloaded = PeftModel.from_pretrained(quantized(name), tmp_path / "adapter").eval()
    output = answer(reloaded, inputs)
    assert torch.equal(output.sequences, expected.sequences)
    assert torch.allclose(output.prompt_embeddings[0], expected.prompt_embeddings[0], atol=1e-3)
    merged = PeftModel.from_pretrained(quantized(name), tmp_path / "adapter").merge_and_unload().eval()
    assert not any("lora" in n for n, _ in merged.named_parameters())
    # Merged weights are quantised again; those of this model are random, which costs more than trained ones.
    similarity = torch.cosine_similarity(answer(merged, inputs).prompt_embeddings[0], expected.prompt_embeddings[0])
    assert similarity.min() > 0.9


@pytest.mark.parametrize("recipe", ["paper", "projectors"])
def test_every_recipe_trains_on_a_quantized_model(quantized, collate, recipe):
    base = quantized("nf4")
    tuned = get_peft_model(base, lora_config(base, recipe=recipe)).train()
    tuned(**collate([video_sample(1, 2)])).loss.backward()
    assert [n for n, p in tuned.named_parameters() if p.requires_grad and p.grad is None] == []


def test_what_cannot_be_quantized_is_refused(small_folder, quantized, tmp_path, monkeypatch):
    with pytest.raises(InputError, match="8bit, nf4"):
        loading.quantization_config("3bit")
    with pytest.raises(ValueError, match="only one"):
        BitsAndBytesConfig(load_in_4bit=True, load_in_8bit=True)
    quantized("nf4").save_pretrained(tmp_path / "lighter")
    with pytest.raises(InputError, match=r"quantised already.*leave --quantization out"):
        loading.load_model(str(tmp_path / "lighter"), device="cpu", quantization="8bit")
    assert quantized_layers(loading.load_model(str(tmp_path / "lighter"), device="cpu"))
    monkeypatch.setattr(loading, "is_bitsandbytes_available", lambda: False)
    with pytest.raises(InputError, match="pip install bitsandbytes"):
        loading.load_model(str(small_folder), device="cpu", quantization="nf4")
