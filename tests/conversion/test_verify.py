"""`videoglamm verify`: every check passes on a whole folder, and each can fail."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.conversion.checkpoints import edit_json, link_weights
from tests.tiny_checkpoint import TINY_CONFIG
from videoglamm_hf import cli
from videoglamm_hf.conversion import checkpoint_writer, convert_videoglamm, verification
from videoglamm_hf.conversion.checkpoint_reader import all_finite

CHECKS = ["config", "files", "shapes", "values", "processor", "tokens"]
NORM = "model.language_model.norm.weight"


@pytest.fixture
def folder(converted_tiny: Path, tmp_path: Path) -> Path:
    """A copy to break; the weights are a link, so replace them, do not write to them."""
    return Path(shutil.copytree(converted_tiny, tmp_path / "model", copy_function=link_weights))


def checked(folder: Path, **options) -> dict[str, verification.Check]:
    return {c.name: c for c in verification.verify_folder(folder, progress=False, **{"generate": False, **options})}


def edit_tensors(folder: Path, change: Callable[[dict], object]) -> None:
    tensors = load_file(folder / "model.safetensors")
    change(tensors)
    (folder / "model.safetensors").unlink()
    save_file(tensors, folder / "model.safetensors")


def test_a_whole_folder_passes_a_line_per_check(converted_tiny, capsys):
    assert cli.main(["verify", str(converted_tiny)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["ok", name] for name in [*CHECKS, "generate"]]
    assert "532 tensors in 1 file" in lines[1] and "one frame, one [SEG], one mask" in lines[-1]


def test_without_generate_no_model_is_made(converted_tiny, capsys, monkeypatch):
    monkeypatch.setattr(verification.AutoModel, "from_pretrained", None)
    assert cli.main(["verify", str(converted_tiny), "--no-generate"]) == 0
    assert len(capsys.readouterr().out.splitlines()) == len(CHECKS)


def drop(name: str) -> Callable[[Path], None]:
    return lambda folder: edit_tensors(folder, lambda tensors: tensors.pop(name))


def put(name: str, tensor: torch.Tensor) -> Callable[[Path], None]:
    return lambda folder: edit_tensors(folder, lambda tensors: tensors.update({name: tensor}))


def setting(file: str, **changes) -> Callable[[Path], None]:
    return lambda folder: edit_json(folder / file, **changes)


def video_setting(**changes) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        path = folder / "processor_config.json"
        video = json.loads(path.read_text())["video_processor"]
        edit_json(path, video_processor=video | changes)

    return change


def cut(folder: Path) -> None:
    data = (folder / "model.safetensors").read_bytes()
    (folder / "model.safetensors").unlink()
    (folder / "model.safetensors").write_bytes(data[:-100])


@pytest.mark.parametrize(
    ("damage", "check", "expected"),
    [
        (lambda folder: (folder / "config.json").unlink(), "config", "cannot be read"),
        (setting("config.json", model_type="clip"), "config", "'clip', not 'videoglamm'.*videoglamm convert"),
        (lambda folder: (folder / "model.safetensors").unlink(), "files", "no model weights"),
        (cut, "files", "damaged"),
        (drop(NORM), "shapes", f"1 tensors are missing: {NORM}"),
        (put(NORM, torch.ones(3)), "shapes", f"of another shape: {NORM}"),
        (put("model.extra", torch.ones(3)), "shapes", "unknown: model.extra"),
        (put(NORM, torch.full((64,), torch.nan)), "values", f"{NORM} in model.safetensors holds NaN"),
        (put(NORM, torch.tensor([1.0] * 63 + [-torch.inf])), "values", "NaN or infinite"),
        (video_setting(num_tower_frames=16), "processor", "num_tower_frames = 16, not 8"),
        (lambda folder: (folder / "tokenizer.json").unlink(), "processor", ""),
        (setting("config.json", seg_token_id=318), "tokens", r"\[SEG\] is 319, not 318"),
        (setting("generation_config.json", eos_token_id=[2, 999]), "tokens", r"ends answers at \[2, 999\]"),
    ],
)
def test_each_check_can_fail(folder, damage, check, expected, capsys):
    damage(folder)
    found = checked(folder)
    assert found[check].passed is False
    assert re.search(expected, found[check].found), found[check].found
    assert cli.main(["verify", str(folder), "--no-generate"]) == 1
    printed = capsys.readouterr()
    assert "FAILED" in printed.out and f"{folder} failed" in printed.err


def test_what_an_earlier_failure_hides_is_skipped(folder):
    (folder / "config.json").unlink()
    found = checked(folder, generate=True)
    assert [name for name, check in found.items() if check.passed is None] == [
        "shapes",
        "processor",
        "tokens",
        "generate",
    ]
    assert "skipped" in str(found["shapes"]) and found["values"].passed


def test_an_index_that_disagrees_with_its_shards(original_tiny, tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint_writer.write_safetensors, "__defaults__", (15 * 10**6,))
    output = convert_videoglamm(original_tiny, tmp_path / "out", config=TINY_CONFIG, progress=False)
    assert all(check.passed for check in checked(output).values())
    index = output / "model.safetensors.index.json"
    weight_map = json.loads(index.read_text())["weight_map"]
    files = sorted(set(weight_map.values()))
    for changed, expected in (
        ({**weight_map, NORM: files[weight_map[NORM] == files[0]]}, "disagree about 1 tensors"),
        ({k: v for k, v in weight_map.items() if k != NORM}, "disagree about 1 tensors"),
        ({**weight_map, NORM: "../elsewhere.safetensors"}, "outside its folder"),
        ({**weight_map, NORM: "model-00009-of-00009.safetensors"}, "lacks 1 of"),
        ({**weight_map, "model.more": files[0]}, "keys that its files do not hold"),
    ):
        index.write_text(json.dumps({"metadata": {}, "weight_map": changed}))
        check = checked(output)["files"]
        assert check.passed is False and expected in check.found


def test_generating_tells_what_is_wrong(converted_tiny, monkeypatch):
    def out_of_memory(*_, **__):
        raise MemoryError

    monkeypatch.setattr(verification.AutoModel, "from_pretrained", out_of_memory)
    found = checked(converted_tiny, generate=True)["generate"]
    assert found.passed is False and "--no-generate" in found.found


def test_a_folder_that_is_none(tmp_path, capsys):
    assert cli.main(["verify", str(tmp_path / "nowhere")]) == 1
    assert "is no folder" in capsys.readouterr().err


@pytest.mark.parametrize("value", [torch.nan, torch.inf, -torch.inf])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_one_bad_value_is_found_anywhere(value, dtype):
    tensor = torch.full((7, 1001), torch.finfo(dtype).max, dtype=dtype)
    assert all_finite(tensor) and all_finite(tensor[:0])
    for place in (0, 3500, 7006):
        spoiled = tensor.clone()
        spoiled.view(-1)[place] = value
        assert not all_finite(spoiled)
    assert all_finite(torch.tensor(1.0, dtype=dtype))
