"""A saved folder is complete: it loads where this package is not installed, and answers the same."""

import ast
import json
import sys

import numpy as np
import pytest
from transformers import AutoModel, AutoProcessor, BitsAndBytesConfig

from tests.hub.processes import answers_of, save_adapter
from videoglamm_hf.hub.travelling_code import PACKAGE, travelling_files

CORE = {"av", "numpy", "PIL", "safetensors", "tokenizers", "torch", "transformers"}
# Everything but the language model, whose widths are multiples of a block of bitsandbytes.
TOWERS = ["model.spatial_tower", "model.temporal_tower", "model.spatial_projector", "model.temporal_projector"]
NOT_QUANTISED = ["lm_head", "seg_projection", "pixel_decoder", *TOWERS]


def test_the_modules_that_travel_are_flat_and_need_the_core_only():
    names = {file.stem for file in travelling_files()}
    assert {"modeling_videoglamm", "processing_videoglamm", "errors", "video_io"} <= names
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
def saved(converted_tiny, tmp_path_factory):
    """The tiny model saved whole, in four bits, and as an adapter."""
    folder = tmp_path_factory.mktemp("saved")
    model, processor = AutoModel.from_pretrained(converted_tiny), AutoProcessor.from_pretrained(converted_tiny)
    model.save_pretrained(folder / "whole")
    four_bits = BitsAndBytesConfig(load_in_4bit=True, llm_int8_skip_modules=NOT_QUANTISED)
    AutoModel.from_pretrained(converted_tiny, quantization_config=four_bits).save_pretrained(folder / "four_bits")
    save_adapter(folder / "whole", folder / "adapter")
    for name in ("whole", "four_bits"):
        processor.save_pretrained(folder / name)
    return folder


@pytest.fixture(scope="module")
def answers(saved, converted_tiny, tmp_path_factory):
    """What every saved folder answers with this package, and without."""
    whole = str(saved / "whole")
    again = str(tmp_path_factory.mktemp("again") / "model")
    models = [
        {"name": "converted", "model": str(converted_tiny), "processor": str(converted_tiny)},
        {"name": "whole", "model": whole, "processor": whole, "save": again},
        {"name": "four_bits", "model": str(saved / "four_bits"), "processor": str(saved / "four_bits")},
        {"name": "adapter", "model": whole, "processor": whole, "adapter": str(saved / "adapter")},
    ]
    folder = tmp_path_factory.mktemp("processes")
    without = answers_of(models, folder / "without", hidden=True)
    # Saved by remote classes, loaded by the installed ones.
    models[1] = {"name": "again", "model": again, "processor": again}
    models.insert(1, {"name": "whole", "model": whole, "processor": whole})
    return answers_of(models, folder / "with", hidden=False), without


@pytest.mark.parametrize("name", ["converted", "whole", "four_bits", "adapter"])
def test_answers_are_the_same_without_the_package(answers, name):
    with_package, without = answers
    masks = without[f"{name}.masks"]
    assert masks.shape == (2, 3, 48, 64) and masks.any() and not masks.all()
    for what in ("masks", "scores", "text"):
        assert np.array_equal(with_package[f"{name}.{what}"], without[f"{name}.{what}"])


def test_what_was_saved_differently_answers_differently(answers):
    _, without = answers
    scores = without["whole.scores"]
    assert np.array_equal(without["converted.scores"], scores)
    for name in ("four_bits", "adapter"):
        assert not np.array_equal(without[f"{name}.scores"], scores)


def test_remote_classes_save_folders_like_any_other(answers):
    with_package, without = answers
    assert np.array_equal(with_package["again.masks"], without["whole.masks"])


def test_a_saved_config_names_no_path(saved):
    config = json.loads((saved / "whole" / "config.json").read_text())
    assert str(saved.parent) not in json.dumps(config) and "_name_or_path" not in json.dumps(config)
    assert all(reference.count(".") == 1 for reference in config["auto_map"].values())
