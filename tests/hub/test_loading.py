"""A saved folder is complete, on disk and on the Hub: it loads without this package, and answers the same."""

import ast
import json
import sys
from itertools import combinations

import numpy as np
import pytest
import torch
import transformers
from packaging.version import Version
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig

from tests.hub.conftest import logged_in
from tests.hub.processes import answers_of, save_adapter
from videoglamm_hf.hub import push_folder
from videoglamm_hf.hub.travelling_code import PACKAGE, travelling_files

# decord is asked for by name only, and jinja2 comes with torch.
CORE = {"av", "decord", "jinja2", "numpy", "PIL", "safetensors", "tokenizers", "torch", "transformers"}
# Everything but the language model, whose widths are multiples of a block of bitsandbytes.
TOWERS = ["model.spatial_tower", "model.temporal_tower", "model.spatial_projector", "model.temporal_projector"]
NOT_QUANTISED = ["lm_head", "seg_projection", "pixel_decoder", *TOWERS]
ON_DISK = ["converted", "whole", "four_bits", "adapter"]
ON_THE_HUB = ["main", "halved", "bf16", "pushed_adapter", "adapter_alone"]


def test_the_modules_that_travel_are_flat_and_need_the_core_only():
    names = {file.stem for file in travelling_files()}
    assert names == {file.stem for file in PACKAGE.glob("*.py")} - {"__init__", "__main__"}
    for file in travelling_files():
        assert file.parent == PACKAGE
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.ImportFrom) and node.level:
                assert node.level == 1 and node.module in names, f"{file.name}: from {'.' * node.level}{node.module}"
            elif isinstance(node, (ast.Import, ast.ImportFrom)):
                modules = [node.module] if isinstance(node, ast.ImportFrom) else [alias.name for alias in node.names]
                for module in modules:
                    top = module.partition(".")[0]
                    assert top in CORE or top in sys.stdlib_module_names, f"{file.name} imports {module}"


@pytest.fixture(scope="module")
def saved(light_tiny, tmp_path_factory):
    """The tiny model saved whole, in four bits, with other weights, as a variant, and as an adapter."""
    folder = tmp_path_factory.mktemp("saved")
    model, processor = AutoModel.from_pretrained(light_tiny), AutoProcessor.from_pretrained(light_tiny)
    model.save_pretrained(folder / "whole")
    save_adapter(folder / "whole", folder / "adapter")
    four_bits = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=NOT_QUANTISED)
    AutoModel.from_pretrained(light_tiny, quantization_config=four_bits).save_pretrained(folder / "four_bits")
    with torch.no_grad():
        model.seg_projection.linear_2.weight.mul_(0.5)
    model.save_pretrained(folder / "halved")
    model.to(torch.bfloat16).save_pretrained(folder / "bf16", variant="bf16", max_shard_size="5MB")
    for name in ("whole", "four_bits", "halved", "bf16"):
        processor.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def answers(saved, light_tiny, tmp_path_factory):
    """What everything that was saved and pushed answers in a process with this package, and in one without."""
    whole, repo = str(saved / "whole"), "someone/tiny"
    again = str(tmp_path_factory.mktemp("again") / "model")
    variant = {"options": {"variant": "bf16", "dtype": "bfloat16"}}
    models = [
        {"name": "converted", "model": str(light_tiny), "processor": str(light_tiny)},
        {"name": "four_bits", "model": str(saved / "four_bits"), "processor": str(saved / "four_bits")},
        {"name": "adapter", "model": whole, "processor": whole, "adapter": str(saved / "adapter")},
        {"name": "main", "model": repo, "processor": repo},
        {"name": "halved", "model": repo, "processor": repo, "revision": "halved"},
        {"name": "bf16", "model": repo, "processor": repo, "revision": "halved", **variant},
        {"name": "pushed_adapter", "model": repo, "processor": repo, "adapter": "someone/adapter"},
        {"name": "adapter_alone", "model": "someone/adapter", "base": repo, "processor": repo},
    ]
    local = {"name": "whole", "model": whole, "processor": whole}
    by_method = {"name": "by_method", "model": "someone/by_method", "processor": "someone/by_method"}
    # Saved by remote classes, loaded by the installed ones.
    twice_saved = {"name": "again", "model": again, "processor": again}
    folder = tmp_path_factory.mktemp("processes")
    with logged_in() as hub:
        push_folder(saved / "whole", repo)
        push_folder(saved / "halved", repo, revision="halved")
        push_folder(saved / "bf16", repo, revision="halved", variant="bf16")
        push_folder(saved / "adapter", "someone/adapter", base_model=repo)
        # The first of them uses transformers' own push_to_hub; the second loads what it pushed.
        without = answers_of(
            [*models, {**local, "save": again, "push": "someone/by_method"}],
            folder / "without",
            hidden=True,
            endpoint=hub.url,
        )
        with_package = answers_of(
            [*models, local, twice_saved, by_method], folder / "with", hidden=False, endpoint=hub.url
        )
    return with_package, without


@pytest.mark.parametrize("name", [*ON_DISK, *ON_THE_HUB])
def test_answers_are_the_same_without_the_package(answers, name):
    with_package, without = answers
    masks = without[f"{name}.masks"]
    assert masks.shape == (2, 3, 48, 64) and masks.any() and not masks.all()
    for what in ("masks", "scores", "text"):
        assert np.array_equal(with_package[f"{name}.{what}"], without[f"{name}.{what}"])


@pytest.mark.parametrize("one, other", [("converted", "whole"), ("whole", "main"), ("adapter", "pushed_adapter")])
def test_the_same_weights_answer_the_same_wherever_they_lie(answers, one, other):
    _, without = answers
    assert np.array_equal(without[f"{one}.scores"], without[f"{other}.scores"])
    assert np.array_equal(without[f"{one}.masks"], without[f"{other}.masks"])


@pytest.mark.skipif(
    Version(transformers.__version__) < Version("5.23"),
    reason="older transformers load the LoRA part alone (5.17 seen)",
)
def test_an_adapter_loads_by_its_own_name(answers):
    _, without = answers
    assert np.array_equal(without["adapter_alone.scores"], without["pushed_adapter.scores"])


def test_other_weights_answer_differently(answers):
    _, without = answers
    for one, other in combinations(("whole", "four_bits", "halved", "bf16", "adapter"), 2):
        assert not np.array_equal(without[f"{one}.scores"], without[f"{other}.scores"])


@pytest.mark.parametrize("name", ["again", "by_method"])
def test_remote_classes_save_and_push_like_any_other(answers, name):
    with_package, without = answers
    assert np.array_equal(with_package[f"{name}.masks"], without["whole.masks"])
    assert np.array_equal(with_package[f"{name}.scores"], without["whole.scores"])


def test_a_saved_config_names_no_path(saved):
    config = (saved / "whole" / "config.json").read_text()
    assert str(saved.parent) not in config and "_name_or_path" not in config
    assert all(reference.count(".") == 1 for reference in json.loads(config)["auto_map"].values())
