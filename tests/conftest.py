"""Shared fixtures: the tiny checkpoint in the original's layout, converted, and loaded through the Auto classes."""

import json
import logging
import os
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
import transformers
from hypothesis import settings
from transformers import AutoModel, AutoProcessor, LogitsProcessor

import videoglamm_hf  # noqa: F401  registers the Auto classes
from tests.light_tiny import write_light
from tests.tiny_checkpoint import write_original
from videoglamm_hf.conversion import convert_videoglamm
from videoglamm_hf.toy.recipe.building import build

FIXTURES = Path(__file__).parent / "fixtures"
GOLDEN = FIXTURES / "golden"
TINY_CONFIG = FIXTURES / "original_tiny" / "config.json"
SEG_TOKEN_ID = 319

# How long an example takes says nothing on a shared machine.
settings.register_profile("no deadline", deadline=None)
settings.load_profile("no deadline")
if "OMP_NUM_THREADS" not in os.environ:
    torch.set_num_threads(min(2, os.cpu_count() or 1))


class ForceTokens(LogitsProcessor):
    """Forces given tokens at given steps of the answer, and leaves the other steps alone."""

    def __init__(self, tokens: dict[int, int], prompt_length: int) -> None:
        self.tokens, self.prompt_length = tokens, prompt_length

    def __call__(self, input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        token = self.tokens.get(input_ids.shape[1] - self.prompt_length)
        if token is None:
            return scores
        forced = torch.full_like(scores, -1e9)
        forced[:, token] = 0
        return forced


def force_seg(steps: list[int], prompt_length: int) -> list[ForceTokens]:
    return [ForceTokens(dict.fromkeys(steps, SEG_TOKEN_ID), prompt_length)]


@pytest.fixture(scope="session")
def original_tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("original")
    write_original(folder)
    return folder


@pytest.fixture(scope="session")
def converted_tiny(original_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    output = tmp_path_factory.mktemp("converted") / "model"
    convert_videoglamm(original_tiny, output, clip=original_tiny / "clip", config=TINY_CONFIG, progress=False)
    return output


@pytest.fixture(scope="session")
def converted_tiny_1024(original_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights with the pixel decoder at its full input size."""
    folder = tmp_path_factory.mktemp("converted_1024")
    config = json.loads(TINY_CONFIG.read_text())
    config["grounding_config"]["image_size"] = 1024
    (folder / "config.json").write_text(json.dumps(config))
    convert_videoglamm(
        original_tiny, folder / "model", clip=original_tiny / "clip", config=folder / "config.json", progress=False
    )
    return folder / "model"


@pytest.fixture(scope="session")
def light_tiny(converted_tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same weights, lighter: a video is 104 tokens and not 1664."""
    folder = tmp_path_factory.mktemp("light") / "model"
    write_light(converted_tiny, folder)
    return folder


def load_model(folder: Path, **kwargs) -> torch.nn.Module:
    return AutoModel.from_pretrained(folder, **{"attn_implementation": "eager", **kwargs}).eval()


@pytest.fixture(scope="session")
def small_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An untrained model of the small sizes (widths that 4 bits take), and its processor."""
    folder = tmp_path_factory.mktemp("small") / "model"
    for part in build(seed=0):
        part.save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def model(light_tiny: Path) -> torch.nn.Module:
    return load_model(light_tiny)


@pytest.fixture(autouse=True)
def shared_model_stays_as_it_was(request: pytest.FixtureRequest) -> Iterator[None]:
    """A test that changed the model of all tests fails itself, and not one that comes later in another order."""
    if "model" not in request.fixturenames:
        yield
        return
    shared = request.getfixturevalue("model")
    before = _state(shared)
    yield
    after = _state(shared)
    changed = [name for name in before if after.get(name) != before[name]]
    assert not changed, f"the test changed the shared model's {changed}; take `fresh_model`"


def _state(model: torch.nn.Module) -> dict[str, Any]:
    if not isinstance(model, torch.nn.Module) or not hasattr(model, "config"):
        return {}
    return {
        "mode": model.training,
        # Saving writes these two.
        **model.config.to_dict() | {"architectures": None, "dtype": None},
        "generation configuration": model.generation_config.to_dict(),
        "weights": [(weight.dtype, weight.requires_grad) for weight in model.parameters()],
    }


@pytest.fixture(scope="session")
def processor(light_tiny: Path):
    return AutoProcessor.from_pretrained(light_tiny)


@pytest.fixture
def fresh_model(light_tiny: Path) -> Callable[..., torch.nn.Module]:
    """Loads a model of its own for a test that changes weights or settings."""
    return lambda **kwargs: load_model(light_tiny, **kwargs)


@pytest.fixture
def ask(processor) -> Callable:
    """Model inputs of one question about one video, picture or nothing."""

    def inputs(question: str = "Can you segment the red disc in this video?", video=None, image=None):
        content = [{"type": "video", "video": video}] if video is not None else []
        content += [{"type": "image", "image": image}] if image is not None else []
        messages = [{"role": "user", "content": [*content, {"type": "text", "text": question}]}]
        return processor.apply_chat_template(
            messages, tokenize=True, add_generation_prompt=True, return_dict=True, return_tensors="pt"
        )

    return inputs


@pytest.fixture
def without_warnings(caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Warnings that a person would see, and whatever a library logs as one, fail the test."""
    # These hand their records on only where the environment says CI.
    for library in ("transformers", "huggingface_hub"):
        monkeypatch.setattr(logging.getLogger(library), "propagate", True)
    transformers.utils.logging.warning_once.cache_clear()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        # These Python does not show.
        for hidden in (DeprecationWarning, PendingDeprecationWarning, ImportWarning, ResourceWarning):
            warnings.simplefilter("ignore", hidden)
        # torch says so of any Trainer on a machine without an accelerator.
        warnings.filterwarnings("ignore", "'pin_memory' argument is set as true but no accelerator is found")
        yield
    # bitsandbytes says once that a CPU could have an optional kernel.
    logged = [r for r in caplog.get_records("call") if not r.name.startswith("bitsandbytes.backends.cpu")]
    logged = [record.getMessage() for record in logged if record.levelno >= logging.WARNING]
    # Trainer of the oldest transformers looks for token ids beside the language model's configuration, of any model.
    # It also says that two checkpoints were written within one second, as those of a quick machine are.
    theirs = ("The tokenizer has new PAD/BOS/EOS tokens", "mtime may not be reliable")
    logged = [message for message in logged if not message.startswith(theirs)]
    assert not logged, logged


class Golden(dict):
    """Arrays of one golden case, and what its manifest says about it as `meta`."""

    def __init__(self, name: str) -> None:
        with np.load(GOLDEN / f"{name}.npz") as arrays:
            super().__init__(arrays)
        manifest = "manifest_A_sam1024.json" if name.endswith("sam1024") else "manifest_A.json"
        self.meta = json.loads((GOLDEN / manifest).read_text())[f"{name}.npz"]["meta"]


@pytest.fixture(scope="session")
def golden() -> Callable[[str], Golden]:
    return Golden


_PARITY_ROWS: list[tuple[str, str, float, float]] = []


@pytest.fixture
def hold() -> Callable:
    """`hold(case, what, difference, tolerance)`: asserts, and adds a row to the parity table."""

    def check(case: str, what: str, difference: float, tolerance: float) -> None:
        _PARITY_ROWS.append((case, what, float(difference), tolerance))
        assert difference <= tolerance, f"{case}, {what}: {difference:.3g} > {tolerance:.3g}"

    return check


def pytest_sessionfinish(session: pytest.Session) -> None:
    """A process of several hands its rows to the one that prints."""
    if hasattr(session.config, "workeroutput"):
        session.config.workeroutput["parity_rows"] = _PARITY_ROWS


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    _PARITY_ROWS.extend(map(tuple, getattr(node, "workeroutput", {}).get("parity_rows", ())))


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    if not _PARITY_ROWS:
        return
    terminalreporter.section("parity with the original implementation")
    terminalreporter.write_line(f"{'case':<34}{'quantity':<40}{'difference':>12}{'held to':>10}")
    for case, what, difference, tolerance in _PARITY_ROWS:
        flag = "" if difference <= tolerance else "  FAILED"
        terminalreporter.write_line(f"{case:<34}{what:<40}{difference:>12.2e}{tolerance:>10.0e}{flag}")
