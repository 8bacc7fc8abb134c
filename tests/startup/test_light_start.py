"""What is imported before it is needed: nothing large; and the Auto classes know ours whatever is imported first."""

import json
import subprocess
import sys

import pytest

import videoglamm_hf
from videoglamm_hf import conversion, data, evaluation
from videoglamm_hf.toy import TINY_MODEL

LARGE = {"PIL", "accelerate", "av", "bitsandbytes", "huggingface_hub", "peft", "tokenizers", "torch", "transformers"}
# Training data is checked with arrays.
LARGE_BUT_FOR_DATA = {"numpy", "pycocotools", "scipy", *LARGE}
ON_DEMAND = {"peft", "bitsandbytes", "av"}

AUTO_CLASSES = {
    "AutoConfig": "transformers.models.auto.configuration_auto",
    "AutoModel": "transformers.models.auto.modeling_auto",
    "AutoImageProcessor": "transformers.models.auto.image_processing_auto",
    "AutoVideoProcessor": "transformers.models.auto.video_processing_auto",
    "AutoProcessor": "transformers.models.auto.processing_auto",
}
TAIL = "import sys; print('\\n' + ' '.join(sorted({name.partition('.')[0] for name in sys.modules})))"


def imported(code: str, *arguments: str) -> tuple[set[str], int]:
    """The packages that a fresh interpreter has imported after some code, and its exit status."""
    script = f"import atexit\natexit.register(lambda: exec({TAIL!r}))\n{code}"
    done = subprocess.run([sys.executable, "-c", script, *arguments], capture_output=True, text=True)
    return set(done.stdout.splitlines()[-1].split()), done.returncode


def run(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip()


def test_importing_the_package_imports_nothing_large():
    assert not imported("import videoglamm_hf; dir(videoglamm_hf)")[0] & LARGE_BUT_FOR_DATA


@pytest.mark.parametrize(
    "line, status",
    [
        ("--help", 0),
        ("--version", 0),
        ("segment --help", 0),
        ("segment", 2),
        ("memory --quantization 3bit", 2),
        ("score mevis", 2),
    ],
)
def test_help_and_usage_errors_import_nothing_large(line, status):
    code = "import sys; from videoglamm_hf.cli import main; sys.exit(main())"
    packages, found = imported(code, *line.split())
    assert found == status
    assert not packages & LARGE_BUT_FOR_DATA


@pytest.mark.parametrize("content, status", [("A <p> man </p> [SEG].", 0), ("", 1)])
def test_checking_data_imports_no_model(tmp_path, content, status):
    messages = [{"role": "user", "content": [{"type": "video"}, {"type": "text", "text": "Who?"}]}]
    messages += [{"role": "assistant", "content": content}]
    mask = {"size": [2, 3], "counts": [1, 2, 3]}
    sample = {"messages": messages, "video": "http://nowhere.invalid/a.mp4", "masks": [[mask]], "mask_frames": [0]}
    (tmp_path / "train.jsonl").write_text(json.dumps(sample))
    code = "import sys; from videoglamm_hf.cli import main; sys.exit(main())"
    packages, found = imported(code, "check-data", str(tmp_path / "train.jsonl"))
    assert found == status
    assert not packages & LARGE


def test_a_model_imports_neither_adapters_nor_quantisation_nor_decoders():
    load = f"AutoModel.from_pretrained({str(TINY_MODEL)!r}), AutoProcessor.from_pretrained({str(TINY_MODEL)!r})"
    packages, found = imported(f"import videoglamm_hf; from transformers import AutoModel, AutoProcessor; {load}")
    assert found == 0 and "torch" in packages
    assert not packages & ON_DEMAND


THEIRS = {name: f"from {module} import {name}" for name, module in AUTO_CLASSES.items()}
ORDERS = [
    *(([name], ["import videoglamm_hf", THEIRS[name]]) for name in AUTO_CLASSES),
    (AUTO_CLASSES, [*THEIRS.values(), "import videoglamm_hf"]),
    (AUTO_CLASSES, ["from videoglamm_hf.modeling_videoglamm import VideoGlammModel", *THEIRS.values()]),
]


@pytest.mark.parametrize("names, imports", ORDERS)
def test_the_auto_classes_know_ours_whatever_is_imported_first(names, imports):
    loaded = [f"print(type({name}.from_pretrained({str(TINY_MODEL)!r})).__module__)" for name in names]
    modules = run("\n".join([*imports, *loaded])).splitlines()
    assert len(modules) == len(names) and all(module.startswith("videoglamm_hf.") for module in modules)


def test_threads_meet_whole_modules_and_the_watch_on_imports_ends():
    code = """
import sys, threading, videoglamm_hf
# Not transformers' own affair: it cannot be imported by several threads at once.
import transformers
found = []
def load(name):
    found.append(getattr(transformers, name).from_pretrained(FOLDER))
names = ("AutoConfig", "AutoModel", "AutoImageProcessor", "AutoProcessor")
threads = [threading.Thread(target=load, args=[name]) for name in names]
[thread.start() for thread in threads], [thread.join() for thread in threads]
import transformers.models.auto.video_processing_auto, transformers.pipelines
print(len(found), [finder for finder in sys.meta_path if type(finder).__module__.startswith("videoglamm_hf")])
"""
    assert run(code.replace("FOLDER", repr(str(TINY_MODEL)))) == "4 []"


@pytest.mark.parametrize("package", [videoglamm_hf, conversion, data, evaluation])
def test_exported_names_are_what_they_say(package):
    for name in package.__all__:
        assert getattr(package, name).__name__ == name
        assert name in dir(package)
    with pytest.raises(AttributeError, match="no attribute 'Nothing'"):
        package.Nothing  # noqa: B018


def test_the_package_runs_as_a_command():
    found = subprocess.run([sys.executable, "-m", "videoglamm_hf", "--version"], capture_output=True, text=True)
    assert found.stdout == f"videoglamm {videoglamm_hf.__version__}\n"
