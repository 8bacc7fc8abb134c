"""The memory estimate against what loading and answering really take."""

import ast
import math
from pathlib import Path

import pytest
import torch
from torch import nn
from torch.profiler import ProfilerActivity, profile
from transformers import AutoModel

from tests.common_suites.small_models import model_config
from tests.conftest import ForceTokens
from tests.tiny_checkpoint import frames
from videoglamm_hf import InputError, ResourceError, VideoGlammConfig, cli
from videoglamm_hf.cli import segment
from videoglamm_hf.loading import models as loading
from videoglamm_hf.loading.memory_estimate import estimate_memory, weight_bytes
from videoglamm_hf.loading.models import quantization_config
from videoglamm_hf.render.video_encoding import write_mp4

FIXTURES = Path(__file__).parent.parent / "fixtures"


def measured_bytes(model: nn.Module) -> int:
    """Bytes of every tensor that a loaded model holds, quantisation state included."""
    tensors = [*model.parameters(), *model.buffers()]
    for module in model.modules():
        state = getattr(getattr(module, "weight", None), "quant_state", None)
        for part in (state, getattr(state, "state2", None)):
            tensors += [] if part is None else [part.absmax, part.code]
        tensors += [] if state is None or state.offset is None else [state.offset]
        if (scales := getattr(getattr(module, "weight", None), "SCB", None)) is not None:
            tensors.append(scales)
    return sum(tensor.nbytes for tensor in tensors)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["none", "8bit", "nf4", "nf4 twice"])
def test_weights_are_counted_to_the_byte(small_folder, name, dtype):
    quantization = quantization_config(name.split()[0])
    if name == "nf4 twice":
        quantization.bnb_4bit_use_double_quant = True
    model = AutoModel.from_pretrained(small_folder, dtype=dtype, quantization_config=quantization)
    counted = weight_bytes(model.config.__class__.from_pretrained(small_folder), dtype, quantization)
    assert sum(counted.values()) == measured_bytes(model)
    assert counted["pixel decoder"] == measured_bytes(model.pixel_decoder)
    assert counted["language model"] == measured_bytes(model.model.language_model)


def test_a_quantized_checkpoint_is_counted_as_it_is(small_folder, tmp_path):
    model = AutoModel.from_pretrained(small_folder, quantization_config=quantization_config("nf4"))
    model.save_pretrained(tmp_path / "lighter")
    config = VideoGlammConfig.from_pretrained(tmp_path / "lighter")
    assert sum(weight_bytes(config, torch.float32).values()) == measured_bytes(model)
    with pytest.raises(InputError, match="quantised already"):
        weight_bytes(config, torch.float32, quantization_config("8bit"))
    config.quantization_config = {"quant_method": "gptq", "bits": 4}
    with pytest.raises(InputError, match="gptq"):
        weight_bytes(config)


def allocated_peak(function) -> int:
    """The most bytes that PyTorch's allocator had handed out at once during a call, as its profiler saw them."""
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True, acc_events=True) as seen:
        function()
    events = [e for e in seen.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda e: e.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak


@pytest.mark.parametrize(("num_frames", "num_objects", "name"), [(4, 1, "none"), (10, 2, "nf4")])
def test_an_answer_takes_about_what_is_estimated(small_folder, num_frames, num_objects, name):
    processor = loading.load_processor(str(small_folder))
    model = loading.load_model(str(small_folder), device="cpu", quantization=name)
    content = [{"type": "video", "video": frames(num_frames, 96, 96)}, {"type": "text", "text": "Segment it."}]
    inputs = processor.apply_chat_template(
        [{"role": "user", "content": content}], tokenize=True, add_generation_prompt=True
    )
    tokens = 8
    forced = ForceTokens(dict.fromkeys(range(num_objects), model.config.seg_token_id), inputs["input_ids"].shape[1])

    def answer():
        return model.generate(
            **inputs, max_new_tokens=tokens, min_new_tokens=tokens, logits_processor=[forced], do_sample=False
        )

    assert answer().masks[0].shape[:2] == (num_objects, num_frames)
    measured = allocated_peak(answer)
    estimate = estimate_memory(model.config, torch.float32, frames=num_frames, objects=num_objects, tokens=tokens)
    # The profiler does not see the inputs, which were there before, nor the estimate what kernels take for themselves.
    assert measured / 1.5 < max(estimate.stages.values()) < 1.5 * measured


def test_the_published_sizes_fit_one_consumer_gpu():
    config = VideoGlammConfig()
    estimate = estimate_memory(config, torch.bfloat16, quantization_config("nf4"))
    assert sum(estimate.weights.values()) <= 4.5 * 2**30
    assert estimate.peak <= 8e9
    shapes = [line.split("\t") for line in (FIXTURES / "state_dict_full.txt").read_text().splitlines()]
    published = sum(math.prod(ast.literal_eval(shape)) for _, shape, *_ in shapes)
    # The release has more: parts of InternVideo2 and SAM 2 that are not used, and no CLIP.
    assert sum(estimate.parameters.values()) == pytest.approx(published, rel=0.01)


def test_more_to_do_takes_more():
    config = model_config()
    least = estimate_memory(config, torch.float32, frames=1, objects=1, tokens=1)
    more = estimate_memory(config, torch.float32, frames=4, objects=6, tokens=600)
    assert all(more.stages[name] > size for name, size in least.stages.items() if name != "towers")
    # Memory is bounded, whatever the length of the video; what grows are its frames.
    longer = [estimate_memory(config, torch.float32, frames=n).stages["masks"] for n in (100, 300)]
    assert longer[1] - longer[0] == 200 * 3 * 32 * 32
    assert estimate_memory(config, torch.float32, objects=0).memory_bank == 0
    with pytest.raises(InputError, match="frames is 0"):
        estimate_memory(config, frames=0)


def test_the_command_prints_the_same(small_folder, tmp_path, capsys):
    config, folder = model_config(), tmp_path / "smallest"
    config.save_pretrained(folder)
    expected = estimate_memory(config, torch.bfloat16, quantization_config("nf4"), frames=2)
    options = ["--quantization", "nf4", "--dtype", "bfloat16", "--frames", "2"]
    for where in (folder, folder / "config.json"):
        assert cli.main(["memory", str(where), *options]) == 0
        printed = capsys.readouterr().out
        assert f"{expected.peak / 2**20:,.1f}" in printed and "2 frames, 2 objects, 64 tokens" in printed
        for part, size in expected.weights.items():
            assert any(line.startswith(part) and f" {size / 2**20:,.1f} " in line for line in printed.splitlines())
    (tmp_path / "config.json").write_text('{"model_type": "bert"}')
    for wrong in (str(tmp_path), str(tmp_path / "none"), str(small_folder / "model.safetensors")):
        assert cli.main(["memory", wrong]) == 1
        assert "cannot be loaded as a VideoGLaMM model" in capsys.readouterr().err


def allocator_error(*args, **kwargs):
    """What PyTorch really says when a CPU has no such memory."""
    torch.empty(2**60)


def test_too_little_memory_says_what_would_fit(small_folder, tmp_path, monkeypatch, capsys):
    write_mp4(tmp_path / "clip.mp4", frames(4, 96, 96), fps=1)
    command = [
        "segment",
        str(tmp_path / "clip.mp4"),
        "?!",
        "--model",
        str(small_folder),
        "--output",
        str(tmp_path / "out"),
    ]
    with monkeypatch.context() as patched:
        patched.setattr(AutoModel, "from_pretrained", allocator_error)
        with pytest.raises(ResourceError, match=r"weights take .* GiB.*--quantization 8bit takes.*nf4 takes"):
            loading.load_model(str(small_folder), device="cpu")
        with pytest.raises(ResourceError, match="more memory"):
            loading.load_model(str(small_folder), device="cpu", quantization="nf4")
        assert cli.main(command) == 1
        assert "error: Out of memory while loading" in capsys.readouterr().err
    for failing in (allocator_error, out_of_cuda_memory):
        monkeypatch.setattr(segment, "ask", failing)
        assert cli.main([*command, "--quantization", "8bit", "--device", "cpu"]) == 1
        message = capsys.readouterr().err
        assert "--quantization nf4 or --max-frames 2" in message and "Traceback" not in message
    assert not (tmp_path / "out").exists()


def out_of_cuda_memory(*args, **kwargs):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20.00 MiB.")
